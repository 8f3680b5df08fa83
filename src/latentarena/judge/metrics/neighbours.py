"""How near images come to those of a split: whether a model draws or copies. The search is exact."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from latentarena.judge.material import Neighbours, Samples
from latentarena.judge.metrics.estimate import Measures, over_real, wilson
from latentarena.progress import counted

CHUNK = 500  # images at a time
PAIRS = 256  # of images whose distance is taken at a time: few enough for the processor's cache
DIRECTIONS, LEARNED_FROM = 128, 1000  # of the search's projection, and images that it is fitted to
DEARER = 10  # times that directions cost the cube of a side of their matrix, in multiplications of a comparison
PARTS, CANDIDATES = 240, 8  # of the others whose best are looked at first, and how many of these are measured
MANY = 100  # of candidates of an image, above which a closer bound costs less
ROUNDING = 1e-5  # of squared lengths, for what float32 loses in a bound
COPIED = 1 / 3


def of_samples(samples: Samples) -> Measures:
    """How far samples are from train images, over what real test images are, and how many are copies."""
    return {
        "nearest_ratio": over_real(samples.near.first, samples.real.apart),
        "copies": wilson(int(samples.near.copies.sum()), len(samples.images)),
    }


def nearest(images: Tensor, train: Tensor) -> Neighbours:
    """Look for the nearest train images by their pixels.

    Args:
        images: float (N, C, H, W) in [0, 1].
        train: uint8 (M, C, H, W), M > 1.
    """
    index, first, second = two_nearest(images, train)
    copies = (first <= COPIED * second) | (first <= math.sqrt(images[0].numel()) / 255)
    return Neighbours(index, first, second, copies)


def two_nearest(rows: Tensor, others: Tensor, but_itself: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """The nearest of M vectors to each of N, and the distances to it and to the next one; exact.

    Distances are bounded from below in a projection to the others' principal directions, which all pairs are compared
    in, or by all numbers where the pairs are too few for directions to be worth while; only those that the bound does
    not rule out are compared in full.

    Args:
        rows: (N, ...), uint8 counts as 0 to 255 over 255.
        others: (M, ...), M > 1, or M > 2 for `but_itself`.
        but_itself: the rows are the others, and none is its own neighbour.

    Returns:
        int64 (N,) and float64 (N,) twice.
    """
    bound, found = _Bound(others, len(rows)), []
    for start in counted(range(0, len(rows), CHUNK), "nearest images"):
        chunk = _numbers(rows[start : start + CHUNK])
        own = torch.arange(start, start + len(chunk))[:, None] if but_itself else None
        found.append(_two_nearest(chunk, others, bound, own))
    index, first, second = (torch.cat(column) for column in zip(*found, strict=True))
    return index, first, second


def _numbers(rows: Tensor) -> Tensor:
    """float32 (n, D)"""
    return (rows.float() / 255 if rows.dtype == torch.uint8 else rows.float()).flatten(1)


class _Bound:
    """Squared distances from so many vectors to M others, or a little less.

    An orthonormal projection shortens distances. What it leaves of two vectors differs by no less than the lengths of
    what it leaves of them, so these lengths are one more coordinate.
    """

    def __init__(self, others: Tensor, n: int) -> None:
        some = _numbers(others[:: max(1, len(others) // LEARNED_FROM)][:LEARNED_FROM])
        self.mean, self.others, self.projected = some.mean(0), others, None
        if n * len(others) * some.shape[1] > DEARER * min(some.shape) ** 3:
            self.directions = _leading(some - self.mean)
            parts = [self._projected(_numbers(chunk)) for chunk in torch.split(others, CHUNK)]
            self.projected = torch.cat(parts)  # (M, wanted + 1)

    def _projected(self, rows: Tensor) -> Tensor:
        centred = rows - self.mean
        inside = centred @ self.directions
        left = (centred - inside @ self.directions.T).square().sum(1, keepdim=True).sqrt()
        return torch.cat([inside, left], 1)

    def squares(self, rows: Tensor) -> Iterator[Tensor]:
        """Bounds for rows (n, D), (n, M): first those of a projection, then by all numbers, within rounding."""
        if self.projected is not None:
            yield _squares_less_rounding(self._projected(rows), self.projected)
        pieces = torch.split(self.others, CHUNK)
        yield torch.cat([_squares_less_rounding(rows - self.mean, _numbers(piece) - self.mean) for piece in pieces], 1)


def _leading(centred: Tensor) -> Tensor:
    """Orthonormal directions (D, k), of the largest variance, of vectors (n, D) of mean 0."""
    centred = centred.double()
    wanted = min(DIRECTIONS, *centred.shape)
    few = centred.shape[0] < centred.shape[1]  # images, and pixels: the smaller square says the same of both
    _, vectors = torch.linalg.eigh(centred @ centred.T if few else centred.T @ centred)
    leading: Tensor = vectors[:, -wanted:]
    return (torch.linalg.qr(centred.T @ leading).Q if few else leading).float()


def _squares_less_rounding(x: Tensor, y: Tensor) -> Tensor:
    """Squared distances (n, D), (m, D) -> (n, m) less what float32 may have added."""
    own, lengths = x.square().sum(1, keepdim=True), y.square().sum(1)
    return torch.addmm(lengths, x, y.T, alpha=-2).add_(own - ROUNDING * (own + lengths.max()))


def _two_nearest(rows: Tensor, others: Tensor, bound: _Bound, own: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """For one chunk; `own` (n, 1) are the rows' own numbers among the others, if they are to be left out."""
    for bounds in bound.squares(rows):
        if own is not None:
            bounds.scatter_(1, own, math.inf)
        smallest, few = _smallest(bounds)
        pairs = torch.stack([torch.arange(len(rows)).repeat_interleave(few.shape[1]), few.flatten()], 1)
        reached = _squares(rows, others, pairs).view(few.shape)
        if own is not None:
            reached = reached.masked_fill(few == own, math.inf)
        pairs = _within(bounds, smallest, reached.topk(2, largest=False).values[:, 1:])
        if len(pairs) <= MANY * len(rows):
            break
    squares = _squares(rows, others, pairs)
    order = squares.argsort(stable=True)
    order = order[pairs[order, 0].argsort(stable=True)]  # by row, nearest first
    first = torch.searchsorted(pairs[order, 0].contiguous(), torch.arange(len(rows)))
    return pairs[order[first], 1], squares[order[first]].sqrt(), squares[order[first + 1]].sqrt()


def _smallest(bounds: Tensor) -> tuple[Tensor, Tensor]:
    """The smallest bound (n, M) of each part of a row, (n, parts), and the columns of a few of these, (n, few)."""
    width = math.ceil(bounds.shape[1] / PARTS)
    whole = bounds.shape[1] // width * width
    values = bounds[:, :whole].view(len(bounds), -1, width).amin(2)
    if whole < bounds.shape[1]:
        values = torch.cat([values, bounds[:, whole:].amin(1, keepdim=True)], 1)
    best = values.topk(min(CANDIDATES, values.shape[1]), largest=False).indices  # (n, few) parts
    columns = (best[:, :, None] * width + torch.arange(width)).clamp(max=bounds.shape[1] - 1)  # (n, few, width)
    within = bounds.gather(1, columns.flatten(1)).view_as(columns).argmin(2, keepdim=True)
    return values, columns.gather(2, within).squeeze(2)


def _within(bounds: Tensor, smallest: Tensor, limits: Tensor) -> Tensor:
    """Row and column (P, 2) of the bounds (n, M) that are at most their row's limit (n, 1); see `_smallest`."""
    width = math.ceil(bounds.shape[1] / PARTS)
    rows, parts = (smallest <= limits).nonzero(as_tuple=True)
    columns = parts[:, None] * width + torch.arange(width)  # (parts, width)
    inside = columns < bounds.shape[1]
    columns = columns.clamp(max=bounds.shape[1] - 1)
    found = inside & (bounds[rows[:, None], columns] <= limits[rows])
    return torch.stack([rows[:, None].expand_as(columns)[found], columns[found]], 1)


def _squares(rows: Tensor, others: Tensor, pairs: Tensor) -> Tensor:
    """Squared distances of pairs (P, 2) of a row's number and another's, float64 (P,)."""
    parts = []
    for some in torch.split(pairs, PAIRS):
        parts.append((_exact(others[some[:, 1]]) - rows[some[:, 0]].double()).square().sum(1))
    return torch.cat(parts)


def _exact(rows: Tensor) -> Tensor:
    """float64 (n, D)"""
    return (rows.double() / 255 if rows.dtype == torch.uint8 else rows.double()).flatten(1)
