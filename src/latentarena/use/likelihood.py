"""How likely a model finds the test images, exactly, by the change of variables along its ODE."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latentarena.bundle import NativeBundle
from latentarena.data import Dataset
from latentarena.errors import ConfigError
from latentarena.files import make_folder, write_atomically
from latentarena.model.latent_model import LatentModel
from latentarena.pictures import blank, figure_bytes, refuse_suffix
from latentarena.randomness import stream
from latentarena.sample import bits_per_dimension, log_likelihood
from latentarena.use.history import refuse_no_flow
from latentarena.use.uses import own_labels

CHUNK = 100  # images at a time
FEW = 32  # dimensions up to which the divergence is exact
PROBES = 8  # of each image, where it is estimated
PIXEL_UNIT, LATENT_UNIT = "bits per pixel value", "bits per latent dimension"


@dataclass(frozen=True)
class Likelihood:
    """Negative log-likelihood of test images; fewer bits are better.

    Attributes:
        unit: `bits per pixel value` of 8-bit pixels, or `bits per latent dimension` of a density over standardised
            latents. The second is no likelihood of images, may be negative, and compares generators of one
            autoencoder only.
        bits: of each image.
        prior: their mean under N(0, I) in place of the model, on the same scale.
        given_class: whether each image's own class was told.
    """

    model: str
    data: str
    unit: str
    bits: tuple[float, ...]
    prior: float
    given_class: bool
    steps: int
    seed: int

    @property
    def mean(self) -> float:
        """Mean over the images."""
        return sum(self.bits) / len(self.bits)

    @property
    def interval(self) -> tuple[float, float]:
        """The mean's 95% interval, by its standard error over the images."""
        variance = sum((b - self.mean) ** 2 for b in self.bits) / (len(self.bits) - 1)
        half = 1.96 * math.sqrt(variance / len(self.bits))
        return self.mean - half, self.mean + half

    def sentence(self) -> str:
        """The likelihood in words."""
        low, high = self.interval
        whose = "given their class, " if self.given_class else ""
        scale = "8-bit pixels" if self.unit == PIXEL_UNIT else "a density of standardised latents, not of images"
        return (
            f"{self.model}: {self.mean:.4f} {self.unit} (95% {low:.4f} to {high:.4f}; N(0, I) {self.prior:.4f}) on "
            f"{len(self.bits):,} test images of {self.data}, {whose}Heun x {self.steps}; {scale}; fewer is better"
        )

    def facts(self) -> dict[str, Any]:
        """The likelihoods and how they were measured, as a JSON value."""
        return asdict(self) | {"images": len(self.bits), "mean": self.mean, "interval": list(self.interval)}


def dequantised(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """8-bit pixels with uniform noise of one bin's width (Theis et al., 2016), (N, C, H, W).

    Value k becomes (k + u) / 255 with u uniform in [-1/2, 1/2): around the [0, 1] value that models are trained on.
    """
    spread = torch.rand(pixels.shape, generator=generator) - 0.5
    return (pixels.cpu().float() + spread) / 255


def image_bits(
    model: LatentModel, pixels: Tensor, labels: Tensor | None, steps: int, seed: int
) -> tuple[Tensor, Tensor]:
    """Bits per dimension of images under the model, and under N(0, I) in its place; both (N,).

    In pixel space the density is over x = 2 v - 1, where a bin of 8-bit pixels is 2 / 255 wide; standardising divides
    by the deviation, so log p(x) = log p(standardised) - sum of log deviation, and the chance of the pixels is the
    density times the bins' volume. In latent space it is the density of the standardised latents that is given. On
    paths that stop short of t = 0 it is the density there.

    Args:
        pixels: uint8 (N, C, H, W).
        labels: int64 (N,) for a conditional model.
        steps: of Heun's method.
        seed: of the dequantisation and of the probes, which are many random signs for each image: where there are
            more than a few dimensions the divergence is Hutchinson's unbiased estimate.
    """
    in_pixels = not model.learned
    images = dequantised(pixels, stream(seed, "dequantisation")) if in_pixels else pixels.cpu().float() / 255
    data = model.scale(model.encode(images).to(model.device))
    dimension = data[0].numel()
    signs = torch.randint(2, (PROBES, *data.shape), generator=stream(seed, "probes")).to(data) * 2 - 1
    told, probes = own_labels(model, labels), None if dimension <= FEW else signs
    nats = log_likelihood(model.path, model.denoise, data, told, steps, probes)
    prior = -0.5 * (data.square() + math.log(2 * math.pi)).flatten(1).sum(1)
    stretch = model.scale.deviation.log().expand(data.shape[1:]).sum() if in_pixels else 0
    bits, prior_bits = (
        bits_per_dimension(density - stretch, dimension, 2 / 255 if in_pixels else 1.0) for density in (nats, prior)
    )
    return bits.cpu(), prior_bits.cpu()


@torch.no_grad()
def measure_likelihood(bundle: NativeBundle, data: Dataset, n: int, steps: int, seed: int) -> Likelihood:
    """The first n test images under a bundle's model.

    Raises:
        ConfigError: fewer than two images, or more than the test split has; or a model that is no flow.
    """
    refuse_no_flow(bundle, "likelihood")
    if not 2 <= n <= len(data.test):
        raise ConfigError(f"--number {n}: choose from 2 to the {len(data.test):,} test images of {data.name}")
    model = bundle.model
    told = model.architecture.generator.conditional
    rows = [slice(i, min(i + CHUNK, n)) for i in range(0, n, CHUNK)]
    labels = data.test.labels.to(model.device)
    found = [image_bits(model, data.test.pixels[row], labels[row], steps, seed + row.start) for row in rows]
    bits, prior = (torch.cat(parts).double() for parts in zip(*found, strict=True))
    pixels = not model.learned
    return Likelihood(
        model=bundle.card.name,
        data=data.name,
        unit=PIXEL_UNIT if pixels else LATENT_UNIT,
        bits=tuple(bits.tolist()),
        prior=float(prior.mean()),
        given_class=told,
        steps=steps,
        seed=seed,
    )


def save_histogram(path: Path, found: Likelihood) -> None:
    """Write a PNG of how the bits are spread over the images.

    Raises:
        ConfigError: the path's suffix is not .png.
        OutputError: the file cannot be written.
    """
    refuse_suffix(path, ".png")
    make_folder(path.parent)
    figure = blank(6, 3.4)
    axes = figure.add_subplot()
    axes.hist(found.bits, bins=max(10, round(math.sqrt(len(found.bits)))), color="#58c9c1")
    axes.axvline(found.mean, color="#0a6e6e", label=f"mean {found.mean:.3f}")
    axes.axvline(found.prior, color="#1d2330", linestyle="--", label=f"N(0, I) {found.prior:.3f}")
    axes.set(xlabel=f"{found.unit}, fewer is better", ylabel="images")
    axes.legend(fontsize=8)
    write_atomically(path, figure_bytes(figure))
