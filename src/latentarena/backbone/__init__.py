"""Backbones: the networks that look at x_t. To add one: a file with a config that builds it, a line here.

In a recipe a backbone is a mapping of its keys, or the name of one of the sizes below.
"""

from __future__ import annotations

from typing import Annotated, Any

import torch
from pydantic import BeforeValidator
from torch import Tensor, nn

from latentarena.backbone.conv import ConvNet, ConvNetConfig
from latentarena.backbone.dit import DiT, DiTConfig
from latentarena.backbone.mlp import MLP, MLPConfig
from latentarena.backbone.unet import UNet, UNetConfig
from latentarena.errors import ConfigError
from latentarena.modes import evaluated
from latentarena.parts import Kinds, fault_words
from latentarena.registry import Registry
from latentarena.text import meant

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
    "build_backbone",
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
        raise ValueError(f"{meant(value, SIZES)}choose from {', '.join(SIZES)}, or give a mapping with its kind")
    return SIZES[value].model_dump()


Shipped = MLPConfig | ConvNetConfig | UNetConfig | DiTConfig
BACKBONES: Kinds[Shipped] = Kinds("backbone", Shipped)
BackboneConfig = Annotated[Shipped, BACKBONES, BeforeValidator(_in_full)]


def build_backbone(config: Shipped, latent: tuple[int, ...], classes: int | None, times: int = 1) -> nn.Module:
    """The network of a configuration, for latents of a shape; one of your own is tried on two of them first.

    Args:
        config: the network's.
        latent: shape of one latent.
        classes: that it is told of; None where it is told of none.
        times: that it is told.

    Raises:
        ConfigError: it does not fit the latents, or one of your own is no module, fails, or gives another shape.
    """
    made = config.build(latent, classes, times=times)
    origin = BACKBONES.foreign.get(config.kind)
    if origin is not None and torch.get_default_device().type != "meta":  # where nothing can be tried
        fault = _fault(made, latent, classes, times, origin.place)
        if fault:
            raise ConfigError(f"backbone {config.kind!r} of {origin.name}: {fault}")
    return made


def _fault(made: object, latent: tuple[int, ...], classes: int | None, times: int, place: str) -> str:
    """What is wrong with a network that somebody wrote; nothing if all is well."""
    if not isinstance(made, nn.Module):
        return f"build gives a {type(made).__name__}; give a torch.nn.Module"
    x, t = torch.full((2, *latent), 0.5), torch.full((2,) if times == 1 else (2, times), 0.5)
    labels = None if classes is None else torch.zeros(2, dtype=torch.int64)
    try:
        with evaluated(made):
            given = made(x, t, labels)
    except Exception as error:  # it is anybody's code
        told = "no labels" if labels is None else "labels [2]"
        return f"its network fails on x {list(x.shape)}, t {list(t.shape)} and {told}: {fault_words(error, place)}"
    if bool((x != 0.5).any() or (t != 0.5).any()):
        return "its network changes x or t in place; let it work on a copy, such as x.clone()"
    if isinstance(given, Tensor) and given.shape == x.shape:
        return ""
    found = list(given.shape) if isinstance(given, Tensor) else f"a {type(given).__name__}"
    return f"its network gives {found} for x of {list(x.shape)}; give the shape of x"
