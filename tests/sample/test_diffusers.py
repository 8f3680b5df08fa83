"""Our steps against an independent implementation: the schedulers of diffusers, on the same alphas."""

from __future__ import annotations

import itertools

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
)
from torch import Tensor

from fresh_noise import drawn_from
from latentarena.process import TARGETS, Denoiser, Estimate, LinearBeta, Path, Straight, denoiser
from latentarena.randomness import stream
from latentarena.sample import GRIDS, ddim, dpm_solver_pp, euler

STEPS = 1000  # of the discrete schedule: step k stands for t = (k + 1) / 1000
PATH = LinearBeta()


def normal(*shape: int, key: str) -> Tensor:
    """Standard normal float64 numbers, the same for the same key."""
    return torch.randn(*shape, generator=stream(key), dtype=torch.float64)


def time(k: int) -> Tensor:
    """The time of a discrete step."""
    return torch.tensor((k + 1) / STEPS, dtype=torch.float64)


def betas() -> list[float]:
    """The discrete betas whose running product is our alpha squared."""
    t = torch.arange(1, STEPS + 1, dtype=torch.float64) / STEPS
    bars = torch.cat([torch.ones(1, dtype=torch.float64), PATH.alpha(t).square()])
    return (1 - bars[1:] / bars[:-1]).tolist()


def answer(x: Tensor) -> Tensor:
    """A fixed nonlinear prediction of the target."""
    return (1.7 * x).sin() - 0.3 * x


def reading(target: str, path: Path = PATH) -> Denoiser:
    """That prediction as a denoiser."""
    return denoiser(lambda x, t, labels: answer(x), path, TARGETS[target])


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(("target", "theirs"), [("noise", "epsilon"), ("v", "v_prediction"), ("data", "sample")])
@pytest.mark.parametrize(("k", "gap"), [(999, 20), (500, 50), (59, 20)])
def test_ddim_step(eta: float, target: str, theirs: str, k: int, gap: int) -> None:
    scheduler = DDIMScheduler(STEPS, trained_betas=betas(), prediction_type=theirs, clip_sample=False)
    scheduler.set_timesteps(STEPS // gap)
    x = normal(4, 3, key="x")
    fresh = torch.randn(x.shape, generator=stream("fresh"), dtype=x.dtype)
    expected = scheduler.step(answer(x), k, x, eta=eta, variance_noise=fresh if eta else None).prev_sample
    found = ddim(eta, drawn_from(stream("fresh")))(PATH, reading(target), None)(x, time(k), time(k - gap))
    torch.testing.assert_close(found, expected.to(x), atol=2e-5, rtol=1e-4)  # theirs keeps alphas in float32


@pytest.mark.parametrize("k", [999, 400, 30])
def test_ancestral_step_is_ddpm(k: int) -> None:
    scheduler = DDPMScheduler(STEPS, trained_betas=betas(), variance_type="fixed_small", clip_sample=False)
    x = normal(4, 3, key="x")
    expected = scheduler.step(answer(x), k, x, generator=stream("fresh")).prev_sample
    found = ddim(1.0, drawn_from(stream("fresh")))(PATH, reading("noise"), None)(x, time(k), time(k - 1))
    torch.testing.assert_close(found, expected.to(x), atol=1e-4, rtol=1e-3)


def test_dpm_solver_walk() -> None:
    scheduler = DPMSolverMultistepScheduler(
        STEPS, trained_betas=betas(), solver_order=2, algorithm_type="dpmsolver++", lower_order_final=False
    )
    scheduler.set_timesteps(20)
    x = start = normal(4, 3, key="x")
    steps = [int(k) for k in scheduler.timesteps]
    for k in steps[:-1]:  # the last one leaves the schedule
        x = scheduler.step(answer(x), k, x).prev_sample
    jump, found = dpm_solver_pp(PATH, reading("noise"), None), start
    for k, after in itertools.pairwise(steps):
        found = jump(found, time(k), time(after))
    torch.testing.assert_close(found, x.to(found), atol=1e-3, rtol=1e-3)


def test_euler_walk_of_rectified_flow() -> None:
    scheduler = FlowMatchEulerDiscreteScheduler(STEPS)
    scheduler.set_timesteps(12)
    x = found = normal(4, 3, key="x")
    jump = euler(Straight(), reading("velocity", Straight()), None)
    for i, k in enumerate(scheduler.timesteps):
        x = scheduler.step(answer(x), k, x).prev_sample
        found = jump(found, *scheduler.sigmas[i : i + 2].double())
    torch.testing.assert_close(found, x.to(found), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("steps", [4, 12])
def test_warped_times_are_those_of_a_shift_of_three(steps: int) -> None:
    scheduler = FlowMatchEulerDiscreteScheduler(STEPS, shift=3.0)
    sigmas = torch.linspace(1, 0, steps + 1)
    scheduler.set_timesteps(sigmas=sigmas[:-1].tolist())
    torch.testing.assert_close(GRIDS["warped"](Straight(), steps), scheduler.sigmas, atol=1e-6, rtol=0)


@pytest.mark.parametrize("steps", [4, 12])
def test_karras_times_are_theirs_moved_onto_the_whole_span(steps: int) -> None:
    """Their noise levels run from the largest down to 0.002 of it, ours on to 0."""
    levels = EulerDiscreteScheduler(STEPS)._convert_to_karras(torch.tensor([1.0, 0.002]), steps + 1)
    expected = (torch.as_tensor(levels).float() - 0.002) / (1 - 0.002)
    torch.testing.assert_close(GRIDS["karras"](Straight(), steps), expected, atol=1e-6, rtol=0)


def test_quadratic_times_are_the_squares_of_uniform_ones() -> None:
    """tau_i = c i^2 (Song et al., 2021, appendix D.2)."""
    torch.testing.assert_close(GRIDS["quadratic"](Straight(), 4), torch.tensor([16, 9, 4, 1, 0]) / 16)


def test_estimates_agree_with_the_formulas_of_ddpm() -> None:
    """x_0 = (x - sqrt(1 - bar) eps) / sqrt(bar) (Ho et al., 2020, eq. 15)."""
    x, t = normal(4, 3, key="x"), time(600)
    bar = PATH.alpha(t).square()
    estimate: Estimate = reading("noise")(x, t, None)
    torch.testing.assert_close(estimate.data, (x - (1 - bar).sqrt() * answer(x)) / bar.sqrt(), atol=1e-10, rtol=0)
