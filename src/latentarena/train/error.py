"""Errors of reconstructions, which an autoencoder is trained by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from torch import Tensor

from latentarena.config import Config
from latentarena.parts import Kinds
from latentarena.process.held import built

Error = Callable[[Tensor, Tensor], Tensor]  # reconstructions and images, (B, C, H, W) in [0, 1] -> a number


def squared_error(again: Tensor, images: Tensor) -> Tensor:
    """The mean squared error of a pixel."""
    return (again - images).square().mean()


class SquaredErrorConfig(Config):
    """The mean squared error of a pixel."""

    kind: Literal["squared"] = "squared"

    def build(self) -> Error:
        """The error of reconstructions."""
        return squared_error


class AbsoluteErrorConfig(Config):
    """The mean absolute error of a pixel, which blurs edges less."""

    kind: Literal["absolute"] = "absolute"

    def build(self) -> Error:
        """The error of reconstructions."""
        return lambda again, images: (again - images).abs().mean()


Shipped = SquaredErrorConfig | AbsoluteErrorConfig
ERRORS: Kinds[Shipped] = Kinds("reconstruction error", Shipped)
ErrorConfig = Annotated[Shipped, ERRORS]


def build_error(config: Shipped) -> Error:
    """The error of a configuration; one of somebody's own is held to give a number that training can lower."""
    return built(ERRORS, config, "reconstructions", "images")
