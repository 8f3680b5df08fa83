"""The train split as latents: encoded once by the frozen encoder, standardised, cached by content."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from latentarena.autoencoder import Autoencoder, Posterior
from latentarena.bounds import Count, Real
from latentarena.config import Config
from latentarena.data import Images
from latentarena.files import cache_folder, digest, keep_cached
from latentarena.precision import Precision
from latentarena.randomness import Draws
from latentarena.registry import source_behind

CHUNK, VALUES = 1000, 1 << 22  # images at a time, and their numbers: fewer images where they are large
KEPT = 16  # encoded train splits in the cache
SMALLEST = 1e-2  # standard deviation: a collapsed dimension is not blown up into noise


class Standardiser(nn.Module):
    """Latents to zero mean and unit variance and back: per dimension if linear, per channel if spatial."""

    def __init__(self, latent_shape: tuple[int, ...]) -> None:
        super().__init__()
        shape = (latent_shape[0], *(1 for _ in latent_shape[1:]))
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("deviation", torch.ones(shape))

    def fit(self, latents: Tensor) -> None:
        """Take mean and deviation from latents (N, *latent)."""
        axes = [0, *range(2, latents.ndim)]
        kept = self.mean.shape
        self.mean.copy_(latents.mean(axes).reshape(kept))
        self.deviation.copy_(latents.std(axes).clamp(min=SMALLEST).reshape(kept))

    def forward(self, latents: Tensor) -> Tensor:
        """To zero mean and unit variance; any (B, *latent)."""
        return (latents - self.mean) / self.deviation

    def invert(self, latents: Tensor) -> Tensor:
        """Back to the autoencoder's own scale."""
        return latents * self.deviation + self.mean


def quantised(latents: Tensor, precision: Precision) -> Tensor:
    """Latents as they are once they were stored with this precision, in float32 again; too large ones are not finite.

    `float8` is E4M3 of the OCP standard (Micikevicius et al., 2022): four significant bits from 1/64 to 448.
    """
    kind = {"float8": torch.float8_e4m3fn, "float16": torch.float16, "float32": torch.float32}[precision]
    beyond = latents.abs() > torch.finfo(kind).max  # which some types would be cut to
    return latents.to(kind).float().masked_fill(beyond, math.inf)


def draw(means: Tensor, spread: Tensor, index: Tensor, draws: Draws) -> Tensor:
    """Samples of the posteriors at `index`, (B, *latent).

    Args:
        means: (N, *latent).
        spread: standard deviations, (N, *latent), or (1, *latent) where they are the same for every image.
    """
    deviation = spread if len(spread) == 1 else spread[index]
    return means[index] + deviation * draws.normal(len(index), *means.shape[1:])


class LatentStatistics(Config):
    """What the latents of a train split are like; a dimension is one number of the latent.

    Attributes:
        dimensions: of the latent.
        dead: dimensions that tell nothing about the image: the variance of their posterior means is less than 1 % of
            the posteriors' own (Burda et al., 2016), or 0.01 % of the liveliest dimension's.
        smallest, largest: standard deviations of the posterior means over the split.
        kl: mean KL divergence to N(0, I) in nats per image; None where the posterior has no width.
    """

    dimensions: Count
    dead: Count
    smallest: Real
    largest: Real
    kl: Real | None


def latent_statistics(latents: Posterior) -> LatentStatistics:
    """Statistics of the posteriors of N images."""
    signal = latents.mean.flatten(1).var(0)  # (D,)
    width = latents.log_variance.exp().mean(0).expand(latents.mean.shape[1:]).flatten()
    dead = (signal < 0.01 * width) | (signal <= 1e-4 * signal.max())
    kl = float(latents.kl().mean())
    return LatentStatistics(
        dimensions=len(signal),
        dead=int(dead.sum()),
        smallest=float(signal.min().sqrt()),
        largest=float(signal.max().sqrt()),
        kl=kl if math.isfinite(kl) else None,
    )


def at_once(shape: tuple[int, ...], most: int = CHUNK, numbers: int = VALUES) -> int:
    """How many images or latents of a shape are taken at a time."""
    return max(1, min(most, numbers // math.prod(shape)))


def module_digest(module: nn.Module) -> str:
    """SHA-256 of a module's weights, names included."""
    parts: list[bytes | memoryview] = []
    for name, tensor in module.state_dict().items():
        parts += [name.encode(), memoryview(tensor.detach().cpu().contiguous().numpy())]
    return digest(*parts)


@torch.inference_mode()
def encode_all(autoencoder: Autoencoder, images: Images, data_digest: str) -> Posterior:
    """The posteriors of a whole split, N of them, on the images' device.

    Cached under the hash of weights, layers, data and, of a foreign autoencoder, source, except where there is nothing
    to compute (pixel space).
    """
    source = source_behind(type(autoencoder))
    parts = module_digest(autoencoder), repr(autoencoder), source, data_digest, str(len(images))
    key = digest(*(part.encode() for part in parts))
    path = cache_folder() / "latents" / f"{key[:32]}.safetensors"
    if autoencoder.learned:
        try:
            found = load_file(path, device=str(images.pixels.device))
            return Posterior(found["mean"], found["log_variance"])
        except (OSError, SafetensorError, KeyError):
            pass  # not there, or damaged: computed anew
    step = at_once(images.shape)
    chunks = [autoencoder.encode(images.batch(slice(i, i + step))) for i in range(0, len(images), step)]
    shared = len(chunks[0].log_variance) == 1
    variances = [chunk.log_variance.detach() for chunk in chunks]
    latents = Posterior(torch.cat([chunk.mean for chunk in chunks]), variances[0] if shared else torch.cat(variances))
    if autoencoder.learned:
        _keep(path, latents)
    return latents


def _keep(path: Path, latents: Posterior) -> None:
    tensors = {"mean": latents.mean, "log_variance": latents.log_variance}
    content = save({name: tensor.cpu().contiguous() for name, tensor in tensors.items()})
    keep_cached(path, content, KEPT, "the encoded latents are")
