"""What a study compares: arms made of recipes, the keys that it asks about, its claims and its seeds."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from latentarena.config import Config, validate
from latentarena.data import load_dataset
from latentarena.documents import read_yaml
from latentarena.errors import ConfigError
from latentarena.study.claims import Claim
from latentarena.study.match import Match, changed_keys, matched
from latentarena.study.sequential import FIRST
from latentarena.text import meant, shown
from latentarena.train.recipe import Recipe, load_recipe
from latentarena.train.shelf import SUFFIXES, Shelf, recipe_names

STUDIES = Shelf("study", Path(__file__).parent / "studies", "title")
WORDS = ("name", "about", "otherwise", "expected", "length", "seed", "parts")  # of a recipe, which train nothing
ABSENT = "-"
WORD = r"[A-Za-z0-9_.-]{1,16}"  # that may stand in an arm's name

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,79}$")]


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
        origin: who made the claims.
        quick: factor on the epochs with which three seeds take less than an hour on two cores.
        set: what is changed in the recipe of every arm.
        vary: values by dotted key: every arm becomes one for each combination of them, named such as `ARM-lr-0.001`.
        match: in what all arms are made like the first: `parameters` of the generator by its width, `steps` or `macs`
            (multiply-adds of training) by epochs.
        asks: keys of recipes, or beginnings of keys, that arms are meant to differ in.
        claims: see `Claim`.
        seeds, most: trainings of each arm, at least, and at most as long as a claim is undecided.
        error: chance that any of the claims is decided wrongly.
        samples: that the judge asks for.
        waterfall: whether it measures the error waterfall of every run.
    """

    title: str
    about: str = ""
    origin: str = ""
    quick: float | None = Field(default=None, gt=0, le=1)
    arms: dict[Name, Arm] = Field(min_length=1, max_length=100)
    set: dict[str, Any] = Field(default_factory=dict)
    vary: dict[str, tuple[Any, ...]] = Field(default_factory=dict)
    match: Match | None = None
    asks: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()
    seeds: int = Field(default=FIRST, ge=2, le=1000)
    most: int = Field(default=FIRST, ge=2, le=1000)
    error: float = Field(default=0.05, gt=0, lt=0.5)
    samples: int = Field(default=10_000, ge=100, le=1_000_000)
    waterfall: bool = False


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


def load_study(source: str, budget: float = 1.0, root: Path | None = None, **changes: Any) -> Study:
    """Read a study, and the recipes of its arms.

    Args:
        source: a shipped study's name, or a YAML file.
        budget: factor on the epochs of every arm.
        root: where to look for data, which matching asks for the shape of.
        changes: values of `StudyConfig` that stand in place of the file's.

    Raises:
        ConfigError: one line naming key, value and choices.
    """
    path = STUDIES.source(source)
    return _study(path.stem, read_yaml(path) | changes, path.parent, budget, root)


def study_of(recipes: Sequence[str], budget: float = 1.0, root: Path | None = None, **config: Any) -> Study:
    """A study of recipes as they are; of two, it asks whether the first has the smaller Frechet distance.

    Args:
        recipes: names or YAML files, each an arm of its name.
        budget, root: as for `load_study`.
        config: values of `StudyConfig`.

    Raises:
        ConfigError: one line naming key, value and choices.
    """
    arms = {Path(recipe).stem: {"recipe": recipe} for recipe in recipes}
    if len(arms) < len(recipes):
        raise ConfigError("recipes of one name; to compare one with itself changed, give it once and vary a key")
    if len(arms) == 2 and not config.get("vary"):
        config = {"claims": [" < ".join(f"frechet[{arm}]" for arm in arms)]} | config
    name = "-".join([*arms, *(key.rpartition(".")[2] for key in config.get("vary", {}))])
    return _study(name, {"title": " against ".join(arms), "arms": arms} | config, Path(), budget, root)


def study_from(sources: Sequence[str], budget: float = 1.0, root: Path | None = None, **config: Any) -> Study:
    """The study that one source names, or a study of the recipes that they name; see `load_study` and `study_of`."""
    if len(sources) == 1 and is_study(sources[0]):
        return load_study(sources[0], budget, root, **config)
    return study_of(sources, budget, root, **config)


def is_study(source: str) -> bool:
    """Whether this names a study and no recipe: a shipped one, or a file that has arms.

    Raises:
        ConfigError: it names neither.
    """
    if Path(source).suffix in SUFFIXES:
        return "arms" in read_yaml(STUDIES.source(source))
    names = [*STUDIES.names(), *recipe_names()]
    if source not in names:
        instead = f"{meant(source, names)}`arena study` and `arena recipes` list them"
        raise ConfigError(f"study or recipe {shown(source)} is unknown; {instead}")
    return source in STUDIES.names()


def _study(name: str, raw: Mapping[str, Any], folder: Path, budget: float, root: Path | None) -> Study:
    config = validate(StudyConfig, raw, name)
    if config.most < config.seeds:
        raise ConfigError(f"{name}: most = {config.most}, but seeds = {config.seeds}; most is at least as many")
    config = validate(StudyConfig, config.model_dump() | {"vary": {}, "arms": _varied(config)}, f"{name}, varied")
    recipes = {arm: _recipe(f"{name}: arms.{arm}", one, config, folder, budget) for arm, one in config.arms.items()}
    asks = (*config.asks, *dict.fromkeys(raw.get("vary", {})))
    if config.match:
        load = cache(partial(load_dataset, root=root))
        recipes = matched(recipes, config.match, lambda recipe: load(recipe.data))
        asks += changed_keys(config.match)
    named = {arm: recipe.model_copy(update={"name": arm}) for arm, recipe in recipes.items()}
    claims = tuple(Claim.read(text, list(config.arms)) for text in config.claims)
    return Study(name, config.model_copy(update={"asks": asks}), named, claims)


def _varied(config: StudyConfig) -> dict[str, dict[str, Any]]:
    """The arms with one for each combination of the values that are varied."""
    found = {}
    for name, arm in config.arms.items():
        for places in product(*(range(len(values)) for values in config.vary.values())):
            changes = {key: config.vary[key][place] for key, place in zip(config.vary, places, strict=True)}
            said = (_called(key, changes[key], place) for key, place in zip(changes, places, strict=True))
            found["-".join([name, *said])] = {"recipe": arm.recipe, "set": arm.set | changes}
    return found


def _called(key: str, value: Any, place: int) -> str:
    """Such as `lr-0.001`; a value that is no word goes by its place."""
    text = _text(value)
    return f"{key.rpartition('.')[2]}-{text if re.fullmatch(WORD, text) else place + 1}"


def _recipe(where: str, arm: Arm, config: StudyConfig, folder: Path, budget: float) -> Recipe:
    """An arm's recipe; texts are read as overrides of a command line are."""
    beside = folder / arm.recipe
    source = str(beside) if beside.suffix in SUFFIXES and beside.is_file() else arm.recipe
    try:
        changes = [f"{key}={_text(value)}" for key, value in (config.set | arm.set).items()]
        return load_recipe(source, changes).scaled(budget)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _leaves(part, f"{key}.{name}" if key else name)
    elif value is not None:
        yield key, value
