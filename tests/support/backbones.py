"""Inputs of backbones, and networks whose output is not zero."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from latentarena.randomness import stream

CLASSES = 3


def perturbed(network: nn.Module, size: float = 0.3) -> nn.Module:
    """The network with every weight random: those, too, that start at zero."""
    generator = stream("backbone")
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(size * torch.randn(parameter.shape, generator=generator))
    return network.eval().requires_grad_(False)


def inputs(latent: tuple[int, ...], n: int = 6) -> tuple[Tensor, Tensor, Tensor]:
    """x_t, times and labels."""
    x = torch.randn(n, *latent, generator=stream("x"))
    return x, torch.linspace(0, 1, n), torch.arange(n) % CLASSES
