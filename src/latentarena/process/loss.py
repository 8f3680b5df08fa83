"""Training times, loss weightings, losses and the regression that trains every denoiser."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from latentarena.config import Config
from latentarena.errors import ConfigError
from latentarena.parts import Kinds
from latentarena.process.coupling import Coupling, independent
from latentarena.process.held import built, reordered, unit_times
from latentarena.process.path import Path, Point
from latentarena.process.target import Network, Row, Target, asked, determinant
from latentarena.randomness import Draws
from latentarena.registry import Registry, function_of, words_of

Times = Callable[[Draws, int], Tensor]  # -> (B,) in [0, 1]

TIMES: Registry[Times] = Registry(
    "times",
    function_of("Draws", "a number"),
    uniform=lambda draws, n: draws.uniform(n),
    logit_normal=lambda draws, n: torch.sigmoid(draws.normal(n)),  # Esser et al., 2024
    low_discrepancy=lambda draws, n: draws.lattice(n),  # Kingma et al., 2021, appendix I.1
    end=lambda draws, n: torch.ones(n, device=draws.generator.device),  # the noise itself: see `ReflowTraining`
)

Weighting = Callable[[Point, Row], Tensor]  # weight of the squared error of a row's prediction, broadcast as the point
CAP = 5.0  # largest weight of min-SNR


def unweighted(at: Point, row: Row) -> Tensor:
    """Unweighted: mean squared error of the network's own target."""
    return torch.ones_like(at.alpha)


def _as_data(at: Point, row: Row) -> Tensor:
    """Turns a row's squared error into that of the data estimate it implies: (sigma / det)^2."""
    return (at.sigma / determinant(at, row)).square()


def _as_noise(at: Point, row: Row) -> Tensor:
    """Turns a row's squared error into that of the noise estimate it implies: (alpha / det)^2."""
    return (at.alpha / determinant(at, row)).square()


def _as_velocity(at: Point, row: Row) -> Tensor:
    """Turns a row's squared error into that of the velocity it implies (Li & He, 2025)."""
    return ((at.alpha * at.d_sigma - at.sigma * at.d_alpha) / determinant(at, row)).square()


def _min_snr(at: Point, row: Row) -> Tensor:
    """min(SNR, 5) times the data estimate's squared error (Hang et al., 2023)."""
    return (at.alpha / at.sigma).square().clamp(max=CAP) * _as_data(at, row)


WEIGHTINGS: Registry[Weighting] = Registry(
    "weighting",
    function_of("a Point", "a row"),
    none=unweighted,
    data=_as_data,
    noise=_as_noise,  # "simple" of Ho et al., 2020, whatever is predicted
    velocity=_as_velocity,
    min_snr=_min_snr,
)


@dataclass(frozen=True)
class Lesson:
    """A batch at its training times, and what the network should answer.

    Attributes:
        x: data and noise mixed, (B, ...); t: their times (B,); labels: int64 (B,) or None.
        data, noise: (B, ...) each.
        answer: p * data + q * noise, (B, ...).
        weight: of the squared error by time, broadcast as the batch.
    """

    x: Tensor
    t: Tensor
    labels: Tensor | None
    data: Tensor
    noise: Tensor
    answer: Tensor
    weight: Tensor


Loss = Callable[[Network, Lesson], Tensor]  # -> a number; it asks the network itself, once or more often


def squared(network: Network, lesson: Lesson) -> Tensor:
    """The weighted mean squared error."""
    return (lesson.weight * (asked(network, lesson.x, lesson.t, lesson.labels) - lesson.answer).square()).mean()


class SquaredConfig(Config):
    """The weighted mean squared error, whose least is the expected answer."""

    kind: Literal["squared"] = "squared"

    def build(self) -> Loss:
        """The loss."""
        return squared


class PseudoHuberConfig(Config):
    """The pseudo-Huber loss (Song & Dhariwal, 2024), which far-off examples move less than they move a squared error.

    Attributes:
        c: error, as a root mean square, from which on it grows linearly.
    """

    kind: Literal["pseudo_huber"] = "pseudo_huber"
    c: float = Field(default=0.03, gt=0, le=1e3)

    def build(self) -> Loss:
        """The loss."""

        def loss(network: Network, lesson: Lesson) -> Tensor:
            errors = lesson.weight * (asked(network, lesson.x, lesson.t, lesson.labels) - lesson.answer).square()
            return ((errors.flatten(1).mean(1) + self.c**2).sqrt() - self.c).mean()

        return loss


Shipped = SquaredConfig | PseudoHuberConfig
LOSSES: Kinds[Shipped] = Kinds("loss", Shipped)
LossConfig = Annotated[Shipped, LOSSES]


def build_loss(config: Shipped) -> Loss:
    """The loss of a configuration; one of somebody's own is held to give a number that training can lower."""
    return built(LOSSES, config, "a network", "a Lesson")


def drawn_times(times: Times, path: Path, draws: Draws, n: int) -> Tensor:
    """Training times (n,) on a path's span.

    Raises:
        ConfigError: somebody's own gives something else, or times outside [0, 1] when it is asked first.
    """
    first, last = path.span
    return first + (last - first) * unit_times(times, times(draws, n), n)


def matching_loss(
    network: Network,
    path: Path,
    target: Target,
    times: Times,
    data: Tensor,
    labels: Tensor | None,
    draws: Draws,
    coupling: Coupling = independent,
    weighting: Weighting = unweighted,
    noise: Tensor | None = None,
    loss: Loss = squared,
) -> Tensor:
    """The error between the network's output and p * data + q * noise at random times; squared unless told otherwise.

    Flow matching (Lipman et al., 2023) for the velocity row, denoising score matching (Ho et al., 2020) for the
    noise row.

    Args:
        data: latents (B, ...).
        labels: int64 (B,) or None.
        coupling: re-orders the noise inside the batch.
        weighting: of the squared error, by time.
        noise: (B, ...) that belongs to these data, as in reflow; drawn and coupled unless given.
        loss: of the network and a `Lesson`.

    Raises:
        ConfigError: a part of somebody's own gives something else than it has to.
    """
    t = drawn_times(times, path, draws, len(data))
    if noise is None:
        noise = reordered(coupling, data, draws.normal(*data.shape))
    at = path.at(t, data)
    p, q = target(at)
    x, answer = at.mix(data, noise), p * data + q * noise
    weight = weighting(at, (p, q))
    if isinstance(weight, Tensor) and weight.ndim not in (0, data.ndim):
        wanted = f"one that broadcasts with {list(data.shape)}, such as {list(at.alpha.shape)}, is wanted"
        raise ConfigError(f"{words_of('weighting', weighting)} gives {list(weight.shape)}; {wanted}")
    return loss(network, Lesson(x, t, labels, data, noise, answer, weight))
