"""How each stage of a run is trained."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from latentarena.backbone.classifier import ClassifierConfig
from latentarena.config import Config
from latentarena.parts import one_of
from latentarena.process import COUPLINGS, TIMES, WEIGHTINGS, LossConfig, SquaredConfig
from latentarena.train.augment import Augmentation
from latentarena.train.error import ErrorConfig, SquaredErrorConfig
from latentarena.train.loop import FitConfig


class ClassifierTraining(FitConfig):
    """How a classifier is trained.

    Attributes:
        times: the distribution of training times; of no use to a classifier of clean images.
    """

    times: Annotated[str, one_of(TIMES)] = "uniform"


class FeaturesTraining(FitConfig):
    """How the classifier is trained in whose features images are compared. It is never a judge.

    Attributes:
        network: the classifier.
        augment: how its images are varied; one that has seen them varied sees more of what reconstructions lack.
    """

    network: ClassifierConfig = ClassifierConfig()
    augment: Augmentation | None = None


class AutoencoderTraining(FitConfig):
    """How the autoencoder is trained.

    Attributes:
        error: of the reconstructions.
        beta: weight of the KL divergence against that error, both summed over an image (Higgins et al., 2017).
        anneal: the share of the steps over which beta rises linearly from zero (Bowman et al., 2016).
        free_bits: nats that each latent dimension may hold at no cost (Kingma et al., 2016).
        perceptual: weight of the distance in a classifier's features; needs `training.features`.
        frechet: weight of the Frechet distance in its features, of reconstructions from their batch, which should be of
            some hundreds.
        adversarial: weight of a patch discriminator's verdict.
        augment: how the training images are varied.
        equivariance: share of the batches in which maps and images are turned and scaled alike (see `changed_alike`);
            for spatial latents.
    """

    error: ErrorConfig = SquaredErrorConfig()
    beta: float = Field(default=0.01, ge=0)
    anneal: float = Field(default=0.0, ge=0, le=1)
    free_bits: float = Field(default=0.0, ge=0)
    perceptual: float = Field(default=0.0, ge=0)
    frechet: float = Field(default=0.0, ge=0)
    adversarial: float = Field(default=0.0, ge=0)
    augment: Augmentation | None = None
    equivariance: float = Field(default=0.0, ge=0, le=1)

    @property
    def compares(self) -> bool:
        """Whether images and reconstructions are compared in a classifier's features."""
        return bool(self.perceptual or self.frechet)


class GeneratorTraining(FitConfig):
    """How the generator is trained.

    Attributes:
        times: the distribution of training times.
        coupling: which noise goes with which data.
        weighting: of the squared error, by time.
        loss: of the network's answers; a mean-velocity network has its own.
        drop_labels: the fraction of labels hidden from a conditional generator.
        wrong_labels: the fraction exchanged for those of other images: a weaker network is then less sure of the class,
            and guidance away from it surer.
    """

    times: Annotated[str, one_of(TIMES)] = "uniform"
    coupling: Annotated[str, one_of(COUPLINGS)] = "independent"
    weighting: Annotated[str, one_of(WEIGHTINGS)] = "none"
    loss: LossConfig = SquaredConfig()
    drop_labels: float = Field(default=0.1, ge=0, le=1)
    wrong_labels: float = Field(default=0.0, ge=0, le=1)


class ReflowTraining(FitConfig):
    """How the flow is straightened (Liu et al., 2023): it learns on from its own pairs of noise and sample.

    Attributes:
        rounds: 1 makes Flow-2, 2 makes Flow-3, and so on; each draws its pairs from the flow before.
        pairs: how many are drawn in a round.
        solver_steps: of `heun`, which draws them.
        guidance: its scale for them; that of the model's samples unless given.
        times: the distribution of training times; `end` makes a model of a single step (Liu et al., 2023,
            distillation), which knows nothing but what each noise leads to.
    """

    rounds: int = Field(default=1, ge=1, le=16)
    pairs: int = Field(default=60_000, ge=16)
    solver_steps: int = Field(default=16, ge=1, le=1000)
    guidance: float | None = Field(default=None, ge=0, le=100)
    times: Annotated[str, one_of(TIMES)] = "uniform"


class MomentsTraining(FitConfig):
    """How a reflowed model of a single step is made to look like real images as a whole, in `training.features`.

    Attributes:
        anchor: weight of the squared error of reflow's pairs, against the Frechet distance as a share of the variance.
        memory: the share of earlier batches in the moments that are compared.
    """

    anchor: float = Field(default=0.3, ge=0)
    memory: float = Field(default=0.98, ge=0, lt=1)


class ConsistencyTraining(FitConfig):
    """How a flow is distilled into a consistency model (Song et al., 2023), that samples in one step or a few.

    Attributes:
        grid: times among which neighbours have to agree.
    """

    grid: int = Field(default=32, ge=2, le=10_000)


class Training(Config):
    """The stages in their order; only the generator's is always there.

    Attributes:
        features: a classifier of images, for what losses compare in its features.
        autoencoder: absent in pixel space.
        finetune: the autoencoder again, on clean images.
        generator: the network that generates latents.
        weaker: the network that it is guided away from.
        classifier: the one that guides it.
        reflow: makes the flow straighter.
        moments: makes what a reflowed model of a single step gives like real images as a whole.
        consistency: makes it a consistency model.
    """

    features: FeaturesTraining | None = None
    autoencoder: AutoencoderTraining | None = None
    finetune: AutoencoderTraining | None = None
    generator: GeneratorTraining
    weaker: GeneratorTraining | None = None
    classifier: ClassifierTraining | None = None
    reflow: ReflowTraining | None = None
    moments: MomentsTraining | None = None
    consistency: ConsistencyTraining | None = None

    def stages(self) -> dict[str, FitConfig]:
        """The stages that a run has, by name and in order; reflow is one for each round."""
        present = {name: config for name, config in self if config is not None}
        named: dict[str, FitConfig] = {}
        for name, config in present.items():
            rounds = range(1, config.rounds + 1) if isinstance(config, ReflowTraining) else ()
            named |= {f"{name}{number}": config for number in rounds} or {name: config}
        return named

    @model_validator(mode="after")
    def _possible(self) -> Training:
        if self.finetune is not None and self.autoencoder is None:
            raise ValueError("finetune goes on with training.autoencoder, which is missing")
        trained = [stage for stage in (self.autoencoder, self.finetune) if stage is not None]
        compared = any(stage.compares for stage in trained) or self.moments is not None
        if compared != (self.features is not None):
            missing = "features is missing" if compared else "features is set"
            needs = "perceptual > 0 or frechet > 0 in autoencoder or finetune, or moments,"
            raise ValueError(f"{missing}, but {needs} is what needs it")
        if self.reflow is not None and self.consistency is not None:
            raise ValueError("reflow and consistency are two ways to few steps; choose one")
        if self.moments is not None and (self.reflow is None or self.reflow.times != "end"):
            raise ValueError("moments refines a model of a single step; it needs reflow with times = end")
        return self
