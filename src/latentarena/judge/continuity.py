"""Whether a map is one smooth function: walks through its inputs, and what the images do in small steps.

A table answers nearby inputs with the same image and then, at a border, with quite another one. A network's image
changes a little for a little change of its input. Pure functions of a map and of tensors.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

STEP = 1 / 255  # of a pixel: two images that differ by less, root mean square, are one picture
NUDGE, TURN = 2**-8, 2**-4  # shares of a walk: too little to change an image, too much to leave it as it is
PLACES = tuple(i / 6 for i in range(6))  # on a walk, at which it is turned
LEVELS = 256  # values of a number of a latent, above which latents are not discrete
STEPPED = 200  # latents whose smallest steps are looked at

Generate = Callable[[Tensor, Tensor | None, Tensor], Tensor]
"""Noise (n, *noise), labels (n,) or None, and the noise (n, *noise) by which a stochastic solver's own noise is held
fixed -> images (n, C, H, W)."""
Map = Callable[[Tensor, Tensor], Tensor]
"""Inputs (n, ...) and the number of the walk that each belongs to, int64 (n,) -> images (n, ...)."""
Way = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From, to (n, ...) and positions in [0, 1], (n,) -> inputs (n, ...)."""


@dataclass(frozen=True)
class WalkChanges:
    """What images did on M walks, each halved again and again towards the half in which they change more.

    Attributes:
        ends: root mean squared change between the ends of the whole walks, (M,).
        last: the same between the ends of what is left after the last halving, (M,).
    """

    ends: Tensor
    last: Tensor


@dataclass(frozen=True)
class Probe:
    """What a generator did on walks through its noise.

    Attributes:
        walk: see `WalkChanges`.
        nudged: change of the first image after a nudge of its noise, (M,).
        turned: change of the image after a turn of its noise, at each of `PLACES` on each walk, (len(PLACES), M).
        typical: change between any two samples; grain: the most that a model of discrete latents can help to change.
    """

    walk: WalkChanges
    nudged: Tensor
    turned: Tensor
    typical: float
    grain: float


def apart(images: Tensor, others: Tensor) -> Tensor:
    """Root mean squared difference of images (n, ...), float64 (n,)."""
    return (images - others).flatten(1).double().square().mean(1).sqrt()


def typical(images: Tensor) -> float:
    """The median difference of two of N images."""
    half = len(images) // 2
    return max(float(apart(images[:half], images[half : 2 * half]).median()), 1e-6)


def along_arc(start: Tensor, end: Tensor, at: Tensor) -> Tensor:
    """Between two standard normal tensors so that all in between are standard normal too."""
    angle = (at * math.pi / 2).view(-1, *[1] * (start.ndim - 1))
    return angle.cos() * start + angle.sin() * end


def along_line(start: Tensor, end: Tensor, at: Tensor) -> Tensor:
    """Between two tensors in a straight line."""
    return torch.lerp(start, end, at.view(-1, *[1] * (start.ndim - 1)).to(start))


def walk(image_of: Map, start: Tensor, end: Tensor, way: Way, depth: int) -> WalkChanges:
    """Walk from M starts (M, ...) to as many ends and follow the largest change down to 2^-depth of the way.

    It takes (2 + depth) M evaluations.
    """
    m = len(start)
    which = torch.arange(m)
    left, right = torch.zeros(m), torch.ones(m)
    before, after = torch.split(image_of(torch.cat([start, end]), torch.cat([which, which])), m)
    ends = last = apart(before, after)
    for _ in range(depth):
        middle = (left + right) / 2
        between = image_of(way(start, end, middle), which)
        first, second = apart(before, between), apart(between, after)
        earlier, last = first >= second, torch.maximum(first, second)
        wide = earlier.view(-1, *[1] * (before.ndim - 1))
        left, right = torch.where(earlier, left, middle), torch.where(earlier, middle, right)
        before, after = torch.where(wide, before, between), torch.where(wide, between, after)
    return WalkChanges(ends, last)


def probe(
    generate: Generate,
    noise: Tensor,
    labels: Tensor | None,
    images: Tensor,
    walks: int,
    depth: int,
    grain: float = 0.0,
) -> Probe:
    """Walk from noise to noise with a generator.

    Args:
        generate: what to walk with.
        noise: standard normal (N, *noise); labels: int64 (N,), or None; a walk keeps the label that it starts with.
        images: samples, (N, C, H, W).
        walks, depth: at most so many, see `walk`.
        grain: see `Probe`.
    """
    m = min(walks, len(noise) // 2)
    start, end, own = noise[:m], noise[m : 2 * m], None if labels is None else labels[:m]

    def image_of(rows: Tensor, which: Tensor) -> Tensor:
        return generate(rows, None if own is None else own[which], start[which])

    at = torch.tensor([NUDGE, *PLACES, *(place + TURN for place in PLACES)])
    which = torch.arange(m).repeat(len(at))
    made = image_of(along_arc(start[which], end[which], at.repeat_interleave(m)), which)
    nudged, *rest = torch.split(made, m)
    before, after = rest[: len(PLACES)], rest[len(PLACES) :]
    turned = torch.stack([apart(*pair) for pair in zip(before, after, strict=True)])
    walked = walk(image_of, start, end, along_arc, depth)
    return Probe(walked, apart(before[0], nudged), turned, typical(images), grain)


def grain(decode: Callable[[Tensor], Tensor], latents: Tensor) -> float:
    """What the smallest step of a discrete latent changes in the image; 0 if latents are not discrete.

    One number of each latent goes to the next value that it takes among all of them.

    Args:
        decode: latents to images.
        latents: as they are decoded, (N, *latent).
    """
    flat = latents.flatten(1)
    values = []
    for column in flat.T:
        values.append(column.unique())
        if len(values[-1]) > LEVELS:
            return 0.0
    stepped = flat[:STEPPED].clone()
    for row in range(len(stepped)):
        own = values[row % len(values)]
        place = int(torch.searchsorted(own, stepped[row, row % len(values)]))
        stepped[row, row % len(values)] = own[place - 1 if place else min(1, len(own) - 1)]
    whole = latents[:STEPPED]
    return float(apart(decode(whole), decode(stepped.view_as(whole))).quantile(0.95))
