"""A parameter-efficient convolutional VAE with a linear or a spatial latent.

Resolution changes by space-to-channel and back (Shi et al., 2016), which costs no parameters; the convolutions are
residual with a narrow middle; the posterior's variance is one learned number per latent dimension.
"""

from __future__ import annotations

from math import prod
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn.functional import pad

from latentarena.autoencoder.base import Autoencoder, Posterior
from latentarena.config import Config
from latentarena.errors import ConfigError

__all__ = ["ConvVAE", "ConvVAEConfig"]


class ConvVAEConfig(Config):
    """A convolutional VAE.

    Attributes:
        latent: `[d]` for a linear latent of d dimensions, `[C, H, W]` for a spatial one.
        widths: channels at each level; every level halves height and width.
        encoder, decoder: residual blocks at each level, from the image's side inwards; one each unless given.
        middle: channels inside a block as a fraction of its width.
        neck: channels of the smallest map before it is flattened into a linear latent.
    """

    kind: Literal["conv"] = "conv"
    latent: tuple[int, ...]
    widths: tuple[int, ...] = (16, 32)
    encoder: tuple[int, ...] | None = None
    decoder: tuple[int, ...] | None = None
    middle: float = Field(default=1.0, gt=0, le=4)
    neck: int = Field(default=6, ge=1, le=1024)

    @model_validator(mode="after")
    def _possible(self) -> ConvVAEConfig:
        if len(self.latent) not in (1, 3) or min(self.latent) < 1:
            raise ValueError(f"latent = {list(self.latent)}: give [d] or [channels, height, width], each at least 1")
        if not 1 <= len(self.widths) <= 6 or not all(1 <= w <= 4096 for w in self.widths):
            raise ValueError(f"widths = {list(self.widths)}: give 1 to 6 levels of 1 to 4096 channels")
        for name in ("encoder", "decoder"):
            blocks = getattr(self, name) or [1] * len(self.widths)
            if len(blocks) != len(self.widths) or not all(0 <= b <= 32 for b in blocks):
                raise ValueError(f"{name} = {list(blocks)}: give 0 to 32 blocks for each of {len(self.widths)} levels")
        return self

    def build(self, shape: tuple[int, int, int]) -> ConvVAE:
        """The VAE for images of this shape.

        Raises:
            ConfigError: a latent that does not fit the images; the message names those that do.
        """
        pixels, latent = prod(shape), prod(self.latent)
        if latent > pixels:
            raise ConfigError(
                f"autoencoder.latent = {list(self.latent)} has {latent} numbers, more than the {pixels} of an image "
                f"{list(shape)}; choose a smaller latent, or the recipe of a pixel model"
            )
        grid = _grid(shape, len(self.widths))
        if len(self.latent) == 3 and self.latent[1:] != grid:
            fits = {n: _grid(shape, n) for n in range(1, 7)}
            choices = ", ".join(f"[C, {h}, {w}] with {n} widths" for n, (h, w) in fits.items())
            raise ConfigError(
                f"autoencoder.latent = {list(self.latent)} with {len(self.widths)} widths is impossible for images "
                f"{list(shape)}; choose {choices}"
            )
        return ConvVAE(shape, self)


def _grid(shape: tuple[int, int, int], levels: int) -> tuple[int, int]:
    """Height and width after so many halvings of the image, padded up where it does not divide."""
    cell = 2**levels
    return -(-shape[1] // cell), -(-shape[2] // cell)


class _Residual(nn.Module):
    def __init__(self, width: int, middle: int) -> None:
        super().__init__()
        self.inner, self.outer = nn.Conv2d(width, middle, 3, 1, 1), nn.Conv2d(middle, width, 3, 1, 1)

    def forward(self, h: Tensor) -> Tensor:
        silu = nn.functional.silu
        return h + self.outer(silu(self.inner(silu(h))))  # type: ignore[no-any-return]


def _initialise(vae: ConvVAE) -> None:
    """He initialisation (He et al., 2015); residual branches start at zero, pixels start dark."""
    for name, parameter in vae.named_parameters():
        if name.endswith("weight"):
            nn.init.kaiming_normal_(parameter, nonlinearity="linear")
        else:
            nn.init.zeros_(parameter)
    for module in vae.modules():
        if isinstance(module, _Residual):
            nn.init.kaiming_normal_(module.inner.weight, nonlinearity="relu")
            nn.init.zeros_(module.outer.weight)
    last = [module for module in vae.outward if isinstance(module, nn.Conv2d)][-1]
    nn.init.constant_(last.bias, -2.0)  # type: ignore[arg-type]  # sigmoid(-2) = 0.12, about the mean of a dark image


def _kernel(level: int) -> int:
    """The projection next to the image sees few channels, so a wide kernel is cheap there."""
    return 3 if level == 0 else 1


def _blocks(width: int, count: int, middle: float) -> list[nn.Module]:
    return [_Residual(width, max(1, round(middle * width))) for _ in range(count)]


def _inward(channels: int, code: int, config: ConvVAEConfig) -> list[nn.Module]:
    """Image to code map: at each level space-to-channel, a projection and residual blocks."""
    layers: list[nn.Module] = []
    before, counts = channels, config.encoder or [1] * len(config.widths)
    for level, width in enumerate(config.widths):
        kernel = _kernel(level)
        layers += [nn.PixelUnshuffle(2), nn.Conv2d(4 * before, width, kernel, 1, kernel // 2)]
        layers += _blocks(width, counts[level], config.middle)
        before = width
    return [*layers, nn.SiLU(), nn.Conv2d(before, code, 1)]


def _outward(channels: int, code: int, config: ConvVAEConfig) -> list[nn.Module]:
    """Code map to image logits: the mirror image of `_inward`."""
    layers: list[nn.Module] = [nn.Conv2d(code, config.widths[-1], 3, 1, 1)]
    counts = config.decoder or [1] * len(config.widths)
    for level in reversed(range(len(config.widths))):
        width, after = config.widths[level], config.widths[level - 1] if level else channels
        layers += _blocks(width, counts[level], config.middle)
        kernel = _kernel(level)
        layers += [nn.SiLU()] if level == 0 else []
        layers += [nn.Conv2d(width, 4 * after, kernel, 1, kernel // 2), nn.PixelShuffle(2)]
    return layers


class ConvVAE(Autoencoder):
    """Encoder: (unshuffle, project, residual blocks) per level; decoder: the mirror image; sigmoid at the end."""

    def __init__(self, shape: tuple[int, int, int], config: ConvVAEConfig) -> None:
        super().__init__()
        self.shape, self.latent_shape = shape, config.latent
        height, width = _grid(shape, len(config.widths))
        cell = 2 ** len(config.widths)
        tall, wide = height * cell - shape[1], width * cell - shape[2]
        self.padding = (wide // 2, wide - wide // 2, tall // 2, tall - tall // 2)  # left, right, top, bottom
        linear = len(config.latent) == 1
        code = (config.neck if linear else config.latent[0], height, width)
        inward, outward = _inward(shape[0], code[0], config), _outward(shape[0], code[0], config)
        if linear:
            inward += [nn.Flatten(), nn.Linear(prod(code), config.latent[0])]
            outward = [nn.Linear(config.latent[0], prod(code)), nn.Unflatten(1, code), *outward]
        self.inward, self.outward = nn.Sequential(*inward), nn.Sequential(*outward)
        _initialise(self)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # half as fast again on a CPU
        self.log_variance = nn.Parameter(torch.full((config.latent[0], *(1 for _ in config.latent[1:])), -4.0))

    def encode(self, images: Tensor) -> Posterior:
        mean = self.inward(pad(images, self.padding))
        return Posterior(mean, self.log_variance.expand_as(mean[:1]))

    def decode(self, latents: Tensor) -> Tensor:
        left, _, top, _ = self.padding
        _, height, width = self.shape
        return self.outward(latents)[..., top : top + height, left : left + width].sigmoid()  # type: ignore[no-any-return]
