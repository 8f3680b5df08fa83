"""The pieces alone: any network of (x, t, labels), plain predictions, any shape, names or objects."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import latentarena as la
from latentarena.process import COUPLINGS, PATHS, TARGETS, TIMES, WEIGHTINGS
from latentarena.randomness import stream
from latentarena.sample import SOLVERS, autoguidance, heun

MEAN, DEVIATION = 1.5, 0.3
PAIRS = list(product(PATHS, TARGETS))


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=stream("noise", *shape))


def plain(path: str, target: str) -> Callable[[Tensor, Tensor, Tensor | None], Tensor]:
    """What a perfect plain network says of data ~ N(MEAN, DEVIATION^2): the target's conditional expectation."""

    def network(x: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
        at = PATHS[path]().at(t, x)
        p, q = TARGETS[target](at)
        variance = (at.alpha * DEVIATION) ** 2 + at.sigma**2
        off = (x - at.alpha * MEAN) / variance
        return p * (MEAN + at.alpha * DEVIATION**2 * off) + q * at.sigma * off

    return network


@pytest.mark.parametrize(("path", "target"), PAIRS)
@pytest.mark.parametrize("shape", [(2,), (1, 4, 4)], ids=str)
def test_a_plain_network_samples_the_data_as_it_is(path: str, target: str, shape: tuple[int, ...]) -> None:
    noise = normal(500, *shape)
    samples = la.Process(path, target).sample(plain(path, target), noise, steps=64)
    torch.testing.assert_close(samples, MEAN + DEVIATION * noise, atol=0.1, rtol=0)


@pytest.mark.parametrize(("path", "target"), PAIRS)
def test_no_network_loses_less_than_the_perfect_one(path: str, target: str) -> None:
    process, data = la.Process(path, target), MEAN + DEVIATION * normal(20_000, 2)
    network = plain(path, target)

    def loss(off: float) -> float:
        return float(process.loss(lambda *a: network(*a) + off, data, generator=stream("loss")))

    assert loss(0) < min(loss(-0.3), loss(0.3))


@pytest.mark.parametrize("solver", [name for name, method in SOLVERS.items() if method.order])
def test_every_solver_by_its_name(solver: str) -> None:
    noise, network = normal(2000, 2), plain("vp_linear", "noise")
    samples = la.Process("vp_linear", "noise").sample(network, noise, steps=64, solver=solver)
    assert abs(float(samples.mean()) - MEAN) < 0.1
    assert abs(float(samples.std()) - DEVIATION) < 0.1


def test_an_end_where_a_plain_target_leaves_the_other_part_open_is_left_out() -> None:
    spans = {target: la.Process("straight", target).grid("uniform", 2) for target in TARGETS}
    assert spans["velocity"] == spans["v"] == [1, 0.5, 0]
    assert spans["noise"] == pytest.approx([0.995, 0.4975, 0])
    assert spans["data"] == pytest.approx([1, 0.5005, 0.001])


def test_another_shape_than_that_of_x_is_refused_and_not_broadcast() -> None:
    process, data = la.Process(), normal(4, 3)
    for ask in (process.loss, process.sample):
        with pytest.raises(la.ArenaError, match=r"gives \[4, 1\] for x of \[4, 3\]"):
            ask(lambda x, t, labels: x[:, :1], data)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda x: x.mean(0, keepdim=True), r"gives \[1, 3\] for x of \[4, 3\]"),  # one row would be every row's
        (lambda x: (x, None), "gives a tuple and has to give a float tensor"),
        (lambda x: {"sample": x}, "gives a dict and"),
        (lambda x: x.numpy(), "gives a ndarray and"),
        (lambda x: x.long(), r"gives numbers of type torch.int64 and"),
        (lambda x: x.to(torch.complex64), r"gives numbers of type torch.complex64 and"),
    ],
)
def test_what_is_no_answer_is_one_line(answer: Callable[[Tensor], object], says: str) -> None:
    for ask in (la.Process().loss, la.Process().sample):
        with pytest.raises(la.ArenaError, match=says):
            ask(lambda x, t, labels: answer(x), normal(4, 3))


@pytest.mark.parametrize("solver", [name for name, method in SOLVERS.items() if method.order])
def test_a_network_may_work_in_place(solver: str) -> None:
    """As one that begins with `nn.ReLU(inplace=True)` does: neither the state nor the caller's noise are touched."""
    noise, labels, plainly = normal(50, 2), torch.zeros(50, dtype=torch.int64), plain("vp_cosine", "v")
    before = noise.clone()

    def in_place(x: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
        answer = plainly(x, t, labels)
        x.mul_(0)
        t.mul_(1000)
        return answer

    process = la.Process("vp_cosine", "v")
    found, expected = (
        process.sample(network, noise, labels, steps=4, solver=solver, guidance=2.0) for network in (in_place, plainly)
    )
    assert torch.equal(found, expected)
    assert torch.equal(noise, before)


@pytest.mark.parametrize("solver", ["heun", "dopri5", "ddim", "dpm_solver_pp"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_precisions_are_those_of_the_network_alone(dtype: torch.dtype, solver: str) -> None:
    """It is asked in its type; states are float32 at least, or bfloat16 would run out of times at 256 steps."""
    asked: set[torch.dtype] = set()

    def network(x: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
        asked.update((x.dtype, t.dtype))
        return plain("straight", "velocity")(x.float(), t.float(), labels).to(dtype)

    process, noise = la.Process(), normal(100, 2).to(dtype)
    steps = 2 if solver == "dopri5" else 300
    found = process.sample(network, noise, steps=steps, solver=solver)
    assert (found.dtype, asked) == (dtype, {dtype})
    exact = process.sample(plain("straight", "velocity"), noise.float(), steps=steps, solver=solver)
    torch.testing.assert_close(found.float(), exact, atol=0.05, rtol=0)
    losses = [
        float(process.loss(one, data, generator=stream("loss")))
        for one, data in ((network, noise), (plain("straight", "velocity"), noise.float()))
    ]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)
    assert asked == {dtype}


def test_a_guide_asks_its_own_network_in_the_type_of_its_weights() -> None:
    class Shrink(nn.Module):
        def __init__(self, dtype: torch.dtype) -> None:
            super().__init__()
            self.by = nn.Parameter(torch.full((2, 2), 0.25, dtype=dtype))

        def forward(self, x: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
            return x @ self.by

    process, found = la.Process(), []
    for dtype in (torch.float32, torch.bfloat16, torch.float64):
        guide = autoguidance(process.denoiser(Shrink(dtype)), 2.0)
        noise = normal(100, 2).to(dtype)
        found.append(process.sample(Shrink(dtype), noise, steps=8, guidance=guide).float())
    torch.testing.assert_close(found[1], found[0], atol=0.1, rtol=0)
    torch.testing.assert_close(found[2], found[0])


def test_data_may_be_plain_numbers() -> None:
    """Rows of no dimension: optimal transport of numbers joins them in their order (Villani, 2003)."""
    data, noise = normal(64), normal(65)[1:]
    ordered = COUPLINGS["optimal_transport"](data, noise)
    assert torch.equal(ordered[data.argsort()], noise.sort().values)
    assert la.Process(coupling="optimal_transport").loss(lambda x, t, labels: x, data).isfinite()


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        (
            {"coupling": lambda data, noise: noise[:1]},
            r"the coupling gives \[1, 3\] for a batch of 4; a tensor \[4, 3\]",
        ),
        ({"coupling": lambda data, noise: (data, noise)}, "the coupling gives a tuple"),
        (
            {"coupling": lambda data, noise: noise * 3},
            r"the coupling gives other numbers than the noise .*noise\[order\]",
        ),
        (
            {"times": lambda draws, n: 2 + draws.uniform(n)},
            r"times gives times from 2\.\d+ to 2\.\d+; times in \[0, 1\]",
        ),
        ({"times": lambda draws, n: draws.uniform(n, 1)}, r"times gives \[4, 1\] for a batch of 4; a tensor \[4\]"),
        ({"weighting": lambda at, row: at.alpha.flatten()}, r"weighting gives \[4\]; .* such as \[4, 1\]"),
    ],
)
def test_what_parts_of_ones_own_give_is_not_broadcast(parts: dict[str, Any], says: str) -> None:
    with pytest.raises(la.ArenaError, match=says):
        la.Process(**parts).loss(lambda x, t, labels: x, normal(4, 3))


@pytest.mark.parametrize(
    ("rows", "labels", "says"),
    [
        (normal(4, 3).numpy(), None, "= a ndarray: give a tensor"),
        (normal(4, 3).long(), None, "= numbers of type int64: give float numbers"),
        (torch.zeros(4, 3, dtype=torch.complex64), None, "= numbers of type complex64: .* torch.view_as_real"),
        (normal(0, 3), None, r"= a tensor \[0, 3\]: give rows"),
        (torch.zeros(()), None, r"= a tensor \[\]: give rows"),
        (normal(4, 3), torch.arange(3), r"labels = \[3\]: give a tensor with one for each of 4 rows"),
        (normal(4, 3), [1, 2, 3, 4], "labels = a list: give a tensor"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_rows_that_are_none_are_refused(rows: Any, labels: Any, says: str) -> None:
    for ask in (la.Process().loss, la.Process().sample):
        with pytest.raises(la.ArenaError, match=says):
            ask(lambda x, t, labels: x, rows, labels)


def test_noise_of_another_shape_than_the_data_is_refused() -> None:
    with pytest.raises(la.ArenaError, match=r"noise is \[1, 3\] and data are \[4, 3\]"):
        la.Process().loss(lambda x, t, labels: x, normal(4, 3), noise=normal(1, 3))


def test_names_are_the_objects_they_stand_for() -> None:
    network, data, noise = plain("vp_cosine", "v"), normal(64, 3), normal(8, 3)
    names = la.Process("vp_cosine", "v", "none", "optimal_transport", "logit_normal", "min_snr")
    parts = (COUPLINGS["optimal_transport"], TIMES["logit_normal"], WEIGHTINGS["min_snr"])
    objects = la.Process(PATHS["vp_cosine"](), TARGETS["v"], "none", *parts)
    one, other = (process.loss(network, data, generator=stream("one")) for process in (names, objects))
    assert torch.equal(one, other)
    assert torch.equal(names.sample(network, noise), objects.sample(network, noise, solver=heun))


class Reversed(la.Path):
    """The convention of the papers on flow matching: noise at t = 0."""

    def alpha(self, t: Tensor) -> Tensor:
        return t

    def sigma(self, t: Tensor) -> Tensor:
        return 1 - t


class Exploding(la.Path):
    def alpha(self, t: Tensor) -> Tensor:
        return torch.ones_like(t)

    def sigma(self, t: Tensor) -> Tensor:
        return 80 * t


class Plain(la.Path):
    def alpha(self, t: Tensor) -> Tensor:
        return 1.0  # type: ignore[return-value]

    def sigma(self, t: Tensor) -> Tensor:
        return t


@pytest.mark.parametrize(
    ("path", "says"),
    [
        (Reversed, r"path Reversed: alpha and sigma are 0 and 1 at t = 0, 1 and 0 at t = 1; .* put 1 - t in"),
        (Exploding, r"path Exploding: alpha and sigma are 1 and 0 at t = 0, 1 and 80 at t = 1"),
        (Plain, r"path Plain: alpha gives a float for t of \[2\]; give a tensor"),
    ],
)
def test_a_path_that_does_not_lead_from_data_to_unit_noise_is_refused(path: type[la.Path], says: str) -> None:
    with pytest.raises(la.ArenaError, match=says):
        la.Process(path=path(), target="data")


def test_a_path_of_ones_own() -> None:
    class Squared(la.Path):
        def alpha(self, t: Tensor) -> Tensor:
            return 1 - t.square()

        def sigma(self, t: Tensor) -> Tensor:
            return t

    process = la.Process(Squared())
    estimate = process.denoiser(lambda x, t, labels: torch.full_like(x, 2.0))(normal(3, 2), torch.tensor(0.5), None)
    velocity = Squared().at(torch.tensor(0.5), normal(3, 2)).velocity(estimate.data, estimate.noise)
    torch.testing.assert_close(velocity, torch.full((3, 2), 2.0))


@pytest.mark.parametrize("solver", ["heun", "ddim"])
def test_a_network_is_asked_in_evaluation_mode_and_left_as_it_was(solver: str) -> None:
    class Noisy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 2))

        def forward(self, x: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
            return self.inner(x)  # type: ignore[no-any-return]

    network, process, noise = Noisy().float(), la.Process(), normal(8, 2).float()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    samples = process.sample(network, noise, steps=3, solver=solver)
    torch.testing.assert_close(process.sample(network, noise[:1], steps=3, solver=solver), samples[:1])
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    states = process.trajectory(network, noise, steps=3, solver=solver)
    next(states)
    assert network.training  # also while a trajectory is looked at, whose network may be trained on
    assert all(part.training for part in network.modules())


def test_the_correction_is_what_recipes_have() -> None:
    """A network of zeros: with it the noise is left as it is, without it the velocity is zero, and so is the loss."""
    noise = normal(16, 2)

    def zeros(x: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
        return torch.zeros_like(x)

    corrected = la.Process(correction="gaussian").sample(zeros, noise, steps=256)
    torch.testing.assert_close(corrected, noise, atol=1e-3, rtol=0)
    assert torch.equal(la.Process().sample(zeros, noise), noise)
    data, drawn = normal(64, 2), noise.repeat(4, 1)
    loss = la.Process().loss(zeros, data, noise=drawn, generator=stream("t"))
    torch.testing.assert_close(loss, (drawn - data).square().mean())


def test_guidance_of_any_network() -> None:
    def network(x: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
        return torch.zeros_like(x) if labels is None else labels[:, None].float().expand_as(x)

    noise, labels, process = normal(4, 2), torch.arange(4), la.Process()
    plainly, guided = (process.sample(network, noise, labels, guidance=g, solver="euler") for g in (1.0, 3.0))
    torch.testing.assert_close(guided - noise, 3 * (plainly - noise))
    weaker = process.denoiser(lambda x, t, labels: torch.zeros_like(x))
    torch.testing.assert_close(process.sample(network, noise, labels, guidance=autoguidance(weaker, 3.0)), guided)
    with pytest.raises(la.ArenaError, match=r"^guidance = 3.0: .* needs labels"):
        process.sample(network, noise, guidance=3.0)


def test_random_numbers_follow_from_the_generator_or_the_global_one() -> None:
    network, data, process = plain("straight", "velocity"), normal(64, 2), la.Process()

    def loss(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return process.loss(network, data)

    with torch.random.fork_rng():
        assert torch.equal(loss(1), loss(1))
        assert not torch.equal(loss(1), loss(2))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"path": "bent"}, "path 'bent' is unknown; choose from straight"),
        ({"target": "flow"}, "target 'flow' is unknown; choose from data"),
        ({"path": "strait"}, "path 'strait' is unknown; did you mean 'straight'"),
        ({"target": lambda at: (at.alpha**0, at.alpha**0)}, "target 'this' on path Straight is singular at t = 0.50"),
        ({"coupling": "none"}, "coupling 'none' is unknown"),
        ({"times": "none"}, "times 'none' is unknown"),
        ({"weighting": "some"}, "weighting 'some' is unknown"),
        ({"correction": "some"}, "correction 'some' is unknown"),
        ({"correction": None}, "correction None is unknown"),
        ({"path": la.Path}, "path = <class .*> is no path; make one: Path()"),
        ({"path": None}, "path = None is no path; give a name, or a la.Path"),
        ({"target": lambda at: at.alpha}, r"a target gives a Tensor; give the row \(p, q\)"),
        ({"coupling": None}, "coupling = None: give a name, or a function"),
    ],
)
def test_what_there_is_not_is_refused_when_it_is_made(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(la.ArenaError, match=says):
        la.Process(**wrong)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"solver": "rk5"}, "rk5"),
        ({"solver": None}, "solver = None: give a name, or a function"),
        ({"grid": "fine"}, "fine"),
        ({"grid": None}, "grid = None: give the name of one: uniform"),
        ({"grid": [1, 0.5, 0]}, r"grid = \[1, 0.5, 0\]: give the name of one"),
        ({"steps": 0}, "steps = 0"),
        ({"steps": 1.5}, "steps = 1.5: take a whole number"),
        ({"steps": "8"}, "steps = '8': take a whole number"),
        ({"eta": 0.5}, "eta = 0.5"),
        ({"solver": "sde", "eta": -1.0}, r"eta = -1.0: a share of fresh noise is in \[0, 1\]"),
        ({"guidance": "2"}, "guidance = '2': give a finite number"),
        ({"guidance": float("nan")}, "guidance = nan: give a finite number"),
    ],
)
def test_impossible_sampling_is_one_line(wrong: dict[str, object], says: str) -> None:
    with pytest.raises(la.ArenaError, match=says) as refusal:
        la.Process().sample(plain("straight", "velocity"), normal(2, 2), **wrong)
    assert "\n" not in str(refusal.value)


def test_two_moons_in_few_steps(tmp_path: Path) -> None:
    example = Path(__file__).parents[2] / "examples" / "two_moons.py"
    environment = os.environ | {"MPLBACKEND": "agg"}
    subprocess.run([sys.executable, example, "0.1"], cwd=tmp_path, env=environment, check=True, capture_output=True)
    assert (tmp_path / "two-moons.png").stat().st_size > 10_000
    assert sum(bool(line.strip()) for line in example.read_text().splitlines()) <= 30
