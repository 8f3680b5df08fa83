"""A parameter-efficient convolutional VAE with a linear or a spatial latent.

Resolution changes by space-to-channel and back (Shi et al., 2016), which costs no parameters; the convolutions are
residual with a narrow middle; the posterior's variance is one learned number per latent dimension, or the latent is
quantised and the posterior has no width.
"""

from __future__ import annotations

from math import prod
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn.functional import pad

from latentarena.autoencoder.base import Autoencoder, Posterior
from latentarena.autoencoder.blocks import (
    cell,
    check_blocks,
    check_latent,
    check_widths,
    grid,
    initialise,
    margins,
    stack,
)
from latentarena.autoencoder.fsq import FSQ
from latentarena.config import Config
from latentarena.text import shown


class ConvVAEConfig(Config):
    """A convolutional VAE.

    Attributes:
        latent: `[d]` for a linear latent of d dimensions, `[C, H, W]` for a spatial one.
        widths: channels at each level; every level halves height and width, but for the first.
        patch: side of the squares of pixels that are the first level's channels.
        encoder, decoder: residual blocks at each level, from the image's side inwards; one each unless given.
        middle: channels inside a block as a fraction of its width.
        neck: channels of the smallest map before it is flattened into a linear latent.
        fsq_levels: values that each number of the latent can take, which makes the encoder deterministic; any value
            unless given.
    """

    kind: Literal["conv"] = "conv"
    latent: tuple[int, ...]
    widths: tuple[int, ...] = (16, 32)
    patch: int = Field(default=2, ge=1, le=64)
    encoder: tuple[int, ...] | None = None
    decoder: tuple[int, ...] | None = None
    middle: float = Field(default=1.0, gt=0, le=4)
    neck: int = Field(default=6, ge=1, le=1024)
    fsq_levels: int | None = Field(default=None, ge=2, le=256)

    @model_validator(mode="after")
    def _possible(self) -> ConvVAEConfig:
        if len(self.latent) not in (1, 3) or min(self.latent) < 1:
            raise ValueError(f"latent = {shown(self.latent)}: give [d] or [channels, height, width], each at least 1")
        check_widths(self.widths)
        for name in ("encoder", "decoder"):
            check_blocks(name, getattr(self, name) or [1] * len(self.widths), len(self.widths))
        return self

    @property
    def deterministic(self) -> bool:
        """Whether the encoder gives one latent, not a distribution."""
        return self.fsq_levels is not None

    def build(self, shape: tuple[int, int, int]) -> ConvVAE:
        """The VAE for images of this shape.

        Raises:
            ConfigError: a latent that does not fit the images; the message names those that do.
        """
        check_latent(self.latent, shape, len(self.widths), self.patch)
        return ConvVAE(shape, self)


def _kernel(level: int) -> int:
    """The projection next to the image sees few channels, so a wide kernel is cheap there."""
    return 3 if level == 0 else 1


def _side(level: int, config: ConvVAEConfig) -> int:
    """Of the square of places that a level takes together."""
    return 2 if level else config.patch


def _inward(channels: int, code: int, config: ConvVAEConfig) -> list[nn.Module]:
    """Image to code map: at each level space-to-channel, a projection and residual blocks."""
    layers: list[nn.Module] = []
    before, counts = channels, config.encoder or [1] * len(config.widths)
    for level, width in enumerate(config.widths):
        kernel, side = _kernel(level), _side(level, config)
        layers += [nn.PixelUnshuffle(side), nn.Conv2d(side**2 * before, width, kernel, 1, kernel // 2)]
        layers += stack(width, counts[level], config.middle)
        before = width
    return [*layers, nn.SiLU(), nn.Conv2d(before, code, 1)]


def _outward(channels: int, code: int, config: ConvVAEConfig) -> list[nn.Module]:
    """Code map to image logits: the mirror image of `_inward`."""
    layers: list[nn.Module] = [nn.Conv2d(code, config.widths[-1], 3, 1, 1)]
    counts = config.decoder or [1] * len(config.widths)
    for level in reversed(range(len(config.widths))):
        width, after = config.widths[level], config.widths[level - 1] if level else channels
        layers += stack(width, counts[level], config.middle)
        kernel, side = _kernel(level), _side(level, config)
        layers += [nn.SiLU()] if level == 0 else []
        layers += [nn.Conv2d(width, side**2 * after, kernel, 1, kernel // 2), nn.PixelShuffle(side)]
    return layers


class ConvVAE(Autoencoder):
    """Encoder: (unshuffle, project, residual blocks) per level; decoder: the mirror image; sigmoid at the end."""

    encoding = ("inward", "log_variance")

    def __init__(self, shape: tuple[int, int, int], config: ConvVAEConfig) -> None:
        super().__init__()
        self.shape, self.latent_shape = shape, config.latent
        side = cell(len(config.widths), config.patch)
        self.padding = margins(shape, side)
        linear = len(config.latent) == 1
        code = (config.neck if linear else config.latent[0], *grid(shape, side))
        inward, outward = _inward(shape[0], code[0], config), _outward(shape[0], code[0], config)
        if linear:
            inward += [nn.Flatten(), nn.Linear(prod(code), config.latent[0])]
            outward = [nn.Linear(config.latent[0], prod(code)), nn.Unflatten(1, code), *outward]
        self.inward, self.outward = nn.Sequential(*inward), nn.Sequential(*outward)
        initialise(self.inward, self.outward)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # half as fast again on a CPU
        self.quantiser = FSQ(config.fsq_levels) if config.fsq_levels else None
        if self.quantiser is None:
            self.log_variance = nn.Parameter(torch.full((config.latent[0], *(1 for _ in config.latent[1:])), -4.0))

    def encode(self, images: Tensor) -> Posterior:
        code = self.inward(pad(images, self.padding))
        if self.quantiser is not None:
            return Posterior.certain(self.quantiser(code))
        return Posterior(code, self.log_variance.expand_as(code[:1]))

    def decode(self, latents: Tensor) -> Tensor:
        left, _, top, _ = self.padding
        _, height, width = self.shape
        code = latents if self.quantiser is None else self.quantiser.snap(latents)
        return self.outward(code)[..., top : top + height, left : left + width].sigmoid()  # type: ignore[no-any-return]
