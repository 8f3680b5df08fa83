"""Backbones: the networks that look at x_t. To add one: a file with a config that builds it, a line here.

In a recipe a backbone is a mapping of its keys, or the name of one of the sizes below.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator

from latentarena.backbone.conv import ConvNet, ConvNetConfig
from latentarena.backbone.dit import DiT, DiTConfig
from latentarena.backbone.mlp import MLP, MLPConfig
from latentarena.backbone.unet import UNet, UNetConfig
from latentarena.parts import Kinds
from latentarena.registry import Registry

__all__ = [
    "BACKBONES",
    "MLP",
    "SIZES",
    "BackboneConfig",
    "ConvNet",
    "ConvNetConfig",
    "DiT",
    "DiTConfig",
    "MLPConfig",
    "UNet",
    "UNetConfig",
]

SIZES: Registry[MLPConfig | UNetConfig | DiTConfig] = Registry(
    "backbone size",
    mlp_small=MLPConfig(width=64, depth=4, conditioning=10),
    mlp_base=MLPConfig(width=136, depth=4, conditioning=10),
    mlp_large=MLPConfig(width=280, depth=4, conditioning=10),
    unet_small=UNetConfig(widths=(16, 32, 32)),
    unet_base=UNetConfig(widths=(32, 64, 64)),
    unet_large=UNetConfig(widths=(64, 128, 128)),
    dit_small=DiTConfig(width=64, depth=4),
    dit_base=DiTConfig(width=96, depth=6),
    dit_large=DiTConfig(width=128, depth=8),
)


def _in_full(value: Any) -> Any:
    """A size's name as the keys that it stands for."""
    if not isinstance(value, str):
        return value
    if value not in SIZES:
        raise ValueError(f"choose from {', '.join(SIZES)}, or give a mapping with its kind")
    return SIZES[value].model_dump()


Shipped = MLPConfig | ConvNetConfig | UNetConfig | DiTConfig
BACKBONES: Kinds[Shipped] = Kinds("backbone", Shipped)
BackboneConfig = Annotated[Shipped, BACKBONES, BeforeValidator(_in_full)]
