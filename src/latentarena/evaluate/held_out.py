"""The losses that a native model was trained by, on images that it was not trained on."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from latentarena.autoencoder import Posterior
from latentarena.card.figure import Figure
from latentarena.data import Images
from latentarena.judge.metrics import squared_errors
from latentarena.model.latent_model import LatentModel
from latentarena.randomness import Draws, stream
from latentarena.train.recipe import told_recipe
from latentarena.train.stages import GeneratorObjective

CHUNK = 500  # images at a time
MOST = 2000  # images of the generator's loss
DEVIATIONS = 1.959964  # of a normal distribution, on either side of 95 %


@torch.no_grad()
def held_out_losses(model: LatentModel, recipe: dict[str, object], test: Images) -> dict[str, Figure]:
    """Losses on the test split, with the same noise for every model.

    `held_out_loss` is the squared error of a pixel when test images are decoded from draws of their posteriors; pixel
    space has none. `held_out_flow_loss` is the generator's own loss, as its recipe has it, on the latents of at most
    2,000 test images; there is none where a later stage trains the network by another loss, or the recipe cannot be
    read.

    Args:
        model: in evaluation mode, on the CPU.
        recipe: that it was trained by, as its card has it.
        test: images that it was not trained on.
    """
    draws = Draws(stream("held-out loss"))
    errors, means, variances = [], [], []
    for start in range(0, len(test), CHUNK):
        images = test.batch(slice(start, start + CHUNK)).cpu()
        posterior = model.autoencoder.encode(images)
        if model.learned:
            noise = draws.normal(*posterior.mean.shape)
            errors.append(squared_errors(model.autoencoder.decode(posterior.sample(noise)), images))
        means.append(posterior.mean)
        variances.append(posterior.log_variance)
    found = {"held_out_loss": _mean(torch.cat(errors))} if errors else {}
    shared = len(variances[0]) == 1
    latents = Posterior(torch.cat(means)[:MOST], variances[0] if shared else torch.cat(variances)[:MOST])
    losses = _generator_losses(model, recipe, latents, test.labels.cpu()[:MOST])
    return found | ({} if losses is None else {"held_out_flow_loss": _mean(losses)})


def _generator_losses(model: LatentModel, raw: dict[str, object], latents: Posterior, labels: Tensor) -> Tensor | None:
    """The generator's loss on batches of latents, (K,); None where it has no loss that can be told."""
    told = told_recipe(raw)
    if told is None or told.training.reflow is not None or told.training.consistency is not None:
        return None
    config = told.training.generator.model_copy(update={"drop_labels": 0.0})
    objective = GeneratorObjective(model, model.network, latents, labels, config)
    draws, rows = Draws(stream("held-out flow loss")), torch.arange(len(latents.mean))
    size = max(1, min(CHUNK // 5, len(rows) // 5))
    batches = [rows[start : start + size] for start in range(0, len(rows) - size + 1, size)]
    return torch.stack([objective(index, draws)["loss"] for index in batches])


def _mean(values: Tensor) -> Figure:
    """The mean of independent numbers (N,), and its interval."""
    values = values.double()
    value = float(values.mean())
    half = DEVIATIONS * float(values.std()) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    return Figure(value=value, low=max(0.0, value - half), high=value + half)
