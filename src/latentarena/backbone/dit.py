"""Diffusion transformer (Peebles & Xie, 2023): patches of a latent as tokens that attend to each other."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn.functional import layer_norm, pixel_shuffle, pixel_unshuffle

from latentarena.backbone.attention import Attention, refuse_uneven
from latentarena.backbone.conditioning import Condition, Inputs
from latentarena.config import Config
from latentarena.errors import ConfigError


class DiTConfig(Config):
    """A diffusion transformer.

    Sizes: `dit_small` is the default; `dit_base` has width 96 and depth 6, `dit_large` width 128 and depth 8; with
    eight channels that is 0.31, 0.91 and 2.00 million weights. Time grows with the number of tokens: a patch of 1 for
    latents, of 4 for 28 x 28 pixels.

    Attributes:
        patch: height and width of the square that becomes one token; it divides those of the latent. Of a linear
            latent, the numbers of one token, which divide it; these have no order, so their places are learned.
        width: of a token; divisible by 4, for the sine and cosine of two coordinates, and by `heads`.
        depth: blocks.
        heads: of every attention.
        condition: where the label enters: in the scale, shift and gate of the blocks, as channels of the input, or as
            tokens to attend to.
        conditioning: width of the time-and-label vector and of label tokens.
    """

    kind: Literal["dit"] = "dit"
    patch: int = Field(default=1, ge=1, le=1024)
    width: int = Field(default=64, ge=4, le=8192, multiple_of=4)
    depth: int = Field(default=4, ge=1, le=64)
    heads: int = Field(default=4, ge=1, le=64)
    condition: Condition = "adaln"
    conditioning: int = Field(default=64, ge=4, le=4096)

    @model_validator(mode="after")
    def _possible(self) -> DiTConfig:
        refuse_uneven(self.heads, self.width)
        return self

    def build(self, latent: tuple[int, ...], classes: int | None, times: int = 1) -> DiT:
        """The network for latents of this shape, told one time or two.

        Raises:
            ConfigError: the patch does not cut the latent into several whole tokens; the message names those that do.
        """
        whole, places = math.gcd(*latent[-2:]), math.prod(latent[-2:])
        sides = min(len(latent), 2)  # of a patch
        fits = [n for n in range(1, whole + 1) if whole % n == 0 and places > n**sides]
        if self.patch not in fits:
            choices = "from " + ", ".join(map(str, fits)) if fits else "the backbone mlp, unet or conv"
            raise ConfigError(
                f"generator.backbone.patch = {self.patch} does not cut a latent {list(latent)} into two or more whole "
                f"patches; choose {choices}"
            )
        return DiT(latent, classes, self, times)


def positions(height: int, width: int, features: int) -> Tensor:
    """Sine and cosine of the two coordinates of a grid, (height * width, features).

    The slowest wave turns half a circle over the grid, the fastest a quarter of one from a token to the next.
    """
    axes = []
    for size in (height, width):
        slowest = math.pi / max(size, 2)
        waves = torch.exp(torch.linspace(math.log(slowest), math.log(math.pi / 2), features // 4))
        angles = torch.arange(size)[:, None] * waves  # (size, features / 4)
        axes.append(torch.cat([angles.sin(), angles.cos()], 1))
    rows, columns = axes
    grid = [rows[:, None].expand(-1, width, -1), columns[None].expand(height, -1, -1)]
    return torch.cat(grid, 2).flatten(0, 1)


def _norm(h: Tensor) -> Tensor:
    return layer_norm(h, h.shape[-1:])


def _adaln_zero(h: Tensor, branch: Callable[[Tensor], Tensor], modulation: Tensor) -> Tensor:
    """A residual branch with scale, shift and gate, together (B, 1, 3 width): the block starts as the identity."""
    scale, shift, gate = modulation.chunk(3, 2)
    return h + gate * branch(_norm(h) * (1 + scale) + shift)


def _zeroed(*layers: nn.Linear) -> None:
    for layer in layers:
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)


class _Block(nn.Module):
    def __init__(self, config: DiTConfig, source: int | None) -> None:
        super().__init__()
        width = config.width
        self.modulation = nn.Linear(config.conditioning, 6 * width)
        self.positions = Attention(width, config.heads)
        self.label = Attention(width, config.heads, source) if source else None
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU("tanh"), nn.Linear(4 * width, width))
        _zeroed(self.modulation, *([self.label.leave] if self.label is not None else []))

    def forward(self, h: Tensor, condition: Tensor, tokens: Tensor | None) -> Tensor:
        for_positions, for_mlp = self.modulation(condition)[:, None].chunk(2, 2)  # (B, 1, 3 width) each
        h = _adaln_zero(h, self.positions, for_positions)
        if self.label is not None:
            h = h + self.label(_norm(h), tokens)
        return _adaln_zero(h, self.mlp, for_mlp)


class DiT(nn.Module):
    """`(x (B, C, H, W) or (B, D), t (B,), labels (B,) or None) -> x's shape`."""

    def __init__(self, latent: tuple[int, ...], classes: int | None, config: DiTConfig, times: int = 1) -> None:
        super().__init__()
        linear = len(latent) == 1
        self.map = (config.patch, latent[0] // config.patch, 1) if linear else latent  # as channels, height, width
        channels, self.patch = self.map[0], 1 if linear else config.patch
        self.grid = (self.map[1] // self.patch, self.map[2] // self.patch)
        self.inputs = Inputs(channels, config.conditioning, classes, config.condition, times)
        self.enter = nn.Linear(self.inputs.channels * self.patch**2, config.width)
        if linear:
            self.positions = nn.Parameter(0.02 * torch.randn(self.grid[0], config.width))
        else:
            self.register_buffer("positions", positions(*self.grid, config.width), persistent=False)
        source = config.conditioning if self.inputs.tokens is not None else None
        self.blocks = nn.ModuleList(_Block(config, source) for _ in range(config.depth))
        self.modulation = nn.Linear(config.conditioning, 2 * config.width)
        self.leave = nn.Linear(config.width, channels * self.patch**2)
        _zeroed(self.modulation, self.leave)

    def forward(self, x: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
        maps, condition, tokens = self.inputs(x.reshape(-1, *self.map), t, labels)
        h = pixel_unshuffle(maps, self.patch).flatten(2).mT  # (B, N, C patch^2)
        h = self.enter(h) + self.positions
        for block in self.blocks:
            h = block(h, condition, tokens)
        scale, shift = self.modulation(condition)[:, None].chunk(2, 2)
        h = self.leave(_norm(h) * (1 + scale) + shift)
        return pixel_shuffle(h.mT.unflatten(2, self.grid), self.patch).reshape_as(x)
