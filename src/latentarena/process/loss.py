"""Training times and the regression that trains every denoiser."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from latentarena.process.path import Path
from latentarena.process.target import Network, Target, predict
from latentarena.randomness import Draws
from latentarena.registry import Registry

__all__ = ["TIMES", "Times", "matching_loss"]

Times = Callable[[Draws, int], Tensor]  # -> (B,) in (0, 1)

TIMES: Registry[Times] = Registry(
    "times",
    uniform=lambda draws, n: draws.uniform(n),
    logit_normal=lambda draws, n: torch.sigmoid(draws.normal(n)),  # Esser et al., 2024
)


def matching_loss(
    network: Network,
    path: Path,
    target: Target,
    times: Times,
    data: Tensor,
    labels: Tensor | None,
    draws: Draws,
) -> Tensor:
    """Mean squared error between the network's output and p * data + q * noise at random times.

    Flow matching (Lipman et al., 2023) for the velocity row, denoising score matching (Ho et al., 2020) for the
    noise row.

    Args:
        data: latents (B, ...).
        labels: int64 (B,) or None.
    """
    first, last = path.span
    t = first + (last - first) * times(draws, len(data))  # (B,)
    noise = draws.normal(*data.shape)
    at = path.at(t, data)
    p, q = target(at)
    out = predict(network, at, (p, q), at.mix(data, noise), t, labels)
    return (out - (p * data + q * noise)).square().mean()
