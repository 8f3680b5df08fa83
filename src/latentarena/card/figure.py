"""A figure with its error bar, and which figures are better; plain data, for boards read score cards without torch."""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import StrEnum
from math import hypot
from typing import Any

from pydantic import model_validator

from latentarena.bounds import Real
from latentarena.config import Config

ROUNDING = 1e-6  # how far a figure may lie outside of where it belongs


class Better(StrEnum):
    """Which figures of a metric are better. The only place that knows it."""

    LOWER = "lower"
    HIGHER = "higher"
    NEAR_ONE = "near 1"
    LIKE_REAL = "like real data"  # shown; what counts is a metric of the distance to real data

    @property
    def words(self) -> str:
        """Such as `lower is better`."""
        return f"{self} is better"

    @property
    def best(self) -> float:
        """The best value that there can be."""
        return {Better.LOWER: -math.inf, Better.HIGHER: math.inf, Better.NEAR_ONE: 1.0}[self]

    def cost(self, value: Any) -> Any:
        """How far a value, or each of an array, is from the best: lower is better."""
        if self is Better.HIGHER:
            return -value
        return abs(value - 1) if self is Better.NEAR_ONE else value

    def costs(self, low: Any, high: Any, larger: Callable[[Any, Any], Any] = max) -> tuple[Any, Any]:
        """The costs of the better and the worse end of an interval, or of arrays of intervals.

        Args:
            larger: of two values; `numpy.maximum` for arrays.
        """
        if self is not Better.NEAR_ONE:
            return (low, high) if self is not Better.HIGHER else (-high, -low)
        return larger(larger(low - 1, 1 - high), 0.0), larger(abs(low - 1), abs(high - 1))


class Figure(Config):
    """A figure and its 95 % interval, which holds it, from the judge's bootstrap to the cell of a board."""

    value: Real
    low: Real
    high: Real

    @model_validator(mode="after")
    def _holds_its_value(self) -> Figure:
        slack = rounding_of(self.value)
        if self.low > self.high or not self.low - slack <= self.value <= self.high + slack:
            raise ValueError(f"{self.value:g} has the interval {self.low:g} to {self.high:g}, which does not hold it")
        return self

    @classmethod
    def of(cls, value: float, low: float | None = None, high: float | None = None) -> Figure:
        """A figure of a table, which may be infinite or no number; exact without ends, which then hold its value."""
        low, high = (value if end is None or math.isnan(end) else end for end in (low, high))
        return cls.model_construct(value=value, low=min(low, value), high=max(high, value))

    def __format__(self, form: str) -> str:
        """Value and ends, each in this form."""
        return f"{self.value:{form}} [{self.low:{form}}, {self.high:{form}}]"

    def meets(self, other: Figure) -> bool:
        """Whether the two intervals overlap."""
        return self.low <= other.high and other.low <= self.high

    def better_than(self, other: Figure, better: Better) -> bool:
        """Whether the whole interval is better than the other one's whole interval."""
        if better is Better.LIKE_REAL:
            return False
        worst, best = better.costs(self.low, self.high)[1], better.costs(other.low, other.high)[0]
        return bool(worst < best)

    def wider(self, width: float) -> Figure:
        """The figure with an interval that reaches at least so far to either side."""
        return Figure.of(self.value, min(self.low, self.value - width), max(self.high, self.value + width))

    def minus(self, other: Figure) -> Figure:
        """The difference of two independent figures, its 95 % interval by MOVER from theirs (Zou & Donner, 2008)."""
        value = self.value - other.value
        below = hypot(self.value - self.low, other.high - other.value)
        above = hypot(self.high - self.value, other.value - other.low)
        return Figure.of(value, value - below, value + above)  # of figures at the bounds it reaches beyond these


def rounding_of(value: float) -> float:
    """How far rounding may take a figure outside of its interval or its range."""
    return ROUNDING * max(1.0, abs(value))
