"""Laws of the solvers: convergence order, an independent integrator, and the cases that one step solves."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torchdiffeq import odeint

from exact import MEAN, exact_denoiser, exact_flow, normal, point
from fresh_noise import drawn_from
from latentarena.process import PATHS, TARGETS, Denoiser, Estimate, Path, Point, Straight, denoiser, gaussian_correction
from latentarena.randomness import stream
from latentarena.sample import GRIDS, SOLVERS, Solver, ddim, dpm_solver_pp, euler, sample

PATH = Straight()
ORDERS = {"euler": 1, "ddim": 1, "heun": 2, "midpoint": 2, "dpm_solver_pp": 2, "rk4": 4}
STOCHASTIC = {"ddpm", "sde"}
ADAPTIVE = {"dopri5"}
DISTILLED = {"consistency"}  # for denoisers of another kind: its laws are in test_distill.py
DETERMINISTIC = [*ORDERS, *ADAPTIVE]


@cache
def known(name: str) -> Path:
    """A path that remembers what it said about a time: every solver asks for the same ones, over and over."""
    path, said = PATHS[name](), {}
    at = path.at

    def remembered(t: Tensor, like: Tensor) -> Point:
        key = (*t.flatten().tolist(), like.ndim)
        if key not in said:
            said[key] = at(t, like)
        return said[key]

    path.at = remembered
    return path


gaussian = exact_denoiser(PATH)


def made(name: str) -> Solver:
    """A registered solver with its own reproducible fresh noise."""
    return SOLVERS[name](drawn_from(stream("fresh", name)))


def curved(target: str, path: Path = PATH) -> Denoiser:
    """A denoiser with no closed form: a fixed nonlinear network read as `target`."""
    weight = normal(3, 3, key="weight")
    return denoiser(lambda x, t, labels: (x @ weight + 2 * t[:, None]).sin() - x, path, TARGETS[target])


def solve(solver: str, denoise: Denoiser, noise: Tensor, steps: int, path: Path = PATH) -> Tensor:
    """The last state."""
    *_, last = sample(made(solver)(path, denoise, None), noise, GRIDS["uniform"](path, steps).double())
    return last


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("solver", "order"), ORDERS.items())
def test_error_falls_with_the_order_of_the_solver(solver: str, order: int, path: str) -> None:
    """Away from the ends, where every path is smooth; the time grid is uniform."""
    way, x = known(path), normal(64, 3)
    ends = torch.tensor([0.85, 0.3], dtype=torch.float64)
    exact = exact_flow(way, x, *ends)
    steps = (8, 16, 32) if order == 4 else (32, 64, 128)
    errors = []
    for n in steps:
        *_, last = sample(
            made(solver)(way, exact_denoiser(way), None), x, torch.linspace(*ends, n + 1, dtype=torch.float64)
        )
        errors.append(float((last - exact).abs().mean()))
    for coarse, fine in pairwise(errors):
        assert math.log2(coarse / fine) > order - 0.35  # on this Gaussian some cancel an order more


def test_every_solver_has_its_accuracy_tested() -> None:
    assert set(SOLVERS) == {*ORDERS, *STOCHASTIC, *ADAPTIVE, *DISTILLED}


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_solver_knows_what_it_does(solver: str) -> None:
    """Its own facts against what is seen: evaluations of the network in a step, and whether another draw changes it."""
    method, asked = SOLVERS[solver], []

    def counting(x: Tensor, t: Tensor, labels: Tensor | None) -> Estimate:
        asked.append(t)
        return gaussian(x, t, labels)

    ends, x = torch.tensor([0.7, 0.4], dtype=torch.float64), normal(8, 3)
    first, other = (method(drawn_from(stream("fresh", key)))(PATH, counting, None)(x, *ends) for key in "ab")
    assert method.adaptive == (solver in ADAPTIVE)
    assert len(asked) == 2 * method.evaluations or method.adaptive
    assert method.stochastic() == bool((first != other).any())
    assert method.order == ORDERS.get(solver, method.order)


@pytest.mark.parametrize("path", PATHS)
def test_adaptive_solver_keeps_its_tolerance_in_one_step(path: str) -> None:
    way, x = known(path), normal(64, 3)
    ends = torch.tensor([0.9, 0.2], dtype=torch.float64)
    reached = made("dopri5")(way, exact_denoiser(way), None)(x, *ends)
    torch.testing.assert_close(reached, exact_flow(way, x, *ends), atol=1e-5, rtol=0)


class Mixture:
    """Two narrow and one wide Gaussian on a line, on its way along a path: every question has an exact answer."""

    shares = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    centers = torch.tensor([-1.5, 0.4, 1.6], dtype=torch.float64)
    widths = torch.tensor([0.25, 0.2, 0.5], dtype=torch.float64)

    def __init__(self, path: Path) -> None:
        self.path = path

    def parts(self, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Means, variances and chances of the components given x_t, (1, 3), (1, 3) and (N, 3)."""
        alpha, sigma = self.path.alpha(t), self.path.sigma(t)
        means, variances = (alpha * self.centers)[None], (alpha.square() * self.widths.square() + sigma.square())[None]
        chances = (self.shares.log() - variances.log() / 2 - (x - means).square() / (2 * variances)).softmax(1)
        return means, variances, chances

    def denoise(self, x: Tensor, t: Tensor, labels: Tensor | None) -> Estimate:
        """The conditional expectations, from the exact score."""
        alpha, (means, variances, chances) = self.path.alpha(t), self.parts(x, t)
        score = (chances * (means - x) / variances).sum(1, keepdim=True)
        data = (chances * (self.centers + alpha * self.widths.square() / variances * (x - means))).sum(1, True)
        return Estimate(data, -self.path.sigma(t) * score)

    def below(self, x: Tensor, t: Tensor) -> Tensor:
        """The distribution function of x_t, (N, 1)."""
        means, variances, _ = self.parts(x, t)
        return (self.shares * torch.special.ndtr((x - means) / variances.sqrt())).sum(1, keepdim=True)

    def flow(self, x: Tensor, t: Tensor, s: Tensor) -> Tensor:
        """Where the probability flow takes x from t to s: on a line it keeps quantiles."""
        ladder = torch.linspace(-6, 6, 20_001, dtype=torch.float64)[:, None]
        heights, wanted = self.below(ladder, s)[:, 0].contiguous(), self.below(x, t)
        above = torch.searchsorted(heights, wanted).clamp(1, len(ladder) - 1)
        low, high = heights[above - 1], heights[above]
        share = ((wanted - low) / (high - low).clamp(min=1e-300)).clamp(0, 1)
        return torch.lerp(ladder[:, 0][above - 1], ladder[:, 0][above], share)

    def end(self, x: Tensor, t: Tensor, labels: Tensor | None) -> Estimate:
        """What a consistency model is asked for: the data where the trajectory through x_t ends."""
        first = torch.tensor(self.path.span[0], dtype=torch.float64)
        return Estimate(self.flow(x, t, first) / self.path.alpha(first), torch.full_like(x, math.nan))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("solver", SOLVERS)
def test_every_solver_samples_the_mixture_from_its_exact_score(solver: str, path: str) -> None:
    """From where the path starts; the distance of Kolmogorov and Smirnov, below 0.0152 in 19 of 20 exact samples."""
    way, fresh = known(path), stream("mixture")
    first, end = (torch.tensor(t, dtype=torch.float64) for t in way.span)
    mixture, n = Mixture(way), 8_000
    chosen = torch.multinomial(mixture.shares, n, replacement=True, generator=fresh)
    data = mixture.centers[chosen] + mixture.widths[chosen] * torch.randn(n, generator=fresh, dtype=torch.float64)
    noise = torch.randn(n, 1, generator=fresh, dtype=torch.float64)
    x = way.at(end, noise).mix(data[:, None], noise)
    denoise = mixture.end if solver in DISTILLED else mixture.denoise
    steps = 1 if solver in ADAPTIVE else 100 // ORDERS.get(solver, 1)
    reached = solve(solver, denoise, x, steps, way)
    heights = mixture.below(reached.sort(0).values, first)[:, 0]
    assert float((heights - (torch.arange(n) + 0.5) / n).abs().max()) < 0.02


def slope(path: Path, denoise: Denoiser) -> Callable[[Tensor, Tensor], Tensor]:
    """The flow as torchdiffeq takes it: alpha' data + sigma' noise, the derivatives by autograd."""

    def velocity(t: Tensor, x: Tensor) -> Tensor:
        moment = t.detach().clone().requires_grad_()
        rates = [torch.autograd.grad(formula(moment), moment)[0] for formula in (path.alpha, path.sigma)]
        estimate = denoise(x, t, None)
        return rates[0] * estimate.data + rates[1] * estimate.noise

    return velocity


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("solver", "theirs"), [("euler", "euler"), ("midpoint", "midpoint"), ("heun", "heun2")])
def test_fixed_steps_are_those_of_torchdiffeq(solver: str, theirs: str, path: str) -> None:
    way, x = known(path), normal(32, 3)
    denoise, times = curved("v", way), GRIDS["uniform"](way, 8).double()
    *_, found = sample(made(solver)(way, denoise, None), x, times)
    torch.testing.assert_close(found, odeint(slope(way, denoise), x, times, method=theirs)[-1], atol=1e-12, rtol=0)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("solver", ["heun", "midpoint", "rk4", "dpm_solver_pp"])
def test_many_steps_agree_with_torchdiffeqs_adaptive_ones(solver: str, path: str) -> None:
    """On a network with no closed form, away from the ends. Its own rk4 is the other fourth-order rule, of 3/8."""
    way, x = known(path), normal(32, 3)
    denoise, ends = curved("v", way), torch.tensor([0.9, 0.2], dtype=torch.float64)
    expected = odeint(slope(way, denoise), x, ends, rtol=1e-10, atol=1e-12, method="dopri5")[-1]
    *_, found = sample(made(solver)(way, denoise, None), x, torch.linspace(*ends, 65, dtype=torch.float64))
    torch.testing.assert_close(found, expected, atol=1e-6 if solver == "rk4" else 0.01, rtol=0)


@pytest.mark.parametrize("target", ["v", "velocity"])
def test_silent_network_leaves_the_noise_as_it_is(target: str) -> None:
    denoise = denoiser(lambda x, t, labels: torch.zeros_like(x), PATH, gaussian_correction(TARGETS[target]))
    noise = normal(16, 3)
    torch.testing.assert_close(solve("heun", denoise, noise, 256), noise, atol=1e-4, rtol=0)


@pytest.mark.parametrize("target", ["v", "velocity"])
@pytest.mark.parametrize(("t", "s"), [(1.0, 0.0), (1.0, 0.4), (0.7, 0.2)])
def test_euler_on_the_straight_path_is_ddim(target: str, t: float, s: float) -> None:
    x, denoise = normal(8, 3), curved(target)
    here, there = torch.tensor(t, dtype=torch.float64), torch.tensor(s, dtype=torch.float64)
    estimate = denoise(x, here, None)
    expected = (1 - s) * estimate.data + s * estimate.noise  # Song et al., 2021, eq. 12 with eta = 0
    torch.testing.assert_close(euler(PATH, denoise, None)(x, here, there), expected, atol=1e-14, rtol=0)


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_euler_reaches_a_point_mass_in_any_number_of_steps(steps: int) -> None:
    reached = solve("euler", point, normal(32, 2, 2, 2), steps)
    torch.testing.assert_close(reached, torch.full_like(reached, MEAN), atol=1e-14, rtol=0)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("steps", [1, 5])
def test_sample_yields_the_noise_then_a_state_for_each_step(solver: str, steps: int) -> None:
    noise = normal(4, 3)
    kept = noise.clone()
    states = list(sample(made(solver)(PATH, gaussian, None), noise, GRIDS["uniform"](PATH, steps)))
    assert len(states) == steps + 1
    assert states[0] is noise
    assert torch.equal(noise, kept)
    assert {tuple(state.shape) for state in states} == {(4, 3)}


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("steps", [1, 3, 8])
def test_times_run_down_the_whole_span(grid: str, steps: int) -> None:
    path = Straight()
    path.span = (0.125, 0.875)
    times = GRIDS[grid](path, steps)
    assert len(times) == steps + 1
    assert times[0] == 0.875
    assert times[-1] == 0.125
    assert bool((times.diff() < 0).all())


def test_uniform_grid_has_equal_steps() -> None:
    torch.testing.assert_close(GRIDS["uniform"](PATH, 8).diff(), torch.full((8,), -0.125))


@pytest.mark.parametrize("path", ["vp_linear", "vp_cosine", "trigonometric"])
def test_first_dpm_step_is_ddim(path: str) -> None:
    """Without memory DPM-Solver++ is DDIM in exponential form (Lu et al., 2022, section 4)."""
    way, x = PATHS[path](), normal(8, 3)
    t, s = torch.tensor([0.8, 0.5], dtype=torch.float64)
    denoise = exact_denoiser(way)
    torch.testing.assert_close(
        dpm_solver_pp(way, denoise, None)(x, t, s), ddim()(way, denoise, None)(x, t, s), atol=1e-12, rtol=0
    )


@pytest.mark.parametrize("solver", DETERMINISTIC)
def test_labels_reach_the_denoiser(solver: str) -> None:
    def towards_label(x: Tensor, t: Tensor, labels: Tensor | None) -> Estimate:
        assert labels is not None
        data = labels[:, None].double().expand_as(x)
        return Estimate(data, torch.zeros_like(x))

    labels, x = torch.tensor([0, 3]), torch.zeros(2, 2, dtype=torch.float64)
    ends = torch.tensor([1.0, 0.0], dtype=torch.float64)
    reached = made(solver)(PATH, towards_label, labels)(x, *ends)
    torch.testing.assert_close(reached, labels[:, None].double().expand_as(x), atol=1e-6, rtol=0)


class Quarter(Path):
    """A quarter of a circle, as people write it: cos(pi / 2) is a little below 0 in float32."""

    def alpha(self, t: Tensor) -> Tensor:
        return (t * torch.pi / 2).cos()

    def sigma(self, t: Tensor) -> Tensor:
        return (t * torch.pi / 2).sin()


@pytest.mark.parametrize("path", [*(path() for path in PATHS.values()), Quarter()], ids=lambda one: type(one).__name__)
@pytest.mark.parametrize("target", ["velocity", "v"])
@pytest.mark.parametrize("solver", [name for name in SOLVERS if name not in ADAPTIVE])
def test_samples_in_float32_are_finite_from_end_to_end(path: Path, target: str, solver: str) -> None:
    denoise = denoiser(lambda x, t, labels: -x, path, TARGETS[target])
    begin, end = path.span
    times = [torch.tensor(end + (begin - end) * i / 6) for i in range(7)]
    states = list(sample(made(solver)(path, denoise, None), normal(4, 3).float(), times))
    assert all(state.isfinite().all() for state in states)
