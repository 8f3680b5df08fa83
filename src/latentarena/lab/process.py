"""The pieces alone: path, target, loss, coupling, solver and guidance for any network, on tensors of any shape."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from numbers import Integral, Real

import torch
from torch import Tensor, nn

from latentarena.errors import ConfigError
from latentarena.modes import evaluated
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
from latentarena.sample import GRIDS, SOLVERS, Guide, Jump, Solver, classifier_free, grid_times, last, sample
from latentarena.text import shown


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
            ConfigError: a name that there is not, what is no part, or a path and a target that do not determine data
                and noise.
        """
        if not isinstance(self.path, str | Path):
            way_out = (
                f"make one: {self.path.__name__}()" if isinstance(self.path, type) else "give a name, or a la.Path"
            )
            raise ConfigError(f"path = {shown(self.path)} is no path; {way_out}")
        for part in ("target", "coupling", "times", "weighting"):
            _refuse_no_part(part, getattr(self, part))
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
            data: float (B, ...), best of zero mean and unit variance. Float64 and half precision are those that the
                network is asked in; the loss is computed in float32 at least.
            labels: int64 (B,), handed to the network.
            generator: of times and noise, on the data's device; torch's global one unless given.
            noise: (B, ...) that belongs to these data, as in reflow; drawn and coupled unless given.

        Raises:
            ConfigError: data that are no rows of float numbers, labels or noise that are not theirs, or a network or a
                part of your own that gives something of another shape.
        """
        _refuse_rows("data", data, labels)
        if noise is not None and noise.shape != data.shape:
            raise ConfigError(f"noise is {list(noise.shape)} and data are {list(data.shape)}; give one for each number")
        draws = Draws(_generator(data) if generator is None else generator)
        parts = self._path, self._target, self._times
        asked = _asked_in(data.dtype, network)
        wide = data.to(_wide(data.dtype))
        return matching_loss(asked, *parts, wide, labels, draws, self._coupling, self._weighting, noise)

    def denoiser(self, network: Network) -> Denoiser:
        """The network's estimates of data and noise as a function of (x, t, labels): what solvers and guides take.

        Args:
            network: is asked in the type of its weights, if it is a module that has them of one type.
        """
        weights = network.parameters() if isinstance(network, nn.Module) else ()
        kinds = {one.dtype for one in weights if one.is_floating_point()}
        return self._denoiser(_asked_in(kinds.pop(), network) if len(kinds) == 1 else network)

    def _denoiser(self, network: Network) -> Denoiser:
        return denoiser(_unshared(network), self._path, self._target)

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
            network: predicts the target; it is asked in the type of the noise, and all else is float32 at least. A
                module is asked in evaluation mode, and left as it was.
            noise: standard normal, (B, ...); labels: int64 (B,).
            steps: from noise to data.
            solver: `euler`, `heun`, `midpoint`, `rk4`, `dopri5`, `ddim`, `ddpm`, `dpm_solver_pp`, `sde`, or a function.
            grid: how steps are spread over time: `uniform`, `quadratic`, `karras`, `warped`.
            guidance: the scale of classifier-free guidance, for which the network is asked without labels too; or a
                guide of `latentarena.sample`, such as `autoguidance`.
            eta: share of fresh noise in a step of `ddim` and `sde`, in [0, 1]; seed: of that noise, which is each row's
                own.

        Raises:
            ConfigError: a name that there is not, guidance without labels, or noise that is no rows of float numbers.
        """
        _refuse_rows("noise", noise, labels)
        start = noise.to(_wide(noise.dtype))
        denoise = self._denoiser(_asked_in(noise.dtype, network))
        jump = self.jump(denoise, labels, solver, guidance, eta, RowNoise(start, seed))
        states = sample(jump, start, [torch.tensor(t).to(start) for t in self.grid(grid, steps)])
        while True:
            with evaluated(*(one for one in (network,) if isinstance(one, nn.Module))):
                state = next(states, None)
            if state is None:
                return
            yield state.to(noise.dtype)

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
        denoise = _guided(denoise, labels, guidance)
        _refuse_no_part("solver", solver)
        if not isinstance(solver, str):
            return solver(self._path, denoise, labels)
        method = SOLVERS[solver]
        if eta is not None and not method.chosen:
            chosen = ", ".join(name for name, one in SOLVERS.items() if one.chosen)
            raise ConfigError(f"eta = {eta}: {solver} has none; leave it out or choose from {chosen}")
        if eta is not None and not 0 <= eta <= 1:
            raise ConfigError(f"eta = {eta}: a share of fresh noise is in [0, 1]")
        return method(fresh, eta)(self._path, denoise, labels)

    def grid(self, name: str, steps: int) -> list[float]:
        """The times of so many steps from noise to data."""
        if not isinstance(steps, Integral) or steps < 1:
            raise ConfigError(f"steps = {shown(steps)}: take a whole number, 1 or more")
        if not isinstance(name, str):
            raise ConfigError(f"grid = {shown(name)}: give the name of one: {', '.join(GRIDS)}")
        return grid_times(name, self._path, int(steps))

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


def _wide(dtype: torch.dtype) -> torch.dtype:
    """What numbers of a type are computed in: float32 for those of half precision."""
    return torch.promote_types(dtype, torch.float32)


def _unshared(network: Network) -> Network:
    """The network asked with copies, since it may work in place on them, as `nn.ReLU(inplace=True)` does."""
    return lambda x, t, labels: network(x.clone(), t.clone(), labels)


def _asked_in(dtype: torch.dtype, network: Network) -> Network:
    """The network asked in one type, whatever its state and time are computed in."""
    return lambda x, t, labels: network(x.to(dtype), t.to(dtype), labels)


def _guided(denoise: Denoiser, labels: Tensor | None, guidance: float | Guide) -> Denoiser:
    if callable(guidance):
        return guidance(denoise)
    if not isinstance(guidance, Real) or not isfinite(guidance):
        raise ConfigError(f"guidance = {shown(guidance)}: give a finite number, 1 for none, or a guide")
    if guidance == 1:
        return denoise
    if labels is None:
        raise ConfigError(f"guidance = {guidance}: classifier-free guidance needs labels; give them, or 1")
    return classifier_free(float(guidance))(denoise)


def _refuse_no_part(what: str, part: object) -> None:
    """Refuse what is neither a name nor a function (ConfigError)."""
    if not isinstance(part, str) and not callable(part):
        raise ConfigError(f"{what} = {shown(part)}: give a name, or a function of your own")


def _refuse_rows(what: str, rows: object, labels: object) -> None:
    """Refuse what is no float tensor (B, ...), and labels that are not one for each row (ConfigError)."""
    if not isinstance(rows, Tensor):
        raise ConfigError(f"{what} = a {type(rows).__name__}: give a tensor (B, ...), such as torch.as_tensor(array)")
    if not rows.is_floating_point():
        kind = str(rows.dtype).removeprefix("torch.")
        way_out = "torch.view_as_real(...)" if rows.is_complex() else "images / 255"
        raise ConfigError(f"{what} = numbers of type {kind}: give float numbers, such as {way_out}")
    if not rows.ndim or not len(rows):
        raise ConfigError(f"{what} = a tensor {list(rows.shape)}: give rows (B, ...), one or more")
    if labels is not None and not (isinstance(labels, Tensor) and len(labels) == len(rows)):
        given = list(labels.shape) if isinstance(labels, Tensor) else f"a {type(labels).__name__}"
        raise ConfigError(f"labels = {given}: give a tensor with one for each of {len(rows)} rows")


def _generator(like: Tensor) -> torch.Generator:
    """A generator that follows from torch's global one, on a tensor's device."""
    return torch.Generator(like.device).manual_seed(int(torch.randint(2**62, ())))
