"""What an autoencoder is: images to a Gaussian over latents, latents back to images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Posterior:
    """q(latent | image): a diagonal Gaussian.

    Attributes:
        mean: (B, *latent).
        log_variance: (B, *latent), or (1, *latent) where it is the same for every image.
    """

    mean: Tensor
    log_variance: Tensor

    @classmethod
    def certain(cls, mean: Tensor) -> Posterior:
        """A deterministic encoder's posterior: all mass at one latent."""
        return cls(mean, torch.full_like(mean[:1], -torch.inf))

    def sample(self, noise: Tensor) -> Tensor:
        """The reparametrised sample for standard normal `noise`, (B, *latent) (Kingma & Welling, 2014)."""
        return self.mean + (0.5 * self.log_variance).exp() * noise

    def kl(self) -> Tensor:
        """KL(q || N(0, I)) in nats per image, (B,); infinite where the posterior has no width."""
        return self._terms().sum(1)

    def kl_by_dimension(self) -> Tensor:
        """The batch's mean KL divergence in nats of each of the D numbers of the latent, (D,)."""
        return self._terms().mean(0)

    def _terms(self) -> Tensor:
        terms = self.mean.square() + self.log_variance.exp() - 1 - self.log_variance
        return 0.5 * terms.flatten(1)


class Autoencoder(nn.Module):
    """Images float (B, C, H, W) in [0, 1] <-> latents (B, *latent_shape).

    Attributes:
        encoding: names of the modules and parameters that only `encode` uses; all others count as the decoder's.
    """

    latent_shape: tuple[int, ...]
    encoding: tuple[str, ...]

    @property
    def learned(self) -> bool:
        """Whether it has parameters to train; pixel space has none."""
        return any(True for _ in self.parameters())

    def encode(self, images: Tensor) -> Posterior:
        """The posterior over latents."""
        raise NotImplementedError

    def decode(self, latents: Tensor) -> Tensor:
        """Images in [0, 1]."""
        raise NotImplementedError


class Identity(Autoencoder):
    """Pixel space: the latent is the image, in [-1, 1]."""

    encoding = ()

    def __init__(self, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.latent_shape = shape

    def encode(self, images: Tensor) -> Posterior:
        return Posterior.certain(2 * images - 1)

    def decode(self, latents: Tensor) -> Tensor:
        return ((latents + 1) / 2).clamp(0, 1)
