"""Autoencoders. To add one: a file with a config that builds it, a line here."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from latentarena.autoencoder.base import Autoencoder, Identity, Posterior
from latentarena.autoencoder.conv import ConvVAE, ConvVAEConfig
from latentarena.autoencoder.mlp import MLPVAE, MLPVAEConfig
from latentarena.config import Config

__all__ = [
    "MLPVAE",
    "Autoencoder",
    "AutoencoderConfig",
    "ConvVAE",
    "ConvVAEConfig",
    "Identity",
    "IdentityConfig",
    "MLPVAEConfig",
    "Posterior",
]


class IdentityConfig(Config):
    """Pixel space: no autoencoder at all."""

    kind: Literal["identity"] = "identity"

    def build(self, shape: tuple[int, int, int]) -> Identity:
        """Pixel space for images of this shape."""
        return Identity(shape)


AutoencoderConfig = Annotated[ConvVAEConfig | MLPVAEConfig | IdentityConfig, Field(discriminator="kind")]
