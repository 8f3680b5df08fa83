"""What the probability-flow ODE gives besides samples: noise for data, and the data's exact log-likelihood."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor
from torch.func import jvp

from latentarena.backbone.attention import forward_mode
from latentarena.process import Denoiser, Path
from latentarena.sample.solver import GRIDS, Solver, sample


def invert(path: Path, denoise: Denoiser, solver: Solver, data: Tensor, labels: Tensor | None, steps: int) -> Tensor:
    """The noise that a deterministic solver would turn into these data: the ODE run from data to noise.

    Args:
        data: (B, ...) at the path's first time.
        steps: of the uniform grid.

    Returns:
        (B, ...) at the path's last time.
    """
    times = GRIDS["uniform"](path, steps).flip(0).to(data)
    *_, noise = sample(solver(path, denoise, labels), data, times)
    return noise


def log_likelihood(
    path: Path, denoise: Denoiser, data: Tensor, labels: Tensor | None, steps: int = 100, probes: Tensor | None = None
) -> Tensor:
    """log p(data) in nats, (B,), by the change of variables along the ODE (Chen et al., 2018; Song et al., 2021).

    log p(x_0) = log N(x_1) + integral of div v dt, integrated with Heun's method.

    Args:
        data: (B, ...) at the path's first time.
        steps: of the uniform grid.
        probes: (K, ...) directions for Hutchinson's estimate of the divergence, such as random signs; without
            them the divergence is exact, at one evaluation for each of the D dimensions.
    """
    dimension = data[0].numel()
    exact = probes is None
    directions = torch.eye(dimension).reshape(dimension, *data.shape[1:]) if probes is None else probes
    directions = directions.to(data)

    def slope(x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        def velocity(y: Tensor) -> Tensor:
            estimate = denoise(y, t, labels)
            return path.at(t, y).velocity(estimate.data, estimate.noise)

        divergence = torch.zeros(len(x)).to(x)
        with forward_mode():
            for direction in directions:
                value, change = jvp(velocity, (x,), (direction.expand_as(x).contiguous(),))[:2]
                divergence = divergence + (direction * change).flatten(1).sum(1)
        return value, divergence if exact else divergence / len(directions)

    times = GRIDS["uniform"](path, steps).flip(0).to(data)
    x, gained = data, torch.zeros(len(data)).to(data)
    for t, s in pairwise(times):
        v, div = slope(x, t)
        v_next, div_next = slope(x + (s - t) * v, s)
        x, gained = x + (s - t) * (v + v_next) / 2, gained + (s - t) * (div + div_next) / 2
    gaussian = -0.5 * x.square().flatten(1).sum(1) - 0.5 * dimension * math.log(2 * math.pi)
    return gaussian + gained


def bits_per_dimension(log_likelihoods: Tensor, dimension: int, width: float = 1.0) -> Tensor:
    """Negative log-likelihoods in nats as bits per dimension, (B,).

    Args:
        log_likelihoods: of densities over values whose quantisation bins are `width` wide, such as 2 / 256 for
            8-bit pixels on [-1, 1].
        dimension: how many numbers one value has.
    """
    return -(log_likelihoods / dimension + math.log(width)) / math.log(2)
