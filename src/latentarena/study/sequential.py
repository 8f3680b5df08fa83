"""A sequential test: after every seed, whether a mean difference is surely below or surely above zero.

Differences are paired by seed and taken as normal. After the k-th look (the first is at `FIRST` seeds) the t interval
of their mean has the level 1 - error / (k (k + 1)). These shares add up to one, so by the union bound the chance that
any interval ever misses the true mean is at most `error`, however long one goes on and whenever one stops.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

FIRST = 3  # seeds at the first look


def spent(seeds: int, error: float) -> float:
    """The part of the error that the look after so many seeds may spend; none before the first look."""
    look = seeds - FIRST + 1
    return error / (look * (look + 1)) if look > 0 else 0.0


def interval(differences: Sequence[float] | NDArray[np.float64], error: float) -> tuple[NDArray, NDArray]:  # type: ignore[type-arg]
    """The interval of the mean after the last difference, at the level which that look may spend.

    Args:
        differences: by seed along the last axis, at least `FIRST` of them; other axes are studies of their own.
        error: of all looks together.

    Returns:
        Lower and upper ends.
    """
    values = np.asarray(differences, dtype=float)
    n = values.shape[-1]
    half = stdtrit(n - 1, 1 - spent(n, error) / 2) * values.std(-1, ddof=1) / np.sqrt(n)
    return values.mean(-1) - half, values.mean(-1) + half


def side(differences: Sequence[float], error: float) -> int:
    """-1 if the mean is surely below zero, 1 if it is surely above, 0 if that is open.

    Args:
        differences, error: as for `interval`; before `FIRST` of them all is open.
    """
    if len(differences) < FIRST:
        return 0
    low, high = interval(differences, error)
    return -1 if high < 0 else int(low > 0)
