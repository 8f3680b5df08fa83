"""Whether an autoencoder knows single images by heart: images that no store can hold stand beside those it may hold.

An image that is turned, scaled and shifted a little, by amounts that nobody knows before, is as much one of its kind as
the image it was made of, and in no file. A function reconstructs both alike. A store of what a decoder gets wrong,
found by the latent, reconstructs one of them better; and around the latents it has stored the decoded image bends as it
does nowhere else.

How much harder a moved image is, a linear function of the train split says; for one that has learnt few train images so
closely that it reconstructs them better than others, which is no forgery, a local one does: it has learnt how images of
that split look, and moved ones look a little different.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from latentarena.card.figure import Figure
from latentarena.judge.known import COMPONENTS, principal_directions
from latentarena.judge.metrics import draws, estimate, ratio_of, squared_errors
from latentarena.judge.metrics.estimate import TINY

TURNED, SCALED, SHIFTED = math.radians(10), 0.1, 0.05  # at most; shifts in sides of the image
WAYS = (1 / 8, 1 / 16, 1 / 32)  # of what the latents of two images differ by
UNSEEN = (0.1 / 255) ** 2  # a tenth of a step of a byte, squared: a decoder that has collapsed bends by less
NEIGHBOURS = 50  # train images around an image that are its neighbourhood
AT_ONCE = 1 << 25  # values of neighbourhoods: 256 MiB


@dataclass(frozen=True)
class ByHeart:
    """Figures of one where a function has about one.

    Attributes:
        error: reconstruction error of moved images over that of the images they are made of, in units of the same
            ratio of principal components, or of those of neighbourhoods as far as train images are known closely.
        bends: how much the decoded image bends around latents of the images, over how much around those of moved ones,
            for that of `WAYS` for which this is most.
    """

    error: Figure
    bends: Figure


def by_heart(
    encode: Callable[[Tensor], Tensor],
    decode: Callable[[Tensor], Tensor],
    images: Tensor,
    train: Tensor,
    generator: torch.Generator,
    closely: float = 1.0,
) -> ByHeart:
    """Reconstruct images, and as many that are made of them by a small movement.

    Args:
        encode, decode: images to latents and back, as judged.
        images: of the test split, (N, C, H, W) in [0, 1].
        train: of which principal components say how much harder moved images are, (M, C, H, W).
        generator: of the movements; secret where a score is official.
        closely: reconstruction error of test images over that of train images, in units of the same ratio of principal
            components: above one where train images are known better than others.
    """
    other = moved(images, generator)
    latents, other_latents = encode(images), encode(other)
    steps = latents[torch.randperm(len(images), generator=generator)] - latents
    counts = draws(len(images), generator=generator)
    k = min(COMPONENTS, latents[0].numel())
    harder = _linear_ratio(other, images, train, k)
    if closely > 1:
        harder = max(harder, min(closely * harder, _local_ratio(other, images, train, k)))
    errors = squared_errors(decode(other_latents), other), squared_errors(decode(latents), images)
    bends = [
        estimate(ratio_of(*(_bends(decode, one, way * steps) for one in (latents, other_latents))), counts)
        for way in WAYS
    ]
    return ByHeart(
        error=estimate(ratio_of(errors[0] / harder, errors[1]), counts), bends=max(bends, key=lambda one: one.low)
    )


def moved(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each image (C, H, W) turned, scaled and shifted by amounts of its own."""
    turn, scale, across, down = (2 * torch.rand(4, len(images), generator=generator) - 1).to(images)
    size = 1 + SCALED * scale
    cos, sin = size * (TURNED * turn).cos(), size * (TURNED * turn).sin()
    rows = torch.stack([cos, -sin, 2 * SHIFTED * across]), torch.stack([sin, cos, 2 * SHIFTED * down])
    where = affine_grid(torch.stack(rows).permute(2, 0, 1), list(images.shape), align_corners=False)
    return grid_sample(images, where, "bicubic", padding_mode="border", align_corners=False).clamp(0, 1)


def _linear_ratio(images: Tensor, others: Tensor, train: Tensor, k: int) -> float:
    """The error of k principal components of the train images on some images, over that on others."""
    learn = train.flatten(1).double()
    directions = principal_directions(learn - learn.mean(0), k)
    above, below = (
        float((centred - centred @ directions @ directions.T).square().mean()) + TINY
        for centred in (one.flatten(1).double() - learn.mean(0) for one in (images, others))
    )
    return above / below


def _local_ratio(images: Tensor, others: Tensor, train: Tensor, k: int) -> float:
    """The same of k principal components of each image's own neighbourhood in the train split."""
    learn = train.flatten(1).double()
    above, below = (float(_beside(one.flatten(1).double(), learn, k).mean()) + TINY for one in (images, others))
    return above / below


def _beside(images: Tensor, train: Tensor, k: int) -> Tensor:
    """Squared distance of images (N, P) from k principal components of their nearest among train images (M, P), (N,).

    Work is in inner products of neighbours: their eigenvectors give those of the covariance.
    """
    most = min(NEIGHBOURS, len(train))
    found = []
    for part in torch.split(images, max(1, AT_ONCE // (most * images.shape[1]))):
        near = train[torch.cdist(part, train).topk(most, largest=False).indices]
        centre = near.mean(1, keepdim=True)
        spread, own = near - centre, part - centre[:, 0]
        values, vectors = torch.linalg.eigh(spread @ spread.mT)
        along = (vectors.mT @ (spread @ own[..., None]))[..., -k:, 0].square() / values[:, -k:].clamp(min=TINY)
        found.append(own.square().sum(1) - along.sum(1))
    return torch.cat(found)


def _bends(decode: Callable[[Tensor], Tensor], latents: Tensor, steps: Tensor) -> Tensor:
    """Squared second difference of the decoded image at each latent, (N,), and what nobody sees of one."""
    middle, ahead, behind = (decode(latents + sign * steps) for sign in (0, 1, -1))
    return (ahead + behind - 2 * middle).square().flatten(1).mean(1, dtype=torch.float64) + UNSEEN
