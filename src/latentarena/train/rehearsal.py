"""A rehearsal of parts of users' own: asked once for a few images, before the first of them is trained."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from math import isfinite

import torch
from torch import Tensor

from latentarena.data import Dataset, Images
from latentarena.errors import ArenaError, ConfigError
from latentarena.model.latent_model import LatentModel, labels_for
from latentarena.parts import fault_in_parts, fault_words, foreign_in
from latentarena.process import TIMES, drawn_times
from latentarena.randomness import Draws, stream
from latentarena.train.loop import Objective
from latentarena.train.recipe import Recipe
from latentarena.train.stages import Critics, autoencoder_stages, latent_stages

ROWS, TRIED = 8, 1000  # images, and training times


def rehearse(recipe: Recipe, model: LatentModel, data: Dataset) -> None:
    """One step of each stage that learns from the data, and two of the sampler, of a model that is thrown away.

    A part that fails would otherwise do so once all stages before it are trained. Nothing is done where no part is
    the user's own.

    Args:
        model: of the recipe, on the CPU; its standardiser is not what it was.

    Raises:
        ConfigError: a part cannot be called, or gives something of another shape, times outside [0, 1], noise that is
            not only re-ordered, or a loss that is not finite or that no weight moves.
    """
    if not foreign_in(recipe):
        return
    with _told(recipe):
        _rehearse(recipe, model, data)


@contextmanager
def _told(recipe: Recipe) -> Iterator[None]:
    """What fails outside of the parts' own files, such as a call that does not fit them, told with their names."""
    try:
        yield
    except ArenaError:
        raise
    except Exception as error:  # it is anybody's code
        if fault_in_parts(error):
            raise
        names = ", ".join(part.words for part in foreign_in(recipe))
        raise ConfigError(f"{names}: a step with these fails before training: {fault_words(error)}") from error


def _rehearse(recipe: Recipe, model: LatentModel, data: Dataset) -> None:
    rows = torch.arange(min(ROWS, len(data.train)))
    alone = dict.fromkeys(["reflow", "moments", "consistency"])  # of the model's own samples
    short = recipe.model_copy(update={"training": recipe.training.model_copy(update=alone)})
    with torch.random.fork_rng(devices=[]):
        for part in foreign_in(recipe):
            if part.kind == TIMES.kind:  # those of reflow come when all else is trained
                drawn_times(TIMES[part.name], model.path, Draws(stream(recipe.seed, "times")), TRIED)
        critics = Critics.of(short, data.shape, len(data.classes))
        _step_each(autoencoder_stages(short, model.autoencoder, data.train, critics), rows, recipe.seed)
        with torch.no_grad():
            latents = model.autoencoder.encode(data.train.batch(rows))
        some = Images(data.train.pixels[rows], data.train.labels[rows])
        _step_each(latent_stages(short, model, latents, some, critics), rows, recipe.seed)
        how = model.architecture.sampling
        noise, labels = model.noise(len(rows), recipe.seed), labels_for(model, len(rows))
        model.eval().generate(noise, labels, how.but(steps=min(how.steps, 2)))


def _step_each(stages: Iterable[tuple[str, Objective]], rows: Tensor, seed: int) -> None:
    """One step of each stage in turn: what follows a stage may freeze what it trained."""
    for stage, objective in stages:
        loss = objective(rows, Draws(torch.Generator().manual_seed(seed)))["loss"]
        if not isfinite(loss.item()):
            raise ConfigError(f"{stage}: the loss of the first {len(rows)} images is {loss.item():g} untrained")
        loss.backward()
