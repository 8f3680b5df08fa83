"""The two stages of training a latent model: first the autoencoder, then the generator on its latents."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor

from latentarena.autoencoder import Autoencoder, Posterior
from latentarena.data import Dataset, Images
from latentarena.latents import encode_all
from latentarena.process import COUPLINGS, TIMES, WEIGHTINGS, matching_loss
from latentarena.randomness import Draws
from latentarena.sample import last
from latentarena.train.logs import logged
from latentarena.train.loop import FitConfig, Objective, Tick, fit
from latentarena.train.model import LatentModel
from latentarena.train.recipe import GeneratorTraining, Recipe, ReflowTraining

__all__ = ["AutoencoderObjective", "GeneratorObjective", "ReflowObjective", "Watch", "reflow_pairs", "train_model"]

ROWS = 1000  # pairs drawn at a time
Watch = Callable[[Iterator[Tick], str], Iterator[Tick]]


class AutoencoderObjective(Objective):
    """Negative evidence bound with weight beta: squared error + beta KL, summed per image (Higgins et al., 2017).

    The loss is divided by the number of pixel values, so that it reads as a mean squared error.
    """

    def __init__(self, autoencoder: Autoencoder, images: Images, beta: float) -> None:
        super().__init__()
        self.autoencoder, self.images, self.beta, self.size = autoencoder, images, beta, len(images)

    def forward(self, index: Tensor, draws: Draws) -> dict[str, Tensor]:
        images = self.images.batch(index)  # (B, C, H, W)
        posterior = self.autoencoder.encode(images)
        decoded = self.autoencoder.decode(posterior.sample(draws.normal(*posterior.mean.shape)))
        error = (decoded - images).square().mean()
        kl = posterior.kl().mean()
        return {"loss": error + self.beta * kl / images[0].numel(), "mse": error, "kl": kl}


class GeneratorObjective(Objective):
    """The matching loss on standardised posterior samples; some labels are hidden from a conditional network."""

    def __init__(self, model: LatentModel, latents: Posterior, labels: Tensor, config: GeneratorTraining) -> None:
        super().__init__()
        self.network, self.path, self.target = model.network, model.path, model.target
        self.means, self.config, self.size = model.scale(latents.mean), config, len(latents.mean)
        self.spread = (0.5 * latents.log_variance).exp() / model.scale.deviation  # (N or 1, *latent)
        self.labels = labels if model.conditional else None
        self.none = len(model.architecture.classes)  # the class table's row for "no label"

    def forward(self, index: Tensor, draws: Draws) -> dict[str, Tensor]:
        labels = None
        if self.labels is not None:
            hidden = draws.uniform(len(index)) < self.config.drop_labels
            labels = self.labels[index].masked_fill(hidden, self.none)
        spread = self.spread if len(self.spread) == 1 else self.spread[index]
        data = self.means[index] + spread * draws.normal(len(index), *self.means.shape[1:])
        loss = matching_loss(
            self.network,
            self.path,
            self.target,
            TIMES[self.config.times],
            data,
            labels,
            draws,
            COUPLINGS[self.config.coupling],
            WEIGHTINGS[self.config.weighting],
        )
        return {"loss": loss}


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


def reflow_pairs(model: LatentModel, config: ReflowTraining, seed: int) -> tuple[Tensor, Tensor, Tensor | None]:
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


def train_model(recipe: Recipe, model: LatentModel, data: Dataset, fabric: Fabric, folder: Path, watch: Watch) -> None:
    """Train both stages in place, resuming each from its newest checkpoint in `folder`.

    Args:
        model: built from the recipe; holds the final weights on return.
        data: on the CPU; the train split is moved to the device.
        folder: gets `checkpoints/` and `logs/`.
        watch: wraps the training ticks, to show progress.

    Raises:
        TrainingError, CheckpointError, Interrupted: see `fit`.
    """
    train = data.train.to(fabric.device)

    def run(objective: Objective, stage: str, config: FitConfig) -> None:
        ticks = fit(objective, config, fabric, folder / "checkpoints", (recipe.seed, stage))
        if fabric.is_global_zero:
            ticks = watch(logged(ticks, folder / "logs", stage), stage)
        for _ in ticks:
            pass

    if recipe.training.autoencoder is not None:
        config = recipe.training.autoencoder
        run(AutoencoderObjective(model.autoencoder, train, config.beta), "autoencoder", config)
    model.to(fabric.device).requires_grad_(False)
    latents = encode_all(model.autoencoder, train, data.digest)
    model.scale.fit(latents.mean)
    model.network.requires_grad_(True)
    run(
        GeneratorObjective(model, latents, train.labels, recipe.training.generator),
        "generator",
        recipe.training.generator,
    )
    if recipe.training.reflow is not None:
        again = recipe.training.reflow
        for number in range(1, again.rounds + 1):
            pairs = reflow_pairs(model.eval(), again, recipe.seed + number)
            run(ReflowObjective(model, *pairs, again.times), f"reflow{number}", again)
    model.eval().requires_grad_(False)
