"""Laws of guidance, likelihood and inversion, on mixtures whose scores are known exactly."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from latentarena.errors import ConfigError
from latentarena.model.config import SamplingConfig
from latentarena.model.latent_model import LatentModel
from latentarena.process import PATHS, Denoiser, Estimate, Path
from latentarena.randomness import stream
from latentarena.sample import (
    GRIDS,
    Guidable,
    autoguidance,
    bits_per_dimension,
    classifier_free,
    classifier_guidance,
    heun,
    invert,
    log_likelihood,
    rk4,
    sample,
    usual_guide,
)
from latentarena.sample import GUIDES as NAMED
from latentarena.train.recipe import load_recipe

CENTERS = torch.tensor([[-2.0, 0.0], [2.0, 0.0], [0.0, 2.0]], dtype=torch.float64)
WIDTH = 0.4


def logits(path: Path, x: Tensor, t: Tensor) -> Tensor:
    """log p(x_t | class) up to a constant: the exact noisy classifier of equally likely classes, (B, 3)."""
    at = path.at(t, x)
    variance = at.alpha**2 * WIDTH**2 + at.sigma**2
    return -((x[:, None] - at.alpha[:, None] * CENTERS) ** 2).sum(2) / (2 * variance)


def mixture(path: Path) -> Denoiser:
    """The exact denoiser of the mixture; with labels, of one component."""

    def denoise(x: Tensor, t: Tensor, labels: Tensor | None) -> Estimate:
        at = path.at(t, x)
        variance = at.alpha**2 * WIDTH**2 + at.sigma**2
        weights = logits(path, x, t).softmax(1) if labels is None else torch.eye(3, dtype=x.dtype)[labels]
        score = (weights[:, :, None] * (at.alpha[:, None] * CENTERS - x[:, None])).sum(1) / variance
        noise = -at.sigma * score
        data = (weights @ CENTERS) + at.alpha * WIDTH**2 / variance * (x - at.alpha * (weights @ CENTERS))
        return Estimate(data, noise)

    return denoise


def normal(*shape: int, key: str) -> Tensor:
    """Standard normal float64 numbers, the same for the same key."""
    return torch.randn(*shape, generator=stream(key), dtype=torch.float64)


def states(n: int = 32, key: str = "x") -> tuple[Tensor, Tensor, Tensor]:
    """Points, a time and labels."""
    return 2 * normal(n, 2, key=key), torch.tensor(0.4, dtype=torch.float64), torch.arange(n) % 3


@pytest.mark.parametrize("path_name", PATHS)
def test_classifier_guidance_by_the_exact_classifier_is_the_conditional_model(path_name: str) -> None:
    """Bayes: score(x | y) = score(x) + grad log p(y | x), at scale 1 on every path."""
    path, (x, t, labels) = PATHS[path_name](), states()
    denoise = mixture(path)
    guided = classifier_guidance(path, lambda y, s: logits(path, y, s), 1.0)(denoise)(x, t, labels)
    expected = denoise(x, t, labels)
    torch.testing.assert_close(guided.noise, expected.noise, atol=1e-10, rtol=0)
    torch.testing.assert_close(guided.data, expected.data, atol=1e-10, rtol=0)


def test_a_model_is_guided_by_what_it_has_unless_a_guide_is_named() -> None:
    path, (x, t, labels) = PATHS["straight"](), states()
    strong, weaker = mixture(path), lambda y, s, c: mixture(path)(y, s, None)
    has = {"weaker": weaker, "classifier": lambda y, s: logits(path, y, s)}
    guides = {
        "classifier_free": classifier_free(1.7),
        "autoguidance": autoguidance(weaker, 1.7),
        "classifier": classifier_guidance(path, has["classifier"], 1.7),
    }
    for name, needed in {"classifier_free": None, "autoguidance": "weaker", "classifier": "classifier"}.items():
        model = Guidable(path, scale=1.7, **({} if needed is None else {needed: has[needed]}))
        expected = guides[name](strong)(x, t, labels)
        for guide in (usual_guide(model), NAMED[name]().build(model)):
            torch.testing.assert_close(guide(strong)(x, t, labels).data, expected.data)
        if needed is not None:
            with pytest.raises(ConfigError, match=f"{name}: the generator has no {needed}"):
                NAMED[name]().build(Guidable(path))


@pytest.mark.parametrize("path_name", PATHS)
def test_a_classifier_beside_guidance_moves_what_is_in_doubt_and_nothing_else(path_name: str) -> None:
    path, (x, t, labels) = PATHS[path_name](), states()
    exact = mixture(path)

    def same(found: Estimate, expected: Estimate) -> None:
        torch.testing.assert_close(found.data, expected.data, atol=1e-10, rtol=0)
        torch.testing.assert_close(found.noise, expected.noise, atol=1e-10, rtol=0)

    model = Guidable(path, classifier=lambda y, s: logits(path, y, s), scale=1.7, conditional=True)
    usual = classifier_free(1.7)(exact)(x, t, labels)
    same(usual_guide(model)(exact)(x, t, labels), usual)
    always = NAMED["with_classifier"](scale=1.0, interval=(0.0, 1.0))
    ignorant = always.build(model)(lambda y, s, _: exact(y, s, None))  # a network that does not know the classes
    same(ignorant(x, t, labels), exact(x, t, labels))
    sure = replace(model, classifier=lambda y, s: y.sum() * 0 + 1e3 * torch.eye(3, dtype=y.dtype)[labels])
    same(always.build(sure)(exact)(x, t, labels), usual)
    late = NAMED["with_classifier"](scale=1.0, interval=(0.0, 0.3))  # t is 0.4
    same(late.build(model)(exact)(x, t, labels), usual)


@pytest.mark.parametrize(
    ("has", "missing"), [({"conditional": True}, "classifier"), ({"classifier": logits}, "conditional")]
)
def test_what_a_classifier_beside_guidance_needs_is_named(has: dict[str, object], missing: str) -> None:
    with pytest.raises(ConfigError, match=f"the generator needs {missing}"):
        NAMED["with_classifier"]().build(Guidable(PATHS["straight"](), **has))


@pytest.mark.parametrize("path_name", PATHS)
def test_classifier_guidance_hits_its_class(path_name: str) -> None:
    path = PATHS[path_name]()
    noise, labels = normal(600, 2, key="noise"), torch.arange(600) % 3
    guide = classifier_guidance(path, lambda y, s: logits(path, y, s), 1.0)
    *_, last = sample(heun(path, guide(mixture(path)), labels), noise, GRIDS["uniform"](path, 50).double())
    hit = torch.cdist(last, CENTERS).argmin(1) == labels
    assert float(hit.double().mean()) > 0.99
    assert float((last - CENTERS[labels]).std()) == pytest.approx(WIDTH, rel=0.15)  # diversity is kept


@pytest.mark.parametrize("path_name", PATHS)
def test_guided_parts_still_make_up_x(path_name: str) -> None:
    path, (x, _, labels) = PATHS[path_name](), states()
    for t in torch.linspace(path.span[1], path.span[0] + 1e-3, 7, dtype=torch.float64):
        for guide in (classifier_free(3.0), classifier_guidance(path, lambda y, s: logits(path, y, s), 4.0)):
            estimate = guide(mixture(path))(x, t, labels)
            torch.testing.assert_close(path.at(t, x).mix(estimate.data, estimate.noise), x, atol=1e-9, rtol=0)


@pytest.mark.parametrize("scale", [0.0, 1.0, 2.5])
def test_classifier_free_guidance_mixes_the_two_models(scale: float) -> None:
    path, (x, t, labels) = PATHS["straight"](), states()
    denoise = mixture(path)
    guided, with_label, without = (
        classifier_free(scale)(denoise)(x, t, labels),
        denoise(x, t, labels),
        denoise(x, t, None),
    )
    torch.testing.assert_close(guided.data, without.data + scale * (with_label.data - without.data))
    torch.testing.assert_close(guided.noise, without.noise + scale * (with_label.noise - without.noise))


def test_guidance_acts_inside_its_interval_only() -> None:
    path, (x, t, labels) = PATHS["straight"](), states()
    denoise = mixture(path)
    outside = classifier_free(5.0, (0.5, 0.9))(denoise)(x, t, labels)
    assert torch.equal(outside.data, denoise(x, t, labels).data)
    inside = classifier_free(5.0, (0.3, 0.9))(denoise)(x, t, labels)
    assert not torch.allclose(inside.data, outside.data)


def test_the_classifier_too_is_asked_inside_the_interval_only() -> None:
    path, (x, t, labels) = PATHS["straight"](), states()
    denoise = mixture(path)
    for interval, asked in (((0.5, 0.9), False), ((0.3, 0.5), True)):
        guided = classifier_guidance(path, lambda y, s: logits(path, y, s), 2.0, interval)(denoise)(x, t, labels)
        assert torch.equal(guided.noise, denoise(x, t, None).noise) != asked


@pytest.mark.parametrize("scale", [0.0, 1.0, 2.5])
def test_autoguidance_leads_away_from_the_weaker_model(scale: float) -> None:
    path, (x, t, labels) = PATHS["straight"](), states()
    strong, weak = mixture(path), lambda x, t, labels: Estimate(x + labels[:, None], -x)
    guided, best, worse = autoguidance(weak, scale)(strong)(x, t, labels), strong(x, t, labels), weak(x, t, labels)
    torch.testing.assert_close(guided.data, worse.data + scale * (best.data - worse.data))
    torch.testing.assert_close(guided.noise, worse.noise + scale * (best.noise - worse.noise))


GUIDES = {
    "classifier-free": ["generator.conditional=true"],
    "autoguidance": [
        "generator.conditional=true",
        "generator.weaker={kind: mlp, width: 8, depth: 1}",
        "training.weaker={epochs: 1}",
    ],
    "classifier": ["generator.classifier={width: 4}", "training.classifier={epochs: 1}"],
}


@pytest.mark.parametrize("kind", GUIDES)
def test_a_model_is_guided_by_what_its_recipe_names(kind: str) -> None:
    recipe = load_recipe("quickstart-digits", [*GUIDES[kind], "generator.backbone.width=8"])
    model = LatentModel(recipe.architecture((1, 28, 28), tuple("0123456789"))).requires_grad_(False)
    for i, parameter in enumerate(model.parameters()):
        torch.nn.init.normal_(parameter, 0, 0.3, generator=stream("weight", i))
    x, t, labels = normal(6, 16, key="x").float(), torch.tensor(0.4), torch.arange(6)
    guided = model.denoiser(SamplingConfig(guidance=2.5))(x, t, labels)
    one, none = model.denoise(x, t, labels), model.denoise(x, t, None)
    if kind == "classifier":
        moved = x.clone().requires_grad_()
        belief = model.classifier(moved, t.expand(6)).log_softmax(1)[torch.arange(6), labels].sum()
        (slope,) = torch.autograd.grad(belief, moved)
        expected = none.noise - 2.5 * t * slope
    else:
        other = none if kind == "classifier-free" else model.denoise_weaker(x, t, labels)
        expected = other.noise + 2.5 * (one.noise - other.noise)
    torch.testing.assert_close(guided.noise, expected, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(guided.noise, one.noise, atol=1e-3)
    outside = model.denoiser(SamplingConfig(guidance=2.5, interval=(0.5, 1)))(x, t, labels)
    assert torch.equal(outside.noise, one.noise)


def test_autoguidance_by_the_model_itself_changes_nothing() -> None:
    path, (x, t, labels) = PATHS["straight"](), states()
    denoise = mixture(path)
    guided = autoguidance(denoise, 3.0)(denoise)(x, t, labels)
    torch.testing.assert_close(guided.data, denoise(x, t, labels).data, atol=1e-12, rtol=0)


@pytest.mark.parametrize(("path_name", "labelled"), [*((name, False) for name in PATHS), ("straight", True)])
def test_log_likelihood_is_that_of_the_known_density(path_name: str, labelled: bool) -> None:
    """At the path's first time the data are alpha * mixture + sigma * noise: a mixture again, in closed form."""
    path = PATHS[path_name]()
    x, _, labels = states(12, key="points")
    start = torch.tensor(path.span[0], dtype=torch.float64)
    at = path.at(start, x)
    variance = at.alpha**2 * WIDTH**2 + at.sigma**2
    each = logits(path, x, start) - torch.log(2 * math.pi * variance)  # (12, 3), two dimensions
    expected = each.gather(1, labels[:, None])[:, 0] if labelled else each.logsumexp(1) - math.log(3)
    found = log_likelihood(path, mixture(path), x, labels if labelled else None, steps=60)
    torch.testing.assert_close(found, expected, atol=0.1, rtol=0.02)


def test_hutchinson_estimate_agrees_with_the_exact_divergence() -> None:
    path = PATHS["straight"]()
    x, _, labels = states(4, key="points")
    signs = normal(16, 2, key="signs").sign()
    exact = log_likelihood(path, mixture(path), x, labels, steps=20)
    torch.testing.assert_close(log_likelihood(path, mixture(path), x, labels, 20, signs), exact, atol=0.5, rtol=0)


def test_bits_of_uniform_eight_bit_pixels_are_eight() -> None:
    density = torch.full((3,), -10 * math.log(2.0))  # uniform on [-1, 1] in ten dimensions
    torch.testing.assert_close(bits_per_dimension(density, 10, 2 / 256), torch.full((3,), 8.0))


@pytest.mark.parametrize("path_name", PATHS)
def test_inverted_data_come_back(path_name: str) -> None:
    path = PATHS[path_name]()
    x, _, labels = states(16, key="points")
    x = CENTERS[labels] + WIDTH * x / 2
    noise = invert(path, mixture(path), rk4, x, labels, 50)
    *_, back = sample(rk4(path, mixture(path), labels), noise, GRIDS["uniform"](path, 50).double())
    torch.testing.assert_close(back, x, atol=1e-3, rtol=0)
