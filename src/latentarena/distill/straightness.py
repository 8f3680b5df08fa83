"""How straight the trajectories of a flow are."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from latentarena.process import Denoiser, Path
from latentarena.sample import GRIDS, heun, sample


@torch.no_grad()
def straightness(path: Path, denoise: Denoiser, noise: Tensor, labels: Tensor | None, steps: int = 100) -> float:
    """S(Z) of Liu et al. (2023), over the squared length of the chords: 0 for straight paths, which one step solves.

    The mean over time of E |chord - v(x_t, t)|^2 / E |chord|^2, where the chord is the velocity that would lead
    straight from noise to sample. Bends count the more, the less the flow moves: it is without bound.

    Args:
        noise: (B, ...) at the path's last time.
        labels: int64 (B,) or None.
        steps: of Heun's method, and of the trapezoidal rule.
    """
    times = GRIDS["uniform"](path, steps).to(noise)
    return straightness_of(path, denoise, list(sample(heun(path, denoise, labels), noise, times)), times, labels)


@torch.no_grad()
def straightness_of(
    path: Path, denoise: Denoiser, states: Sequence[Tensor], times: Tensor, labels: Tensor | None
) -> float:
    """As `straightness`, of given trajectories: their states (B, ...) at times (T,) from noise to data."""
    chord = (states[0] - states[-1]) / (times[0] - times[-1])
    bends = []
    for x, t in zip(states, times, strict=True):
        estimate = denoise(x, t, labels)
        bends.append((chord - path.at(t, x).velocity(estimate.data, estimate.noise)).square().sum())
    mean = torch.trapezoid(torch.stack(bends), times) / (times[-1] - times[0])
    return float(mean / chord.square().sum())
