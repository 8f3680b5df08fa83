"""Whether a bundle is what its recipe makes, by trainings of that recipe with several seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence

from latentarena.bundle.native import BundleCard
from latentarena.card.certificate import COMPARED, RepeatedTraining
from latentarena.card.score_card import ScoreCard
from latentarena.card.trainings import quantile

SLACK = 0.02  # share of a figure that another platform may change
LOSSES = 0.05  # share of a loss by which a card's may differ from that of its recipe, beside the spread over seeds


def disagreements(card: BundleCard, declared: ScoreCard, trainings: Sequence[RepeatedTraining]) -> Iterator[str]:
    """Scores of a bundle that its recipe does not reach, beyond what other seeds and the judge's error bars explain.

    Weights that are equal bit for bit settle it. Else each figure is held against the prediction interval of one more
    training, at a level at which all of them together raise a false alarm in 5 % of the cases.
    """
    if any(one.weights == card.weights for one in trainings):
        return
    for name in COMPARED:
        if name not in declared.scores or not all(name in one.figures for one in trainings):
            continue
        score, values = declared.scores[name], [one.figures[name] for one in trainings]
        mean, half = _predicted(values, 1 - (1 - 0.95) / len(COMPARED))
        slack = max(score.high - score.value, score.value - score.low, SLACK * abs(mean))
        if abs(score.value - mean) > half + slack:
            low, high = max(0.0, mean - half - slack), mean + half + slack
            yield f"{name} = {score.value:.4g}, but its recipe gives {mean:.4g} ({low:.4g} to {high:.4g} over seeds)"


def _predicted(values: Sequence[float], confidence: float) -> tuple[float, float]:
    """Mean of some trainings, and how far from it one more lies at most."""
    n = len(values)
    return statistics.fmean(values), quantile(n, confidence) * statistics.stdev(values) * math.sqrt(1 + 1 / n)


def misdeclared(card: BundleCard, trainings: Sequence[RepeatedTraining]) -> Iterator[str]:
    """Self-reported training figures that retraining contradicts; nothing ranks by them."""
    losses = card.provenance.losses
    for stage in trainings[0].losses:
        if stage not in losses:
            yield f"the card declares no final loss of {stage}"
            continue
        mean, half = _predicted([one.losses[stage] for one in trainings], 0.95)
        if not abs(losses[stage] - mean) <= half + LOSSES * abs(mean):
            yield f"the card declares a final loss of {losses[stage]:.4g} for {stage}; its recipe gives {mean:.4g}"
    seconds = sum(card.provenance.seconds.values())
    steps = sum(max(curve.steps) for curve in card.provenance.curves.values())
    if seconds <= 0 or steps < len(trainings[0].losses):
        yield f"the card declares {seconds:.4g} seconds and {steps:,} steps of training"
