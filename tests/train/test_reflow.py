"""Laws of reflow: its pairs are the flow's own, and a reflowed flow is straighter."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric

from latentarena.data.digits import embedded_digits
from latentarena.judge.metrics import frechet_distance
from latentarena.model.latent_model import LatentModel
from latentarena.randomness import Draws, stream
from latentarena.sample import last
from latentarena.train.loop import fit
from latentarena.train.moments import MomentsObjective
from latentarena.train.perceptual import moments
from latentarena.train.recipe import Recipe, load_recipe
from latentarena.train.shelter import Shelter
from latentarena.train.stages import Critics, ReflowObjective, features_stage, reflow_pairs, train_model
from latentarena.train.training import ReflowTraining

SMALL = [
    "autoencoder.latent=[6]",
    "autoencoder.widths=[4,8]",
    "generator.backbone.width=48",
    "training.autoencoder.epochs=6",
    "training.generator.epochs=60",
]


def trained(recipe: Recipe, folder: Path) -> LatentModel:
    """The model of a recipe; stages that the folder holds already are not trained again."""
    data = embedded_digits()
    model = LatentModel(recipe.architecture(data.shape, data.classes), recipe.seed)
    fabric = Fabric(accelerator="cpu", devices=1)
    train_model(recipe, model, data, fabric, Shelter(folder), lambda ticks, stage: ticks)
    return model


def curvature(model: LatentModel) -> float:
    """Mean squared distance between samples in 2 and in 32 steps from the same noise: 0 for straight paths."""
    noise, how = model.noise(256, 7), model.architecture.sampling
    coarse, fine = (last(model.trajectory(noise, None, how.but("euler", n))) for n in (2, 32))
    return float((model.scale(coarse) - model.scale(fine)).square().mean())


@pytest.fixture(scope="module")
def flows(tmp_path_factory: pytest.TempPathFactory) -> list[LatentModel]:
    """Flow-1, Flow-2 and Flow-3 of one model."""
    folder = tmp_path_factory.mktemp("flows")
    reflow = "training.reflow={epochs: 40, batch: 256, lr: 0.003, ema: 0.99, pairs: 2048, solver_steps: 8, rounds: %d}"
    assignments = [[], [reflow % 1], [reflow % 2]]
    return [trained(load_recipe("quickstart-digits", [*SMALL, *extra]), folder) for extra in assignments]


def test_each_round_makes_the_flow_straighter(flows: list[LatentModel]) -> None:
    first, second, third = map(curvature, flows)
    assert second < first / 2
    assert third < second


def test_rounds_share_the_stages_before_them(flows: list[LatentModel]) -> None:
    for later in flows[1:]:
        for name, tensor in flows[0].autoencoder.state_dict().items():
            assert torch.equal(tensor, later.autoencoder.state_dict()[name])
    assert any(not torch.equal(a, b) for a, b in zip(*(flow.network.parameters() for flow in flows[:2]), strict=True))


def test_pairs_are_noise_and_what_the_flow_makes_of_it(flows: list[LatentModel]) -> None:
    model, config = flows[0], ReflowTraining(epochs=1, pairs=1200, solver_steps=4)
    noise, data, labels = reflow_pairs(model, config, seed=3)
    assert labels is None
    assert torch.equal(noise, model.noise(1200, 3, "reflow"))
    expected = last(model.trajectory(noise[1100:], None, model.architecture.sampling.but("heun", 4)))
    torch.testing.assert_close(data[1100:], model.scale(expected), atol=1e-5, rtol=1e-4)


def test_at_the_end_of_time_the_loss_is_that_of_a_single_step(flows: list[LatentModel]) -> None:
    model = flows[0]
    noise, data, _ = reflow_pairs(model, ReflowTraining(epochs=1, pairs=64, solver_steps=4), 1)
    loss = ReflowObjective(model, noise, data, None, "end")(torch.arange(64), Draws(stream("any")))["loss"]
    step = model.scale(last(model.trajectory(noise, None, model.architecture.sampling.but("euler", 1))))
    torch.testing.assert_close(loss, (step - data).square().mean())


def test_moments_bring_what_a_single_step_makes_nearer_to_real_images(flows: list[LatentModel], tmp_path: Path) -> None:
    """In the features of a classifier that has learnt the digits, of noise that no pair had."""
    model, fabric = LatentModel(flows[0].architecture), Fabric(accelerator="cpu", devices=1)
    model.load_state_dict(flows[0].state_dict())
    model.requires_grad_(False)
    recipe = load_recipe(
        "quickstart-digits",
        [
            "training.features={epochs: 4, batch: 128, lr: 0.005, network: {width: 8}}",
            "training.reflow={epochs: 1, times: end}",
            "training.moments={epochs: 8, batch: 128, lr: 0.01, memory: 0.9}",
        ],
    )
    data = embedded_digits()
    critics, config = Critics.of(recipe, data.shape, 10), recipe.training.moments
    assert critics.features is not None
    assert config is not None
    for stage, learnt in features_stage(recipe, data.train, critics):
        for _ in fit(learnt, recipe.training.stages()[stage], fabric, tmp_path, (0, stage)):
            pass
    with torch.no_grad():
        real = moments(critics.features.pooled(data.train.images))

    def away() -> float:
        made = model.generate(model.noise(2000, 9), None, model.architecture.sampling.but("euler", 1))
        return frechet_distance(*moments(critics.features.pooled(made)), *real)

    with torch.no_grad():
        before = away()
    model.network.requires_grad_(True)
    drawn = reflow_pairs(model, ReflowTraining(epochs=1, pairs=4000, solver_steps=4), 1)
    learnt = MomentsObjective(model, drawn, critics.features, data.train, config)
    for _ in fit(learnt, config, fabric, tmp_path, (0, "moments")):
        pass
    with torch.no_grad():
        assert away() < 0.8 * before
