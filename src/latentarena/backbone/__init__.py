"""Backbones: the networks that look at x_t. To add one: a file with a config that builds it, a line here."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from latentarena.backbone.conv import ConvNet, ConvNetConfig
from latentarena.backbone.mlp import MLP, MLPConfig

__all__ = ["MLP", "BackboneConfig", "ConvNet", "ConvNetConfig", "MLPConfig"]

BackboneConfig = Annotated[MLPConfig | ConvNetConfig, Field(discriminator="kind")]
