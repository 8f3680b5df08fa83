"""Backbones: the networks that look at x_t. To add one: a file with a config that builds it, a line here."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from latentarena.backbone.conv import ConvNet, ConvNetConfig
from latentarena.backbone.dit import DiT, DiTConfig
from latentarena.backbone.mlp import MLP, MLPConfig
from latentarena.backbone.unet import UNet, UNetConfig

__all__ = [
    "MLP",
    "BackboneConfig",
    "ConvNet",
    "ConvNetConfig",
    "DiT",
    "DiTConfig",
    "MLPConfig",
    "UNet",
    "UNetConfig",
]

BackboneConfig = Annotated[MLPConfig | ConvNetConfig | UNetConfig | DiTConfig, Field(discriminator="kind")]
