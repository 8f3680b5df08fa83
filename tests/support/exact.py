"""Distributions whose denoiser and flow are known."""

from __future__ import annotations

import torch
from torch import Tensor

from latentarena.process import Denoiser, Estimate, Path
from latentarena.randomness import stream

MEAN, DEVIATION = 1.5, 0.3


def exact_denoiser(path: Path) -> Denoiser:
    """The conditional expectations for data ~ N(MEAN, DEVIATION^2) on any path."""

    def denoise(x: Tensor, t: Tensor, labels: Tensor | None) -> Estimate:
        at = path.at(t, x)
        gain = at.alpha * DEVIATION**2 / (at.alpha.square() * DEVIATION**2 + at.sigma.square())
        data = MEAN + gain * (x - at.alpha * MEAN)
        return Estimate(data, at.sigma / (at.alpha.square() * DEVIATION**2 + at.sigma.square()) * (x - at.alpha * MEAN))

    return denoise


def exact_flow(path: Path, x: Tensor, t: Tensor, s: Tensor) -> Tensor:
    """Where the probability flow takes x from t to s: a Gaussian's flow keeps quantiles."""
    there, here = path.at(s, x), path.at(t, x)
    spread, before = ((at.alpha.square() * DEVIATION**2 + at.sigma.square()).sqrt() for at in (there, here))
    return there.alpha * MEAN + spread / before * (x - here.alpha * MEAN)


def point(x: Tensor, t: Tensor, labels: Tensor | None) -> Estimate:
    """The exact denoiser of data that is always MEAN."""
    return Estimate(torch.full_like(x, MEAN), (x - (1 - t) * MEAN) / t)


def normal(*shape: int, key: str = "noise") -> Tensor:
    """Standard normal float64 numbers, the same for the same key."""
    return torch.randn(*shape, generator=stream(key), dtype=torch.float64)
