"""A VAE of fully connected layers: what the 2025 contest handed out as its sample, at any size."""

from __future__ import annotations

from math import prod
from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from latentarena.autoencoder.base import Autoencoder, Posterior
from latentarena.config import Config
from latentarena.errors import ConfigError
from latentarena.text import shown


class MLPVAEConfig(Config):
    """A fully connected VAE with a linear latent.

    Attributes:
        latent: `[d]`.
        widths: hidden layers of the encoder, from the image inwards; the decoder mirrors them.
    """

    kind: Literal["mlp"] = "mlp"
    latent: tuple[int] = Field(default=(3,))
    widths: tuple[int, ...] = (256, 64)

    @property
    def deterministic(self) -> bool:
        """Whether the encoder gives one latent, not a distribution."""
        return False

    def build(self, shape: tuple[int, int, int]) -> MLPVAE:
        """The VAE for images of this shape.

        Raises:
            ConfigError: a latent that is larger than the images, or widths that are not positive.
        """
        if not 1 <= self.latent[0] <= prod(shape):
            raise ConfigError(f"autoencoder.latent = {shown(self.latent)}: give [d] with d from 1 to {prod(shape)}")
        if not all(1 <= width <= 16384 for width in self.widths):
            raise ConfigError(f"autoencoder.widths = {shown(self.widths)}: give widths from 1 to 16384")
        return MLPVAE(shape, self)


class MLPVAE(Autoencoder):
    """Encoder with a head each for mean and log-variance, decoder with a sigmoid (Kingma & Welling, 2014)."""

    encoding = ("inward",)

    def __init__(self, shape: tuple[int, int, int], config: MLPVAEConfig) -> None:
        super().__init__()
        self.shape, self.latent_shape = shape, config.latent
        pixels, latent = prod(shape), config.latent[0]
        inward: list[nn.Module] = []
        outward: list[nn.Module] = []
        before = pixels
        for width in config.widths:
            inward += [nn.Linear(before, width), nn.ReLU()]
            outward = [nn.ReLU(), nn.Linear(width, before), *outward]
            before = width
        self.inward = nn.Sequential(nn.Flatten(), *inward, nn.Linear(before, 2 * latent))
        self.outward = nn.Sequential(nn.Linear(latent, before), *outward)

    def encode(self, images: Tensor) -> Posterior:
        mean, log_variance = self.inward(images).chunk(2, 1)
        return Posterior(mean, log_variance)

    def decode(self, latents: Tensor) -> Tensor:
        return self.outward(latents).sigmoid().unflatten(1, self.shape)  # type: ignore[no-any-return]
