"""What a study takes, told before it starts: time from the multiply-adds of its trainings, disk from its numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from latentarena.data import load_dataset
from latentarena.errors import DataMissing
from latentarena.files import digest_json
from latentarena.model.latent_model import LatentModel
from latentarena.run.training_cost import training_cost
from latentarena.study.plan import Study
from latentarena.train.recipe import Recipe
from latentarena.train.reuse import determinants

RATE = 1.3e10  # multiply-adds of training a second on two cores: the slowest quarter of docs/results.md
JUDGING = 60.0  # seconds of judging a run there
PAGES = 3 << 20  # bytes of a run's report, pictures and logs
STORED = (
    30  # bytes that a run keeps for each of its numbers: in the bundle, and in checkpoints with the optimizer's state
)


class StudyCost(NamedTuple):
    """Seconds on two cores, one run after the other, and bytes on disk."""

    seconds: float
    bytes: int


def cost_of(study: Study, root: Path | None) -> StudyCost | None:
    """What all first runs take; None where the data is not at hand.

    Args:
        root: where to look for data.
    """
    try:
        data = load_dataset(next(iter(study.recipes.values())).data, root)
    except DataMissing:
        return None
    seeds, recipes = study.config.seeds, study.recipes
    seconds = seconds_a_seed(recipes, data.shape, data.classes, len(data.train))
    return StudyCost(
        seeds * seconds, seeds * sum(bytes_of(recipe, data.shape, data.classes) for recipe in recipes.values())
    )


def bytes_of(recipe: Recipe, shape: tuple[int, int, int], classes: tuple[str, ...]) -> int:
    """Bytes that a run of a recipe keeps."""
    model = LatentModel(recipe.architecture(shape, classes), recipe.seed)
    return PAGES + STORED * sum(one.numel() for one in model.parameters())


def seconds_a_seed(
    recipes: Mapping[str, Recipe], shape: tuple[int, int, int], classes: tuple[str, ...], size: int
) -> float:
    """Seconds of training and judging every arm once on two cores; stages that arms share are trained once.

    Args:
        recipes: by arm.
        shape, classes, size: of the data: images, class names, and how many train images there are.
    """
    stages: dict[str, float] = {}
    for recipe in recipes.values():
        for stage, cost in training_cost(recipe, shape, classes, size).items():
            parts = [None if part is None else part.model_dump(mode="json") for part in determinants(recipe, stage)]
            stages[digest_json([stage, parts])] = cost.total
    return sum(stages.values()) / RATE + JUDGING * len(recipes)
