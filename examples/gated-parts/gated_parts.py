"""Parts of one's own: a backbone whose layers are gated. Given to `arena` as a file, or installed as a package."""

from __future__ import annotations

from itertools import pairwise
from math import prod
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from latentarena.backbone import BACKBONES
from latentarena.backbone.conditioning import Conditioning
from latentarena.config import Config


@BACKBONES.register("gated")
class GatedConfig(Config):
    """A gated multilayer perceptron.

    Attributes:
        width: of the hidden layers.
        depth: gated layers.
        conditioning: width of the time-and-label vector.
    """

    kind: Literal["gated"] = "gated"
    width: int = Field(default=64, ge=4, le=4096)
    depth: int = Field(default=3, ge=1, le=64)
    conditioning: int = Field(default=16, ge=4, le=1024)

    def build(self, latent: tuple[int, ...], classes: int | None, times: int = 1) -> Gated:
        """The network for latents of this shape, told one time or two."""
        return Gated(prod(latent), classes, self, times)


class Gated(nn.Module):
    """`(x (B, ...) of D numbers each, t (B,), labels (B,) or None) -> x's shape`; zeros before it is trained."""

    def __init__(self, dimension: int, classes: int | None, config: GatedConfig, times: int) -> None:
        super().__init__()
        self.condition = Conditioning(config.conditioning, classes, times)
        widths = [dimension + config.conditioning, *[config.width] * config.depth]
        self.layers = nn.ModuleList(nn.Linear(before, 2 * after) for before, after in pairwise(widths))
        self.leave = nn.Linear(config.width, dimension)
        for parameter in self.leave.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
        h = torch.cat([x.flatten(1), self.condition(t, labels)], 1)
        for layer in self.layers:
            h = nn.functional.glu(layer(h), 1)  # half of it opens and closes the other half (Dauphin et al., 2017)
        return self.leave(h).view_as(x)
