"""Equivariance: a latent map that is turned or made smaller has to decode to the image so changed."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from latentarena.randomness import Draws

SMALLEST = 0.25  # of the side of the map


def changed_alike(latents: Tensor, images: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
    """Latent maps and their images under one quarter turn and one scale, drawn for the whole batch.

    The transformations of EQ-VAE (Kouzelis et al., 2025, section 3.2): what the decoder learns is that its latents
    change as images do, which makes them smoother. A map that is not square is turned by half turns only; where the
    image's sides are no whole multiple of the map's, none is scaled.

    Args:
        latents: (B, C, h, w).
        images: (B, C', H, W) that the latents encode.
        draws: all the randomness there is.

    Returns:
        Latents (B, C, h', w') and images (B, C', h' H / h, w' W / w), with h' from h / 4 to h.
    """
    turn, size = draws.uniform(2).tolist()
    height, width = latents.shape[2:]
    quarters = int(4 * turn) if height == width else 2 * int(2 * turn)
    latents, images = (torch.rot90(one, quarters, (2, 3)) for one in (latents, images))
    if images.shape[2] % height or images.shape[3] % width:
        return latents, images
    sides = range(max(1, round(SMALLEST * min(height, width))), min(height, width) + 1)
    share = sides[int(len(sides) * size)] / min(height, width)
    small = (round(share * height), round(share * width))
    large = (small[0] * (images.shape[2] // height), small[1] * (images.shape[3] // width))
    return _resized(latents, small), _resized(images, large)


def _resized(maps: Tensor, size: tuple[int, int]) -> Tensor:
    return maps if maps.shape[2:] == size else interpolate(maps, size, mode="bilinear", antialias=True)
