"""MeanFlow (Geng et al., 2025): a network learns the average velocity, so that one step crosses any stretch of time.

u(x_t, t, s) is the mean of the velocity between the times s <= t along the trajectory through x_t, so
x_s = x_t - (t - s) u. Its derivative along the trajectory gives an identity without any integral,
u = v - (t - s) du/dt, which is what is regressed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.func import jvp

from latentarena.backbone.attention import forward_mode
from latentarena.distill.batch import column
from latentarena.process import Network, Path, Times, drawn_times
from latentarena.randomness import Draws
from latentarena.sample import Jump

AverageVelocity = Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor]  # (x, t (B,), s (B,), labels) -> u
NODES, WEIGHTS = (torch.from_numpy(each / 2) for each in np.polynomial.legendre.leggauss(16))  # on [-1/2, 1/2]
FLOOR = 1e-3  # of a sample's squared error where it weights itself


def average_velocity(network: Network) -> AverageVelocity:
    """The output of a network that is told two times, (B, 2), as average velocities (B, ...)."""

    def velocity(x: Tensor, t: Tensor, s: Tensor, labels: Tensor | None) -> Tensor:
        return network(x, torch.stack([t.expand(x.shape[0]), s.expand(x.shape[0])], 1), labels)

    return velocity


def average_correction(network: Network, path: Path) -> Network:
    """A network of two times plus the average velocity of unit Gaussian data, as `gaussian_correction` is of one."""

    def corrected(x: Tensor, times: Tensor, labels: Tensor | None) -> Tensor:
        return column(_gaussian(path, times[:, 0], times[:, 1]), x) * x + network(x, times, labels)

    return corrected


def _gaussian(path: Path, t: Tensor, s: Tensor) -> Tensor:
    """(1 - r(s) / r(t)) / (t - s), (B,), as the mean of r' over r(t), which has no 0 / 0 where s = t.

    Unit Gaussian data move as x_s = x_t r(s) / r(t) with r^2 = alpha^2 + sigma^2.
    """
    between = (t + s) / 2 + (t - s) * NODES.to(t)[:, None]  # (16, B): Gauss-Legendre
    at = path.at(between.flatten(), between.flatten())
    slope = (at.alpha * at.d_alpha + at.sigma * at.d_sigma) / (at.alpha.square() + at.sigma.square()).sqrt()
    end = path.at(t, t)
    return WEIGHTS.to(t) @ slope.reshape(between.shape) / (end.alpha.square() + end.sigma.square()).sqrt()


def meanflow_jump(network: Network, labels: Tensor | None) -> Jump:
    """One evaluation for a step of any length."""
    velocity = average_velocity(network)

    def jump(x: Tensor, t: Tensor, s: Tensor) -> Tensor:
        return x - (t - s) * velocity(x, t, s, labels)

    return jump


def meanflow_loss(
    network: Network,
    path: Path,
    times: Times,
    data: Tensor,
    labels: Tensor | None,
    draws: Draws,
    apart: float = 0.5,
    power: float = 1.0,
) -> Tensor:
    """Weighted squared error of u against v - (t - s) du/dt, with v of single pairs and no gradient through it.

    Args:
        network: told (t, s), (B, 2).
        times: of t and s, drawn one by one.
        data: latents (B, ...).
        labels: int64 (B,) or None.
        apart: share of the batch where s < t; on the rest s = t, which is flow matching.
        power: of the adaptive weight 1 / (|error|^2 + FLOOR)^power; 0 is the plain squared error.
    """
    t, s = _pairs(path, times, len(data), draws, apart)
    noise = draws.normal(*data.shape)
    at = path.at(t, data)
    x, v = at.mix(data, noise), at.velocity(data, noise)
    velocity = average_velocity(network)
    with forward_mode():
        u, change = jvp(
            lambda x, t, s: velocity(x, t, s, labels), (x, t, s), (v, torch.ones_like(t), torch.zeros_like(s))
        )[:2]
    error = (u - (v - column(t - s, x) * change).detach()).square().flatten(1).sum(1)
    weight = (error.detach() + FLOOR).pow(-power)
    return (weight * error).mean()  # type: ignore[no-any-return]


def _pairs(path: Path, times: Times, n: int, draws: Draws, apart: float) -> tuple[Tensor, Tensor]:
    """Times s <= t, (B,) each, equal but for the share that is apart."""
    one, other = (drawn_times(times, path, draws, n) for _ in range(2))
    t = torch.maximum(one, other)
    return t, torch.where(draws.uniform(n) < apart, torch.minimum(one, other), t)
