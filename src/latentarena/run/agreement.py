"""Whether a bundle is what its recipe makes, by trainings of that recipe with several seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from latentarena.bundle.native import BundleCard
from latentarena.card.certificate import RepeatedTraining
from latentarena.card.score_card import ScoreCard
from latentarena.card.trainings import quantile

ALARM = 0.02  # share of honest bundles that the intervals over seeds refuse, all figures together
SLACK = 0.02  # share of a figure that another platform may change
LOSSES = 0.05  # share of a loss by which a card's may differ from that of its recipe, beside the spread over seeds


@dataclass(frozen=True)
class Bound:
    """How far a figure of a bundle may lie from that of its recipe, for better or worse.

    Attributes:
        error: the figure as an error: zero is perfect, and equal ratios count alike.
        inverse: the figure of an error.
        floor: the error below which differences do not count, in its own unit.
        most: the largest ratio between the bundle and the mean of its recipe, however widely seeds differ.
    """

    error: Callable[[float], float]
    inverse: Callable[[float], float]
    floor: float
    most: float

    def scaled(self, value: float) -> float:
        """The logarithm of the error, flat below the floor."""
        return math.log(max(self.error(value), 0.0) + self.floor)

    def unscaled(self, value: float) -> float:
        """The figure that has this logarithm."""
        return self.inverse(max(0.0, math.exp(value) - self.floor))


def _distance(floor: float, most: float) -> Bound:
    """Bound of a figure that is an error itself."""
    return Bound(lambda value: value, lambda error: error, floor, most)


def _share(most: float) -> Bound:
    """Bound of a share of images, by its odds against; 0.05 on either side keep a few images from deciding."""
    return Bound(
        lambda share: (1.05 - share) / (0.05 + share), lambda odds: (1.05 - 0.05 * odds) / (1 + odds), 0.0, most
    )


COMPARED = {
    "mse": _distance(1e-6, 1.2),
    "ssim": Bound(lambda value: 1 - value, lambda error: 1 - error, 1e-3, 1.2),
    "frechet": _distance(0.05, 1.5),
    "prior_frechet": _distance(0.05, 1.35),
    "class_kl": _distance(0.02, 2.0),
    "coverage": _share(1.6),
    "precision": _share(1.4),
    "recall": _share(1.6),
}
"""The figures by which a bundle is held against its recipe, of every part of the model."""


def disagreements(card: BundleCard, declared: ScoreCard, trainings: Sequence[RepeatedTraining]) -> Iterator[str]:
    """Scores of a bundle that its recipe does not reach, or that are worse than what it reaches.

    Weights that are equal bit for bit settle it. Else each figure is held against the prediction interval of one more
    training, at a level at which all of them together raise a false alarm in 2 % of the cases; but no further from the
    mean of the trainings than the figure's `most`. Figures that differ too widely between the trainings are left to
    `undecided`.
    """
    if _same(card, trainings):
        return
    names = _common(declared, trainings)
    for name in names:
        bound, score = COMPARED[name], declared.scores[name].value
        values = [bound.scaled(one.figures[name]) for one in trainings]
        if _too_wide(values, bound):
            continue
        mean, half = _predicted(values, 1 - ALARM / len(names))
        half = min(max(half, math.log1p(SLACK)), math.log(bound.most))
        if abs(bound.scaled(score) - mean) > half:
            middle, low, high = (bound.unscaled(one) for one in (mean, mean - half, mean + half))
            yield (
                f"{name} = {score:.4g}, but its recipe gives {middle:.4g} "
                f"({min(low, high):.4g} to {max(low, high):.4g} are taken for it)"
            )


def undecided(card: BundleCard, declared: ScoreCard, trainings: Sequence[RepeatedTraining]) -> Iterator[str]:
    """Figures that differ so widely between the recipe's own trainings that no bundle can be told to be its."""
    if _same(card, trainings):
        return
    for name in _common(declared, trainings):
        values = [one.figures[name] for one in trainings]
        if _too_wide([COMPARED[name].scaled(value) for value in values], COMPARED[name]):
            yield (
                f"the recipe's own trainings differ too widely in {name} ({min(values):.4g} to {max(values):.4g}); "
                "take more --seeds, or train until seeds agree"
            )


def _same(card: BundleCard, trainings: Sequence[RepeatedTraining]) -> bool:
    return any(one.weights == card.weights for one in trainings)


def _common(declared: ScoreCard, trainings: Sequence[RepeatedTraining]) -> list[str]:
    """The figures that the bundle and all trainings have."""
    figures = [one.figures for one in trainings]
    return [name for name in COMPARED if name in declared.scores and all(name in one for one in figures)]


def _too_wide(values: Sequence[float], bound: Bound) -> bool:
    """Whether one more training would often lie further from the mean than a bundle may."""
    return statistics.stdev(values) * math.sqrt(1 + 1 / len(values)) > math.log(bound.most)


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
