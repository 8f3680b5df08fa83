"""What a training costs: multiply-adds counted from recipe and architecture, whatever clock it ran by."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch.utils.flop_counter import FlopCounterMode

from latentarena.autoencoder import Posterior
from latentarena.backbone.attention import forward_mode
from latentarena.data import Images
from latentarena.model.latent_model import LatentModel
from latentarena.randomness import Draws, stream
from latentarena.train.loop import Objective
from latentarena.train.recipe import Recipe
from latentarena.train.stages import Critics, autoencoder_stages, latent_stages

ROWS = 4  # examples whose forward pass is counted
PAIRS = 16  # of a reflow, the fewest that a recipe may have
TRAINED = 3  # passes forward and backward over one forward: the backward pass takes twice as many multiply-adds
Result = TypeVar("Result")


@dataclass(frozen=True)
class StageCost:
    """Multiply-adds of one stage of a training.

    Attributes:
        forward: of the loss of one example.
        batch: examples in a step; steps: of the stage.
        prepared: before the first step, such as for the pairs of a reflow.
    """

    forward: float
    batch: int
    steps: int
    prepared: float = 0.0

    def after(self, step: int) -> float:
        """Multiply-adds up to this step: three forward passes for each example, of which the backward pass is two."""
        return self.prepared + TRAINED * self.forward * self.batch * step

    @property
    def total(self) -> float:
        """Multiply-adds of the whole stage."""
        return self.after(self.steps)


def training_cost(
    recipe: Recipe, shape: tuple[int, int, int], classes: tuple[str, ...], size: int
) -> dict[str, StageCost]:
    """The cost of every stage, by the names of `Training.stages`.

    The loss of each stage is executed once on a few random images, by untrained networks, and its multiply-adds are
    counted: what the loss itself needs beside the network, such as a perceptual distance or a teacher, is counted too.

    Args:
        recipe: of the training.
        shape, classes: of the images.
        size: images of the train split.
    """
    fewer = recipe.training.reflow and recipe.training.reflow.model_copy(update={"pairs": PAIRS})
    short = recipe.model_copy(update={"training": recipe.training.model_copy(update={"reflow": fewer})})
    model = LatentModel(recipe.architecture(shape, classes))
    pixels = torch.randint(256, (ROWS, *shape), dtype=torch.uint8, generator=stream("training cost"))
    images = Images(pixels, torch.arange(ROWS) % len(classes))
    found: dict[str, StageCost] = {}
    for stage, objective, prepared in _prepared(short, model, images, len(classes)):
        config = recipe.training.stages()[stage]
        examples, asked = size, ROWS
        if stage.startswith("reflow") and recipe.training.reflow is not None:
            examples, asked = recipe.training.reflow.pairs, PAIRS
        forward, before = _forward(objective) / ROWS, prepared * examples / asked
        found[stage] = StageCost(forward, min(config.batch, examples), config.steps(examples), before)
    return found


def _prepared(
    recipe: Recipe, model: LatentModel, images: Images, classes: int
) -> Iterator[tuple[str, Objective, float]]:
    """Every stage's loss, and the multiply-adds that its preparation took."""
    critics = Critics.of(recipe, images.shape, classes)
    for stage, objective in autoencoder_stages(recipe, model.autoencoder, images, critics):
        yield stage, objective, 0.0
    with torch.no_grad():
        found = model.autoencoder.encode(images.batch(slice(None)))
    latents = Posterior(found.mean.detach(), found.log_variance.detach())
    stages = latent_stages(recipe, model, latents, images, critics)
    while True:
        following, macs = _counted(lambda: next(stages, None))
        if following is None:
            return
        yield *following, macs


def _forward(objective: Objective) -> float:
    index = torch.arange(ROWS)
    return _counted(lambda: objective(index, Draws(stream("training cost", "draws"))))[1]


def _counted(work: Callable[[], Result]) -> tuple[Result, float]:
    """What some work comes to, and the multiply-adds that it takes.

    By torch's own counter and not by `counting`: that one leaves out what does not depend on a sample's noise and what
    is computed twice, but a training computes all of it in every step.
    """
    with forward_mode(), FlopCounterMode(display=False) as counter:
        result = work()
    return result, counter.get_total_flops() / 2
