"""Solvers turn a denoiser into a `Jump`: (x at t, t, s) -> x at s."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import torch
from torch import Tensor

from latentarena.process import Denoiser, Path
from latentarena.registry import Registry

__all__ = ["SOLVERS", "Jump", "Solver", "euler", "heun", "sample", "uniform_times"]

Jump = Callable[[Tensor, Tensor, Tensor], Tensor]
Solver = Callable[[Path, Denoiser, Tensor | None], Jump]


def _velocity(path: Path, denoise: Denoiser, labels: Tensor | None) -> Callable[[Tensor, Tensor], Tensor]:
    """The probability-flow ODE's right-hand side, dx/dt = alpha' data + sigma' noise."""

    def velocity(x: Tensor, t: Tensor) -> Tensor:
        estimate = denoise(x, t, labels)
        return path.at(t, x).velocity(estimate.data, estimate.noise)

    return velocity


def euler(path: Path, denoise: Denoiser, labels: Tensor | None) -> Jump:
    """First order, one evaluation a step."""
    velocity = _velocity(path, denoise, labels)

    def jump(x: Tensor, t: Tensor, s: Tensor) -> Tensor:
        return x + (s - t) * velocity(x, t)

    return jump


def heun(path: Path, denoise: Denoiser, labels: Tensor | None) -> Jump:
    """Second order, two evaluations a step: Euler, then the mean of the slopes at both ends."""
    velocity = _velocity(path, denoise, labels)

    def jump(x: Tensor, t: Tensor, s: Tensor) -> Tensor:
        here = velocity(x, t)
        there = velocity(x + (s - t) * here, s)
        return x + (s - t) * (here + there) / 2

    return jump


SOLVERS: Registry[Solver] = Registry("solver", euler=euler, heun=heun)


def uniform_times(path: Path, steps: int) -> Tensor:
    """From noise to data in equal steps: (steps + 1,), descending."""
    first, last = path.span
    return torch.linspace(last, first, steps + 1)


def sample(jump: Jump, noise: Tensor, times: Tensor) -> Iterator[Tensor]:
    """Yield x at every time, the noise first and the sample last; each (B, ...)."""
    x = noise
    yield x
    for t, s in pairwise(times):
        x = jump(x, t, s)
        yield x
