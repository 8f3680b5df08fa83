"""The stages of training a latent model: the autoencoder, the generator on its latents, and what may follow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from latentarena.autoencoder import Autoencoder, Posterior
from latentarena.backbone.classifier import Classifier
from latentarena.data import Dataset, Images
from latentarena.distill import consistency_loss, meanflow_loss
from latentarena.errors import TrainingError
from latentarena.latents import at_once, draw, encode_all
from latentarena.model.latent_model import LatentModel
from latentarena.process import COUPLINGS, TIMES, WEIGHTINGS, build_loss, denoiser, matching_loss
from latentarena.randomness import Draws, stream
from latentarena.sample import GRIDS, heun, last
from latentarena.train.adversary import PatchDiscriminator, adversarial_losses
from latentarena.train.augment import augment
from latentarena.train.checkpoint import Checkpoints
from latentarena.train.classifier import ClassifierObjective
from latentarena.train.equivariance import changed_alike
from latentarena.train.error import build_error, squared_error
from latentarena.train.logs import logged
from latentarena.train.loop import FitConfig, Objective, Tick, fit
from latentarena.train.moments import MomentsObjective, Pairs
from latentarena.train.perceptual import frechet_distance, perceptual_distance
from latentarena.train.recipe import Recipe
from latentarena.train.reuse import Reuse
from latentarena.train.shelter import Shelter
from latentarena.train.training import (
    AutoencoderTraining,
    ConsistencyTraining,
    GeneratorTraining,
    ReflowTraining,
)

if TYPE_CHECKING:
    from lightning_fabric import Fabric

ROWS = 1000  # pairs drawn at a time
WORSE = 1.5  # times the error of grey images, of an autoencoder that has diverged
SAME = 1e-6  # of the largest latent: a spread that is rounding
FAR, LARGEST = 30.0, 1e4  # latents that go with such an error, and that are out of all proportion by themselves
Watch = Callable[[Iterator[Tick], str], Iterator[Tick]]


@dataclass(frozen=True)
class Critics:
    """What images are compared by while a model is trained, and is no part of it.

    Attributes:
        features: a classifier, trained first and then frozen.
        discriminator: learns to tell images from reconstructions, beside the autoencoder.
    """

    features: Classifier | None
    discriminator: PatchDiscriminator | None

    @classmethod
    def of(cls, recipe: Recipe, shape: tuple[int, int, int], classes: int) -> Critics:
        """Those that a recipe needs for images of this shape, untrained."""
        training = recipe.training
        adversarial = any(stage.adversarial for stage in (training.autoencoder, training.finetune) if stage)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(stream(recipe.seed, "critics").initial_seed())
            features = training.features.network.build(shape, classes) if training.features is not None else None
            return cls(features, PatchDiscriminator(shape[0]) if adversarial else None)


class AutoencoderObjective(Objective):
    """The error of reconstructions, beta times the KL divergence, and what else the config weighs in.

    All is divided by the number of pixel values, so that the loss reads as the mean error of a pixel.

    Args:
        features: that images and reconstructions are compared in; frozen.
        discriminator: learns to tell images from reconstructions, by the same backward pass.
    """

    def __init__(
        self,
        autoencoder: Autoencoder,
        images: Images,
        config: AutoencoderTraining,
        features: Classifier | None = None,
        discriminator: PatchDiscriminator | None = None,
    ) -> None:
        super().__init__()
        self.autoencoder, self.images, self.config, self.size = autoencoder, images, config, len(images)
        self.error = build_error(config.error)
        self.critic = features if config.compares else None
        self.discriminator = discriminator if config.adversarial else None

    def forward(self, index: Tensor, draws: Draws) -> dict[str, Tensor]:
        config, images = self.config, self.images.batch(index)  # (B, C, H, W)
        if config.augment is not None:
            images = augment(images, draws, config.augment)
        posterior = self.autoencoder.encode(images)
        latents = posterior.sample(draws.normal(*posterior.mean.shape))
        if config.equivariance and float(draws.uniform(1)) < config.equivariance:
            latents, images = changed_alike(latents, images, draws)
        again = self.autoencoder.decode(latents)
        error = self.error(again, images)
        losses = {"loss": error, "mse": error if self.error is squared_error else squared_error(again, images)}
        if config.beta:
            nats = posterior.kl_by_dimension()  # (D,)
            losses["kl"], costly = nats.sum(), nats.clamp(min=config.free_bits).sum()
            losses["loss"] = losses["loss"] + self.beta() * costly / images[0].numel()
        if self.critic is not None and config.perceptual:
            losses["perceptual"] = perceptual_distance(self.critic, images, again)
            losses["loss"] = losses["loss"] + config.perceptual * losses["perceptual"]
        if self.critic is not None and config.frechet:
            losses["frechet"] = frechet_distance(self.critic, images, again)
            losses["loss"] = losses["loss"] + config.frechet * losses["frechet"]
        if self.discriminator is not None:
            losses["adversarial"], losses["discriminator"] = adversarial_losses(self.discriminator, images, again)
            losses["loss"] = losses["loss"] + config.adversarial * losses["adversarial"] + losses["discriminator"]
        return losses

    def beta(self) -> float:
        """The weight of the KL divergence at this point of the training."""
        anneal = self.config.anneal
        return self.config.beta * (min(1.0, self.progress / anneal) if anneal else 1.0)


class GeneratorObjective(Objective):
    """The matching loss on standardised posterior samples; some labels are hidden from a conditional network."""

    def __init__(
        self, model: LatentModel, network: nn.Module, latents: Posterior, labels: Tensor, config: GeneratorTraining
    ) -> None:
        super().__init__()
        self.network, self.path, self.target = network, model.path, model.target
        self.means, self.config, self.size = model.scale(latents.mean), config, len(latents.mean)
        self.spread, self.loss = spread(model, latents), build_loss(config.loss)
        self.mean_velocity = model.mean_velocity if model.architecture.generator.average else None
        self.labels = labels if model.architecture.generator.conditional else None
        self.none = len(model.architecture.classes)  # the class table's row for "no label"

    def forward(self, index: Tensor, draws: Draws) -> dict[str, Tensor]:
        config, labels = self.config, None
        if self.labels is not None:
            labels, hidden = self.labels[index], draws.uniform(len(index)) < config.drop_labels
            if config.wrong_labels:
                labels = torch.where(draws.uniform(len(index)) < config.wrong_labels, labels.roll(1), labels)
            labels = labels.masked_fill(hidden, self.none)
        data = draw(self.means, self.spread, index, draws)
        times = TIMES[config.times]
        if self.mean_velocity is not None:
            return {"loss": meanflow_loss(self.mean_velocity, self.path, times, data, labels, draws)}
        asked = self.network, self.path, self.target, times, data, labels, draws
        coupling, weighting = COUPLINGS[config.coupling], WEIGHTINGS[config.weighting]
        return {"loss": matching_loss(*asked, coupling, weighting, loss=self.loss)}


class ReflowObjective(Objective):
    """The matching loss on the flow's own pairs of noise and sample, unconditional or with their labels."""

    def __init__(self, model: LatentModel, noise: Tensor, data: Tensor, labels: Tensor | None, times: str) -> None:
        super().__init__()
        self.network, self.path, self.target, self.times = model.network, model.path, model.target, TIMES[times]
        self.noise, self.data, self.labels, self.size = noise, data, labels, len(data)

    def forward(self, index: Tensor, draws: Draws) -> dict[str, Tensor]:
        labels = None if self.labels is None else self.labels[index]
        data, noise = self.data[index], self.noise[index]
        loss = matching_loss(self.network, self.path, self.target, self.times, data, labels, draws, noise=noise)
        return {"loss": loss}


class ConsistencyObjective(Objective):
    """Neighbours on the frozen flow's trajectories have to lead to the same data."""

    def __init__(self, model: LatentModel, latents: Posterior, labels: Tensor, config: ConsistencyTraining) -> None:
        super().__init__()
        self.network, self.path = model.network, model.path
        self.flow = deepcopy(model.network).requires_grad_(False)
        self.student = denoiser(self.network, model.path, model.target)
        self.teacher = denoiser(self.flow, model.path, model.target)
        self.times = GRIDS["uniform"](model.path, config.grid).to(model.device)
        self.means, self.spread, self.size = model.scale(latents.mean), spread(model, latents), len(latents.mean)
        self.labels = labels if model.architecture.generator.conditional else None

    def forward(self, index: Tensor, draws: Draws) -> dict[str, Tensor]:
        labels = None if self.labels is None else self.labels[index]
        data = draw(self.means, self.spread, index, draws)
        loss = consistency_loss(
            self.student, self.student, self.teacher, self.path, heun, self.times, data, labels, draws
        )
        return {"loss": loss}


@torch.no_grad()
def refuse_diverged(autoencoder: Autoencoder, images: Images, latents: Posterior, config: FitConfig) -> None:
    """Raise a TrainingError where an autoencoder's training has diverged: no generator could make up for that.

    Either its latents are out of all proportion, or they are far out or the same for all images and what is decoded
    from them is worse than plain grey images. An autoencoder that has hardly been trained decodes badly too, but from
    latents near zero that differ.
    """
    some = images.batch(slice(0, at_once(images.shape)))  # (n, C, H, W)
    error = float((autoencoder.decode(latents.mean[: len(some)].to(some.device)) - some).square().mean())
    grey, largest = float((some - 0.5).square().mean()), float(latents.mean.abs().max())
    same = float(latents.mean.std(0).max()) <= SAME * largest
    if largest <= LARGEST and (error <= WORSE * grey or (largest <= FAR and not same)):
        return
    muon = f" or muon (it was {config.muon:g})" if config.muon else ""
    reach = f"reach {largest:.3g}" + (" and are the same for all images" if same else "")
    raise TrainingError(
        f"autoencoder: training diverged: reconstructions have a mean squared error of {error:.3g}, grey images "
        f"{grey:.3g}, and latents {reach}; train anew in another --out with a lower "
        f"training.autoencoder.lr (it was {config.lr:g}){muon}, or with clip"
    )


def spread(model: LatentModel, latents: Posterior) -> Tensor:
    """Standard deviations of posteriors on the standardised scale, (N or 1, *latent)."""
    return (0.5 * latents.log_variance).exp() / model.scale.deviation


def reflow_pairs(model: LatentModel, config: ReflowTraining, seed: int) -> Pairs:
    """Noise, the standardised latents that the flow turns it into, and labels; each (pairs, ...) on the device."""
    noise = model.noise(config.pairs, seed, "reflow").to(model.device)
    classes = len(model.architecture.classes)
    labels = torch.arange(config.pairs, device=model.device) % classes if model.conditional else None
    how = model.architecture.sampling.but(solver="heun", steps=config.solver_steps, guidance=config.guidance)
    data = [
        model.scale(last(model.trajectory(noise[i : i + ROWS], None if labels is None else labels[i : i + ROWS], how)))
        for i in range(0, config.pairs, ROWS)
    ]
    return noise, torch.cat(data), labels


def stages(recipe: Recipe, model: LatentModel, data: Dataset, device: torch.device) -> Iterator[tuple[str, Objective]]:
    """The stages in order, by the names of `Training.stages`; what follows a stage is prepared once it is trained."""
    train = data.train.to(device)
    critics = Critics.of(recipe, train.shape, len(data.classes))
    yield from autoencoder_stages(recipe, model.autoencoder, train, critics)
    model.to(device).requires_grad_(False)
    latents = encode_all(model.autoencoder, train, data.digest)
    if recipe.training.autoencoder is not None:
        refuse_diverged(model.autoencoder, train, latents, recipe.training.autoencoder)
    yield from latent_stages(recipe, model, latents, train, critics)


def latent_stages(
    recipe: Recipe, model: LatentModel, latents: Posterior, train: Images, critics: Critics
) -> Iterator[tuple[str, Objective]]:
    """The stages on the latents of the train split: the generator, what guides it, and what may follow."""
    training, labels = recipe.training, train.labels
    model.scale.fit(latents.mean)
    model.network.requires_grad_(True)
    yield "generator", GeneratorObjective(model, model.network, latents, labels, training.generator)
    if training.weaker is not None and model.weaker is not None:
        model.weaker.requires_grad_(True)
        yield "weaker", GeneratorObjective(model, model.weaker, latents, labels, training.weaker)
    if training.classifier is not None and model.classifier is not None:
        model.classifier.requires_grad_(True)
        means, times = model.scale(latents.mean), TIMES[training.classifier.times]
        yield (
            "classifier",
            ClassifierObjective(model.classifier, model.path, times, means, spread(model, latents), labels),
        )
    if training.reflow is not None:
        for number in range(1, training.reflow.rounds + 1):
            pairs = reflow_pairs(model.eval(), training.reflow, recipe.seed + number)
            yield f"reflow{number}", ReflowObjective(model, *pairs, training.reflow.times)
        if training.moments is not None and critics.features is not None:
            yield "moments", MomentsObjective(model, pairs, critics.features, train, training.moments)
    if training.consistency is not None:
        yield "consistency", ConsistencyObjective(model, latents, labels, training.consistency)


def autoencoder_stages(
    recipe: Recipe, autoencoder: Autoencoder, train: Images, critics: Critics
) -> Iterator[tuple[str, Objective]]:
    """The autoencoder's stages: the features that images are compared in, itself, and itself again on clean images."""
    yield from features_stage(recipe, train, critics)
    for name in ("autoencoder", "finetune"):
        config = getattr(recipe.training, name)
        if config is not None:
            yield name, AutoencoderObjective(autoencoder, train, config, critics.features, critics.discriminator)


def features_stage(recipe: Recipe, train: Images, critics: Critics) -> Iterator[tuple[str, Objective]]:
    """The stage that trains the features, where a recipe has any; they are frozen after it."""
    if critics.features is not None and recipe.training.features is not None:
        yield "features", ClassifierObjective.of_images(critics.features, train, recipe.training.features.augment)
        critics.features.requires_grad_(False)


def train_model(
    recipe: Recipe, model: LatentModel, data: Dataset, fabric: Fabric, shelter: Shelter, watch: Watch
) -> None:
    """Train every stage in place, resuming each from its newest checkpoint in the run's folder.

    Args:
        model: built from the recipe; holds the final weights on return.
        data: on the CPU; the train split is moved to the device.
        shelter: the run's folder, which gets `checkpoints/` and `logs/`, and what takes its place.
        watch: wraps the training ticks, to show progress.

    Raises:
        TrainingError, CheckpointError, Interrupted: see `fit`.
    """
    folder, reach = shelter.home, shelter.reach
    configs, reuse = recipe.training.stages(), Reuse(recipe, data, fabric, folder, reach)
    for stage, objective in stages(recipe, model, data, fabric.device):
        with reuse.shared(stage):
            trained = fit(objective, configs[stage], fabric, folder / "checkpoints", (recipe.seed, stage), reach)
            ticks: Iterator[Tick] = trained
            if fabric.is_global_zero:
                ticks = watch(logged(trained, folder / "logs", stage, reach), stage)
            for _ in ticks:
                pass
        if fabric.is_global_zero:
            made = Checkpoints(folder / "checkpoints", stage, reach).newest()
            shelter.remember(f"logs/{stage}.csv", *([f"checkpoints/{made.name}"] if made else []))
    model.eval().requires_grad_(False)
