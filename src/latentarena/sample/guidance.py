"""Guides by name: what `sampling.guide` of a recipe may say, and what each is built of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from latentarena.config import Config
from latentarena.errors import ConfigError
from latentarena.parts import Kinds
from latentarena.process import Denoiser, Path
from latentarena.sample.guide import ALWAYS, Classifier, Guide, autoguidance, classifier_free, classifier_guidance


@dataclass(frozen=True)
class Guidable:
    """What a guide is built of: a model's path and networks, and how strongly it is to act.

    Attributes:
        path: between data and noise.
        weaker: a lesser network's estimates; classifier: of noisy latents; None where the model has none.
        scale, interval: `sampling.guidance`, and the times (from, to) at which it acts.
    """

    path: Path
    weaker: Denoiser | None = None
    classifier: Classifier | None = None
    scale: float = 1.0
    interval: tuple[float, float] = ALWAYS


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


Shipped = ClassifierFreeConfig | AutoguidanceConfig | ClassifierGuidanceConfig
GUIDES: Kinds[Shipped] = Kinds("guide", Shipped)
GuideConfig = Annotated[Shipped, GUIDES]


def usual_guide(model: Guidable) -> Guide:
    """The guide that a model's networks are made for."""
    if model.classifier is not None:
        return ClassifierGuidanceConfig().build(model)
    return ClassifierFreeConfig().build(model) if model.weaker is None else AutoguidanceConfig().build(model)
