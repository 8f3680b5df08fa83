"""The pieces alone: path, target, loss, coupling, solver and guidance for any network, on tensors of any shape."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from latentarena.errors import ConfigError
from latentarena.process import (
    CORRECTIONS,
    COUPLINGS,
    PATHS,
    TARGETS,
    TIMES,
    WEIGHTINGS,
    Coupling,
    Denoiser,
    Network,
    Path,
    Target,
    Times,
    Weighting,
    denoiser,
    matching_loss,
    refuse_singular,
    shortened,
)
from latentarena.randomness import Draws, Fresh, RowNoise
from latentarena.sample import GRIDS, SOLVERS, Guide, Jump, Solver, classifier_free, last, sample


@dataclass(frozen=True)
class Process:
    """A process between data (t = 0) and noise (t = 1), and what a network learns on it.

    A network is any callable of `x` (B, ...), `t` (B,) and `labels` int64 (B,) or None that gives x's shape. It
    predicts the target itself: a plain velocity, noise or data network. Each part is a name or an object of your own.

    Attributes:
        path: x_t = alpha(t) * data + sigma(t) * noise: `straight`, `vp_linear`, `vp_cosine`, `trigonometric`, or a
            `Path` with the two formulas.
        target: what the network predicts: `velocity` (dx_t / dt, from data to noise), `noise`, `data`, `v`, or a
            function of a `Point` that gives the row (p, q) of p * data + q * noise. An end of the path at which that
            does not determine data and noise is left out: t > 0.995 for noise on `straight`, t < 0.001 for data.
        correction: `gaussian` for a network that predicts what is to be added to the answer for unit Gaussian data, as
            those of recipes do; `none` for a plain one.
        coupling: which noise goes with which data in a batch: `independent`, `optimal_transport`, or a function.
        times: how training times are drawn: `uniform`, `logit_normal`, `low_discrepancy`, or a function.
        weighting: of the squared error by time: `none`, `data`, `noise`, `min_snr`, or a function.
    """

    path: str | Path = "straight"
    target: str | Target = "velocity"
    correction: str = "none"
    coupling: str | Coupling = "independent"
    times: str | Times = "uniform"
    weighting: str | Weighting = "none"

    def __post_init__(self) -> None:
        """Look every name up.

        Raises:
            ConfigError: a name that there is not, or a path and a target that do not determine data and noise.
        """
        refuse_singular(self._path, self._target)
        _ = self._coupling, self._times, self._weighting

    def loss(
        self,
        network: Network,
        data: Tensor,
        labels: Tensor | None = None,
        *,
        generator: torch.Generator | None = None,
        noise: Tensor | None = None,
    ) -> Tensor:
        """The loss of a batch: mean squared error of the target at random times.

        Args:
            network: is trained.
            data: float (B, ...), best of zero mean and unit variance.
            labels: int64 (B,), handed to the network.
            generator: of times and noise, on the data's device; torch's global one unless given.
            noise: (B, ...) that belongs to these data, as in reflow; drawn and coupled unless given.
        """
        draws = Draws(_generator(data) if generator is None else generator)
        parts = self._path, self._target, self._times
        return matching_loss(network, *parts, data, labels, draws, self._coupling, self._weighting, noise)

    def denoiser(self, network: Network) -> Denoiser:
        """The network's estimates of data and noise as a function of (x, t, labels): what solvers and guides take."""
        return denoiser(network, self._path, self._target)

    def sample(
        self,
        network: Network,
        noise: Tensor,
        labels: Tensor | None = None,
        *,
        steps: int = 32,
        solver: str | Solver = "heun",
        grid: str = "uniform",
        guidance: float | Guide = 1.0,
        eta: float | None = None,
        seed: int = 0,
    ) -> Tensor:
        """Samples (B, ...) of standard normal noise (B, ...), without gradients; see `trajectory`."""
        return last(self.trajectory(network, noise, labels, steps, solver, grid, guidance, eta, seed))

    @torch.no_grad()
    def trajectory(
        self,
        network: Network,
        noise: Tensor,
        labels: Tensor | None = None,
        steps: int = 32,
        solver: str | Solver = "heun",
        grid: str = "uniform",
        guidance: float | Guide = 1.0,
        eta: float | None = None,
        seed: int = 0,
    ) -> Iterator[Tensor]:
        """The states at every time from noise to data, the sample last; each (B, ...).

        Args:
            network: predicts the target.
            noise: standard normal, (B, ...); labels: int64 (B,).
            steps: from noise to data.
            solver: `euler`, `heun`, `midpoint`, `rk4`, `dopri5`, `ddim`, `ddpm`, `dpm_solver_pp`, `sde`, or a function.
            grid: how steps are spread over time: `uniform`, `quadratic`, `karras`, `warped`.
            guidance: the scale of classifier-free guidance, for which the network is asked without labels too; or a
                guide of `latentarena.sample`, such as `autoguidance`.
            eta: share of fresh noise in a step of `ddim` and `sde`; seed: of that noise, which is each row's own.

        Raises:
            ConfigError: a name that there is not, or guidance without labels.
        """
        jump = self.jump(self.denoiser(network), labels, solver, guidance, eta, RowNoise(noise, seed))
        yield from sample(jump, noise, [torch.tensor(t).to(noise) for t in self.grid(grid, steps)])

    def jump(
        self,
        denoise: Denoiser,
        labels: Tensor | None,
        solver: str | Solver,
        guidance: float | Guide,
        eta: float | None,
        fresh: Fresh,
    ) -> Jump:
        """A solver on the guided denoiser, (x at t, t, s) -> x at s; for the other arguments see `trajectory`.

        Raises:
            ConfigError: guidance without labels, or a share of fresh noise of a solver that has none.
        """
        if callable(guidance):
            denoise = guidance(denoise)
        elif guidance != 1:
            if labels is None:
                raise ConfigError(f"guidance = {guidance}: classifier-free guidance needs labels; give them, or 1")
            denoise = classifier_free(guidance)(denoise)
        if not isinstance(solver, str):
            return solver(self._path, denoise, labels)
        method = SOLVERS[solver]
        if eta is not None and not method.chosen:
            chosen = ", ".join(name for name, one in SOLVERS.items() if one.chosen)
            raise ConfigError(f"eta = {eta}: {solver} has none; leave it out or choose from {chosen}")
        return method(fresh, eta)(self._path, denoise, labels)

    def grid(self, name: str, steps: int) -> list[float]:
        """The times of so many steps from noise to data."""
        if steps < 1:
            raise ConfigError(f"steps = {steps}: take 1 or more")
        return GRIDS[name](self._path, steps).tolist()

    @cached_property  # it looks at numbers, which a graph that is traced has none of
    def _path(self) -> Path:
        return shortened(PATHS[self.path]() if isinstance(self.path, str) else self.path, self._target)

    @property
    def _target(self) -> Target:
        return CORRECTIONS[self.correction](TARGETS[self.target] if isinstance(self.target, str) else self.target)

    @property
    def _coupling(self) -> Coupling:
        return COUPLINGS[self.coupling] if isinstance(self.coupling, str) else self.coupling

    @property
    def _times(self) -> Times:
        return TIMES[self.times] if isinstance(self.times, str) else self.times

    @property
    def _weighting(self) -> Weighting:
        return WEIGHTINGS[self.weighting] if isinstance(self.weighting, str) else self.weighting


def _generator(like: Tensor) -> torch.Generator:
    """A generator that follows from torch's global one, on a tensor's device."""
    return torch.Generator(like.device).manual_seed(int(torch.randint(2**62, ())))
