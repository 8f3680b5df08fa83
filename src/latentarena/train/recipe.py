"""Recipes: one YAML file says everything about a run."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field, field_validator, model_validator

from latentarena.autoencoder import AutoencoderConfig, IdentityConfig
from latentarena.bounds import Label
from latentarena.card.own import OwnMetrics
from latentarena.config import Config, merged, override, refuse_misplaced, validate
from latentarena.data import DataConfig
from latentarena.documents import read_yaml, yaml_text
from latentarena.errors import ConfigError
from latentarena.model.config import JUMP, GeneratorConfig, SamplingConfig
from latentarena.model.latent_model import Architecture
from latentarena.parts import ForeignPart, foreign_in, load_parts, sources_of
from latentarena.process import SquaredConfig
from latentarena.registry import REGISTRIES, Registry
from latentarena.text import in_short, one_path_part
from latentarena.train.shelf import recipe_source
from latentarena.train.training import Training


class Recipe(Config):
    """What is trained, on which data and how, and how it is sampled: a recipe of `arena recipes`, in full.

    Attributes:
        name: what the model and the folder of its runs are called; the file's name unless given.
        about: one line for people.
        otherwise: the recipe to use where this one's data can be neither found nor downloaded.
        expected: what a run of it came to, by metric, and its minutes of training: each with how far another run, of
            other seed or machine, may be from it; changes nothing. Nothing is expected of a recipe changed in more than
            its seed and its epochs.
        length: epochs of this run as a share of those that the recipe was written with; set by what changes them.
        seed: of everything random.
        metrics: of one's own, by name or with their settings, that the judge measures too; see `OwnMetric`.
        parts: Python files and installed parts that it needs, which `load_recipe` runs; a file's path is seen from the
            recipe's. Those that were loaded otherwise, by an option or an argument, are added where it uses them.
    """

    OTHERWISE: ClassVar[Mapping[str, str]] = {"plugins": "parts", "plugin": "parts"}
    name: Annotated[str, AfterValidator(one_path_part)] = Field(default="unnamed", max_length=80)
    about: str = ""
    otherwise: str | None = None
    expected: dict[str, tuple[float, float]] = Field(default={})
    length: float = Field(default=1.0, gt=0)
    seed: int = Field(default=0, ge=0, lt=2**63)
    parts: tuple[Label, ...] = ()
    data: DataConfig = DataConfig()
    autoencoder: AutoencoderConfig
    generator: GeneratorConfig
    sampling: SamplingConfig = SamplingConfig()
    training: Training
    metrics: OwnMetrics = ()

    @classmethod
    def load(cls, source: str | PathLike[str], **overrides: Any) -> Recipe:
        """A shipped recipe by its name, or that of a YAML file, with keys overridden as in `la.train`.

        Raises:
            ConfigError: one line naming key, value and choices.
        """
        return load_recipe(str(source), overrides)

    def __repr__(self) -> str:
        backbone = getattr(self.generator.backbone, "kind", "")
        what = f"autoencoder {self.autoencoder.kind}, backbone {backbone} on {self.generator.path}"
        return in_short("Recipe", self.name, f"trained on {self.data.name}", what, "model_dump() has all keys")

    __str__ = __repr__

    def scaled(self, budget: float) -> Recipe:
        """The same recipe with `budget` times the epochs: shorter or longer, and the learning rate still ends at zero.

        Raises:
            ConfigError: a budget that is not positive.
        """
        if not budget > 0:
            raise ConfigError(f"--budget {budget:g}: the factor on the epochs has to be above 0")
        raw = self.model_dump()
        for stage in raw["training"].values():
            if stage is not None:
                stage["epochs"] *= budget
        return validate(Recipe, raw | {"length": self.length * budget}, f"--budget {budget}")

    @field_validator("expected", mode="before")
    @classmethod
    def _bare_figures(cls, raw: Any) -> Any:
        """Recipes of older bundles have figures alone: they may be off by as much as they are."""
        if not isinstance(raw, dict):
            return raw
        return {name: (one, abs(one)) if isinstance(one, int | float) else one for name, one in raw.items()}

    @model_validator(mode="after")
    def _possible(self) -> Recipe:
        pixels = isinstance(self.autoencoder, IdentityConfig)
        training, generator = self.training, self.generator
        latent = getattr(self.autoencoder, "latent", ())
        if pixels and training.autoencoder is not None:
            raise ValueError("training.autoencoder is set, but autoencoder.kind = identity has nothing to train")
        if not pixels and training.autoencoder is None:
            raise ValueError(f"training.autoencoder is missing for autoencoder.kind = {self.autoencoder.kind}")
        for name in ("autoencoder", "finetune"):
            stage = getattr(training, name)
            if stage is not None and getattr(self.autoencoder, "deterministic", False) and stage.beta:
                raise ValueError(
                    f"training.{name}.beta = {stage.beta}: autoencoder.kind = {self.autoencoder.kind} is deterministic "
                    "and has no KL divergence; set beta to 0"
                )
            if stage is not None and stage.equivariance and len(latent) != 3:
                raise ValueError(
                    f"training.{name}.equivariance = {stage.equivariance} is for spatial latents, [channels, height, "
                    f"width]; autoencoder.latent = {list(latent)}"
                )
        for name in ("weaker", "classifier"):
            if (getattr(training, name) is None) != (getattr(generator, name) is None):
                raise ValueError(f"generator.{name} and training.{name} go together; one of them is missing")
        if generator.classifier is not None and generator.conditional and self.sampling.guide is None:
            raise ValueError(
                "generator.classifier guides an unconditional network; choose one way of guidance, or have both: "
                "sampling.guide.kind = with_classifier"
            )
        if self.sampling.guidance != 1 and not generator.guided and self.sampling.guide is None:
            raise ValueError(
                f"sampling.guidance = {self.sampling.guidance} needs a generator that is conditional or has a "
                "classifier or a weaker network to be guided by"
            )
        if self.sampling.solver == JUMP and not generator.average:
            raise ValueError(f"sampling.solver = {JUMP} is what a mean-velocity network does; set generator.average")
        if generator.average and not isinstance(training.generator.loss, SquaredConfig):
            raise ValueError(
                f"training.generator.loss.kind = {training.generator.loss.kind}: generator.average has a loss of its "
                "own (MeanFlow); leave training.generator.loss out"
            )
        if generator.average and (training.reflow or training.consistency):
            raise ValueError("training.reflow and training.consistency start from a flow, not from generator.average")
        return self

    def architecture(self, shape: tuple[int, int, int], classes: tuple[str, ...]) -> Architecture:
        """All that is needed to build the modules that the recipe asks for, on images of this shape."""
        return Architecture(
            shape=shape,
            classes=classes,
            autoencoder=self.autoencoder,
            generator=self.generator,
            sampling=self.sampling,
        )


Overrides = Iterable[str] | Mapping[str, Any]
"""Changes to a recipe: `key=value` texts with dotted keys, or values by key, dotted or nested."""


def load_recipe(source: str | Recipe, overrides: Overrides = ()) -> Recipe:
    """Read, override and validate a recipe.

    Args:
        source: a shipped recipe's name, a YAML file, or a recipe that was loaded before.
        overrides: what is changed in it.

    Its `parts` are loaded, which runs them: a recipe with parts is a program.

    Raises:
        ConfigError: one line naming key, value and choices.
    """
    if isinstance(source, Recipe):
        stem, written = source.name, _with_parts(source.model_dump(mode="json"))
    else:
        file = recipe_source(source)
        stem, written = Path(source).stem, _with_parts(read_yaml(file), file.parent)
    if isinstance(overrides, Mapping):
        for key in overrides:
            refuse_misplaced(key.split("."), Recipe, written)
        changed = merged(written, overrides)
    else:
        changed = override(written, overrides, Recipe)
    changed = _with_parts(changed)
    recipe = validate(Recipe, {"name": stem} | changed, stem)
    length = recipe.length * _share(recipe, written.get("training"))
    same = _design(recipe) == _design(validate(Recipe, {"name": stem} | written, stem))
    _refuse_hidden(recipe.model_dump(mode="python"), stem)
    expected = recipe.expected if same else {}
    return recipe.model_copy(update={"length": length, "expected": expected, "parts": _all_parts(recipe)})


def told_recipe(raw: Mapping[str, Any]) -> Recipe | None:
    """The recipe that a card tells of, which is self-reported; None where it is of another version, or none."""
    try:
        return validate(Recipe, raw, "the bundle's recipe")
    except ConfigError:
        return None


def _all_parts(recipe: Recipe) -> tuple[str, ...]:
    """The parts that a recipe names, and what else was loaded and is used by it."""
    named = {str(Path(one).resolve()) if one.endswith(".py") else one for one in recipe.parts}
    return (*recipe.parts, *sorted(sources_of(foreign_in(recipe)) - named))


def kinds_of_parts() -> dict[str, Registry[Any]]:
    """All that recipes can name, by kind: this module imports what registers them."""
    return dict(REGISTRIES)


def trained_with(recipe: Recipe) -> tuple[ForeignPart, ...]:
    """The parts that do not come with this package and that training may depend on: all but metrics."""
    return foreign_in(recipe.model_copy(update={"metrics": ()}))


def _with_parts(raw: dict[str, Any], folder: Path = Path()) -> dict[str, Any]:
    """A recipe's plain data, once the parts that it names are loaded; the path of each is written in full."""
    parts = raw.get("parts")
    if not isinstance(parts, list | tuple) or not all(isinstance(one, str) for one in parts):
        return raw
    named = [str((folder / one).absolute()) if one.endswith(".py") else one for one in parts]
    if named:
        load_parts(named)
    return raw | {"parts": named}


def _refuse_hidden(value: Any, where: str) -> None:
    """Raise where a text holds a character that no file can, or that a terminal would act on."""
    if isinstance(value, dict):
        for key, part in value.items():
            _refuse_hidden(part, f"{where}: {key}" if ":" not in where else f"{where}.{key}")
    elif isinstance(value, str):
        bad = next((letter for letter in value if unicodedata.category(letter) in ("Cc", "Cs") and letter != "\n"), "")
        if bad:
            raise ConfigError(f"{where} holds the character U+{ord(bad):04X}, which is no text; leave it out")


def _design(recipe: Recipe) -> dict[str, Any]:
    """What is trained on what, and how: all but words, the seed and how long."""
    raw = recipe.model_dump(exclude={"name", "about", "otherwise", "expected", "length", "seed", "metrics"})
    for stage in raw["training"].values():
        if stage is not None:
            stage.pop("epochs")
    return raw


def _share(recipe: Recipe, written: Any) -> float:
    """The epochs of a recipe over those of the same stages as they were written before anything was overridden."""
    stages = {name: stage for name, stage in recipe.training if stage is not None}
    pairs = [(stage.epochs, written[name]["epochs"]) for name, stage in stages.items() if written.get(name)]
    before = sum(float(epochs) for _, epochs in pairs)
    return sum(epochs for epochs, _ in pairs) / before if before > 0 else 1.0


def to_yaml(recipe: Recipe) -> str:
    """The recipe in full, defaults included."""
    return yaml_text(recipe.model_dump(mode="json"))
