"""Arms made equal in one respect before they are compared: steps, training compute, or the generator's size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch

from latentarena.data import Dataset
from latentarena.errors import ConfigError
from latentarena.model.latent_model import LatentModel
from latentarena.run.training_cost import training_cost
from latentarena.train.recipe import Recipe, load_recipe

Match = Literal["parameters", "macs", "steps"]
Of = Callable[[Recipe], Dataset]
CLOSE = 0.05  # of the first arm's
WIDEST = 1024  # width that is tried, or four times the arm's own if that is larger


def matched(recipes: Mapping[str, Recipe], what: Match, data_of: Of) -> dict[str, Recipe]:
    """The recipes with all but the first changed to be like the first.

    Args:
        recipes: by arm.
        what: `steps` and `macs` change the epochs of every stage that both have, to equal optimizer steps or equal
            multiply-adds of training; `parameters` changes the width of the generator's network.
        data_of: a recipe's dataset.

    Raises:
        ConfigError: an arm cannot be made like the first to within a twentieth.
    """
    (name, first), *others = recipes.items()
    made = {name: first}
    for arm, recipe in others:
        by_width = what == "parameters"
        made[arm] = _by_width(arm, recipe, first, data_of) if by_width else _by_epochs(recipe, first, what, data_of)
        like, wanted = (_sizes(one, what, data_of(one)) for one in (made[arm], first))
        for part in like.keys() & wanted.keys():
            if abs(like[part] / wanted[part] - 1) > CLOSE:
                has = f"{what} of the {part} can be made {like[part]:,.0f} at best; {name} has {wanted[part]:,.0f}"
                raise ConfigError(f"arms.{arm}: {has}; choose another first arm, or leave match out")
    return made


def changed_keys(what: Match) -> tuple[str, ...]:
    """The keys that matching changes: that arms differ in them is no fault of a comparison."""
    if what == "parameters":
        return "generator.backbone.width", "generator.backbone.widths"
    return "training.autoencoder.epochs", "training.generator.epochs"


def _by_epochs(recipe: Recipe, first: Recipe, what: Match, data_of: Of) -> Recipe:
    own, wanted = (_sizes(one, what, data_of(one)) for one in (recipe, first))
    keys = {part: f"training.{part}.epochs" for part in own.keys() & wanted.keys()}
    epochs = {part: getattr(recipe.training, part).epochs for part in keys}
    return load_recipe(recipe, {key: epochs[part] * wanted[part] / own[part] for part, key in keys.items()})


def _by_width(arm: str, recipe: Recipe, first: Recipe, data_of: Of) -> Recipe:
    """By bisection: numbers grow with the width."""
    (wanted,) = _sizes(first, "parameters", data_of(first)).values()
    widths, tried = _widths(recipe), dict[int, Recipe]()
    while widths:
        middle = len(widths) // 2
        try:
            made = load_recipe(recipe, widths[middle])
            (numbers,) = _sizes(made, "parameters", data_of(made)).values()
        except ConfigError:  # such as one that its heads do not divide
            widths.pop(middle)
            continue
        tried[int(numbers)] = made
        widths = widths[middle + 1 :] if numbers < wanted else widths[:middle]
    if not tried:
        raise ConfigError(f"arms.{arm}: generator.backbone has no width that could be changed to match parameters")
    return tried[min(tried, key=lambda numbers: abs(numbers - wanted))]


def _widths(recipe: Recipe) -> list[dict[str, Any]]:
    """The changes that give the network each width, in ascending order."""
    backbone = recipe.generator.backbone
    levels = getattr(backbone, "widths", None)
    own = max(levels) if levels else getattr(backbone, "width", None)
    if own is None:
        return []
    widths = range(4, max(WIDEST, 4 * own) + 1, 4)
    if levels is None:
        return [{"generator.backbone.width": width} for width in widths]
    return [{"generator.backbone.widths": [max(1, round(one * width / own)) for one in levels]} for width in widths]


def _sizes(recipe: Recipe, what: Match, data: Dataset) -> dict[str, float]:
    """What is to be equal: numbers of the generator, or steps or multiply-adds of the stages that all flows have."""
    if what == "parameters":
        with torch.device("meta"):
            return {"generator": LatentModel(recipe.architecture(data.shape, data.classes)).parts()["generator"]}
    cost = training_cost(recipe, data.shape, data.classes, len(data.train))
    stages = {stage: cost[stage] for stage in ("autoencoder", "generator") if stage in cost}
    return {stage: float(one.steps if what == "steps" else one.total) for stage, one in stages.items()}
