"""Rate limits: token buckets in memory, one per action and caller."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from latentarena.web.problems import Problem

KEPT = 10_000  # buckets; full ones are forgotten first, for they say nothing


@dataclass(frozen=True)
class Rate:
    """A rate limit: `burst` actions at once, then `burst` more every `seconds`."""

    burst: int
    seconds: float


class Limiter:
    """Counts what callers do and refuses with 429 what is too much.

    Buckets live in this process: a server of several web processes allows each its own share.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: dict[tuple[str, str], tuple[float, float]] = {}

    def check(self, action: str, caller: str, rate: Rate) -> None:
        """Refuse if the caller has used up the rate; spends nothing.

        Raises:
            Problem: 429 with Retry-After in seconds.
        """
        left = self._left(action, caller, rate)
        if left < 1:
            wait = math.ceil((1 - left) * rate.seconds / rate.burst)
            raise Problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"too many {action} (more than {rate.burst} in {rate.seconds:g} s); try again in {wait} s",
                {"Retry-After": str(wait)},
            )

    def spend(self, action: str, caller: str, rate: Rate) -> None:
        """Count one action."""
        if len(self._buckets) >= KEPT:
            self._forget()
        self._buckets[action, caller] = (self._left(action, caller, rate) - 1, self._clock())

    def _left(self, action: str, caller: str, rate: Rate) -> float:
        left, since = self._buckets.get((action, caller), (float(rate.burst), self._clock()))
        return min(float(rate.burst), left + (self._clock() - since) * rate.burst / rate.seconds)

    def _forget(self) -> None:
        """Drop the older half: what was least recently spent has refilled most."""
        by_age = sorted(self._buckets.items(), key=lambda item: item[1][1])
        self._buckets = dict(by_age[len(by_age) // 2 :])
