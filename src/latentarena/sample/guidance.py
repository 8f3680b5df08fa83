"""Guides by name: what `sampling.guide` of a recipe may say, and what each is built of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from latentarena.config import Config
from latentarena.errors import ConfigError
from latentarena.parts import Kinds
from latentarena.process import Denoiser, Path
from latentarena.sample.guide import (
    ALWAYS,
    Classifier,
    Guide,
    autoguidance,
    both,
    classifier_free,
    classifier_guidance,
)


def _ordered(interval: tuple[float, float]) -> tuple[float, float]:
    if not 0 <= interval[0] < interval[1] <= 1:
        raise ValueError("give two times (from, to) with 0 <= from < to <= 1")
    return interval


Interval = Annotated[tuple[float, float], AfterValidator(_ordered)]


@dataclass(frozen=True)
class Guidable:
    """What a guide is built of: a model's path and networks, and how strongly it is to act.

    Attributes:
        path: between data and noise.
        weaker: a lesser network's estimates; classifier: of noisy latents; None where the model has none.
        scale, interval: `sampling.guidance`, and the times (from, to) at which it acts.
        conditional: whether the network is told the class.
    """

    path: Path
    weaker: Denoiser | None = None
    classifier: Classifier | None = None
    scale: float = 1.0
    interval: tuple[float, float] = ALWAYS
    conditional: bool = False


class ClassifierFreeConfig(Config):
    """Guidance away from what the network says without a label."""

    kind: Literal["classifier_free"] = "classifier_free"

    def build(self, model: Guidable) -> Guide:
        """The guide."""
        return classifier_free(model.scale, model.interval)


class AutoguidanceConfig(Config):
    """Guidance away from a weaker network."""

    kind: Literal["autoguidance"] = "autoguidance"

    def build(self, model: Guidable) -> Guide:
        """The guide.

        Raises:
            ConfigError: the model has no weaker network.
        """
        if model.weaker is None:
            raise ConfigError("sampling.guide.kind = autoguidance: the generator has no weaker network; set one")
        return autoguidance(model.weaker, model.scale, model.interval)


class ClassifierGuidanceConfig(Config):
    """Guidance by a classifier of noisy latents."""

    kind: Literal["classifier"] = "classifier"

    def build(self, model: Guidable) -> Guide:
        """The guide.

        Raises:
            ConfigError: the model has no classifier.
        """
        if model.classifier is None:
            raise ConfigError("sampling.guide.kind = classifier: the generator has no classifier; set one")
        return classifier_guidance(model.path, model.classifier, model.scale, model.interval)


class WithClassifierConfig(Config):
    """The usual guidance of a conditional network, and near the data a classifier's as well.

    A classifier that is sure of the class has no gradient: it moves those samples alone whose class is in doubt.

    Attributes:
        scale: of the classifier's gradient; `sampling.guidance` is the other guidance's.
        interval: times (from, to) at which the classifier acts.
    """

    kind: Literal["with_classifier"] = "with_classifier"
    scale: float = Field(default=20.0, ge=0, le=1000)
    interval: Interval = (0.0, 0.3)

    def build(self, model: Guidable) -> Guide:
        """The guide.

        Raises:
            ConfigError: the model has no classifier, or its network is not told the class.
        """
        if model.classifier is None or not model.conditional:
            missing = "classifier" if model.classifier is None else "conditional"
            raise ConfigError(f"sampling.guide.kind = with_classifier: the generator needs {missing}; set it")
        usual = usual_guide(replace(model, classifier=None))
        return both(usual, classifier_guidance(model.path, model.classifier, self.scale, self.interval))


Shipped = ClassifierFreeConfig | AutoguidanceConfig | ClassifierGuidanceConfig | WithClassifierConfig
GUIDES: Kinds[Shipped] = Kinds("guide", Shipped)
GuideConfig = Annotated[Shipped, GUIDES]


def usual_guide(model: Guidable) -> Guide:
    """The guide that a model's networks are made for."""
    if model.classifier is not None and not model.conditional:
        return ClassifierGuidanceConfig().build(model)
    return ClassifierFreeConfig().build(model) if model.weaker is None else AutoguidanceConfig().build(model)
