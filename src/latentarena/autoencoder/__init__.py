"""Autoencoders. To add one: a file with a config that builds it, a line here."""

from __future__ import annotations

from typing import Annotated, Literal

from latentarena.autoencoder.base import Autoencoder, Identity, Posterior
from latentarena.autoencoder.conv import ConvVAE, ConvVAEConfig
from latentarena.autoencoder.dc import DCAE, DCAEConfig
from latentarena.autoencoder.fsq import FSQ
from latentarena.autoencoder.mlp import MLPVAE, MLPVAEConfig
from latentarena.config import Config
from latentarena.parts import Kinds

__all__ = [
    "AUTOENCODERS",
    "DCAE",
    "FSQ",
    "MLPVAE",
    "Autoencoder",
    "AutoencoderConfig",
    "ConvVAE",
    "ConvVAEConfig",
    "DCAEConfig",
    "Identity",
    "IdentityConfig",
    "MLPVAEConfig",
    "Posterior",
]


class IdentityConfig(Config):
    """Pixel space: no autoencoder at all."""

    kind: Literal["identity"] = "identity"

    @property
    def deterministic(self) -> bool:
        """Whether the encoder gives one latent, not a distribution."""
        return True

    def build(self, shape: tuple[int, int, int]) -> Identity:
        """Pixel space for images of this shape."""
        return Identity(shape)


Shipped = ConvVAEConfig | DCAEConfig | MLPVAEConfig | IdentityConfig
AUTOENCODERS: Kinds[Shipped] = Kinds("autoencoder", Shipped)
AutoencoderConfig = Annotated[Shipped, AUTOENCODERS]
