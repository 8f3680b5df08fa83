"""A model of a single step learns to give images that look like real ones as a whole, in a classifier's features."""

from __future__ import annotations

import torch
from torch import Tensor

from latentarena.backbone.classifier import Classifier
from latentarena.data import Images
from latentarena.latents import at_once
from latentarena.model.latent_model import LatentModel
from latentarena.process import denoiser
from latentarena.randomness import Draws
from latentarena.sample import GRIDS, euler
from latentarena.train.loop import Objective
from latentarena.train.perceptual import frechet_to
from latentarena.train.training import MomentsTraining

Pairs = tuple[Tensor, Tensor, Tensor | None]  # noise, the latents that a flow makes of it, labels


class MomentsObjective(Objective):
    """The Frechet distance of what a single step makes from the train split, near the flow's own pairs.

    The moments of a batch's features are too uncertain to be held against those of 60,000 images: their distance is
    mostly chance. So they are averaged over batches, with a gradient as if all were of this one.

    Attributes:
        mean, square: the averaged E[f] (D,) and E[f f^T] (D, D) of the features f of what is made, as they differ from
            the mean of real ones.
    """

    mean: Tensor
    square: Tensor

    def __init__(
        self, model: LatentModel, pairs: Pairs, features: Classifier, images: Images, config: MomentsTraining
    ) -> None:
        super().__init__()
        self.network, self.config, self.size = model.network, config, len(images)
        self.path, self.times = model.path, GRIDS["uniform"](model.path, 1).to(model.device)
        self.student = denoiser(model.network, model.path, model.target)
        self.noise, self.data, self.labels = pairs
        self.decoder, self.scale = model.autoencoder, model.scale
        self.features, rows = features, at_once(images.shape)
        with torch.no_grad():
            real = torch.cat([features.pooled(images.batch(slice(i, i + rows))) for i in range(0, len(images), rows)])
            self.centre = real.mean(0)
            self.distance = frechet_to(real - self.centre)
            first = torch.split(torch.arange(min(len(images), len(self.noise))), rows)
            made = torch.cat([self.seen(self.step(chosen)) for chosen in first])
        self.register_buffer("mean", made.mean(0))
        self.register_buffer("square", made.mT @ made / len(made))

    def seen(self, latents: Tensor) -> Tensor:
        """Features (B, D) of standardised latents' images, as they differ from the mean of real ones."""
        return self.features.pooled(self.decoder.decode(self.scale.invert(latents))) - self.centre

    def step(self, chosen: Tensor) -> Tensor:
        """The standardised latents, (B, *latent), that a single step makes of the noise of some pairs."""
        labels = None if self.labels is None else self.labels[chosen]
        return euler(self.path, self.student, labels)(self.noise[chosen], *self.times)

    def forward(self, index: Tensor, draws: Draws) -> dict[str, Tensor]:
        chosen = (draws.uniform(len(index)) * len(self.noise)).long()
        made = self.step(chosen)
        error = (made - self.data[chosen]).square().mean()
        seen = self.seen(made)  # (B, D)
        mean, square = self._averaged("mean", seen.mean(0)), self._averaged("square", seen.mT @ seen / len(seen))
        frechet = self.distance(mean, square - mean.outer(mean))
        return {"loss": frechet + self.config.anchor * error, "mse": error, "frechet": frechet}

    def _averaged(self, name: str, batch: Tensor) -> Tensor:
        """A kept average with this batch in it, whose gradient is the batch's own."""
        kept = getattr(self, name)
        kept.lerp_(batch.detach(), 1 - self.config.memory)
        return kept + (batch - batch.detach())  # type: ignore[no-any-return]
