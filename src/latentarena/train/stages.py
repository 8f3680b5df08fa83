"""The two stages of training a latent model: first the autoencoder, then the generator on its latents."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from lightning_fabric import Fabric
from torch import Tensor

from latentarena.autoencoder import Autoencoder, Posterior
from latentarena.data import Dataset, Images
from latentarena.latents import encode_all
from latentarena.process import COUPLINGS, TIMES, WEIGHTINGS, matching_loss
from latentarena.randomness import Draws
from latentarena.train.logs import logged
from latentarena.train.loop import Objective, Tick, fit
from latentarena.train.model import LatentModel
from latentarena.train.recipe import GeneratorTraining, Recipe

__all__ = ["AutoencoderObjective", "GeneratorObjective", "Watch", "train_model"]

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

    def run(objective: Objective, stage: str) -> None:
        config = getattr(recipe.training, stage)
        ticks = fit(objective, config, fabric, folder / "checkpoints", (recipe.seed, stage))
        if fabric.is_global_zero:
            ticks = watch(logged(ticks, folder / "logs", stage), stage)
        for _ in ticks:
            pass

    if recipe.training.autoencoder is not None:
        run(AutoencoderObjective(model.autoencoder, train, recipe.training.autoencoder.beta), "autoencoder")
    model.to(fabric.device).requires_grad_(False)
    latents = encode_all(model.autoencoder, train, data.digest)
    model.scale.fit(latents.mean)
    model.network.requires_grad_(True)
    run(GeneratorObjective(model, latents, train.labels, recipe.training.generator), "generator")
    model.eval().requires_grad_(False)
