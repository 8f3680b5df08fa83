"""What a bundle says of its own training, and what a model that was trained so cannot be asked."""

from __future__ import annotations

from latentarena.bundle import AnyBundle
from latentarena.errors import ConfigError
from latentarena.train.earlier import is_student
from latentarena.train.recipe import Recipe, told_recipe


def recipe_told_by(bundle: AnyBundle) -> Recipe | None:
    """The recipe that a bundle says it was trained by, if it says so."""
    told = bundle.card.provenance
    return told_recipe(told.recipe) if told is not None else None


def refuse_more_steps(bundle: AnyBundle, steps: int) -> None:
    """Raise a ConfigError where a network is asked for several steps that was trained at t = 1 alone."""
    recipe = recipe_told_by(bundle)
    reflow = recipe.training.reflow if recipe is not None else None
    if steps > 1 and reflow is not None and reflow.times == "end":
        way_out = "leave it out, or take a model of many steps, such as zoo:quickstart"
        raise ConfigError(f"--steps {steps}: {bundle.card.name} was trained for one step from the noise; {way_out}")


def refuse_no_flow(bundle: AnyBundle, what: str) -> None:
    """Raise a ConfigError where a flow is to be followed and the network is no flow's: that of a model of few steps."""
    recipe = recipe_told_by(bundle)
    if recipe is not None and is_student(recipe.training):
        why = "goes from noise to data in few steps by a network that is no flow's"
        raise ConfigError(f"{what}: {bundle.card.name!r} {why}; take one of many steps, such as zoo:quickstart")
