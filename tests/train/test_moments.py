"""Laws of the stage that brings what a single step makes to the moments of real images."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from latentarena.backbone.classifier import Classifier, ClassifierConfig
from latentarena.data.digits import embedded_digits
from latentarena.errors import ConfigError
from latentarena.judge.metrics import frechet_distance
from latentarena.model.latent_model import LatentModel
from latentarena.randomness import Draws, stream
from latentarena.train.moments import MomentsObjective, Pairs
from latentarena.train.perceptual import moments
from latentarena.train.recipe import load_recipe
from latentarena.train.stages import ReflowObjective
from latentarena.train.training import MomentsTraining

DATA = embedded_digits()
ROWS = 300
SMALL = ["autoencoder.latent=[6]", "autoencoder.widths=[4,8]", "generator.backbone.width=32"]
STEP = "sampling={solver: euler, steps: 1}"


def untrained(seed: int = 0, conditional: bool = False) -> LatentModel:
    words = [*SMALL, STEP, f"generator.conditional={str(conditional).lower()}"]
    model = LatentModel(load_recipe("quickstart-digits", words).architecture(DATA.shape, DATA.classes), seed)
    model.requires_grad_(False)
    model.network.requires_grad_(True)
    for number, parameter in enumerate(model.network.parameters()):
        torch.nn.init.normal_(parameter, 0, 0.1, generator=stream("weights", seed, number))
    return model


@pytest.fixture(scope="module")
def features() -> Classifier:
    classifier = ClassifierConfig(width=4, conditioning=8).build(DATA.shape, 10).requires_grad_(False)
    for number, parameter in enumerate(classifier.parameters()):
        torch.nn.init.normal_(parameter, 0, 0.3, generator=stream("features", number))
    return classifier


def pairs(model: LatentModel, n: int = ROWS) -> Pairs:
    return model.noise(n, 1), model.noise(n, 2), torch.arange(n) % 10 if model.conditional else None


def objective(model: LatentModel, features: Classifier, **config: Any) -> MomentsObjective:
    return MomentsObjective(model, pairs(model), features, DATA.train, MomentsTraining(epochs=1, **config))


def losses(one: MomentsObjective, n: int = ROWS) -> dict[str, Tensor]:
    return one(torch.arange(n), Draws(stream("draws")))


@pytest.mark.parametrize("conditional", [False, True])
def test_a_step_is_that_of_its_weights_averages_and_draws_alone(features: Classifier, conditional: bool) -> None:
    """A checkpoint holds them all: training resumes exactly."""
    one, other = (objective(untrained(seed, conditional), features) for seed in (0, 1))
    other.decoder.load_state_dict(one.decoder.state_dict())
    losses(one)  # moves its averages
    assert losses(one)["loss"] != losses(other)["loss"]
    other.load_state_dict(one.state_dict())
    assert torch.equal(losses(one)["loss"], losses(other)["loss"])


@pytest.mark.parametrize("conditional", [False, True])
def test_without_a_memory_it_is_the_distance_of_this_batch(features: Classifier, conditional: bool) -> None:
    model = untrained(conditional=conditional)
    one = objective(model, features, memory=0, anchor=5)
    one.noise, one.data = (part[:1].expand(ROWS, -1) for part in (one.noise, one.data))  # whichever are drawn
    one.noise = one.noise + 0.5 * model.noise(ROWS, 3)
    drawn = (Draws(stream("draws")).uniform(ROWS) * ROWS).long()
    found, labels = losses(one), None if one.labels is None else one.labels[drawn]
    made = model.generate(one.noise[drawn], labels)
    seen, real = features.pooled(made), features.pooled(DATA.train.images)
    mean = seen.mean(0)
    square = seen.mT @ seen / ROWS - mean.outer(mean)
    expected = frechet_distance(mean, square, *moments(real)) / float(real.mT.cov().trace())
    assert found["frechet"].item() == pytest.approx(expected, rel=1e-3)
    torch.testing.assert_close(found["loss"], found["frechet"] + 5 * found["mse"])


def test_the_anchor_is_the_loss_of_reflow_at_the_end_of_time(features: Classifier) -> None:
    model = untrained()
    one = objective(model, features)
    drawn = (Draws(stream("draws")).uniform(ROWS) * ROWS).long()
    same = ReflowObjective(model, one.noise[drawn], one.data[drawn], None, "end")
    expected = same(torch.arange(ROWS), Draws(stream("any")))["loss"]
    torch.testing.assert_close(losses(one)["mse"], expected)


def test_it_begins_with_the_moments_of_what_is_made(features: Classifier) -> None:
    model = untrained()
    one = objective(model, features)
    made = model.generate(one.noise)
    seen = features.pooled(made) - features.pooled(DATA.train.images).mean(0)
    torch.testing.assert_close(one.mean, seen.mean(0), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(one.square, seen.mT @ seen / ROWS, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("memory", [0.5, 0.9])
def test_moments_are_averaged_and_their_gradient_is_of_the_batch_alone(features: Classifier, memory: float) -> None:
    """Where the averages are this batch's already, the memory changes neither the loss nor its gradient."""
    model = untrained()
    plain, long = (objective(model, features, memory=share) for share in (0, memory))
    before = long.mean.clone()
    first = losses(plain)
    losses(long)
    torch.testing.assert_close(long.mean, memory * before + (1 - memory) * plain.mean)
    long.mean.copy_(plain.mean)
    long.square.copy_(plain.square)
    again = losses(long)
    torch.testing.assert_close(again["loss"], first["loss"], rtol=1e-4, atol=1e-6)
    weights = list(model.network.parameters())
    for one, other in zip(
        torch.autograd.grad(first["loss"], weights, allow_unused=True),
        torch.autograd.grad(again["loss"], weights, allow_unused=True),
        strict=True,
    ):
        if one is not None:
            torch.testing.assert_close(other, one, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["training.moments={epochs: 1}"], "features is missing"),
        (["training.moments={epochs: 1}", "training.features={epochs: 1}"], "needs reflow with times = end"),
        (
            ["training.moments={epochs: 1}", "training.features={epochs: 1}", "training.reflow={epochs: 1}"],
            "needs reflow with times = end",
        ),
    ],
)
def test_what_it_needs_is_asked_for(changes: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_recipe("quickstart-digits", changes)
