"""A small classifier of data on a path: it guides a generator, or lends its features to a perceptual loss."""

from __future__ import annotations

from math import prod

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import relu, silu

from latentarena.backbone.conditioning import Conditioning, modulate
from latentarena.config import Config

SMALLEST = 4  # height and width of a map that is still halved


class ClassifierConfig(Config):
    """A classifier of images, spatial or linear latents.

    Attributes:
        width: channels of the first map; the later ones have two, then four times as many. Linear latents get hidden
            layers of four times the width.
        depth: residual blocks; each halves a map of at least 4 x 4.
        conditioning: width of the time vector.
    """

    width: int = Field(default=16, ge=4, le=1024)
    depth: int = Field(default=3, ge=1, le=32)
    conditioning: int = Field(default=32, ge=4, le=4096)

    def build(self, shape: tuple[int, ...], classes: int) -> Classifier:
        """The classifier for data of this shape: `[d]` or `[channels, height, width]`."""
        return Classifier(shape, classes, self)


class _Block(nn.Module):
    """To another width or resolution, then a residual layer that is told the time."""

    def __init__(self, change: nn.Module, layer: nn.Module, width: int, conditioning: int) -> None:
        super().__init__()
        self.change, self.layer = change, layer
        self.norm = nn.GroupNorm(1, width, affine=False)
        self.modulation = nn.Linear(conditioning, 2 * width)

    def forward(self, h: Tensor, condition: Tensor) -> Tensor:
        h = self.change(h)
        return h + self.layer(silu(modulate(self.norm(h), self.modulation(condition))))  # type: ignore[no-any-return]


def _linear(dimension: int, config: ClassifierConfig) -> list[_Block]:
    width, blocks = 4 * config.width, []
    for depth in range(config.depth):
        change = nn.Identity() if depth else nn.Linear(dimension, width)
        blocks.append(_Block(change, nn.Linear(width, width), width, config.conditioning))
    return blocks


def _spatial(shape: tuple[int, ...], config: ClassifierConfig) -> list[_Block]:
    (before, *size), blocks = shape, []
    for depth in range(config.depth):
        width, stride = config.width * min(4, 2**depth), 2 if min(size) >= SMALLEST else 1
        change, layer = nn.Conv2d(before, width, 3, stride, 1), nn.Conv2d(width, width, 3, 1, 1)
        blocks.append(_Block(change, layer, width, config.conditioning))
        before, size = width, [-(-side // stride) for side in size]
    return blocks


class Classifier(nn.Module):
    """`(x (B, *shape), t (B,)) -> logits (B, K)`; t = 0 for clean data."""

    def __init__(self, shape: tuple[int, ...], classes: int, config: ClassifierConfig) -> None:
        super().__init__()
        self.condition = Conditioning(config.conditioning, None)
        blocks = _spatial(shape, config) if len(shape) == 3 else _linear(prod(shape), config)
        self.blocks, self.width = nn.ModuleList(blocks), blocks[-1].norm.num_channels
        self.norm = nn.GroupNorm(1, self.width, affine=False)
        self.head = nn.Linear(self.width, classes)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # faster on a CPU

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        h = silu(self.norm(self._maps(x, t)[-1]))
        return self.head(h.reshape(h.shape[0], self.width, -1).mean(2))  # type: ignore[no-any-return]

    def features(self, images: Tensor) -> list[Tensor]:
        """What every block makes of clean images (B, C, H, W): a list of (B, c, h, w), from fine to coarse."""
        return self._maps(images, images.new_zeros(images.shape[0]))

    def pooled(self, images: Tensor) -> Tensor:
        """What its last two blocks see in clean images (B, C, H, W), averaged over the places: (B, D)."""
        return torch.cat([relu(maps).flatten(2).mean(2) for maps in self.features(images)[-2:]], 1)

    def _maps(self, x: Tensor, t: Tensor) -> list[Tensor]:
        condition, maps = self.condition(t, None), []
        for block in self.blocks:
            x = block(x, condition)
            maps.append(x)
        return maps
