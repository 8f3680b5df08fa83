"""How long a study takes, told before it starts from the multiply-adds of its trainings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from latentarena.data import load_dataset
from latentarena.errors import DataMissing
from latentarena.files import digest_json
from latentarena.run.training_cost import training_cost
from latentarena.study.plan import Study
from latentarena.train.recipe import Recipe
from latentarena.train.reuse import determinants

RATE = 1.3e10  # multiply-adds of training a second on two cores: the slowest quarter of docs/results.md
JUDGING = 60.0  # seconds of judging a run there


def seconds_of(study: Study, root: Path | None) -> float | None:
    """Seconds of all first runs on two cores, one after the other; None where the data is not at hand.

    Args:
        root: where to look for data.
    """
    try:
        data = load_dataset(next(iter(study.recipes.values())).data, root)
    except DataMissing:
        return None
    return study.config.seeds * seconds_a_seed(study.recipes, data.shape, data.classes, len(data.train))


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
