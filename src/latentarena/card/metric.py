"""A metric as the score card knows it: title, direction, range, what it is worth in points, how it meets real data."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from latentarena.card.figure import Better, Figure, rounding_of

Worth = Callable[[float, Figure | None], float]
"""A value, and the figure of real images or None -> what the value is worth, from 0 to 1."""


@dataclass(frozen=True)
class Margin:
    """How far a figure may lie from that of real images and still count as equivalent to it.

    Attributes:
        absolute: in the metric's unit.
        share: of the figure of real images, added to it.
        most: share of the figure of real images that the margin is at most. Only for figures that real images have by
            what they are: a distance to real images is nought but for chance, and no share of it says anything.
    """

    absolute: float = 0.0
    share: float = 0.0
    most: float = math.inf

    def of(self, real: float) -> float:
        """In the metric's unit, beside this figure of real images."""
        own = self.absolute + self.share * abs(real)
        return own if self.most == math.inf else min(own, self.most * abs(real))

    @property
    def words(self) -> str:
        """Such as `5 % of the figure of real images`."""
        if self.share:
            return f"{100 * self.share:g} % of the figure of real images"
        most = "" if self.most == math.inf else f", at most {100 * self.most:g} % of the figure of real images"
        return f"{self.absolute:g}{most}"


class Likeness(StrEnum):
    """What a comparison with as many real images shows of a figure."""

    LIKE = "like real"
    DIFFERENT = "different"
    UNTOLD = "too few images to tell"


@dataclass(frozen=True)
class Metric:
    """One figure of the score card.

    Attributes:
        category: of `CATEGORIES`.
        title: with the unit, as people read it.
        better: the direction; `like real data` figures are shown, and their distance to real data is what counts.
        what: definition in a sentence, with the source.
        decimals: shown.
        smallest, largest: the range.
        worth: 0 to 1 for a value beside its real floor; None where the figure does not count on its own.
        margin: within which it is equivalent to that of real images; None where there is no such comparison.
        certified: counts only once the recipe has been trained anew (`arena retrain`): a bundle's own word on its
            training is shown, but neither ranked nor worth anything.
    """

    category: str
    title: str
    better: Better
    what: str
    decimals: int = 4
    smallest: float = 0.0
    largest: float = math.inf
    worth: Worth | None = None
    margin: Margin | None = None
    certified: bool = False

    def likeness(self, own: Figure, real: Figure) -> Likeness | None:
        """Whether a figure is equivalent to that of as many real images, differs from it, or nobody can tell.

        It is equivalent once the 95 % interval of the difference lies within the margin on the side that is worse
        (Schuirmann, 1987), and different once that interval leaves 0 out on this side. An interval that holds 0 and
        reaches beyond the margin shows neither. None where the metric has no margin.
        """
        if self.margin is None:
            return None
        apart, margin = own.minus(real), self.margin.of(real.value)
        upwards, downwards = self.better is not Better.HIGHER, self.better is not Better.LOWER  # may be worse
        if not (upwards and apart.high >= margin) and not (downwards and apart.low <= -margin):
            return Likeness.LIKE
        worse = (upwards and apart.low > 0) or (downwards and apart.high < 0)
        return Likeness.DIFFERENT if worse else Likeness.UNTOLD


def refuse_beyond(name: str, value: float, metric: Metric) -> None:
    """Raise a ValueError where a value is outside the metric's range by more than rounding."""
    smallest, largest = metric.smallest, metric.largest
    if not smallest - rounding_of(smallest) <= value <= largest + rounding_of(largest):
        raise ValueError(f"{name} = {value:g} is outside its range, {smallest:g} to {largest:g}")


def log_scale(zero_at: float, full_at: float) -> Worth:
    """Logarithmic between a value worth nothing and one worth all, whichever is larger."""
    return lambda value, _: _cut(math.log(max(value, 1e-12) / zero_at) / math.log(full_at / zero_at))


def linear(zero_at: float) -> Worth:
    """Falling in a straight line from all at 0 to nothing at `zero_at`."""
    return lambda value, _: _cut(1 - value / zero_at)


def around_one(zero_at: float) -> Worth:
    """Falling in straight lines from all at 1 to nothing at so far to either side."""
    return lambda value, _: _cut(1 - abs(value - 1) / zero_at)


def near_real(decades: float, margin: Margin) -> Worth:
    """Full within the margin above the figure of real images, nothing at so many powers of ten above that."""

    def worth(value: float, real: Figure | None) -> float:
        floor = max(real.value + margin.of(real.value) if real else 0.0, 1e-9)
        return _cut(1 - math.log10(max(value, floor) / floor) / decades)

    return worth


def share_of_real(value: float, real: Figure | None) -> float:
    """The value over that of real images."""
    return _cut(value / real.value) if real and real.value > 0 else 0.0


def as_share(value: float, _: Figure | None) -> float:
    """The value itself: a share."""
    return _cut(value)


def _cut(worth: float) -> float:
    return min(1.0, max(0.0, worth))
