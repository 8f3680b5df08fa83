"""What a search tunes: ranges of a recipe's keys, and the figure of the validation split that is made small."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from latentarena.config import Config, validate
from latentarena.documents import read_yaml
from latentarena.errors import ConfigError
from latentarena.text import shown
from latentarena.train.recipe import Recipe, load_recipe
from latentarena.train.shelf import SUFFIXES, Shelf

SPACES = Shelf("space", Path(__file__).parent / "spaces", "title")
FIXED = ("name", "about", "otherwise", "expected", "length", "seed", "parts", "data", "metrics")  # of every trial
WHOLE = 1e-6  # of a step: rounding of a range that is whole steps long

Minimise = Literal["frechet", "mse", "loss"]


class Span(Config):
    """Numbers from `low` to `high`, both included; whole ones where both are written without a point.

    Attributes:
        log: drawn evenly in the logarithm.
        step: between neighbours.
    """

    low: int | float
    high: int | float
    log: bool = False
    step: int | float | None = Field(default=None, gt=0)

    @property
    def whole(self) -> bool:
        """Whether all values are whole numbers."""
        return all(isinstance(one, int) for one in (self.low, self.high, self.step) if one is not None)

    @model_validator(mode="after")
    def _possible(self) -> Span:
        if not self.low < self.high:
            raise ValueError(f"low = {self.low} and high = {self.high}: low is the smaller one")
        if self.log and self.low <= 0:
            raise ValueError(f"low = {self.low}: with log it is more than 0")
        if self.log and self.step is not None:
            raise ValueError("log and step exclude each other; leave one out")
        if self.step is not None:
            steps = (self.high - self.low) / self.step
            if abs(steps - round(steps)) > WHOLE or round(steps) < 1:
                raise ValueError(f"step = {self.step}: from {self.low} to {self.high} there are no whole steps of it")
        return self


class SpaceConfig(Config):
    """A search as its file says it.

    Attributes:
        title: for people.
        recipe: name of a shipped one, or a YAML file beside the space.
        set: what is changed in the recipe of every trial, by dotted key.
        ranges: by dotted key, numbers between two ends (see `Span`) or a list of choices.
        minimise: on the validation split: `frechet`, of samples from the validation images in the features of the
            judge's network; `mse`, of reconstructions; `loss`, the generator's own, which compares trials of one latent
            space alone.
        seeds: trainings of each trial, whose mean counts.
        prune_after: share of the epochs with which a trial is trained first; if it is then worse than the median of
            those before, that is its end. 0 trains every trial in full.
        validation: share of the train split that no trial is trained on.
        samples: images that the Frechet distance is computed from.
    """

    title: str = ""
    recipe: str
    set: dict[str, Any] = Field(default_factory=dict)
    ranges: dict[str, Span | tuple[Any, ...]] = Field(min_length=1, max_length=50)
    minimise: Minimise = "frechet"
    seeds: int = Field(default=1, ge=1, le=100)
    prune_after: float = Field(default=0.25, ge=0, lt=1)
    validation: float = Field(default=0.2, gt=0, le=0.5)
    samples: int = Field(default=2000, ge=100, le=100_000)

    @field_validator("ranges", mode="before")
    @classmethod
    def _each(cls, raw: Any) -> Any:
        """Refuse each range by itself, so that the message is about what it was meant to be."""
        return {key: _range(key, one) for key, one in raw.items()} if isinstance(raw, Mapping) else raw


def _range(key: str, raw: Any) -> Span | tuple[Any, ...]:
    if isinstance(raw, Mapping):
        try:
            return validate(Span, raw, key)
        except ConfigError as error:
            raise ValueError(str(error)) from None
    if not isinstance(raw, list | tuple) or len({json.dumps(one) for one in raw}) < max(2, len(raw)):
        raise ValueError(f"{key} = {shown(raw)}: write {{low: ..., high: ...}}, or a list of two or more choices")
    return tuple(raw)


@dataclass(frozen=True)
class Space:
    """A search that can start: every value at the ends of its ranges is known to be possible.

    Attributes:
        recipe: what all trials are changed from.
    """

    name: str
    config: SpaceConfig
    recipe: Recipe

    @property
    def home(self) -> Path:
        """Where everything goes unless another folder is named."""
        return Path("runs") / f"search-{self.name}"

    def trial(self, values: Mapping[str, Any]) -> Recipe:
        """The recipe with values of the ranges put in.

        Raises:
            ConfigError: values that do not go together.
        """
        return load_recipe(self.recipe, values)


def load_space(source: str) -> Space:
    """Read a space and the recipe that it is about.

    Args:
        source: a shipped space's name, or a YAML file.

    Raises:
        ConfigError: one line naming key, value and choices.
    """
    path = SPACES.source(source)
    name = path.stem
    config = validate(SpaceConfig, read_yaml(path), name)
    beside = path.parent / config.recipe
    chosen = str(beside) if beside.suffix in SUFFIXES and beside.is_file() else config.recipe
    space = Space(name, config, load_recipe(chosen, config.set))
    _refuse_keys(space)
    for key, value in _ends(config):
        try:
            space.trial({key: value})
        except ConfigError as error:
            raise ConfigError(f"{name}: ranges.{key} = {shown(value)}: {error}") from None
    _refuse_figure(space)
    return space


def _refuse_keys(space: Space) -> None:
    """Raise where a key is the same for all trials, or holds another one."""
    keys = list(space.config.ranges)
    for key in keys:
        if key.split(".")[0] in FIXED:
            raise ConfigError(f"{space.name}: ranges.{key}: it is the same for all trials; set it under set")
        inside = next((one for one in keys if one.startswith(f"{key}.")), None)
        if inside:
            raise ConfigError(f"{space.name}: ranges.{key} and ranges.{inside}: one holds the other; leave one out")


def _refuse_figure(space: Space) -> None:
    """Raise where the recipe has nothing of which the figure could be told."""
    recipe, figure = space.recipe, space.config.minimise
    later = recipe.training.reflow or recipe.training.consistency
    if figure == "loss" and later is not None:
        raise ConfigError(f"{space.name}: minimise = loss: a later stage trains the generator by another; take frechet")
    if figure == "mse" and recipe.training.autoencoder is None:
        raise ConfigError(f"{space.name}: minimise = mse: nothing is reconstructed in pixel space; take frechet")


def _ends(config: SpaceConfig) -> Iterator[tuple[str, Any]]:
    """Every choice, and both ends of every span."""
    for key, one in config.ranges.items():
        yield from ((key, value) for value in ((one.low, one.high) if isinstance(one, Span) else one))
