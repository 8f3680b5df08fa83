"""Recipes: one YAML file says everything about a run."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, field_validator, model_validator

from latentarena.autoencoder import AutoencoderConfig, IdentityConfig
from latentarena.backbone import BackboneConfig
from latentarena.config import Config, override, read_yaml, validate
from latentarena.data import DataConfig
from latentarena.process import COUPLINGS, PATHS, TARGETS, TIMES, WEIGHTINGS
from latentarena.sample import GRIDS, SOLVERS
from latentarena.train.loop import FitConfig
from latentarena.train.shelf import recipe_source

__all__ = ["GeneratorConfig", "Recipe", "SamplingConfig", "load_recipe", "to_yaml"]


class GeneratorConfig(Config):
    """The network that generates latents and what it predicts.

    Attributes:
        backbone: the network.
        path: between data and noise.
        target: what is predicted.
        conditional: whether it is told the class.
    """

    backbone: BackboneConfig
    path: str = "straight"
    target: str = "velocity"
    conditional: bool = False

    @field_validator("path", "target")
    @classmethod
    def _known(cls, value: str, info: Any) -> str:
        return _one_of(PATHS if info.field_name == "path" else TARGETS, value)


class SamplingConfig(Config):
    """How samples are drawn unless the caller says otherwise.

    Attributes:
        solver, steps: the method and how many steps it takes from noise to data.
        grid: how the steps are spread over time.
        guidance: scale of classifier-free guidance; 1 is none.
        interval: times (from, to) at which guidance acts.
    """

    solver: str = "heun"
    steps: int = Field(default=8, ge=1, le=10_000)
    grid: str = "uniform"
    guidance: float = Field(default=1.0, ge=0, le=100)
    interval: tuple[float, float] = (0.0, 1.0)

    @field_validator("interval")
    @classmethod
    def _ordered(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0 <= value[0] < value[1] <= 1:
            raise ValueError("give two times (from, to) with 0 <= from < to <= 1")
        return value

    @field_validator("solver", "grid")
    @classmethod
    def _known(cls, value: str, info: Any) -> str:
        return _one_of(SOLVERS if info.field_name == "solver" else GRIDS, value)

    def but(
        self,
        solver: str | None = None,
        steps: int | None = None,
        guidance: float | None = None,
    ) -> SamplingConfig:
        """The same with what is given changed.

        Raises:
            ConfigError: naming key, value and choices.
        """
        changes = {"solver": solver, "steps": steps, "guidance": guidance}
        given = {key: value for key, value in changes.items() if value is not None}
        return validate(SamplingConfig, self.model_dump() | given, "sampling")


class AutoencoderTraining(FitConfig):
    """How the autoencoder is trained.

    Attributes:
        beta: weight of the KL divergence against the squared error, both summed over an image
            (Higgins et al., 2017).
    """

    beta: float = Field(default=0.01, ge=0)


class GeneratorTraining(FitConfig):
    """How the generator is trained.

    Attributes:
        times: the distribution of training times.
        coupling: which noise goes with which data.
        weighting: of the squared error, by time.
        drop_labels: the fraction of labels hidden from a conditional generator.
    """

    times: str = "uniform"
    coupling: str = "independent"
    weighting: str = "none"
    drop_labels: float = Field(default=0.1, ge=0, le=1)

    @field_validator("times", "coupling", "weighting")
    @classmethod
    def _known(cls, value: str, info: Any) -> str:
        known: dict[str, Iterable[str]] = {"times": TIMES, "coupling": COUPLINGS, "weighting": WEIGHTINGS}
        return _one_of(known[info.field_name], value)


class ReflowTraining(FitConfig):
    """How the flow is straightened (Liu et al., 2023): it learns on from its own pairs of noise and sample.

    Attributes:
        rounds: 1 makes Flow-2, 2 makes Flow-3, and so on; each draws its pairs from the flow before.
        pairs: how many are drawn in a round.
        solver_steps: of `heun`, which draws them.
        times: the distribution of training times.
    """

    rounds: int = Field(default=1, ge=1, le=16)
    pairs: int = Field(default=60_000, ge=16)
    solver_steps: int = Field(default=16, ge=1, le=1000)
    times: str = "uniform"

    @field_validator("times")
    @classmethod
    def _known(cls, value: str) -> str:
        return _one_of(TIMES, value)


class Training(Config):
    """The stages; the autoencoder's is absent in pixel space, reflow's where the flow stays as it is."""

    autoencoder: AutoencoderTraining | None = None
    generator: GeneratorTraining
    reflow: ReflowTraining | None = None


class Recipe(Config):
    """A whole run.

    Attributes:
        name: what the model is called; the file's name unless given.
        about: one line for people.
        otherwise: the recipe to use where this one's data can be neither found nor downloaded.
        seed: of everything random.
    """

    name: str = Field(default="", max_length=80)
    about: str = ""
    otherwise: str | None = None
    seed: int = Field(default=0, ge=0, lt=2**63)
    data: DataConfig = DataConfig()
    autoencoder: AutoencoderConfig
    generator: GeneratorConfig
    sampling: SamplingConfig = SamplingConfig()
    training: Training

    def scaled(self, budget: float) -> Recipe:
        """The same recipe with `budget` times the epochs: shorter or longer, and the learning rate still ends at zero.

        Raises:
            ConfigError: a budget that is not positive.
        """
        raw = self.model_dump()
        for stage in raw["training"].values():
            if stage is not None:
                stage["epochs"] *= budget
        return validate(Recipe, raw, f"--budget {budget}")

    @model_validator(mode="after")
    def _possible(self) -> Recipe:
        pixels = isinstance(self.autoencoder, IdentityConfig)
        if pixels and self.training.autoencoder is not None:
            raise ValueError("training.autoencoder is set, but autoencoder.kind = identity has nothing to train")
        if self.sampling.guidance != 1 and not self.generator.conditional:
            raise ValueError(f"sampling.guidance = {self.sampling.guidance} needs generator.conditional = true")
        if not pixels and self.training.autoencoder is None:
            raise ValueError(f"training.autoencoder is missing for autoencoder.kind = {self.autoencoder.kind}")
        return self


def _one_of(known: Iterable[str], value: str) -> str:
    names = list(known)
    if value not in names:
        raise ValueError(f"choose from {', '.join(names)}")
    return value


def load_recipe(name: str, assignments: Iterable[str] = ()) -> Recipe:
    """Read, override and validate a recipe.

    Args:
        name: a shipped recipe's name or a YAML file.
        assignments: `key=value` overrides with dotted keys.

    Raises:
        ConfigError: one line naming key, value and choices.
    """
    stem = Path(name).stem
    raw = override(read_yaml(recipe_source(name)), assignments)
    return validate(Recipe, {"name": stem[:80]} | raw, stem)


def to_yaml(recipe: Recipe) -> str:
    """The recipe in full, defaults included."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
