"""U-Net: residual blocks at several resolutions with skip connections, for spatial latents and pixels."""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle, silu

from latentarena.backbone.attention import Attention, refuse_uneven
from latentarena.backbone.conditioning import Condition, Inputs, modulate
from latentarena.config import Config
from latentarena.errors import ConfigError


class UNetConfig(Config):
    """A U-Net (Ho et al., 2020). Any height and width will do.

    Sizes: `unet_small` is the default; `unet_base` has widths [32, 64, 64] and `unet_large` [64, 128, 128]; with one
    channel that is 0.16, 0.57 and 2.20 million weights.

    Attributes:
        patch: height and width of the square of pixels that becomes one position of the first level, by
            space-to-channel; it divides those of the latent. 2 makes pixel models three to four times as fast.
        widths: channels at each level, from the full resolution down; every level halves height and width.
        blocks: residual blocks at each level, on the way down and again on the way up.
        attention: the levels whose blocks attend, counted from 0 at the full resolution.
        heads: of every attention.
        up: how maps grow: by a transposed convolution, or by nearest neighbours and a convolution.
        condition: where the label enters: in the scale and shift of the blocks, as channels of the input, or as
            tokens that the attention levels attend to.
        conditioning: width of the time-and-label vector and of label tokens.
    """

    kind: Literal["unet"] = "unet"
    patch: int = Field(default=1, ge=1, le=64)
    widths: tuple[int, ...] = (16, 32, 32)
    blocks: tuple[int, ...] = (1, 1, 1)
    attention: tuple[int, ...] = (2,)
    heads: int = Field(default=4, ge=1, le=64)
    up: Literal["transposed", "nearest"] = "transposed"
    condition: Condition = "adaln"
    conditioning: int = Field(default=64, ge=4, le=4096)

    @model_validator(mode="after")
    def _possible(self) -> UNetConfig:
        levels = len(self.widths)
        if not 1 <= levels <= 6 or not all(4 <= w <= 4096 for w in self.widths):
            raise ValueError(f"widths = {list(self.widths)}: give 1 to 6 levels of 4 to 4096 channels")
        if len(self.blocks) != levels or not all(1 <= b <= 16 for b in self.blocks):
            raise ValueError(f"blocks = {list(self.blocks)}: give 1 to 16 blocks for each of {levels} levels")
        if len(set(self.attention)) < len(self.attention) or not set(self.attention) <= set(range(levels)):
            choices = ", ".join(map(str, range(levels)))
            raise ValueError(f"attention = {list(self.attention)}: choose levels, each once, from {choices}")
        for level in self.attention:
            refuse_uneven(self.heads, self.widths[level])
        if self.condition == "cross-attention" and not self.attention:
            raise ValueError("condition = cross-attention: with attention = [] no level attends to the label; add one")
        return self

    def build(self, latent: tuple[int, ...], classes: int | None, times: int = 1) -> UNet:
        """The network for latents of this shape, told one time or two.

        Raises:
            ConfigError: the latent is linear, or the patch does not divide it; the message names those that do.
        """
        if len(latent) != 3:
            raise ConfigError(f"generator.backbone.kind = unet takes a spatial latent, not {list(latent)}; choose mlp")
        whole = math.gcd(latent[1], latent[2])
        if whole % self.patch:
            choices = ", ".join(str(n) for n in range(1, whole + 1) if whole % n == 0)
            raise ConfigError(
                f"generator.backbone.patch = {self.patch} does not divide {list(latent)}; choose from {choices}"
            )
        return UNet(latent[0], classes, self, times)


def _norm(width: int) -> nn.GroupNorm:
    """Groups of at least four channels: on a map of one pixel a group of one channel would say nothing."""
    return nn.GroupNorm(math.gcd(width, 32) // 4 or 1, width, affine=False)


class _Attend(nn.Module):
    """Positions look at each other, then at the label tokens where there are any."""

    def __init__(self, width: int, heads: int, source: int | None) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.positions = Attention(width, heads)
        self.label = Attention(width, heads, source) if source else None
        for attention in (self.positions, self.label):
            if attention is not None:
                nn.init.zeros_(attention.leave.weight)

    def forward(self, h: Tensor, tokens: Tensor | None) -> Tensor:
        rows = h.flatten(2).mT  # (B, H W, C)
        rows = rows + self.positions(self.norm(rows))
        if self.label is not None:
            rows = rows + self.label(self.norm(rows), tokens)
        return rows.mT.unflatten(2, h.shape[2:])  # type: ignore[no-any-return]


class _Block(nn.Module):
    def __init__(self, width: int, conditioning: int, attend: _Attend | None) -> None:
        super().__init__()
        self.before, self.between = _norm(width), _norm(width)
        self.modulation = nn.Linear(conditioning, 2 * width)
        self.inner, self.outer = nn.Conv2d(width, width, 3, 1, 1), nn.Conv2d(width, width, 3, 1, 1)
        self.attend = attend
        nn.init.zeros_(self.outer.weight)

    def forward(self, h: Tensor, condition: Tensor, tokens: Tensor | None) -> Tensor:
        update = self.between(self.inner(silu(self.before(h))))
        h = h + self.outer(silu(modulate(update, self.modulation(condition))))
        return h if self.attend is None else self.attend(h, tokens)


def _up(before: int, after: int, how: str) -> nn.Module:
    if how == "transposed":
        return nn.ConvTranspose2d(before, after, 4, 2, 1)
    return nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(before, after, 3, 1, 1))


class _Level(nn.Module):
    """A resolution and all that are coarser: blocks, the level below and back, merged with the skip, blocks."""

    def __init__(self, level: int, config: UNetConfig, source: int | None) -> None:
        super().__init__()
        width, attends = config.widths[level], level in config.attention

        def blocks() -> nn.ModuleList:
            attend = (_Attend(width, config.heads, source) if attends else None for _ in range(config.blocks[level]))
            return nn.ModuleList(_Block(width, config.conditioning, each) for each in attend)

        self.inward, self.outward = blocks(), blocks()
        self.below: _Level | None = None
        if level + 1 < len(config.widths):
            self.down = nn.Conv2d(width, config.widths[level + 1], 3, 2, 1)
            self.below = _Level(level + 1, config, source)
            self.up = _up(config.widths[level + 1], width, config.up)
            self.merge = nn.Conv2d(2 * width, width, 1)

    def forward(self, h: Tensor, condition: Tensor, tokens: Tensor | None) -> Tensor:
        for block in self.inward:
            h = block(h, condition, tokens)
        if self.below is not None:
            coarse = self.up(self.below(self.down(h), condition, tokens))
            coarse = coarse[..., : h.shape[2], : h.shape[3]]  # an odd size was rounded up on the way down
            h = self.merge(torch.cat([h, coarse], 1))
        for block in self.outward:
            h = block(h, condition, tokens)
        return h


class UNet(nn.Module):
    """`(x (B, C, H, W), t (B,), labels (B,) or None) -> (B, C, H, W)`, for any H and W."""

    def __init__(self, channels: int, classes: int | None, config: UNetConfig, times: int = 1) -> None:
        super().__init__()
        width = config.widths[0]
        self.inputs = Inputs(channels, config.conditioning, classes, config.condition, times)
        self.patch, cell = config.patch, config.patch**2
        self.enter = nn.Conv2d(cell * self.inputs.channels, width, 3, 1, 1)
        self.level = _Level(0, config, config.conditioning if self.inputs.tokens is not None else None)
        self.norm = _norm(width)
        self.leave = nn.Conv2d(width, cell * channels, 3, 1, 1)
        for parameter in self.leave.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
        x, condition, tokens = self.inputs(x, t, labels)
        h = self.level(self.enter(pixel_unshuffle(x, self.patch)), condition, tokens)
        return pixel_shuffle(self.leave(silu(self.norm(h))), self.patch)
