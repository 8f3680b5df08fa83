"""Autoencoders. To add one: a file with a config that builds it, a line here."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor

from latentarena.autoencoder.base import Autoencoder, Identity, Posterior
from latentarena.autoencoder.conv import ConvVAE, ConvVAEConfig
from latentarena.autoencoder.dc import DCAE, DCAEConfig
from latentarena.autoencoder.fsq import FSQ
from latentarena.autoencoder.mlp import MLPVAE, MLPVAEConfig
from latentarena.config import Config
from latentarena.errors import ConfigError
from latentarena.modes import evaluated
from latentarena.parts import Kinds, fault_words

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
    "build_autoencoder",
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


def build_autoencoder(config: Shipped, shape: tuple[int, int, int]) -> Autoencoder:
    """The autoencoder of a configuration, for images (C, H, W); one of your own is tried on two images first.

    Raises:
        ConfigError: it does not fit the images, or one of your own gives something else than an `Autoencoder` does.
    """
    made = config.build(shape)
    if config.kind in AUTOENCODERS.foreign:
        fault = _fault(made, shape)
        if fault:
            raise ConfigError(f"autoencoder {config.kind!r} of {AUTOENCODERS.foreign[config.kind].name}: {fault}")
    return made


def _fault(made: Autoencoder, shape: tuple[int, int, int]) -> str:
    """What is wrong with an autoencoder that somebody wrote; nothing if all is well."""
    if not isinstance(made, Autoencoder):
        return f"build gives a {type(made).__name__}; give a latentarena.autoencoder.Autoencoder"
    try:
        with evaluated(made):
            posterior = made.encode(torch.rand(2, *shape, generator=torch.Generator().manual_seed(0)))
            if not isinstance(posterior, Posterior):
                given = type(posterior).__name__
                return f"encode gives a {given}; give a Posterior: Posterior.certain(latents) if it is deterministic"
            images = made.decode(posterior.mean)
    except Exception as error:  # it is anybody's code
        return f"it fails on two images {list(shape)}: {fault_words(error)}"
    for method, rows, wanted in (("encode", posterior.mean, made.latent_shape), ("decode", images, shape)):
        given = list(rows.shape) if isinstance(rows, Tensor) else type(rows).__name__
        if given != [2, *wanted]:
            return f"{method} gives {given} for two images; {[2, *wanted]} is wanted"
    return ""
