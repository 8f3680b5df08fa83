"""Figures with error bars: a statistic is a function of how often each image counts.

Counted once each, the images give the value; counted as often as in a random draw with replacement they give a
replicate of it (Efron, 1979). One set of draws serves all statistics of the same images.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from latentarena.card.figure import Figure
from latentarena.randomness import stream

Statistic = Callable[[Tensor], Tensor]
"""How often each of N images counts, float64 (B, N) -> the figure each time, float64 (B,)."""
Measures = dict[str, Statistic | Figure]
"""By metric: a statistic whose interval is to be drawn, or a figure that has one."""

ROUNDS = 200
SURE = 0.95
TINY = 1e-12  # beside which nothing is 0 / 0: images of one colour have no edges, copies no distance


def draws(n: int, rounds: int = ROUNDS, generator: torch.Generator | None = None) -> Tensor:
    """How often each of n images counts: once in the first row, as in a bootstrap draw in the others.

    Args:
        n, rounds: how many images and draws.
        generator: of the draws; one that n stands for unless given.

    Returns:
        float64 (1 + rounds, n); rows sum to n.
    """
    chosen = torch.randint(n, (rounds, n), generator=generator or stream("bootstrap", n))
    counts = torch.zeros(rounds, n, dtype=torch.float64)
    counts.scatter_add_(1, chosen, torch.ones_like(counts))
    return torch.cat([torch.ones(1, n, dtype=torch.float64), counts])


def estimate(statistic: Statistic, counts: Tensor, smallest: float = -math.inf, largest: float = math.inf) -> Figure:
    """The figure and its 95 % bootstrap interval.

    The replicates are centred on the figure before their quantiles are taken, since a draw with replacement shifts
    distances between distributions upwards (by as much again as the finite sample did; that shift is what the floor of
    real images at the same size shows).

    Args:
        statistic: what to estimate.
        counts: of `draws`, (1 + B, N).
        smallest, largest: the figure's range, to which the interval is cut.
    """
    values = statistic(counts)
    value, replicates = float(values[0]), values[1:]
    ends = torch.tensor([(1 - SURE) / 2, (1 + SURE) / 2], dtype=torch.float64)
    low, high = (value + replicates.quantile(ends) - replicates.mean()).tolist()
    return Figure(value=value, low=min(value, max(low, smallest)), high=max(value, min(high, largest)))


def mean_of(values: Tensor) -> Statistic:
    """The mean of one number for each image, (N,)."""
    values = values.double()
    return lambda counts: counts @ values / counts.sum(1)


def ratio_of(values: Tensor, others: Tensor) -> Statistic:
    """The ratio of the means of two numbers for each image, (N,) each; 0 / 0 counts as 1."""
    above, below = values.double(), others.double()

    def ratio(counts: Tensor) -> Tensor:
        a, b = counts @ above, counts @ below
        return torch.where((a == 0) & (b == 0), 1.0, a / b.clamp(min=1e-12))

    return ratio


def over_real(values: Tensor, real: float) -> Statistic:
    """The mean of one number >= 0 for each image, (N,), over that of real images; 0 / 0 counts as 1."""
    return mean_of((values + TINY) / (real + TINY))


def over_independent(values: Tensor, others: Tensor, other_counts: Tensor) -> Statistic:
    """The ratio of the means of two independent sets of numbers >= 0; 0 / 0 counts as 1.

    Args:
        values, others: (N,) and (M,).
        other_counts: of `draws`, (1 + B, M), as many as there will be of the values.
    """
    below = mean_of(others)(other_counts).clamp(min=TINY)
    return lambda counts: mean_of(values + TINY)(counts) / below


def exactly(value: float) -> Figure:
    """A figure that is counted and not estimated."""
    return Figure(value=value, low=value, high=value)


def wilson(successes: int, n: int) -> Figure:
    """A share and Wilson's interval, which has a width where nothing, or everything, was found (Wilson, 1927)."""
    z, share = 1.959964, successes / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return Figure(value=share, low=min(share, max(0.0, middle - half)), high=max(share, min(1.0, middle + half)))
