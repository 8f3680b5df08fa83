"""The train split as latents: encoded once by the frozen encoder, standardised, cached by content."""

from __future__ import annotations

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from latentarena.autoencoder import Autoencoder
from latentarena.data import Images
from latentarena.files import cache_folder, digest, make_folder, prune, write_atomically

__all__ = ["Standardiser", "encode_all", "module_digest"]

CHUNK = 1000  # images at a time
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


def module_digest(module: nn.Module) -> str:
    """SHA-256 of a module's weights, names included."""
    parts: list[bytes | memoryview] = []
    for name, tensor in module.state_dict().items():
        parts += [name.encode(), memoryview(tensor.detach().cpu().contiguous().numpy())]
    return digest(*parts)


@torch.inference_mode()
def encode_all(autoencoder: Autoencoder, images: Images, data_digest: str) -> Tensor:
    """Posterior means of a whole split, (N, *latent), on the images' device.

    Cached under the hash of weights and data, except where there is nothing to compute (pixel space).
    """
    learned = any(True for _ in autoencoder.parameters())
    key = digest(module_digest(autoencoder).encode(), data_digest.encode(), str(len(images)).encode())
    path = cache_folder() / "latents" / f"{key[:32]}.safetensors"
    if learned:
        try:
            return load_file(path)["latents"].to(images.pixels.device)
        except (OSError, SafetensorError):
            pass  # not there, or damaged: computed anew
    chunks = [autoencoder.encode(images.batch(slice(i, i + CHUNK))).mean for i in range(0, len(images), CHUNK)]
    latents = torch.cat(chunks)
    if learned:
        make_folder(path.parent)
        write_atomically(path, save({"latents": latents.cpu()}))
        prune(path.parent, KEPT)
    return latents
