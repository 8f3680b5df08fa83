"""Residual MLP with adaptive normalisation, for linear latents and for maps laid out as one."""

from __future__ import annotations

from math import prod
from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from latentarena.backbone.conditioning import Conditioning, modulate
from latentarena.config import Config


class MLPConfig(Config):
    """A residual MLP.

    Sizes: `mlp_small`, `mlp_base` and `mlp_large` have width 64, 136, 280 and depth 4; with 28 latents that is 0.04,
    0.17 and 0.67 million weights, four times as many each.

    Attributes:
        width: of the hidden layers.
        depth: residual blocks with weights of their own.
        loops: how often the blocks are passed through; every pass has its own modulation.
        conditioning: width of the time-and-label vector.
    """

    kind: Literal["mlp"] = "mlp"
    width: int = Field(default=128, ge=4, le=8192)
    depth: int = Field(default=3, ge=1, le=64)
    loops: int = Field(default=1, ge=1, le=64)
    conditioning: int = Field(default=32, ge=4, le=4096)

    def build(self, latent: tuple[int, ...], classes: int | None, times: int = 1) -> MLP:
        """The network for latents of this shape, told one time or two."""
        return MLP(prod(latent), classes, self, times)


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.inner, self.outer = nn.Linear(width, width), nn.Linear(width, width)
        nn.init.zeros_(self.outer.weight)

    def forward(self, h: Tensor, scale_shift: Tensor) -> Tensor:
        update = modulate(self.inner(self.norm(h)), scale_shift)
        return h + self.outer(nn.functional.silu(update))  # type: ignore[no-any-return]


class MLP(nn.Module):
    """`(x (B, ...) of D numbers each, t (B,), labels (B,) or None) -> x's shape`."""

    def __init__(self, dimension: int, classes: int | None, config: MLPConfig, times: int = 1) -> None:
        super().__init__()
        self.passes = config.depth * config.loops
        self.condition = Conditioning(config.conditioning, classes, times)
        self.modulation = nn.Linear(config.conditioning, self.passes * 2 * config.width)
        self.enter = nn.Linear(dimension, config.width)
        self.blocks = nn.ModuleList(_Block(config.width) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width, elementwise_affine=False)
        self.leave = nn.Linear(config.width, dimension)
        for parameter in self.leave.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
        modulations = self.modulation(self.condition(t, labels)).chunk(self.passes, 1)
        h = self.enter(x.flatten(1))
        for i, scale_shift in enumerate(modulations):
            h = self.blocks[i % len(self.blocks)](h, scale_shift)
        return self.leave(self.norm(h)).view_as(x)  # type: ignore[no-any-return]
