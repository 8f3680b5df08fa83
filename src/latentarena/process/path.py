"""Paths between data and noise: x_t = alpha(t) * data + sigma(t) * noise.

One time for everything: t = 0 is data, t = 1 is noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.func import jvp

from latentarena.errors import ConfigError
from latentarena.registry import Registry


@dataclass(frozen=True)
class Point:
    """A path at time t: alpha, sigma and their time derivatives, each broadcast against the latents.

    Attributes:
        slopes: gives both derivatives; is called when one is asked for, since it takes as long as a small network.
    """

    alpha: Tensor
    sigma: Tensor
    slopes: Callable[[], tuple[Tensor, Tensor]]

    @cached_property
    def _slopes(self) -> tuple[Tensor, Tensor]:
        return self.slopes()

    @property
    def d_alpha(self) -> Tensor:
        """The time derivative of alpha."""
        return self._slopes[0]

    @property
    def d_sigma(self) -> Tensor:
        """The time derivative of sigma."""
        return self._slopes[1]

    def mix(self, data: Tensor, noise: Tensor) -> Tensor:
        """x_t for these data and noise, (B, ...)."""
        return self.alpha * data + self.sigma * noise

    def velocity(self, data: Tensor, noise: Tensor) -> Tensor:
        """dx_t/dt for these data and noise, (B, ...)."""
        return self.d_alpha * data + self.d_sigma * noise


class Path:
    """A path is two formulas; the derivatives follow from them, unless they are written out as well.

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
        t = t.reshape(-1, *(1 for _ in like.shape[1:])).contiguous()
        return Point(self.alpha(t), self.sigma(t), lambda: self.slopes(t))

    def slopes(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """The time derivatives of alpha and sigma at times t, each of t's shape."""
        d_alpha, d_sigma = jvp(lambda u: (self.alpha(u), self.sigma(u)), (t,), (torch.ones_like(t),))[1]
        return d_alpha, d_sigma


class Straight(Path):
    """The straight line of rectified flow and flow matching (Liu et al., 2023; Lipman et al., 2023)."""

    def alpha(self, t: Tensor) -> Tensor:
        """Share of the data, 1 - t."""
        return 1 - t

    def sigma(self, t: Tensor) -> Tensor:
        """Share of the noise, t."""
        return t

    def slopes(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """-1 and 1."""
        one = torch.ones_like(t)
        return -one, one


class VariancePreserving(Path):
    """alpha^2 + sigma^2 = 1, with sigma following from alpha; the span stops short of both ends.

    At t = 0 the derivative of sigma is infinite, and at t = 1 the cosine schedule has no data left.
    """

    span = (1e-3, 0.995)

    def sigma(self, t: Tensor) -> Tensor:
        """sqrt(1 - alpha^2), in the form that keeps its digits near t = 0."""
        return (-torch.expm1(2 * self.alpha(t).log())).sqrt()

    def slopes(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """That of sigma follows from alpha d_alpha + sigma d_sigma = 0."""
        d_alpha = self.d_alpha(t)
        return d_alpha, -self.alpha(t) * d_alpha / self.sigma(t)

    def d_alpha(self, t: Tensor) -> Tensor:
        """The time derivative of alpha, same shape as t."""
        return jvp(self.alpha, (t,), (torch.ones_like(t),))[1]  # type: ignore[no-any-return]


class LinearBeta(VariancePreserving):
    """DDPM's linear beta schedule in continuous time (Ho et al., 2020; Song et al., 2021, eq. 33)."""

    span = (1e-3, 1.0)
    first, last = 0.1, 20.0  # beta at t = 0 and t = 1: 1e-4 and 0.02 in each of 1000 steps

    def alpha(self, t: Tensor) -> Tensor:
        """exp(-1/2 * integral of beta from 0 to t)."""
        return torch.exp(-0.25 * t.square() * (self.last - self.first) - 0.5 * t * self.first)

    def d_alpha(self, t: Tensor) -> Tensor:
        """alpha times -1/2 beta."""
        return -0.5 * (self.first + t * (self.last - self.first)) * self.alpha(t)


class Cosine(VariancePreserving):
    """The cosine schedule of improved DDPM (Nichol & Dhariwal, 2021, eq. 17), offset 0.008."""

    offset = 0.008

    def alpha(self, t: Tensor) -> Tensor:
        """cos((t + s) / (1 + s) * pi / 2), scaled to 1 at t = 0."""
        quarter = math.pi / 2 / (1 + self.offset)
        return torch.cos((t + self.offset) * quarter) / math.cos(self.offset * quarter)

    def d_alpha(self, t: Tensor) -> Tensor:
        """-sin((t + s) / (1 + s) * pi / 2), scaled likewise."""
        quarter = math.pi / 2 / (1 + self.offset)
        return -quarter * torch.sin((t + self.offset) * quarter) / math.cos(self.offset * quarter)


class Trigonometric(Path):
    """A quarter of the unit circle (Albergo & Vanden-Eijnden, 2023): variance preserving at every t."""

    def alpha(self, t: Tensor) -> Tensor:
        """cos(t * pi / 2)."""
        return torch.cos(t * (math.pi / 2))

    def sigma(self, t: Tensor) -> Tensor:
        """sin(t * pi / 2)."""
        return torch.sin(t * (math.pi / 2))

    def slopes(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """A quarter turn ahead."""
        return -math.pi / 2 * self.sigma(t), math.pi / 2 * self.alpha(t)


def refuse_astray(path: Path) -> None:
    """Refuse a path of somebody's own that does not lead from data at t = 0 to unit noise at t = 1 (ConfigError)."""
    t = torch.tensor(path.span, dtype=torch.float64, device="cpu")
    name, shares = type(path).__name__, {"alpha": path.alpha(t), "sigma": path.sigma(t)}
    for what, found in shares.items():
        if not isinstance(found, Tensor) or found.shape != t.shape:
            given = list(found.shape) if isinstance(found, Tensor) else f"a {type(found).__name__}"
            raise ConfigError(f"path {name}: {what} gives {given} for t of {list(t.shape)}; give a tensor of t's shape")
    (data, less), (little, noise) = (shares[what].tolist() for what in shares)
    if not (0.9 <= data <= 1.1 and abs(little) <= 0.1 and abs(less) <= 0.1 and 0.9 <= noise <= 1.1):
        ends = f"alpha and sigma are {data:.3g} and {little:.3g} at t = {path.span[0]:g}, {less:.3g} and {noise:.3g}"
        way_out = "t = 0 is data (1, 0) and t = 1 unit noise (0, 1) here; with the other convention put 1 - t in"
        raise ConfigError(f"path {name}: {ends} at t = {path.span[1]:g}; {way_out}")


def _wanted(part: object) -> str:
    complete = (
        isinstance(part, type) and issubclass(part, Path) and not {Path.alpha, Path.sigma} & {part.alpha, part.sigma}
    )
    return "" if complete else "a class of latentarena.process.Path with alpha(t) and sigma(t)"


PATHS: Registry[type[Path]] = Registry(
    "path", _wanted, straight=Straight, vp_linear=LinearBeta, vp_cosine=Cosine, trigonometric=Trigonometric
)
