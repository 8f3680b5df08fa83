"""The stages of training a latent model: the autoencoder, the generator on its latents, and what may follow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
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
from latentarena.sample import GRIDS, euler, heun, last
from latentarena.train.adversary import (
    LatentDiscriminator,
    PatchDiscriminator,
    adversarial_losses,
    relativistic_losses,
)
from latentarena.train.augment import augment
from latentarena.train.checkpoint import Checkpoints
from latentarena.train.classifier import ClassifierObjective
from latentarena.train.equivariance import changed_alike
from latentarena.train.error import build_error, squared_error
from latentarena.train.logs import logged
from latentarena.train.loop import FitConfig, Objective, Tick, fit
from latentarena.train.perceptual import frechet_distance, perceptual_distance
from latentarena.train.recipe import Recipe
from latentarena.train.reuse import Reuse
from latentarena.train.shelter import Shelter
from latentarena.train.training import (
    AdversarialTraining,
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
Pairs = tuple[Tensor, Tensor, Tensor | None]  # noise, the latents that a flow makes of it, labels
Watch = Callable[[Iterator[Tick], str], Iterator[Tick]]


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


class AdversarialObjective(Objective):
    """The step from noise to sample: near the flow's own pairs, and like real latents to a discriminator."""

    def __init__(
        self, model: LatentModel, pairs: Pairs, latents: Posterior, labels: Tensor, config: AdversarialTraining
    ) -> None:
        super().__init__()
        self.network, self.config, self.times = model.network, config, GRIDS["uniform"](model.path, 1).to(model.device)
        self.path, self.student = model.path, denoiser(model.network, model.path, model.target)
        classes = len(model.architecture.classes) if model.conditional else None
        self.discriminator = LatentDiscriminator(config.discriminator, model.latent_shape, classes).to(model.device)
        self.noise, self.data, self.labels = pairs
        self.means, self.spread, self.real_labels = model.scale(latents.mean), spread(model, latents), labels
        self.size = len(self.means)

    def forward(self, index: Tensor, draws: Draws) -> dict[str, Tensor]:
        chosen = (draws.uniform(len(index)) * len(self.noise)).long()
        labels = None if self.labels is None else self.labels[chosen]
        made = euler(self.path, self.student, labels)(self.noise[chosen], *self.times)
        real = draw(self.means, self.spread, index, draws)
        real_labels = None if labels is None else self.real_labels[index]
        nudges = draws.normal(*real.shape), draws.normal(*real.shape)
        error = (made - self.data[chosen]).square().mean()
        adversarial, discriminator = relativistic_losses(
            self.discriminator, (real, real_labels), (made, labels), nudges, self.config.smoothness
        )
        loss = self.config.anchor * error + adversarial + discriminator
        return {"loss": loss, "mse": error, "adversarial": adversarial, "discriminator": discriminator}


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
    how = model.architecture.sampling.but(solver="heun", steps=config.solver_steps)
    data = [
        model.scale(last(model.trajectory(noise[i : i + ROWS], None if labels is None else labels[i : i + ROWS], how)))
        for i in range(0, config.pairs, ROWS)
    ]
    return noise, torch.cat(data), labels


def stages(recipe: Recipe, model: LatentModel, data: Dataset, device: torch.device) -> Iterator[tuple[str, Objective]]:
    """The stages in order, by the names of `Training.stages`; what follows a stage is prepared once it is trained."""
    train = data.train.to(device)
    yield from autoencoder_stages(recipe, model.autoencoder, train, len(data.classes))
    model.to(device).requires_grad_(False)
    latents = encode_all(model.autoencoder, train, data.digest)
    if recipe.training.autoencoder is not None:
        refuse_diverged(model.autoencoder, train, latents, recipe.training.autoencoder)
    yield from latent_stages(recipe, model, latents, train.labels)


def latent_stages(
    recipe: Recipe, model: LatentModel, latents: Posterior, labels: Tensor
) -> Iterator[tuple[str, Objective]]:
    """The stages on the latents of the train split: the generator, what guides it, and what may follow."""
    training = recipe.training
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
        if training.adversarial is not None:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(stream(recipe.seed, "adversary").initial_seed())
                objective = AdversarialObjective(model, pairs, latents, labels, training.adversarial)
            yield "adversarial", objective
    if training.consistency is not None:
        yield "consistency", ConsistencyObjective(model, latents, labels, training.consistency)


def autoencoder_stages(
    recipe: Recipe, autoencoder: Autoencoder, train: Images, classes: int
) -> Iterator[tuple[str, Objective]]:
    """The autoencoder's stages: the features that images are compared in, itself, and itself again on clean images."""
    training, features = recipe.training, None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream(recipe.seed, "critics").initial_seed())
        if training.features is not None:
            features = training.features.network.build(train.shape, classes)
        adversarial = any(stage.adversarial for stage in (training.autoencoder, training.finetune) if stage)
        discriminator = PatchDiscriminator(train.shape[0]) if adversarial else None
    if features is not None and training.features is not None:
        yield "features", ClassifierObjective.of_images(features, train, training.features.augment)
        features.requires_grad_(False)
    for name in ("autoencoder", "finetune"):
        config = getattr(training, name)
        if config is not None:
            yield name, AutoencoderObjective(autoencoder, train, config, features, discriminator)


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
