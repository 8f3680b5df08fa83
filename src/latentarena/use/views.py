"""What a latent model looks like from inside, as tensors: planes of its latent space, its field, its way to an image.

Latents here are on the standardised scale, where the generator works and noise is standard normal, and on the CPU.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from latentarena.model.config import SamplingConfig
from latentarena.model.latent_model import LatentModel


@dataclass(frozen=True)
class Plane:
    """A plane through the mean of some latents, along the two (or more) directions in which they vary most.

    Latents of two numbers are the plane themselves, and their axes its own.

    Attributes:
        mean: (D,); directions: orthonormal rows, (k, D), the first of largest variance.
        spread: standard deviation along each, (k,).
        shape: of a latent.
    """

    mean: Tensor
    directions: Tensor
    spread: Tensor
    shape: tuple[int, ...]

    @classmethod
    def of(cls, latents: Tensor, most: int = 2) -> Plane:
        """The plane, or so many directions, of latents (N, *latent)."""
        rows = latents.flatten(1).double()
        mean = rows.mean(0)
        if rows.shape[1] <= 2 >= most:
            directions = torch.eye(rows.shape[1], dtype=torch.float64)
        else:
            directions = torch.linalg.svd(rows - mean, full_matrices=False).Vh[:most]
            # the sign of a direction is chance: its largest number is made positive
            directions = directions * directions.gather(1, directions.abs().argmax(1, keepdim=True)).sign()
        spread = ((rows - mean) @ directions.T).std(0)
        return cls(mean.float(), directions.float(), spread.float(), tuple(latents.shape[1:]))

    def project(self, latents: Tensor) -> Tensor:
        """Where latents (N, *latent) stand, (N, k)."""
        return (latents.flatten(1) - self.mean) @ self.directions.T

    def lift(self, places: Tensor) -> Tensor:
        """The latents (N, *latent) at places (N, k); in every other direction they have the mean."""
        return (self.mean + places @ self.directions).reshape(-1, *self.shape)

    def lattice(self, n: int, deviations: float) -> Tensor:
        """n x n (x n) places, row by row from the top, so many standard deviations to each side, (n ** k, k)."""
        sides = [torch.linspace(-deviations, deviations, n) * spread for spread in self.spread]
        sides[1] = sides[1].flip(0)
        places = torch.meshgrid(*reversed(sides), indexing="ij")
        return torch.stack([one.flatten() for one in reversed(places)], 1)


@torch.no_grad()
def field(model: LatentModel, plane: Plane, places: Tensor, t: float, how: SamplingConfig, label: int | None) -> Tensor:
    """The flow's velocity towards the data at places (N, k) of a plane at time t, projected onto it, (N, k).

    Args:
        label: a class, for a conditional model.
    """
    x = plane.lift(places).to(model.device)
    labels = None if label is None else torch.full((len(x),), label, device=model.device)
    when = torch.full((len(x),), t, device=model.device)
    found = model.denoiser(how)(x, when, labels)
    velocity = model.path.at(when, x).velocity(found.data, found.noise)
    return -velocity.flatten(1).cpu() @ plane.directions.T


@torch.no_grad()
def states(model: LatentModel, noise: Tensor, labels: Tensor | None, how: SamplingConfig, seed: int) -> list[Tensor]:
    """The sampler's states at its times from noise to data, each (N, *latent)."""
    return [model.scale(latents).cpu() for latents in model.trajectory(noise, labels, how, seed)]


def decoded(model: LatentModel, x: Tensor) -> Tensor:
    """The images (N, C, H, W) of latents (N, *latent)."""
    return model.decode(model.scale.invert(x.to(model.device)))


@torch.no_grad()
def estimate(model: LatentModel, x: Tensor, t: float, labels: Tensor | None, how: SamplingConfig) -> Tensor:
    """The images (N, C, H, W) that the model expects to come out, seen from states x (N, *latent) at time t."""
    asked = None if labels is None else labels.to(model.device)
    found = model.denoiser(how)(x.to(model.device), torch.full((len(x),), t, device=model.device), asked)
    return decoded(model, found.data)
