"""What the network predicts: a row (p, q), meaning p * data + q * noise.

One function converts every parametrisation into estimates of data and noise: with det = alpha q - sigma p,
data = (q x - sigma out) / det and noise = (alpha out - p x) / det.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from functools import wraps

import torch
from torch import Tensor

from latentarena.errors import ConfigError
from latentarena.process.path import Path, Point, refuse_astray
from latentarena.registry import Registry, function_of

Row = tuple[Tensor, Tensor]
Target = Callable[[Point], Row]
Network = Callable[[Tensor, Tensor, Tensor | None], Tensor]  # (x (B, ...), t (B,), labels (B,) or None) -> out


@dataclass(frozen=True)
class Estimate:
    """A denoiser's estimates of the data and the noise in x_t; both (B, ...)."""

    data: Tensor
    noise: Tensor


SINGULAR = 1e-6  # a determinant below this
SHORT = (1e-3, 0.995)  # how far a path goes whose ends are left out, as the variance-preserving ones do
Denoiser = Callable[[Tensor, Tensor, Tensor | None], Estimate]

TARGETS: Registry[Target] = Registry(
    "target",
    function_of("a Point"),
    data=lambda at: (torch.ones_like(at.alpha), torch.zeros_like(at.alpha)),
    noise=lambda at: (torch.zeros_like(at.alpha), torch.ones_like(at.alpha)),
    v=lambda at: (-at.sigma, at.alpha),  # Salimans & Ho, 2022
    velocity=lambda at: (at.d_alpha, at.d_sigma),
)


def gaussian_correction(target: Target) -> Target:
    """A target less its expectation for unit Gaussian data, so that the network learns a correction to a Gaussian.

    That expectation is E[p data + q noise | x_t] = (p alpha + q sigma) / (alpha^2 + sigma^2) x_t, itself a row; what is
    left is (-sigma, alpha) det / (alpha^2 + sigma^2). A network of zeros then samples N(0, I). (The same idea as the
    skip connection of Karras et al., 2022.) Recipes have it as `generator.correction`.
    """

    @wraps(target)
    def corrected(at: Point) -> Row:
        share = determinant(at, target(at)) / (at.alpha.square() + at.sigma.square())
        return -at.sigma * share, at.alpha * share

    return corrected


CORRECTIONS: Registry[Callable[[Target], Target]] = Registry(
    "correction", gaussian=gaussian_correction, none=lambda target: target
)


def determinant(at: Point, row: Row) -> Tensor:
    """alpha q - sigma p of a row (p, q): where it is 0, a prediction does not determine data and noise.

    Raises:
        ConfigError: somebody's own target gives something else than a row.
    """
    if not isinstance(row, tuple) or len(row) != 2:
        raise ConfigError(f"a target gives a {type(row).__name__}; give the row (p, q) of p * data + q * noise")
    p, q = row
    return at.alpha * q - at.sigma * p


def asked(network: Network, x: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
    """The network's output, of the shape of x: another one would be broadcast in silence (ConfigError)."""
    out = network(x, t, labels)
    if not isinstance(out, Tensor) or not out.is_floating_point():
        given = f"numbers of type {out.dtype}" if isinstance(out, Tensor) else f"a {type(out).__name__}"
        way_out = "wrap it, such as lambda x, t, labels: network(x, t, labels)[0]"
        raise ConfigError(f"the network gives {given} and has to give a float tensor alone; {way_out}")
    if out.shape != x.shape:
        raise ConfigError(f"the network gives {list(out.shape)} for x of {list(x.shape)}; give the shape of x")
    return out


def denoiser(network: Network, path: Path, target: Target) -> Denoiser:
    """Read the output of any function of (x, t, labels) as estimates of data and noise.

    Raises:
        ConfigError: the pair is singular: somewhere on the path the output does not determine them.
            When it is called: the network's output has another shape than x.
    """
    refuse_singular(path, target)

    def estimate(x: Tensor, t: Tensor, labels: Tensor | None) -> Estimate:
        at = path.at(t, x)
        p, q = target(at)
        out, det = asked(network, x, t.expand(x.shape[0]), labels), determinant(at, (p, q))
        return Estimate((q * x - at.sigma * out) / det, (at.alpha * out - p * x) / det)

    return estimate


def shortened(path: Path, target: Target) -> Path:
    """The path without its ends where the target is singular: plain noise leaves data open at the noise, data noise.

    Where neither end is singular this is the path itself.
    """
    refuse_astray(path)
    t = torch.tensor(path.span, dtype=torch.float64, device="cpu")
    at = path.at(t, t)
    first, last = (determinant(at, target(at)).abs() < SINGULAR).tolist()
    if not first and not last:
        return path
    short = copy(path)
    begin, end = path.span
    short.span = (SHORT[0] if first else begin, SHORT[1] if last else end)
    return short


def refuse_singular(path: Path, target: Target) -> None:
    """Refuse a path and a target whose equations have no solution (ConfigError): det vanishes on the span."""
    refuse_astray(path)
    t = torch.linspace(*path.span, 101, dtype=torch.float64, device="cpu")
    at = path.at(t, t)
    det = determinant(at, target(at)).abs()
    if det.min() < SINGULAR:
        plain = getattr(target, "__wrapped__", target)  # of a corrected one
        name = next((n for n, known in TARGETS.items() if known is plain), "this")
        raise ConfigError(
            f"target {name!r} on path {type(path).__name__} is singular at t = {t[det.argmin()]:.2f}: the prediction "
            "does not determine data and noise there; choose v or velocity"
        )
