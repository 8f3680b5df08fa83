"""Moving averages of the weights while they are trained: one of a fixed memory, or one whose length is chosen later."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latentarena.train.divided import divided_as

SHORTEST, LONGEST = (
    0.04,
    0.25,
)  # lengths that can be reconstructed, to a tenth of the average's way from the last weights
KEPT_LENGTHS = (0.05, 0.10)
SNAPSHOTS = 16  # of each of the two, evenly over the training

Floats = NDArray[np.float64]


class Averages(Protocol):
    """Averages of some parameters, which follow them step by step.

    Attributes:
        current: an average as it stands, one tensor for each parameter.
    """

    current: list[Tensor]

    def follow(self, step: int) -> None:
        """Take in the parameters as they are after a step, which are counted from 0."""

    def state(self) -> dict[str, Tensor]:
        """All that `restore` needs, by name."""

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Put a state back."""

    def final(self) -> list[Tensor]:
        """What is kept of a finished training, one tensor for each parameter."""


class Exponential:
    """An exponential moving average, of shorter memory while the training is young.

    Args:
        parameters: those to follow.
        decay: of what is remembered, for each step.
    """

    def __init__(self, parameters: Iterable[Tensor], decay: float) -> None:
        self.parameters, self.decay = list(parameters), decay
        self.current = _copies(self.parameters)

    def follow(self, step: int) -> None:
        """Take in the parameters as they are after a step."""
        _move(self.current, self.parameters, 1 - min(self.decay, (1 + step) / (10 + step)))

    def state(self) -> dict[str, Tensor]:
        """The average by number."""
        return {str(i): mean for i, mean in enumerate(self.current)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Put a state back."""
        for i, mean in enumerate(self.current):
            mean.copy_(divided_as(mean, state[str(i)]))

    def final(self) -> list[Tensor]:
        """The average."""
        return self.current


class PowerFunction:
    """An average whose length is chosen after training: theta_gamma(t) weighs the weights of step tau by tau^gamma.

    Two such averages are kept, with snapshots on the way; any other one is a sum of these snapshots (Karras et al.,
    "Analyzing and improving the training dynamics of diffusion models", 2024, section 3.2). Here the shares of the
    snapshots are made to add up to one, so that weights that stand still come out as they are.

    Args:
        parameters: those to follow.
        length: of the average that `final` gives: the relative standard deviation of its profile, as a share of the
            training, from `SHORTEST` to `LONGEST`.
        steps: of the training.
    """

    def __init__(self, parameters: Iterable[Tensor], length: float, steps: int) -> None:
        self.parameters, self.length = list(parameters), length
        self.snapped = {max(1, round(k * steps / SNAPSHOTS)) for k in range(1, SNAPSHOTS + 1)}
        self.exponents = [exponent(kept) for kept in KEPT_LENGTHS]
        self.running = [_copies(self.parameters) for _ in KEPT_LENGTHS]
        self.current = self.running[0]
        self.snapshots: dict[str, Tensor] = {}

    def follow(self, step: int) -> None:
        """Take in the parameters as they are after a step; keep a snapshot where one is due."""
        for which, (gamma, mean) in enumerate(zip(self.exponents, self.running, strict=True)):
            _move(mean, self.parameters, 1 - (1 - 1 / (step + 1)) ** (gamma + 1))
            if step + 1 in self.snapped:
                self.snapshots |= {f"{step + 1}.{which}.{i}": one for i, one in enumerate(_copies(mean))}

    def state(self) -> dict[str, Tensor]:
        """The two averages, and the snapshots so far."""
        running = {f"{which}.{i}": one for which, mean in enumerate(self.running) for i, one in enumerate(mean)}
        return running | self.snapshots

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Put a state back."""
        self.snapshots = {
            name: divided_as(self.parameters[int(name.split(".")[2])], one.clone())
            for name, one in state.items()
            if _is_snapshot(name)
        }
        for which, mean in enumerate(self.running):
            for i, one in enumerate(mean):
                one.copy_(divided_as(one, state[f"{which}.{i}"]))

    def final(self) -> list[Tensor]:
        """The average of `length`, of the snapshots that there are."""
        return reconstructed(self.snapshots, self.length)


def exponent(length: float) -> float:
    """The gamma of the average whose profile has this relative standard deviation."""
    square = length**-2
    return float(np.roots([1, 7, 16 - square, 12 - square]).real.max())


def reconstructed(state: Mapping[str, Tensor], length: float) -> list[Tensor]:
    """The average of a length, at the last step of the snapshots.

    Args:
        state: of a `PowerFunction`, whose snapshots of the two averages kept are called `STEP.WHICH.PARAMETER`.
        length: from `SHORTEST` to `LONGEST`.

    Returns:
        One tensor for each parameter; nothing where there is no snapshot.
    """
    snapshots = {name: one for name, one in state.items() if _is_snapshot(name)}
    taken = sorted({(int(step), int(which)) for step, which, _ in (name.split(".") for name in snapshots)})
    if not taken:
        return []
    steps = np.array([step for step, _ in taken], float)
    shares = shares_of(steps, np.array([exponent(KEPT_LENGTHS[which]) for _, which in taken]), exponent(length))
    means = []
    for i in range(len(snapshots) // len(taken)):
        parts = [snapshots[f"{step}.{which}.{i}"] for step, which in taken]
        whole = sum(share * part.double() for share, part in zip(shares.tolist(), parts, strict=True))
        means.append(torch.as_tensor(whole, dtype=parts[0].dtype, device=parts[0].device))
    return means


def shares_of(steps: Floats, exponents: Floats, wanted: float) -> Floats:
    """Shares of averages up to `steps`, of these exponents, whose sum is nearest the one wanted at the last of steps.

    Nearest in least squares of the profiles, among the shares that add up to one.
    """
    each = _inner(steps[:, None], exponents[:, None], steps, exponents)
    towards = _inner(steps, exponents, steps.max(), np.float64(wanted))
    ones = np.ones((len(steps), 1))
    bordered = np.block([[each, ones], [ones.T, np.zeros((1, 1))]])
    return np.asarray(np.linalg.lstsq(bordered, np.append(towards, 1.0), rcond=None)[0][:-1])


def _inner(one: Floats, gamma: Floats, other: Floats | np.float64, delta: Floats | np.float64) -> Floats:
    """The inner product of two profiles, (gamma + 1) tau^gamma / t^(gamma + 1) for tau up to t."""
    both = np.minimum(one, other)
    shrunk = gamma * np.log(both / one) + delta * np.log(both / other)
    return np.asarray((gamma + 1) * (delta + 1) / (gamma + delta + 1) * np.exp(shrunk) * both / (one * other))


def _is_snapshot(name: str) -> bool:
    return name.count(".") == 2


def _copies(tensors: Iterable[Tensor]) -> list[Tensor]:
    return [tensor.detach().clone() for tensor in tensors]


def _move(means: list[Tensor], towards: list[Tensor], share: float) -> None:
    torch._foreach_lerp_(means, [tensor.detach() for tensor in towards], share)
