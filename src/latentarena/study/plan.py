"""What a study compares: arms made of recipes, the keys that it asks about, its claims and its seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from latentarena.config import Config, validate
from latentarena.documents import read_yaml
from latentarena.errors import ConfigError
from latentarena.study.claims import Claim
from latentarena.study.sequential import FIRST
from latentarena.train.recipe import Recipe, load_recipe
from latentarena.train.shelf import SUFFIXES, Shelf

STUDIES = Shelf("study", Path(__file__).parent / "studies", "title")
WORDS = ("name", "about", "otherwise", "expected", "length", "seed")  # of a recipe, which train nothing
ABSENT = "-"

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$")]


class Arm(Config):
    """One of the designs that are compared.

    Attributes:
        recipe: name of a shipped one, or a YAML file beside the study.
        set: what is changed in it, by dotted key.
    """

    recipe: str
    set: dict[str, Any] = Field(default_factory=dict)


class StudyConfig(Config):
    """A study as its file says it.

    Attributes:
        title, about: for people.
        set: what is changed in the recipe of every arm.
        asks: keys of recipes, or beginnings of keys, that arms are meant to differ in.
        claims: see `Claim`.
        seeds, most: trainings of each arm, at least, and at most as long as a claim is undecided.
        error: chance that any of the claims is decided wrongly.
        samples: that the judge asks for.
    """

    title: str
    about: str = ""
    arms: dict[Name, Arm] = Field(min_length=1, max_length=50)
    set: dict[str, Any] = Field(default_factory=dict)
    asks: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()
    seeds: int = Field(default=FIRST, ge=2, le=1000)
    most: int = Field(default=FIRST, ge=2, le=1000)
    error: float = Field(default=0.05, gt=0, lt=0.5)
    samples: int = Field(default=10_000, ge=100, le=1_000_000)


@dataclass(frozen=True)
class Study:
    """A study that can start: its arms' recipes, and its claims, are known to be possible."""

    name: str
    config: StudyConfig
    recipes: Mapping[str, Recipe]
    claims: tuple[Claim, ...]

    @property
    def factors(self) -> dict[str, dict[str, str]]:
        """The values of every key in which the arms differ: key -> arm -> value."""
        plain = {arm: recipe.model_dump(mode="json", exclude=set(WORDS)) for arm, recipe in self.recipes.items()}
        flat = {arm: dict(_leaves(one)) for arm, one in plain.items()}
        keys = dict.fromkeys(key for one in flat.values() for key in one)
        table = {key: {arm: str(one.get(key, ABSENT)) for arm, one in flat.items()} for key in keys}
        return {key: values for key, values in table.items() if len(set(values.values())) > 1}

    def unasked(self, claim: Claim) -> list[str]:
        """Keys in which arms of a claim differ though the study does not ask about them.

        What these do is taken for what is asked about: such a comparison is not controlled.
        """
        asked, factors = self.config.asks, self.factors
        pairs = [(link.smaller.arm, link.larger.arm) for link in claim.links if link.smaller.arm and link.larger.arm]
        keys = (key for key, values in factors.items() if any(values[one] != values[other] for one, other in pairs))
        return [key for key in keys if not any(key == one or key.startswith(f"{one}.") for one in asked)]


def load_study(source: str, budget: float = 1.0) -> Study:
    """Read a study, and the recipes of its arms.

    Args:
        source: a shipped study's name, or a YAML file.
        budget: factor on the epochs of every arm.

    Raises:
        ConfigError: one line naming key, value and choices.
    """
    path = STUDIES.source(source)
    config = validate(StudyConfig, read_yaml(path), path.stem)
    if config.most < config.seeds:
        raise ConfigError(f"{path.stem}: most = {config.most}, but seeds = {config.seeds}; most is at least as many")
    recipes = {}
    for name, arm in config.arms.items():
        beside = path.parent / arm.recipe
        recipe = str(beside) if beside.suffix in SUFFIXES and beside.is_file() else arm.recipe
        try:
            changed = load_recipe(recipe, {**config.set, **arm.set}).scaled(budget)
        except ConfigError as error:
            raise ConfigError(f"{path.stem}: arms.{name}: {error}") from None
        recipes[name] = changed.model_copy(update={"name": name})
    claims = tuple(Claim.read(text, list(config.arms)) for text in config.claims)
    return Study(path.stem, config, recipes, claims)


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _leaves(part, f"{key}.{name}" if key else name)
    elif value is not None:
        yield key, value
