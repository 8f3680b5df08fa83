"""Residual MLP with adaptive normalisation, for linear latents."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from latentarena.backbone.conditioning import Conditioning, modulate
from latentarena.config import Config
from latentarena.errors import ConfigError

__all__ = ["MLP", "MLPConfig"]


class MLPConfig(Config):
    """A residual MLP.

    Attributes:
        width: of the hidden layers.
        depth: residual blocks.
        conditioning: width of the time-and-label vector.
    """

    kind: Literal["mlp"] = "mlp"
    width: int = Field(default=128, ge=4, le=8192)
    depth: int = Field(default=3, ge=1, le=64)
    conditioning: int = Field(default=32, ge=4, le=4096)

    def build(self, latent: tuple[int, ...], classes: int | None) -> MLP:
        """The network for latents of this shape.

        Raises:
            ConfigError: the latent is spatial.
        """
        if len(latent) != 1:
            raise ConfigError(f"generator.backbone.kind = mlp takes a linear latent, not {list(latent)}; choose conv")
        return MLP(latent[0], classes, self)


class _Block(nn.Module):
    def __init__(self, width: int, conditioning: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulation = nn.Linear(conditioning, 2 * width)
        self.inner, self.outer = nn.Linear(width, width), nn.Linear(width, width)
        nn.init.zeros_(self.outer.weight)

    def forward(self, h: Tensor, condition: Tensor) -> Tensor:
        update = modulate(self.norm(h), self.modulation(condition))
        return h + self.outer(nn.functional.silu(self.inner(update)))  # type: ignore[no-any-return]


class MLP(nn.Module):
    """`(x (B, D), t (B,), labels (B,) or None) -> (B, D)`."""

    def __init__(self, dimension: int, classes: int | None, config: MLPConfig) -> None:
        super().__init__()
        self.condition = Conditioning(config.conditioning, classes)
        self.enter = nn.Linear(dimension, config.width)
        self.blocks = nn.ModuleList(_Block(config.width, config.conditioning) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width, elementwise_affine=False)
        self.leave = nn.Linear(config.width, dimension)
        nn.init.zeros_(self.leave.weight)

    def forward(self, x: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
        condition = self.condition(t, labels)
        h = self.enter(x)
        for block in self.blocks:
            h = block(h, condition)
        return self.leave(self.norm(h))  # type: ignore[no-any-return]
