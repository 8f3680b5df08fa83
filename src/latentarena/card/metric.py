"""A metric as the score card knows it: title, direction, range, what it is worth in points, how it meets real data."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from latentarena.card.figure import Better, Figure

Worth = Callable[[float, Figure | None], float]
"""A value, and the figure of real images or None -> what the value is worth, from 0 to 1."""


@dataclass(frozen=True)
class Margin:
    """How far a figure may lie from that of real images and still count as equivalent to it.

    Attributes:
        absolute: in the metric's unit.
        share: of the figure of real images, added to it.
    """

    absolute: float = 0.0
    share: float = 0.0

    def of(self, real: float) -> float:
        """In the metric's unit, beside this figure of real images."""
        return self.absolute + self.share * abs(real)

    @property
    def words(self) -> str:
        """Such as `5 % of the figure of real images`."""
        return f"{100 * self.share:g} % of the figure of real images" if self.share else f"{self.absolute:g}"


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

    def like_real(self, own: Figure, real: Figure) -> bool:
        """Whether a figure is equivalent to that of as many real images: no worse by as much as the margin.

        An equivalence test: the 95 % interval of the difference has to lie within the margin, so that figures too
        uncertain to tell are not called alike (Schuirmann, 1987).
        """
        if self.margin is None:
            return False
        apart, margin = own.minus(real), self.margin.of(real.value)
        not_above, not_below = apart.high < margin, apart.low > -margin
        return {Better.LOWER: not_above, Better.HIGHER: not_below}.get(self.better, not_above and not_below)


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
