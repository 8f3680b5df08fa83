"""Laws of reflow: its pairs are the flow's own, and a reflowed flow is straighter."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric

from latentarena.autoencoder import Posterior
from latentarena.data.digits import embedded_digits
from latentarena.latents import encode_all
from latentarena.model.latent_model import LatentModel
from latentarena.randomness import Draws, stream
from latentarena.sample import last
from latentarena.train.recipe import Recipe, load_recipe
from latentarena.train.shelter import Shelter
from latentarena.train.stages import AdversarialObjective, ReflowObjective, reflow_pairs, train_model
from latentarena.train.training import AdversarialTraining, ReflowTraining

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


def test_the_anchor_of_the_adversarial_stage_is_that_same_loss(flows: list[LatentModel]) -> None:
    model, data = flows[0], embedded_digits()
    pairs = reflow_pairs(model, ReflowTraining(epochs=1, pairs=64, solver_steps=4), 1)
    latents = encode_all(model.autoencoder, data.train, data.digest)
    config = AdversarialTraining(epochs=1, anchor=5)
    objective = AdversarialObjective(model, pairs, latents, data.train.labels, config)
    objective.noise, objective.data = (part[:1].expand(64, -1) for part in pairs[:2])  # whichever are drawn
    losses = objective(torch.arange(64), Draws(stream("any")))
    same = ReflowObjective(model, objective.noise, objective.data, None, "end")(torch.arange(64), Draws(stream("any")))
    torch.testing.assert_close(losses["mse"], same["loss"])
    whole = 5 * losses["mse"] + losses["adversarial"] + losses["discriminator"]
    torch.testing.assert_close(losses["loss"], whole)


@pytest.mark.parametrize("conditional", [False, True])
def test_an_adversarial_step_is_that_of_its_weights_and_draws_alone(conditional: bool) -> None:
    """A checkpoint holds network and discriminator, and nothing else decides: training resumes exactly."""
    words = [*SMALL, f"generator.conditional={str(conditional).lower()}", "sampling={solver: euler, steps: 1}"]
    recipe, data = load_recipe("quickstart-digits", words), embedded_digits()
    real, labels = Posterior(torch.randn(32, 6, generator=stream("real")), torch.zeros(1, 6)), torch.arange(32) % 10

    def objective(seed: int) -> AdversarialObjective:
        model = LatentModel(recipe.architecture(data.shape, data.classes), seed)
        pairs = model.noise(64, 1), model.noise(64, 2), torch.arange(64) % 10 if conditional else None
        return AdversarialObjective(model, pairs, real, labels, AdversarialTraining(epochs=1))

    def losses(one: AdversarialObjective) -> torch.Tensor:
        return torch.stack(list(one(torch.arange(16), Draws(stream("draws"))).values()))

    one, other = objective(0), objective(1)
    assert {name.split(".")[0] for name in one.state_dict()} == {"network", "discriminator"}
    assert not torch.equal(losses(one), losses(other))
    other.load_state_dict(one.state_dict())
    assert torch.equal(losses(one), losses(other))
