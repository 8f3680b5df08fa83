"""How near images come to the train split: whether a model draws or copies."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

__all__ = ["Neighbours", "nearest"]

CHUNK = 500  # images at a time
LARGEST = 256  # numbers of a picture that the candidates are looked for in
CANDIDATES = 8
COPIED = 1 / 3


@dataclass(frozen=True)
class Neighbours:
    """The nearest train image of each of N images.

    Attributes:
        index: its number, int64 (N,).
        first, second: Euclidean distance of the pixels to it and to the next one, float64 (N,).
        copies: whether an image is a copy, bool (N,): three times as near to one train image as to any other (Yoon et
            al., 2023), or the same to within one of 255 steps in a pixel.
    """

    index: Tensor
    first: Tensor
    second: Tensor
    copies: Tensor


def nearest(images: Tensor, train: Tensor) -> Neighbours:
    """Look for the nearest train images by their pixels.

    Eight candidates are found on pictures that are averaged down to 16 x 16 or so, then compared pixel by pixel.

    Args:
        images: float (N, C, H, W) in [0, 1].
        train: uint8 (M, C, H, W), M > 1.
    """
    numbers = images[0].numel()
    cell = max(1, math.ceil(math.sqrt(numbers / LARGEST)))
    small = torch.cat([_small(chunk.float() / 255, cell) for chunk in torch.split(train, CHUNK)])
    lengths = small.square().sum(1)
    found = []
    for chunk in torch.split(images.float(), CHUNK):
        # squared distances but for what is the same in a row
        distances = torch.addmm(lengths, _small(chunk, cell), small.T, alpha=-2)  # (chunk, M)
        who = distances.topk(min(CANDIDATES, len(train)), largest=False).indices
        found.append(_nearest(chunk, train, who))
    index, first, second = (torch.cat(column) for column in zip(*found, strict=True))
    return Neighbours(index, first, second, (first <= COPIED * second) | (first <= math.sqrt(numbers) / 255))


def _small(images: Tensor, cell: int) -> Tensor:
    """(n, C, H, W) -> (n, fewer)"""
    return avg_pool2d(images, cell, ceil_mode=True).flatten(1)


def _nearest(images: Tensor, train: Tensor, who: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The nearest of the candidates `who` (n, few), its distance and the next one's, (n,) each."""
    apart = (train[who].flatten(2).double() / 255 - images.flatten(1)[:, None]).square().sum(2).sqrt()
    near, order = apart.topk(2, largest=False)
    return who.gather(1, order)[:, 0], near[:, 0], near[:, 1]
