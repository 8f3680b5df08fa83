"""Laws of the process: paths and their derivatives, target rows, training times, the matching loss."""

from __future__ import annotations

import pytest
import torch
from scipy import stats
from torch import Tensor

from latentarena.errors import ConfigError
from latentarena.process import (
    CORRECTIONS,
    PATHS,
    TARGETS,
    TIMES,
    Lesson,
    Loss,
    Network,
    Path,
    Point,
    PseudoHuberConfig,
    Row,
    SquaredConfig,
    denoiser,
    gaussian_correction,
    matching_loss,
)
from latentarena.randomness import Draws, stream

LATENTS = [(7,), (3, 5), (2, 3, 4)]
BROKEN = {"straight": {"noise", "data"}, "trigonometric": {"noise", "data"}}  # where an end of the span is reached
SINGULAR = [(path, target) for path in PATHS for target in TARGETS if target in BROKEN.get(path, ())]
REGULAR = [(path, target) for path in PATHS for target in TARGETS if target not in BROKEN.get(path, ())]


class Cosine(Path):
    """A curved, variance-preserving path: what someone who adds a path would write."""

    def alpha(self, t: Tensor) -> Tensor:
        """cos(pi t / 2)."""
        return torch.cos(t * torch.pi / 2)

    def sigma(self, t: Tensor) -> Tensor:
        """sin(pi t / 2)."""
        return torch.sin(t * torch.pi / 2)


EVERY_PATH = [*(path() for path in PATHS.values()), Cosine()]


def normal(*shape: int, key: str = "x") -> Tensor:
    """Standard normal float64 numbers, the same for the same key."""
    return torch.randn(*shape, generator=stream(key), dtype=torch.float64)


def perfect(at: Point, row: Row, data: Tensor, noise: Tensor, correction: str = "none") -> Network:
    """The network that answers p data + q noise, or completes what a unit Gaussian's answer is to that."""
    p, q = row
    gaussian = (p * at.alpha + q * at.sigma) / (at.alpha**2 + at.sigma**2) if correction == "gaussian" else 0
    return lambda x, t, labels: p * data + q * noise - gaussian * x


def times(n: int, path: Path | None = None) -> Tensor:
    """n times over the path's span (else [0, 1]), ends included, float64."""
    return torch.linspace(*(path.span if path else (0, 1)), n, dtype=torch.float64)


@pytest.mark.parametrize("path", EVERY_PATH, ids=lambda p: type(p).__name__)
def test_path_leads_from_data_to_noise(path: Path) -> None:
    data, noise = normal(2, 5, key="data"), normal(2, 5, key="noise")
    at = path.at(times(2, path), data)
    ends = torch.stack([data[0], noise[1]])
    cut = {"LinearBeta": 0.05, "Cosine": 0.05}.get(type(path).__name__, 1e-15)  # their spans stop short of the ends
    torch.testing.assert_close(at.mix(data, noise), ends, atol=cut, rtol=0)
    assert bool((path.at(times(99, path), times(99, path)).alpha.diff() < 0).all())


@pytest.mark.parametrize("path", EVERY_PATH, ids=lambda p: type(p).__name__)
def test_path_derivatives_equal_autograd(path: Path) -> None:
    t = times(11, path).requires_grad_()
    at = path.at(t.detach(), t.detach())
    for formula, derivative in ((path.alpha, at.d_alpha), (path.sigma, at.d_sigma)):
        (expected,) = torch.autograd.grad(formula(t).sum(), t)
        torch.testing.assert_close(derivative, expected, atol=1e-12, rtol=1e-12)


def test_derivatives_are_computed_once_and_only_where_they_are_asked_for() -> None:
    asked: list[Tensor] = []

    class Watched(Cosine):
        def alpha(self, t: Tensor) -> Tensor:
            asked.append(t)
            return super().alpha(t)

    t = times(11, Watched())
    at = Watched().at(t, t)
    denoiser(lambda x, t, labels: x, Watched(), TARGETS["v"])(t, t, None)
    before = len(asked)
    assert not any(torch._C._functorch.is_functorch_wrapped_tensor(one) for one in asked)
    _ = at.d_alpha, at.d_sigma, at.velocity(t, t)
    assert len(asked) == before + 1


@pytest.mark.parametrize("path", EVERY_PATH, ids=lambda p: type(p).__name__)
def test_velocity_is_the_slope_of_the_mix(path: Path) -> None:
    data, noise, t, h = normal(9, 4, key="data"), normal(9, 4, key="noise"), times(11, path)[1:-1], 1e-5
    slope = (path.at(t + h, data).mix(data, noise) - path.at(t - h, data).mix(data, noise)) / (2 * h)
    torch.testing.assert_close(path.at(t, data).velocity(data, noise), slope, atol=1e-8, rtol=0)


@pytest.mark.parametrize("latent", LATENTS, ids=str)
def test_times_broadcast_over_latents_of_any_rank(latent: tuple[int, ...]) -> None:
    path, t = Cosine(), times(6)
    data, noise = normal(6, *latent, key="data"), normal(6, *latent, key="noise")
    batch = path.at(t, data)
    for i in range(6):
        expected = path.alpha(t[i]) * data[i] + path.sigma(t[i]) * noise[i]
        torch.testing.assert_close(batch.mix(data, noise)[i], expected, atol=0, rtol=0)
        alone = path.at(t[i], data[i : i + 1]).velocity(data[i : i + 1], noise[i : i + 1])
        torch.testing.assert_close(batch.velocity(data, noise)[i : i + 1], alone, atol=1e-15, rtol=0)


@pytest.mark.parametrize("latent", LATENTS, ids=str)
@pytest.mark.parametrize(("path_name", "target_name"), REGULAR)
@pytest.mark.parametrize("correction", CORRECTIONS)
def test_perfect_network_gives_back_data_and_noise(
    correction: str, path_name: str, target_name: str, latent: tuple[int, ...]
) -> None:
    path, target = PATHS[path_name](), TARGETS[target_name]
    t = times(21, path)
    data, noise = normal(21, *latent, key="data"), normal(21, *latent, key="noise")
    at = path.at(t, data)
    network = perfect(at, target(at), data, noise, correction)
    estimate = denoiser(network, path, CORRECTIONS[correction](target))(at.mix(data, noise), t, None)
    torch.testing.assert_close(estimate.data, data, atol=1e-11, rtol=0)
    torch.testing.assert_close(estimate.noise, noise, atol=1e-11, rtol=0)


@pytest.mark.parametrize("path", EVERY_PATH, ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("target_name", ["v", "velocity"])
def test_silent_network_is_the_exact_denoiser_of_unit_gaussian_data(target_name: str, path: Path) -> None:
    x, t = normal(21, 4), times(21, path)
    target = gaussian_correction(TARGETS[target_name])
    estimate = denoiser(lambda x, t, labels: torch.zeros_like(x), path, target)(x, t, None)
    at = path.at(t, x)
    variance = at.alpha**2 + at.sigma**2  # of x_t; conditional expectations of a Gaussian are linear
    torch.testing.assert_close(estimate.data, at.alpha / variance * x, atol=1e-11, rtol=0)
    torch.testing.assert_close(estimate.noise, at.sigma / variance * x, atol=1e-11, rtol=0)


@pytest.mark.parametrize("target_name", ["v", "velocity"])
def test_any_output_is_read_as_parts_that_make_up_x(target_name: str) -> None:
    path, x, t = Cosine(), normal(21, 4), times(21)
    denoise = denoiser(lambda x, t, labels: x.sin() + t[:, None], path, TARGETS[target_name])
    estimate = denoise(x, t, None)
    torch.testing.assert_close(path.at(t, x).mix(estimate.data, estimate.noise), x, atol=1e-13, rtol=0)


@pytest.mark.parametrize(("path_name", "target_name"), SINGULAR)
@pytest.mark.parametrize("correction", CORRECTIONS)
def test_singular_pair_is_refused_when_built(correction: str, path_name: str, target_name: str) -> None:
    with pytest.raises(ConfigError, match=rf"target '{target_name}' on path .* is singular at t = [01]\.00.*choose"):
        denoiser(lambda x, t, labels: x, PATHS[path_name](), CORRECTIONS[correction](TARGETS[target_name]))


def test_a_span_that_leaves_the_singular_end_out_is_accepted() -> None:
    path = Cosine()
    path.span = (0.0, 0.95)
    data, noise, t = normal(9, 4, key="data"), normal(9, 4, key="noise"), 0.95 * times(9)
    at = path.at(t, data)
    network = perfect(at, TARGETS["noise"](at), data, noise)
    estimate = denoiser(network, path, TARGETS["noise"])(at.mix(data, noise), t, None)
    torch.testing.assert_close(estimate.data, data, atol=1e-13, rtol=0)


def test_denoiser_hands_labels_and_a_time_for_each_row_to_the_network() -> None:
    seen: list[tuple[Tensor, Tensor | None]] = []

    def network(x: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
        seen.append((t, labels))
        return x

    labels = torch.arange(3)
    denoiser(network, Cosine(), TARGETS["v"])(normal(3, 2), torch.tensor(0.5, dtype=torch.float64), labels)
    [(t, handed)] = seen
    assert t.tolist() == [0.5] * 3
    assert handed is labels


@pytest.mark.parametrize("latent", LATENTS, ids=str)
@pytest.mark.parametrize(("path_name", "target_name"), [("straight", target) for target in TARGETS])
@pytest.mark.parametrize("correction", CORRECTIONS)
def test_matching_loss_is_the_mean_squared_error_of_the_row(
    correction: str, path_name: str, target_name: str, latent: tuple[int, ...]
) -> None:
    data, key = normal(12, *latent, key="data").float(), ("loss", 1)

    def network(x: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
        assert labels is not None
        return torch.stack([row.cos() * moment + label for row, moment, label in zip(x, t, labels, strict=True)])

    labels = torch.arange(12)
    path, target = PATHS[path_name](), CORRECTIONS[correction](TARGETS[target_name])
    loss = matching_loss(network, path, target, TIMES["uniform"], data, labels, Draws(stream(*key)))

    draws = Draws(stream(*key))
    t, noise = draws.uniform(12), draws.normal(*data.shape)
    squares = []
    for i, s in enumerate(t):
        p, q = {"data": (1, 0), "noise": (0, 1), "v": (-s, 1 - s), "velocity": (-1, 1)}[target_name]
        x = (1 - s) * data[i] + s * noise[i]
        gaussian = (p * (1 - s) + q * s) / ((1 - s) ** 2 + s**2) * x
        out = (gaussian if correction == "gaussian" else 0) + network(x[None], t[i : i + 1], labels[i : i + 1])[0]
        squares.append((out - (p * data[i] + q * noise[i])).square().mean())
    torch.testing.assert_close(loss, torch.stack(squares).mean(), atol=0, rtol=1e-5)


def test_the_pseudo_huber_loss_lies_between_a_squared_and_a_plain_error() -> None:
    """It is the root mean squared error of each row for a small c, and half its square over c for a large one."""
    data, path, target = normal(12, 5, key="data"), PATHS["straight"](), TARGETS["velocity"]

    def found(loss: Loss) -> float:
        draws = Draws(stream("loss"))
        return float(
            matching_loss(lambda x, t, labels: x, path, target, TIMES["uniform"], data, None, draws, loss=loss)
        )

    def plain(network: Network, lesson: Lesson) -> Tensor:
        errors = network(lesson.x, lesson.t, lesson.labels) - lesson.answer
        return torch.linalg.vector_norm(errors, dim=1).mean() / 5**0.5

    small, large = (PseudoHuberConfig(c=c) for c in (1e-7, 1e3))
    assert found(small.build()) == pytest.approx(found(plain), rel=1e-5)
    assert 2 * large.c * found(large.build()) == pytest.approx(found(SquaredConfig().build()), rel=1e-5)


def test_a_lesson_holds_the_batch_and_the_answer_that_training_asks_for() -> None:
    data, labels, lessons = normal(12, 3, key="data"), torch.arange(12), []
    path, target = PATHS["vp_cosine"](), TARGETS["v"]

    def kept(network: Network, lesson: Lesson) -> Tensor:
        lessons.append(lesson)
        return lesson.x.sum()

    matching_loss(lambda x, t, _: x, path, target, TIMES["uniform"], data, labels, Draws(stream("kept")), loss=kept)
    (lesson,) = lessons
    at = path.at(lesson.t, data)
    torch.testing.assert_close(lesson.x, at.alpha * lesson.data + at.sigma * lesson.noise)
    torch.testing.assert_close(lesson.answer, at.alpha * lesson.noise - at.sigma * lesson.data)
    assert lesson.data is data
    assert lesson.labels is labels


def test_training_times_stay_in_the_span() -> None:
    path, seen = Cosine(), []
    path.span = (0.25, 0.75)

    def network(x: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
        seen.append(t)
        return x

    for times_of in TIMES.values():
        matching_loss(network, path, TARGETS["v"], times_of, torch.zeros(1000, 1), None, Draws(stream("span")))
    low, high = torch.cat(seen).aminmax()
    assert 0.25 <= low < 0.3
    assert 0.7 < high <= 0.75


def logit_normal(t: float) -> float:
    """Distribution function of sigmoid(z), z standard normal."""
    return stats.norm.cdf(stats.logistic.ppf(t))


@pytest.mark.parametrize(
    ("name", "distribution"),
    [("uniform", stats.uniform.cdf), ("low_discrepancy", stats.uniform.cdf), ("logit_normal", logit_normal)],
)
def test_times_have_the_distribution_of_their_name(name: str, distribution: object) -> None:
    t = TIMES[name](Draws(stream("times", 1)), 20_000).numpy()
    assert stats.kstest(t, distribution).pvalue > 0.01


def test_the_end_is_the_last_time() -> None:
    assert torch.equal(TIMES["end"](Draws(stream("times", 1)), 3), torch.ones(3))


def test_every_distribution_of_times_is_tested_here() -> None:
    assert set(TIMES) == {"uniform", "logit_normal", "low_discrepancy", "end"}
