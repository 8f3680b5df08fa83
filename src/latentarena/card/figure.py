"""A figure with its error bar; plain data, so that boards read score cards without torch."""

from __future__ import annotations

from math import hypot

from latentarena.bounds import Real
from latentarena.config import Config


class Estimate(Config):
    """A figure and its 95 % interval."""

    value: Real
    low: Real
    high: Real

    def meets(self, other: Estimate) -> bool:
        """Whether the two intervals overlap."""
        return self.low <= other.high and other.low <= self.high

    def minus(self, other: Estimate) -> Estimate:
        """The difference of two independent figures, its 95 % interval by MOVER from theirs (Zou & Donner, 2008)."""
        value = self.value - other.value
        below = hypot(self.value - self.low, other.high - other.value)
        above = hypot(self.high - self.value, other.value - other.low)
        return Estimate(value=value, low=value - below, high=value + above)
