"""Figures over trainings: what other seeds of one recipe come to, beside the error bars over images and noise."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

from latentarena.card.figure import Figure
from latentarena.card.score_card import ScoreCard, Trainings

CONFIDENCE = 0.95


def quantile(many: int, confidence: float = CONFIDENCE) -> float:
    """How many standard errors of the mean of so many numbers an interval reaches to either side (Student's t)."""
    from scipy.special import stdtrit

    return float(stdtrit(many - 1, (1 + confidence) / 2))


def over_trainings(values: Sequence[float]) -> Figure:
    """The mean of a figure over at least two trainings, with the t interval of that mean."""
    mean, n = statistics.fmean(values), len(values)
    half = quantile(n) * statistics.stdev(values) / math.sqrt(n)
    return Figure(value=mean, low=mean - half, high=mean + half)


def common(trainings: Sequence[Mapping[str, float]]) -> dict[str, Figure]:
    """Every figure that all of the trainings have, over them."""
    names = [name for name in trainings[0] if all(name in one for one in trainings)]
    return {name: over_trainings([one[name] for one in trainings]) for name in names}


def with_trainings(card: ScoreCard, seed: int, others: Mapping[int, ScoreCard]) -> ScoreCard:
    """The card of one training, with what all trainings of its recipe give.

    Args:
        card: of the training with this seed.
        others: cards of the other trainings, by seed; without any, the card is as it was.
    """
    if not others:
        return card
    cards = {seed: card, **others}
    metrics = common([{name: score.value for name, score in one.scores.items()} for one in cards.values()])
    trainings = Trainings(n=len(cards), seeds=tuple(cards), metrics=metrics)
    return card.model_copy(update={"trainings": trainings})
