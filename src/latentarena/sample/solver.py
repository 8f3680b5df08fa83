"""Solvers turn a denoiser into a `Jump`: (x at t, t, s) -> x at s.

A registered solver takes a source of fresh noise, which only the stochastic ones use.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from latentarena.errors import ConfigError
from latentarena.process import Denoiser, Path, Point
from latentarena.randomness import Fresh
from latentarena.registry import Registry, function_of
from latentarena.text import shown

Jump = Callable[[Tensor, Tensor, Tensor], Tensor]
Solver = Callable[[Path, Denoiser, Tensor | None], Jump]


def _velocity(path: Path, denoise: Denoiser, labels: Tensor | None) -> Callable[[Tensor, Tensor], Tensor]:
    """The probability-flow ODE's right-hand side, dx/dt = alpha' data + sigma' noise."""

    def velocity(x: Tensor, t: Tensor) -> Tensor:
        estimate = denoise(x, t, labels)
        return path.at(t, x).velocity(estimate.data, estimate.noise)

    return velocity


def euler(path: Path, denoise: Denoiser, labels: Tensor | None) -> Jump:
    """Euler's method: first order, one evaluation a step."""
    velocity = _velocity(path, denoise, labels)

    def jump(x: Tensor, t: Tensor, s: Tensor) -> Tensor:
        return x + (s - t) * velocity(x, t)

    return jump


def heun(path: Path, denoise: Denoiser, labels: Tensor | None) -> Jump:
    """Heun's method: second order, two evaluations a step, Euler and then the mean of the slopes at both ends."""
    velocity = _velocity(path, denoise, labels)

    def jump(x: Tensor, t: Tensor, s: Tensor) -> Tensor:
        here = velocity(x, t)
        there = velocity(x + (s - t) * here, s)
        return x + (s - t) * (here + there) / 2

    return jump


def midpoint(path: Path, denoise: Denoiser, labels: Tensor | None) -> Jump:
    """The midpoint method: second order, two evaluations a step, the slope half-way."""
    velocity = _velocity(path, denoise, labels)

    def jump(x: Tensor, t: Tensor, s: Tensor) -> Tensor:
        half = (s - t) / 2
        return x + (s - t) * velocity(x + half * velocity(x, t), t + half)

    return jump


def rk4(path: Path, denoise: Denoiser, labels: Tensor | None) -> Jump:
    """The classical Runge-Kutta method: fourth order, four evaluations a step."""
    velocity = _velocity(path, denoise, labels)

    def jump(x: Tensor, t: Tensor, s: Tensor) -> Tensor:
        step, half = s - t, (s - t) / 2
        k1 = velocity(x, t)
        k2 = velocity(x + half * k1, t + half)
        k3 = velocity(x + half * k2, t + half)
        k4 = velocity(x + step * k3, s)
        return x + step * (k1 + 2 * k2 + 2 * k3 + k4) / 6

    return jump


def dopri5(path: Path, denoise: Denoiser, labels: Tensor | None) -> Jump:
    """Adaptive Dormand-Prince of order 5 by torchdiffeq, tolerance 1e-6; a step is as many evaluations as it needs."""
    from torchdiffeq import odeint

    velocity = _velocity(path, denoise, labels)

    def jump(x: Tensor, t: Tensor, s: Tensor) -> Tensor:
        def slope(u: Tensor, y: Tensor) -> Tensor:
            return velocity(y, u.clamp(torch.minimum(t, s), torch.maximum(t, s)))  # trial steps overshoot the span

        ends = torch.stack([t, s])
        land = {"step_t": ends}  # on s itself, for the interpolation beyond it is coarse
        return odeint(slope, x, ends, method="dopri5", rtol=1e-6, atol=1e-6, options=land)[-1]  # type: ignore[no-any-return]

    return jump


def ddim(eta: float = 0.0, fresh: Fresh = torch.randn_like) -> Solver:
    """DDIM (Song et al., 2021, eq. 12): eta = 0 is deterministic, eta = 1 is DDPM's ancestral sampling.

    Args:
        eta: share of fresh noise, in [0, 1].
        fresh: gives the fresh noise.
    """

    def solver(path: Path, denoise: Denoiser, labels: Tensor | None) -> Jump:
        def jump(x: Tensor, t: Tensor, s: Tensor) -> Tensor:
            estimate = denoise(x, t, labels)
            now, then = path.at(t, x), path.at(s, x)
            kept = (now.alpha * then.sigma / (then.alpha * now.sigma)).square()
            up = eta * then.sigma * (1 - kept).clamp(min=0).sqrt()
            mean = then.alpha * estimate.data + (then.sigma.square() - up.square()).clamp(min=0).sqrt() * estimate.noise
            return mean + up * fresh(x) if eta else mean

        return jump

    return solver


def _log_snr(at: Point) -> Tensor:
    """log(alpha / sigma); at the ends of a path rounding may take either a little below 0."""
    return (at.alpha.clamp(min=0) / at.sigma.clamp(min=0)).log()


def dpm_solver_pp(path: Path, denoise: Denoiser, labels: Tensor | None) -> Jump:
    """DPM-Solver++(2M) (Lu et al., 2022, algorithm 2): second order, one evaluation a step, one step of memory."""
    memory: list[tuple[Tensor, Tensor]] = []  # (data estimate, log-SNR step) of the last jump

    def jump(x: Tensor, t: Tensor, s: Tensor) -> Tensor:
        data = denoise(x, t, labels).data
        now, then = path.at(t, x), path.at(s, x)
        h = _log_snr(then) - _log_snr(now)
        guess = data
        if memory and bool(h.isfinite().all()):  # the jump onto sigma = 0 is of first order
            before, last = memory.pop()
            guess = data + h / (2 * last) * (data - before)
        memory[:] = [(data, h)]
        return then.sigma / now.sigma * x - then.alpha * torch.expm1(-h) * guess

    return jump


def euler_maruyama(churn: float = 1.0, fresh: Fresh = torch.randn_like) -> Solver:
    """The reverse SDE with diffusion g^2 = 2 churn sigma, which has the ODE's marginals (Ma et al., 2024, eq. 4).

    With score = -noise / sigma: x_s = x + (s - t) v - churn (t - s) noise + sqrt(2 churn sigma (t - s)) z.

    Args:
        churn: how much noise is removed and put back; 0 is Euler.
        fresh: gives the fresh noise.
    """

    def solver(path: Path, denoise: Denoiser, labels: Tensor | None) -> Jump:
        def jump(x: Tensor, t: Tensor, s: Tensor) -> Tensor:
            estimate = denoise(x, t, labels)
            at, step = path.at(t, x), t - s
            drift = at.velocity(estimate.data, estimate.noise) + churn * estimate.noise
            return x - step * drift + (2 * churn * at.sigma * step).sqrt() * fresh(x)

        return jump

    return solver


def consistency(fresh: Fresh = torch.randn_like) -> Solver:
    """Multistep consistency sampling (Song et al., 2023, algorithm 1): to the data in one leap, then noise anew.

    For denoisers whose data estimate is the end of the ODE's trajectory; one step from noise is the one-step sample.

    Args:
        fresh: gives the fresh noise.
    """

    def solver(path: Path, denoise: Denoiser, labels: Tensor | None) -> Jump:
        def jump(x: Tensor, t: Tensor, s: Tensor) -> Tensor:
            landed = bool((s.float() <= path.span[0]).all())
            noise = torch.zeros_like(x) if landed else fresh(x)
            return path.at(s, x).mix(denoise(x, t, labels).data, noise)

        return jump

    return solver


@dataclass(frozen=True)
class Method:
    """A solver with its properties: order, cost of a step, randomness.

    Attributes:
        make: the solver, from the share of fresh noise in each step and a source of it.
        order: of convergence to the solution of its equation; 0 where steps do not follow one.
        evaluations: of the network in each step; 0 where it takes as many as it needs.
        eta: the share of fresh noise in each step unless told otherwise.
        chosen: whether that share can be chosen.
        landing: whether the step onto the data adds none, so that one step from noise is a function of it.
    """

    make: Callable[[float, Fresh], Solver]
    order: int
    evaluations: int
    eta: float = 0.0
    chosen: bool = False
    landing: bool = False

    @property
    def adaptive(self) -> bool:
        """Whether it chooses its steps while it runs."""
        return not self.evaluations

    def stochastic(self, eta: float | None = None) -> bool:
        """Whether steps add fresh noise, at this share of it or its own."""
        return (self.eta if eta is None else eta) > 0

    def exports(self, steps: int, eta: float | None = None) -> bool:
        """Whether so many steps can be unrolled into a function of the noise they start from alone."""
        return not self.adaptive and (not self.stochastic(eta) or (self.landing and steps == 1))

    def __call__(self, fresh: Fresh, eta: float | None = None) -> Solver:
        """The solver, with a share of fresh noise where one is given."""
        return self.make(self.eta if eta is None else eta, fresh)


def _fixed(solver: Solver, order: int, evaluations: int) -> Method:
    """A method without fresh noise."""
    return Method(lambda eta, fresh: solver, order, evaluations)


SOLVERS: Registry[Method] = Registry(
    "solver",
    lambda part: "" if isinstance(part, Method) else "a latentarena.sample.Method",
    euler=_fixed(euler, 1, 1),
    heun=_fixed(heun, 2, 2),
    midpoint=_fixed(midpoint, 2, 2),
    rk4=_fixed(rk4, 4, 4),
    dopri5=_fixed(dopri5, 5, 0),
    ddim=Method(ddim, 1, 1, chosen=True),
    ddpm=Method(ddim, 1, 1, eta=1.0),
    dpm_solver_pp=_fixed(dpm_solver_pp, 2, 1),
    sde=Method(euler_maruyama, 1, 1, eta=1.0, chosen=True),
    consistency=Method(lambda eta, fresh: consistency(fresh), 0, 1, eta=1.0, landing=True),
)


def _grid(spread: Callable[[Tensor], Tensor]) -> Callable[[Path, int], Tensor]:
    """A time grid from noise to data, (steps + 1,) descending: `spread` maps [0, 1] onto itself, 0 being data."""

    def times(path: Path, steps: int) -> Tensor:
        first, last = path.span
        return first + (last - first) * spread(torch.linspace(1, 0, steps + 1, dtype=torch.float64)).float()

    return times


GRIDS: Registry[Callable[[Path, int], Tensor]] = Registry(
    "time grid",
    function_of("a path", "a number of steps"),
    uniform=_grid(lambda u: u),
    quadratic=_grid(torch.square),  # more steps near the data (Song et al., 2021)
    karras=_grid(
        lambda u: ((u + (1 - u) * 0.002 ** (1 / 7)) ** 7 - 0.002) / (1 - 0.002)
    ),  # rho = 7 (Karras et al., 2022)
    warped=_grid(lambda u: 3 * u / (1 + 2 * u)),  # shift 3: more steps near the noise (Esser et al., 2024)
)


def grid_times(name: str, path: Path, steps: int) -> list[float]:
    """The times of a grid by its name, from noise to data, steps + 1 of them.

    Raises:
        ConfigError: there is no such grid, or somebody's own gives something else.
    """
    times = GRIDS[name](path, steps)
    if not isinstance(times, Tensor) or times.shape != (steps + 1,) or not bool((times.diff() < 0).all()):
        given = times.tolist() if isinstance(times, Tensor) else times
        raise ConfigError(
            f"time grid {name!r} gives {shown(given)} for {steps} steps; a tensor of falling times is wanted"
        )
    return times.tolist()


def last(states: Iterator[Tensor]) -> Tensor:
    """The last of the states, none of the others kept."""
    (final,) = deque(states, maxlen=1)
    return final


def sample(jump: Jump, noise: Tensor, times: Iterable[Tensor]) -> Iterator[Tensor]:
    """Yield x at every time, the noise first and the sample last; each (B, ...)."""
    x = noise
    yield x
    for t, s in pairwise(times):
        x = jump(x, t, s)
        yield x
