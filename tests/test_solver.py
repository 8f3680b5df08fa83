"""Laws of the solvers: convergence order, an independent integrator, and the cases that one step solves."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torchdiffeq import odeint

from latentarena.process import TARGETS, Denoiser, Estimate, Straight, denoiser
from latentarena.randomness import stream
from latentarena.sample import SOLVERS, euler, sample, uniform_times

MEAN, DEVIATION = 1.5, 0.3
PATH = Straight()


def gaussian(x: Tensor, t: Tensor, labels: Tensor | None) -> Estimate:
    """The exact denoiser of data ~ N(MEAN, DEVIATION^2) on the straight path: conditional expectations."""
    rest = (x - (1 - t) * MEAN) / ((1 - t) ** 2 * DEVIATION**2 + t**2)
    return Estimate(MEAN + (1 - t) * DEVIATION**2 * rest, t * rest)


def point(x: Tensor, t: Tensor, labels: Tensor | None) -> Estimate:
    """The exact denoiser of data that is always MEAN."""
    return Estimate(torch.full_like(x, MEAN), (x - (1 - t) * MEAN) / t)


def curved(target: str) -> Denoiser:
    """A denoiser with no closed form: a fixed nonlinear network read as `target`."""
    weight = normal(3, 3, key="weight")
    return denoiser(lambda x, t, labels: (x @ weight + 2 * t[:, None]).sin() - x, PATH, TARGETS[target])


def normal(*shape: int, key: str = "noise") -> Tensor:
    """Standard normal float64 numbers, the same for the same key."""
    return torch.randn(*shape, generator=stream(key), dtype=torch.float64)


def solve(solver: str, denoise: Denoiser, noise: Tensor, steps: int) -> Tensor:
    """The last state."""
    *_, last = sample(SOLVERS[solver](PATH, denoise, None), noise, uniform_times(PATH, steps).double())
    return last


@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("heun", 2)])
def test_error_falls_with_the_order_of_the_solver(solver: str, order: int) -> None:
    noise = normal(64, 3)
    exact = MEAN + DEVIATION * noise  # the flow of a Gaussian keeps quantiles
    errors = [float((solve(solver, gaussian, noise, steps) - exact).abs().mean()) for steps in (64, 128, 256)]
    for coarse, fine in pairwise(errors):
        assert math.log2(coarse / fine) == pytest.approx(order, abs=0.15)


def test_every_solver_has_its_order_tested() -> None:
    assert set(SOLVERS) == {"euler", "heun"}


def reference(denoise: Denoiser, noise: Tensor) -> Tensor:
    """torchdiffeq's Dormand-Prince on dx/dt = noise - data, the straight path's velocity."""

    def slope(t: Tensor, x: Tensor) -> Tensor:
        estimate = denoise(x, t, None)
        return estimate.noise - estimate.data

    ends = torch.tensor([1.0, 0.0], dtype=torch.float64)
    return odeint(slope, noise, ends, rtol=1e-10, atol=1e-12, method="dopri5")[-1]


@pytest.mark.parametrize(
    "make", [lambda: gaussian, lambda: curved("v"), lambda: curved("velocity")], ids=["gaussian", "v", "velocity"]
)
def test_heun_agrees_with_an_adaptive_integrator(make: Callable[[], Denoiser]) -> None:
    noise = normal(16, 3)
    coarse, fine = (solve("heun", make(), noise, steps) for steps in (256, 512))
    extrapolated = (4 * fine - coarse) / 3  # Richardson: removes the error's second-order term
    expected = reference(make(), noise)
    torch.testing.assert_close(fine, expected, atol=2e-4, rtol=0)
    torch.testing.assert_close(extrapolated, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("target", ["v", "velocity"])
def test_silent_network_leaves_the_noise_as_it_is(target: str) -> None:
    denoise = denoiser(lambda x, t, labels: torch.zeros_like(x), PATH, TARGETS[target])
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
    states = list(sample(SOLVERS[solver](PATH, gaussian, None), noise, uniform_times(PATH, steps)))
    assert len(states) == steps + 1
    assert states[0] is noise
    assert torch.equal(noise, kept)
    assert {tuple(state.shape) for state in states} == {(4, 3)}


@pytest.mark.parametrize("steps", [1, 3, 8])
def test_times_run_down_the_span_in_equal_steps(steps: int) -> None:
    path = Straight()
    path.span = (0.125, 0.875)
    times = uniform_times(path, steps)
    assert times[0] == 0.875
    assert times[-1] == 0.125
    torch.testing.assert_close(times.diff(), torch.full((steps,), -0.75 / steps))


@pytest.mark.parametrize("solver", SOLVERS)
def test_labels_reach_the_denoiser(solver: str) -> None:
    def towards_label(x: Tensor, t: Tensor, labels: Tensor | None) -> Estimate:
        assert labels is not None
        data = labels[:, None].double().expand_as(x)
        return Estimate(data, torch.zeros_like(x))

    labels, x = torch.tensor([0, 3]), torch.zeros(2, 2, dtype=torch.float64)
    ends = torch.tensor(1.0), torch.tensor(0.0)
    reached = SOLVERS[solver](PATH, towards_label, labels)(x, *ends)
    assert reached.tolist() == [[0.0, 0.0], [3.0, 3.0]]
