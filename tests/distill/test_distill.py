"""Laws of few-step generators: closed forms of Gaussian data, fixed points, and one step that beats the flow's own."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.func import jvp
from torch.nn.attention import SDPBackend, sdpa_kernel

from backbones import CLASSES, perturbed
from exact import DEVIATION, MEAN, exact_denoiser, exact_flow, normal, point
from fresh_noise import drawn_from
from latentarena.backbone import BackboneConfig, ConvNetConfig, DiTConfig, MLPConfig, UNetConfig
from latentarena.backbone.conditioning import Conditioning
from latentarena.distill import (
    average_correction,
    average_velocity,
    consistency_loss,
    meanflow_jump,
    meanflow_loss,
    straightness,
)
from latentarena.distill.batch import timewise
from latentarena.process import (
    CORRECTIONS,
    PATHS,
    TARGETS,
    TIMES,
    Denoiser,
    Estimate,
    Network,
    Path,
    Straight,
    denoiser,
    gaussian_correction,
    matching_loss,
)
from latentarena.randomness import Draws, stream
from latentarena.sample import GRIDS, SOLVERS, Jump, Solver, consistency, euler, heun, last, sample

STRAIGHT = Straight()
BACKBONES: list[tuple[BackboneConfig, tuple[int, ...]]] = [
    (MLPConfig(width=8, depth=2, conditioning=8), (5,)),
    (ConvNetConfig(width=8, depth=2, conditioning=8), (1, 6, 6)),
    (UNetConfig(widths=(8, 12), blocks=(1, 1), attention=(1,), conditioning=8), (1, 6, 6)),
    (UNetConfig(widths=(8, 12), blocks=(1, 1), attention=(1,), condition="cross-attention", conditioning=8), (1, 6, 6)),
    (DiTConfig(width=8, depth=2, conditioning=8), (1, 6, 6)),
    (DiTConfig(width=8, depth=2, condition="input-channel", conditioning=8), (1, 6, 6)),
]
each_path = pytest.mark.parametrize("path", [PATHS[name]() for name in PATHS], ids=list(PATHS))
each_backbone = pytest.mark.parametrize(
    ("config", "latent"), BACKBONES, ids=[f"{c.kind}-{getattr(c, 'condition', 'adaln')}" for c, _ in BACKBONES]
)


def spread(path: Path, t: Tensor, deviation: float = DEVIATION) -> Tensor:
    """Standard deviation of x_t for data of this deviation."""
    return (path.alpha(t).square() * deviation**2 + path.sigma(t).square()).sqrt()


def exact_end(path: Path, to: float) -> Denoiser:
    """The exact consistency function: the data at the end of the trajectory, which is at time `to`."""

    def denoise(x: Tensor, t: Tensor, labels: Tensor | None) -> Estimate:
        end = torch.tensor(to, dtype=x.dtype)
        return Estimate(exact_flow(path, x, t, end) / path.alpha(end), torch.full_like(x, torch.nan))

    return denoise


def exact_correction(x: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
    """What a perfect network of two times adds on the straight path, also where s = t; `slope` is (R_t - R_s) / R_t."""
    t, s = t[:, :1], t[:, 1:]

    def slope(deviation: float) -> Tensor:
        ends = spread(STRAIGHT, t, deviation), spread(STRAIGHT, s, deviation)
        return (deviation**2 * (t + s - 2) + t + s) / (sum(ends) * ends[0])

    return (x - (1 - t) * MEAN) * slope(DEVIATION) - MEAN - x * slope(1.0)


exact_average = average_correction(exact_correction, STRAIGHT)


# Two times


@each_backbone
def test_one_time_and_two_differ_in_the_time_layer_alone(config: BackboneConfig, latent: tuple[int, ...]) -> None:
    one, two = (config.build(latent, CLASSES, times).state_dict() for times in (1, 2))
    assert one.keys() == two.keys()
    assert [name.rsplit(".", 2)[1:] for name in one if one[name].shape != two[name].shape] == [["time", "weight"]]


def test_one_time_is_told_as_before() -> None:
    layer, t = Conditioning(8, None), torch.linspace(0, 1, 5)
    waves = t[:, None] * layer.get_buffer("frequencies")
    expected = nn.functional.silu(layer.time(torch.cat([waves.cos(), waves.sin()], 1)))
    assert torch.equal(layer(t, None), expected)
    assert layer.state_dict().keys() == {"time.weight", "time.bias"}


@each_backbone
def test_two_times_matter_each(config: BackboneConfig, latent: tuple[int, ...]) -> None:
    network = perturbed(config.build(latent, CLASSES, times=2))
    x, times = torch.randn(4, *latent, generator=stream("x")), torch.tensor([0.6, 0.3]).expand(4, 2)
    labels = torch.arange(4) % CLASSES
    out = network(x, times, labels)
    assert out.shape == x.shape
    for change in ([0.1, 0], [0, 0.1], [0.1, 0.1]):
        moved = network(x, times + torch.tensor(change), labels) - out
        assert float(moved.flatten(1).abs().amax(1).min()) > 1e-3


@each_backbone
def test_weights_of_a_flow_make_an_average_velocity_of_no_duration(
    config: BackboneConfig, latent: tuple[int, ...]
) -> None:
    """With the flow's weights in front, u(x, t, t) is the flow's velocity: a warm start."""
    flow = perturbed(config.build(latent, CLASSES))
    student = config.build(latent, CLASSES, times=2)
    weights = {
        name: torch.cat([tensor, torch.zeros_like(tensor)], 1) if name.endswith("time.weight") else tensor
        for name, tensor in flow.state_dict().items()
    }
    student.load_state_dict(weights)
    x, t, labels = torch.randn(4, *latent, generator=stream("x")), torch.rand(4), torch.arange(4) % CLASSES
    for name, whole in (("none", student), ("gaussian", average_correction(student, STRAIGHT))):
        estimate = denoiser(flow, STRAIGHT, CORRECTIONS[name](TARGETS["velocity"]))(x, t, labels)
        u = average_velocity(whole)(x, t, t, labels)
        torch.testing.assert_close(u, estimate.noise - estimate.data, atol=1e-4, rtol=1e-4)


@each_backbone
def test_derivative_along_both_times_is_that_of_small_steps(config: BackboneConfig, latent: tuple[int, ...]) -> None:
    network = perturbed(config.build(latent, None, times=2)).double()
    x, v = normal(2, *latent, key="x"), normal(2, *latent, key="v")
    t, s, one = torch.tensor([0.9, 0.5]).double(), torch.tensor([0.2, 0.5]).double(), torch.ones(2).double()
    u = average_velocity(average_correction(network, STRAIGHT))
    with sdpa_kernel(SDPBackend.MATH):
        derivative = jvp(lambda x, t, s: u(x, t, s, None), (x, t, s), (v, one, torch.zeros_like(s)))[1]
    ahead, behind = (u(x + h * v, t + h, s, None) for h in (1e-5, -1e-5))
    torch.testing.assert_close(derivative, (ahead - behind) / 2e-5, atol=1e-5, rtol=1e-4)


# MeanFlow


@each_path
@pytest.mark.parametrize(("share_t", "share_s"), [(1.0, 0.0), (0.7, 0.2), (0.5, 0.45)])
def test_exact_average_velocity_is_the_flow_in_one_step(path: Path, share_t: float, share_s: float) -> None:
    first, end = path.span
    t, s = (torch.tensor(first + (end - first) * share, dtype=torch.float64) for share in (share_t, share_s))
    x = normal(16, 3)
    arrived = exact_flow(path, x, t, s)
    of_unit_gaussian = x * spread(path, s, 1.0) / spread(path, t, 1.0)
    silent, exact = torch.zeros_like(x), (of_unit_gaussian - arrived) / (t - s)
    for correction, expected in ((silent, of_unit_gaussian), (exact, arrived)):
        jump = meanflow_jump(average_correction(lambda x, times, labels, out=correction: out, path), None)
        torch.testing.assert_close(jump(x, t, s), expected, atol=1e-10, rtol=0)


def test_several_steps_arrive_where_one_does() -> None:
    noise = normal(16, 1)
    jump = meanflow_jump(exact_average, None)
    for steps in (1, 2, 5):
        arrived = last(sample(jump, noise, GRIDS["uniform"](STRAIGHT, steps).double()))
        torch.testing.assert_close(arrived, MEAN + DEVIATION * noise, atol=1e-6, rtol=0)


@each_path
def test_average_over_no_time_is_the_velocity(path: Path) -> None:
    t, x = torch.linspace(*path.span, 9, dtype=torch.float64), normal(9, 2)

    def silent(x: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
        return torch.zeros_like(x)

    estimate = denoiser(silent, path, gaussian_correction(TARGETS["v"]))(x, t, None)
    velocity = path.at(t, x).velocity(estimate.data, estimate.noise)
    torch.testing.assert_close(average_velocity(average_correction(silent, path))(x, t, t, None), velocity)


def test_average_velocity_obeys_the_meanflow_identity() -> None:
    """u = v - (t - s) du/dt along the flow, with v the marginal velocity (Geng et al., 2025, eq. 6)."""
    t, s = (torch.rand(2, 64, generator=stream("times"), dtype=torch.float64)).sort(0, descending=True).values
    x = normal(64, 1)
    estimate = exact_denoiser(STRAIGHT)(x, t, None)
    v = estimate.noise - estimate.data
    u = average_velocity(exact_average)
    value, change = jvp(lambda x, t, s: u(x, t, s, None), (x, t, s), (v, torch.ones_like(t), torch.zeros_like(s)))[:2]
    torch.testing.assert_close(value, v - (t - s)[:, None] * change, atol=1e-10, rtol=0)


def slopes(network: Network, apart: float, power: float) -> Tensor:
    """Derivatives of the loss by what is added to the network's output: a * 1 + b * x + c * (t - s)."""
    added = torch.zeros(3, dtype=torch.float64, requires_grad=True)

    def more(x: Tensor, times: Tensor, labels: Tensor | None) -> Tensor:
        gap = times[:, :1] - times[:, 1:]
        return network(x, times, labels) + added[0] + added[1] * x + added[2] * gap

    data, draws = MEAN + DEVIATION * normal(200_000, 1, key="data"), Draws(stream("draws"))
    meanflow_loss(more, STRAIGHT, TIMES["uniform"], data, None, draws, apart, power).backward()
    assert added.grad is not None
    return added.grad


@pytest.mark.parametrize("apart", [0.0, 0.25, 1.0])
def test_exact_average_velocity_is_where_the_loss_has_no_slope(apart: float) -> None:
    def instantaneous(x: Tensor, times: Tensor, labels: Tensor | None) -> Tensor:
        return exact_correction(x, times[:, :1].expand(-1, 2), labels)

    assert float(slopes(exact_average, apart, 0.0).abs().max()) < 0.02
    wrong = float(slopes(average_correction(instantaneous, STRAIGHT), apart, 0.0).abs().max())
    assert wrong < 0.02 if apart == 0 else wrong > 0.2 * apart


@pytest.mark.parametrize("power", [0.5, 1.0])
def test_adaptive_weight_is_a_power_of_each_error(power: float) -> None:
    """A sample of squared error e counts e / (e + 1e-3)^power (Geng et al., 2025, section 4.3)."""

    def loss(power: float, number: int) -> float:
        draws, data = Draws(stream("draws", number)), torch.full((1, 2), 0.1)
        return float(meanflow_loss(exact_average, STRAIGHT, TIMES["uniform"], data, None, draws, 0.5, power))

    for number in range(20):
        error = loss(0.0, number)
        assert loss(power, number) == pytest.approx(error / (error + 1e-3) ** power, rel=1e-4)


@each_backbone
def test_every_weight_learns_from_the_meanflow_loss(config: BackboneConfig, latent: tuple[int, ...]) -> None:
    network = perturbed(config.build(latent, CLASSES, times=2)).requires_grad_(True)
    data, labels = torch.randn(8, *latent, generator=stream("data")), torch.arange(8) % (CLASSES + 1)
    draws = Draws(stream("draws"))
    meanflow_loss(
        average_correction(network, STRAIGHT), STRAIGHT, TIMES["uniform"], data, labels, draws, apart=0.5
    ).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not bool(p.grad.any())] == []


# Consistency


@pytest.mark.parametrize("target", ["v", "velocity"])
@pytest.mark.parametrize("path", ["straight", "trigonometric"])
def test_without_noise_the_estimate_is_the_data_whatever_the_network_says(path: str, target: str) -> None:
    way, x = PATHS[path](), normal(16, 3)
    estimate = denoiser(lambda x, t, labels: 10 * normal(16, 3, key="out"), way, TARGETS[target])
    torch.testing.assert_close(estimate(x, torch.zeros(16).double(), None).data, x)


@pytest.mark.parametrize("solver", ["euler", "heun", "midpoint", "rk4", "ddim"])
@each_path
def test_samples_with_times_of_their_own_jump_as_if_alone(solver: str, path: Path) -> None:
    t, s = torch.linspace(0.5, 0.9, 5).double(), torch.linspace(0.4, 0.2, 5).double()
    x, made = normal(5, 5, 2), SOLVERS[solver](drawn_from(stream("fresh")))
    weight = normal(2, 2, key="weight")
    denoise = denoiser(lambda x, t, labels: (x @ weight + t[:, None, None]).sin(), path, TARGETS["v"])
    together = timewise(made)(path, denoise, None)(x, t, s)
    for i in range(5):
        alone = made(path, denoise, None)(x[i : i + 1], t[i], s[i])
        torch.testing.assert_close(together[i : i + 1], alone, atol=1e-12, rtol=0)


def exact_loss(path: Path, solver: Solver, steps: int, student: Denoiser) -> float:
    """Of a student on Gaussian data against the exact consistency function, between times where paths are smooth."""
    data, draws = MEAN + DEVIATION * normal(512, 1, key="data"), Draws(stream("draws"))
    times = torch.linspace(0.85, 0.3, steps + 1, dtype=torch.float64)
    exact, teacher = exact_end(path, 0.3), exact_denoiser(path)
    return float(consistency_loss(student, exact, teacher, path, solver, times, data, None, draws))


@pytest.mark.parametrize(("solver", "order"), [(euler, 1), (heun, 2)])
@each_path
def test_exact_consistency_function_is_a_fixed_point(path: Path, solver: Solver, order: int) -> None:
    """Its loss is the teacher's error in one step, which falls with an order more than that of the solver."""
    exact = exact_end(path, 0.3)
    losses = [exact_loss(path, solver, steps, exact) for steps in (8, 32)]
    assert math.log2(losses[0] / losses[1]) / 2 > order + 0.7
    assert losses[1] < 1e-3
    assert exact_loss(path, solver, 32, exact_denoiser(path)) > 0.1


def test_last_step_leads_to_data_and_asks_no_target() -> None:
    """One step over the whole span: the student is held to the teacher's end over alpha."""
    path, data = PATHS["vp_cosine"](), normal(64, 3, key="data")
    times = torch.tensor([0.9, 0.1], dtype=torch.float64)

    def nothing(x: Tensor, t: Tensor, labels: Tensor | None) -> Estimate:
        return Estimate(torch.full_like(x, math.nan), x)

    def euler_end(x: Tensor, t: Tensor, labels: Tensor | None) -> Estimate:
        return Estimate(euler(path, exact_denoiser(path), None)(x, *times) / path.alpha(times[1]), x)

    draws = Draws(stream("draws"))
    loss = consistency_loss(euler_end, nothing, exact_denoiser(path), path, euler, times, data, None, draws)
    assert float(loss) == pytest.approx(0, abs=1e-9)


def test_no_gradient_reaches_the_target() -> None:
    student = perturbed(MLPConfig(width=8, depth=1, conditioning=8).build((2,), None)).double().requires_grad_(True)
    frozen = copy.deepcopy(student)
    times, data = GRIDS["uniform"](STRAIGHT, 4), normal(32, 2, key="data")
    gradients = []
    for held in (student, frozen):
        student.zero_grad()
        one, other = (denoiser(network, STRAIGHT, TARGETS["velocity"]) for network in (student, held))
        draws = Draws(stream("draws"))
        consistency_loss(one, other, exact_denoiser(STRAIGHT), STRAIGHT, heun, times, data, None, draws).backward()
        gradients.append([p.grad.clone() for p in student.parameters() if p.grad is not None])
    assert all(torch.equal(*pair) for pair in zip(*gradients, strict=True))
    assert all(bool(gradient.any()) for gradient in gradients[0])
    assert all(p.grad is None for p in frozen.parameters())


@each_path
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_consistency_sampling_gives_the_data_distribution(steps: int, path: Path) -> None:
    end = torch.tensor(path.span[0], dtype=torch.float64)
    start = torch.tensor(path.span[1], dtype=torch.float64)
    noise = path.alpha(start) * MEAN + spread(path, start) * normal(40_000, 1)
    jump = consistency(drawn_from(stream("fresh")))(path, exact_end(path, path.span[0]), None)
    reached = last(sample(jump, noise, GRIDS["uniform"](path, steps).double()))
    assert float(reached.mean()) == pytest.approx(float(path.alpha(end)) * MEAN, abs=0.01)
    blurred = (spread(path, end).square() + path.sigma(end).square()).sqrt()  # the last noise anew, where there is some
    assert float(reached.std()) == pytest.approx(float(blurred), rel=0.02)


def test_one_step_of_consistency_sampling_is_the_consistency_function() -> None:
    noise = normal(16, 2)
    jump = SOLVERS["consistency"](drawn_from(stream("fresh")))(STRAIGHT, exact_end(STRAIGHT, 0.0), None)
    reached = last(sample(jump, noise, GRIDS["uniform"](STRAIGHT, 1).double()))
    torch.testing.assert_close(reached, MEAN + DEVIATION * noise)


# Straightness


def test_flow_to_a_point_is_straight() -> None:
    """Its velocity is constant; at t = 0 itself the denoiser of a point is 0 / 0."""
    path = Straight()
    path.span = (0.01, 1.0)
    assert straightness(path, point, normal(32, 2), None, steps=20) < 1e-20


@each_path
def test_straightness_of_a_gaussian_is_its_closed_form(path: Path) -> None:
    """x_t = alpha m + R z, with R the deviation: how far m alpha' + z R' is from its own mean over time."""
    first, end = (torch.tensor(t, dtype=torch.float64) for t in path.span)
    chords = [(f(end) - f(first)) / (end - first) for f in (path.alpha, lambda t: spread(path, t))]

    t = torch.linspace(first, end, 20_001, dtype=torch.float64)
    rates = jvp(lambda t: (path.alpha(t), spread(path, t)), (t,), (torch.ones_like(t),))[1]
    bend = (chords[0] - rates[0]).square() * MEAN**2 + (chords[1] - rates[1]).square()
    expected = float(bend.mean() / (chords[0].square() * MEAN**2 + chords[1].square()))
    z = torch.tensor([[1.0], [-1.0]], dtype=torch.float64)  # of mean 0 and variance 1
    noise = path.alpha(end) * MEAN + spread(path, end) * z
    found = straightness(path, exact_denoiser(path), noise, None, steps=100)
    assert found == pytest.approx(expected, rel=0.01)
    assert found > 0.01


# One step


def ring(n: int, key: str) -> Tensor:
    """A mixture of six Gaussians on a circle of radius 1.4, (n, 2)."""
    angle = (torch.randint(6, (n,), generator=stream(key)) * (math.pi / 3))[:, None]
    return 1.4 * torch.cat([angle.cos(), angle.sin()], 1) + 0.15 * torch.randn(n, 2, generator=stream(key, "blur"))


def energy_distance(a: Tensor, b: Tensor) -> float:
    """2 E|a - b| - E|a - a'| - E|b - b'| (Szekely & Rizzo, 2013); 0 for equal distributions."""
    return float(2 * torch.cdist(a, b).mean() - torch.cdist(a, a).mean() - torch.cdist(b, b).mean())


def learnt(network: nn.Module, loss: Callable[[nn.Module, Tensor, Draws], Tensor], steps: int, lr: float) -> nn.Module:
    """The network after this many steps of Adam with a falling rate."""
    optimizer = torch.optim.Adam(network.parameters(), lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(steps):
        optimizer.zero_grad()
        loss(network, ring(256, f"data {step}"), Draws(stream("draws", step))).backward()
        optimizer.step()
        schedule.step()
    return network.requires_grad_(False)


def mlp(times: int = 1) -> nn.Module:
    """A small network with the same initial weights every time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return MLPConfig(width=64, depth=2).build((2,), None, times)


def test_one_step_students_come_much_closer_than_one_step_of_the_flow() -> None:
    uniform, times = TIMES["uniform"], GRIDS["uniform"](STRAIGHT, 8)
    velocity = gaussian_correction(TARGETS["velocity"])

    def read(network: nn.Module) -> Denoiser:
        return denoiser(network, STRAIGHT, velocity)

    def matching(network: nn.Module, data: Tensor, draws: Draws) -> Tensor:
        return matching_loss(network, STRAIGHT, velocity, uniform, data, None, draws)

    def meanflow(network: nn.Module, data: Tensor, draws: Draws) -> Tensor:
        return meanflow_loss(
            average_correction(network, STRAIGHT), STRAIGHT, uniform, data, None, draws, apart=0.5, power=0.5
        )

    def agreement(network: nn.Module, data: Tensor, draws: Draws) -> Tensor:
        student = read(network)
        return consistency_loss(student, student, read(flow), STRAIGHT, heun, times, data, None, draws)

    flow = learnt(mlp(), matching, 200, 1e-2)
    average = learnt(mlp(times=2), meanflow, 250, 1e-2)
    consistent = learnt(copy.deepcopy(flow).requires_grad_(True), agreement, 150, 2e-3)
    data, noise = ring(2000, "test"), torch.randn(2000, 2, generator=stream("noise"))

    def distance(jump: Jump) -> float:
        return energy_distance(data, jump(noise, torch.tensor(1.0), torch.tensor(0.0)))

    one_step = distance(euler(STRAIGHT, read(flow), None))
    assert distance(meanflow_jump(average_correction(average, STRAIGHT), None)) < one_step / 5
    assert distance(consistency()(STRAIGHT, read(consistent), None)) < one_step / 5
