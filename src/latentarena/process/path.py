"""Paths between data and noise: x_t = alpha(t) * data + sigma(t) * noise.

One time for everything: t = 0 is data, t = 1 is noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import jvp

from latentarena.registry import Registry

__all__ = ["PATHS", "Path", "Point", "Straight"]


@dataclass(frozen=True)
class Point:
    """A path at time t: alpha, sigma and their time derivatives, each broadcast against the latents."""

    alpha: Tensor
    sigma: Tensor
    d_alpha: Tensor
    d_sigma: Tensor

    def mix(self, data: Tensor, noise: Tensor) -> Tensor:
        """x_t for these data and noise, (B, ...)."""
        return self.alpha * data + self.sigma * noise

    def velocity(self, data: Tensor, noise: Tensor) -> Tensor:
        """dx_t/dt for these data and noise, (B, ...)."""
        return self.d_alpha * data + self.d_sigma * noise


class Path:
    """A path is two formulas; the derivatives follow from them.

    Attributes:
        span: the usable times (first, last), 0 <= first < last <= 1.
    """

    span: tuple[float, float] = (0.0, 1.0)

    def alpha(self, t: Tensor) -> Tensor:
        """Share of the data at times t, same shape as t."""
        raise NotImplementedError

    def sigma(self, t: Tensor) -> Tensor:
        """Share of the noise at times t, same shape as t."""
        raise NotImplementedError

    def at(self, t: Tensor, like: Tensor) -> Point:
        """The path at times t.

        Args:
            t: (B,) or scalar.
            like: (B, ...), the latents that the result is to broadcast against.
        """
        t = t.reshape(-1, *(1 for _ in like.shape[1:]))
        one = torch.ones_like(t)
        (alpha, sigma), (d_alpha, d_sigma) = jvp(lambda u: (self.alpha(u), self.sigma(u)), (t,), (one,))[:2]
        return Point(alpha, sigma, d_alpha, d_sigma)


class Straight(Path):
    """The straight line of rectified flow and flow matching (Liu et al., 2023; Lipman et al., 2023)."""

    def alpha(self, t: Tensor) -> Tensor:
        """1 - t."""
        return 1 - t

    def sigma(self, t: Tensor) -> Tensor:
        """t."""
        return t


PATHS: Registry[type[Path]] = Registry("path", straight=Straight)
