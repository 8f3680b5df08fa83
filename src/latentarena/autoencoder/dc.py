"""A deep-compression autoencoder: few, far apart latents, and shortcuts that reach through every change of resolution.

Chen et al., 2024, "Deep Compression Autoencoder for Efficient High-Resolution Diffusion Models". A step down adds a
learned convolution to a fixed space-to-channel map whose channels are averaged in groups; a step up adds one to a
channel-to-space map of repeated channels. The learned part starts at zero, so an untrained step is its shortcut, and
the decoder's shortcuts followed by the encoder's are the identity.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn.functional import pad, pixel_shuffle, pixel_unshuffle

from latentarena.autoencoder.base import Autoencoder, Posterior
from latentarena.autoencoder.blocks import cell, check_blocks, check_latent, check_widths, initialise, margins, stack
from latentarena.autoencoder.fsq import FSQ
from latentarena.config import Config
from latentarena.text import shown


class DCAEConfig(Config):
    """A deep-compression autoencoder: deterministic, with a spatial latent.

    Attributes:
        latent: `[C, H, W]`.
        widths: channels at each level; every level halves height and width.
        encoder, decoder: residual blocks at each level, from the image's side inwards; none at the first level, where
            maps are largest, and one at each other unless given.
        fsq_levels: values that each number of the latent can take; any value unless given.
    """

    kind: Literal["dc"] = "dc"
    latent: tuple[int, int, int]
    widths: tuple[int, ...] = (8, 16, 32, 64)
    encoder: tuple[int, ...] | None = None
    decoder: tuple[int, ...] | None = None
    fsq_levels: int | None = Field(default=None, ge=2, le=256)

    @model_validator(mode="after")
    def _possible(self) -> DCAEConfig:
        if min(self.latent) < 1:
            raise ValueError(f"latent = {shown(self.latent)}: give [channels, height, width], each at least 1")
        check_widths(self.widths)
        if any(width % 4 for width in self.widths):
            raise ValueError(f"widths = {shown(self.widths)}: give multiples of 4")
        if any(4 * wide % narrow for wide, narrow in zip(self.widths, self.widths[1:], strict=False)):
            raise ValueError(f"widths = {shown(self.widths)}: give widths that each divide 4 times the one before")
        if self.widths[-1] % self.latent[0]:
            raise ValueError(
                f"latent = {shown(self.latent)}: give channels that divide the last width {self.widths[-1]}"
            )
        for name in ("encoder", "decoder"):
            check_blocks(name, self.blocks(name), len(self.widths))
        return self

    @property
    def deterministic(self) -> bool:
        """Whether the encoder gives one latent, not a distribution."""
        return True

    def blocks(self, part: Literal["encoder", "decoder"]) -> tuple[int, ...]:
        """Residual blocks at each level of a part."""
        given = self.encoder if part == "encoder" else self.decoder
        return (0,) + (1,) * (len(self.widths) - 1) if given is None else given

    def build(self, shape: tuple[int, int, int]) -> DCAE:
        """The autoencoder for images of this shape.

        Raises:
            ConfigError: a latent that does not fit the images; the message names those that do.
        """
        check_latent(self.latent, shape, len(self.widths))
        return DCAE(shape, self)


def average(h: Tensor, channels: int) -> Tensor:
    """Fewer channels, each the mean of a group of neighbours: (B, C, H, W) to (B, channels, H, W)."""
    return h.view(h.shape[0], channels, -1, *h.shape[2:]).mean(2)


def repeat(h: Tensor, channels: int) -> Tensor:
    """More channels, each one repeated: (B, C, H, W) to (B, channels, H, W). `average` undoes it."""
    return h.repeat_interleave(channels // h.shape[1], 1)


class Narrow(nn.Module):
    """Block with fewer channels: a convolution beside the mean of channel groups."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.after, self.learned = after, nn.Conv2d(before, after, 3, 1, 1)

    def forward(self, h: Tensor) -> Tensor:
        return average(h, self.after) + self.learned(h)  # type: ignore[no-any-return]


class Widen(nn.Module):
    """Block with more channels: a convolution beside the repeated channels."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.after, self.learned = after, nn.Conv2d(before, after, 3, 1, 1)

    def forward(self, h: Tensor) -> Tensor:
        return repeat(h, self.after) + self.learned(h)  # type: ignore[no-any-return]


class Down(nn.Module):
    """Downsampling to half the height and width: (B, before, H, W) to (B, after, H / 2, W / 2)."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.after, self.learned = after, nn.Conv2d(before, after // 4, 3, 1, 1)

    def forward(self, h: Tensor) -> Tensor:
        return average(pixel_unshuffle(h, 2), self.after) + pixel_unshuffle(self.learned(h), 2)


class Up(nn.Module):
    """Upsampling to double the height and width: (B, before, H, W) to (B, after, 2 H, 2 W)."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.after, self.learned = after, nn.Conv2d(before, 4 * after, 3, 1, 1)

    def forward(self, h: Tensor) -> Tensor:
        return pixel_shuffle(repeat(h, 4 * self.after) + self.learned(h), 2)


def _inward(channels: int, config: DCAEConfig) -> list[nn.Module]:
    """Image to latent. The step at the image has no shortcut: there are no features yet to carry on."""
    widths, counts = config.widths, config.blocks("encoder")
    layers: list[nn.Module] = [nn.PixelUnshuffle(2), nn.Conv2d(4 * channels, widths[0], 3, 1, 1)]
    for level, width in enumerate(widths):
        layers += [Down(widths[level - 1], width)] if level else []
        layers += stack(width, counts[level])
    return [*layers, Narrow(widths[-1], config.latent[0])]


def _outward(channels: int, config: DCAEConfig) -> list[nn.Module]:
    """Latent to image logits: the mirror image of `_inward`."""
    widths, counts = config.widths, config.blocks("decoder")
    layers: list[nn.Module] = [Widen(config.latent[0], widths[-1])]
    for level in reversed(range(len(widths))):
        layers += stack(widths[level], counts[level])
        layers += [Up(widths[level], widths[level - 1])] if level else []
    return [*layers, nn.SiLU(), nn.Conv2d(widths[0], 4 * channels, 3, 1, 1), nn.PixelShuffle(2)]


class DCAE(Autoencoder):
    """Encoder: (step down, residual blocks) per level; decoder: the mirror image; sigmoid at the end."""

    encoding = ("inward",)

    def __init__(self, shape: tuple[int, int, int], config: DCAEConfig) -> None:
        super().__init__()
        self.shape, self.latent_shape = shape, config.latent
        self.padding = margins(shape, cell(len(config.widths)))
        self.inward = nn.Sequential(*_inward(shape[0], config))
        self.outward = nn.Sequential(*_outward(shape[0], config))
        self.quantiser = FSQ(config.fsq_levels) if config.fsq_levels else None
        initialise(self.inward, self.outward)
        for module in self.modules():
            if isinstance(module, Narrow | Widen | Down | Up):
                nn.init.zeros_(module.learned.weight)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def encode(self, images: Tensor) -> Posterior:
        code = self.inward(pad(images, self.padding))
        return Posterior.certain(code if self.quantiser is None else self.quantiser(code))

    def decode(self, latents: Tensor) -> Tensor:
        left, _, top, _ = self.padding
        _, height, width = self.shape
        code = latents if self.quantiser is None else self.quantiser.snap(latents)
        return self.outward(code)[..., top : top + height, left : left + width].sigmoid()  # type: ignore[no-any-return]
