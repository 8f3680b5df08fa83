"""A figure with its error bar; plain data, so that boards read score cards without torch."""

from __future__ import annotations

from latentarena.config import Config

__all__ = ["Estimate"]


class Estimate(Config):
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float

    def meets(self, other: Estimate) -> bool:
        """Whether the two intervals overlap."""
        return self.low <= other.high and other.low <= self.high
