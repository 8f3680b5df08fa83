"""Metrics of sets of images in a judge's features, (N, D): how near two distributions are, how varied one is."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn.functional import normalize

from latentarena.card.figure import Figure
from latentarena.gaussians import frechet_from
from latentarena.judge.material import Prior, Samples
from latentarena.judge.metrics.estimate import Measures, Statistic

CHUNK = 125  # rows of a matrix of pairs at a time: what stays in a processor's cache
COLUMNS, IMAGES = 16, 500  # of features whose products are made at a time
SQUARES = 2**24  # numbers in the sums of products that are kept at a time
LISTED = 8  # members kept of a ball: that a draw misses all of them has a chance of exp(-8)


def of_samples(samples: Samples) -> Measures:
    """How near the samples are to real images in the judge's features, and how varied."""
    features, real = samples.seen.features, samples.real
    balls = memberships(features, real.train, real.radii)
    return {
        "frechet": frechet_of(features, *real.reference),
        "kernel_distance": kernel_distance_of(features, real.train),
        "precision": balls.precision,
        "density": balls.density,
        "recall": balls.recall,
        "coverage": balls.covered(),
        "spread": spread_of(features, samples.seen.labels, real.spreads),
        "vendi": vendi_of(features),
    }


def of_prior(prior: Prior) -> Measures:
    """How near images decoded from the prior are to real images."""
    return {"prior_frechet": frechet_of(prior.seen.features, *prior.real.reference)}


def frechet_distance(mean: Tensor, covariance: Tensor, other_mean: Tensor, other_covariance: Tensor) -> float:
    """Squared Frechet (2-Wasserstein) distance between two Gaussians, >= 0; lower is better.

    |m - m'|^2 + tr(S + S' - 2 (S'^1/2 S S'^1/2)^1/2)  (Dowson & Landau, 1982; Heusel et al., 2017).

    Args:
        mean, other_mean: (D,).
        covariance, other_covariance: (D, D), symmetric positive semi-definite.
    """
    return _frechet(other_mean.double(), other_covariance.double())(mean.double(), covariance.double())


def _frechet(mean: Tensor, covariance: Tensor) -> Callable[[Tensor, Tensor], float]:
    """The distance to one Gaussian as a figure, which rounding leaves no less than 0."""
    distance = frechet_from(mean, covariance)
    return lambda *other: max(0.0, float(distance(*other)))


def frechet_of(features: Tensor, mean: Tensor, covariance: Tensor) -> Statistic:
    """Frechet distance of features (N, D) from a Gaussian of mean (D,) and covariance (D, D), as a statistic."""
    features, distance = features.double(), _frechet(mean.double(), covariance.double())
    return lambda counts: torch.tensor([distance(*both) for both in moments(features, counts)], dtype=torch.float64)


def moments(features: Tensor, counts: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Mean (D,) and unbiased covariance (D, D) of features (N, D), for each row of how often they count, (B, N)."""
    middle = features.mean(0)
    x, totals = features - middle, counts.sum(1)
    shifts = counts @ x / totals[:, None]
    for total, shift, squares in zip(totals, shifts, _squares(x, counts), strict=True):
        yield middle + shift, (squares - total * shift.outer(shift)) / (total - 1).clamp(min=1)


def _squares(x: Tensor, counts: Tensor) -> Iterator[Tensor]:
    """The sum of x x^T over rows of x (N, D), (D, D), for each row of how often they count, (B, N).

    All rows of counts share the products, a few columns against all at a time, in one matrix product.
    """
    width = x.shape[1]
    for some in torch.split(counts, max(1, SQUARES // width**2)):
        sums = torch.zeros(len(some), width, width, dtype=x.dtype)
        for images, often in zip(torch.split(x, IMAGES), torch.split(some, IMAGES, 1), strict=True):
            for i in range(0, width, COLUMNS):
                products = images[:, i : i + COLUMNS, None] * images[:, None, i:]  # (n, few, D - i)
                sums[:, i : i + COLUMNS, i:] += (often @ products.flatten(1)).view(-1, *products.shape[1:])
        for i in range(0, width, COLUMNS):
            sums[:, i + COLUMNS :, i : i + COLUMNS] = sums[:, i : i + COLUMNS, i + COLUMNS :].mT
        yield from sums


def kernel_distance_of(features: Tensor, others: Tensor) -> Statistic:
    """Squared maximum mean discrepancy between features (N, D) and others (M, D), unbiased; about 0 is best.

    Kernel (x . y / D + 1)^3 (Binkowski et al., 2018, "KID"). Unbiased, so a perfect sampler scores about zero at any
    sample size, and half of the time less than zero.
    """
    x, y = features.double(), others.double()
    across = torch.cat([_cubic(chunk, y).mean(1) for chunk in torch.split(x, CHUNK)])  # (N,)
    among_others = _pairs_among(y, torch.ones(1, len(y), dtype=torch.float64))

    def discrepancy(counts: Tensor) -> Tensor:
        return _pairs_among(x, counts) + among_others - 2 * (counts @ across) / counts.sum(1)

    return discrepancy


def _cubic(x: Tensor, y: Tensor) -> Tensor:
    inner = (x @ y.T).div_(x.shape[1]).add_(1)
    return inner.square().mul_(inner)


def _pairs_among(x: Tensor, counts: Tensor) -> Tensor:
    """Mean kernel of two different images of x (N, D), each counting (B, N) times; (B,)."""
    total = torch.zeros(len(counts), dtype=torch.float64)
    for start in range(0, len(x), CHUNK):
        kernel = _cubic(x[start : start + CHUNK], x[start:])
        kernel[:, CHUNK:] *= 2  # for the pairs the other way round
        total += ((counts[:, start : start + CHUNK] @ kernel) * counts[:, start:]).sum(1)
    itself = counts.square() @ ((x * x).sum(1) / x.shape[1] + 1) ** 3
    pairs = counts.sum(1).square() - counts.square().sum(1)
    return (total - itself) / pairs.clamp(min=1)


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """(n, D), (m, D) -> (n, m)."""
    distances = torch.addmm(y.square().sum(1), x, y.T, alpha=-2)
    return distances.add_(x.square().sum(1)[:, None]).clamp_(min=0)


def radii(features: Tensor, k: int = 5) -> Tensor:
    """Squared distance of each of N features (N, D) to its k-th nearest other one, float64 (N,)."""
    x, k = features.double(), min(k, len(features) - 1)
    return torch.cat([squared_distances(c, x).topk(k + 1, largest=False).values[:, -1] for c in torch.split(x, CHUNK)])


class Memberships:
    """Which generated features lie in which real neighbourhoods and the other way round.

    Precision, recall: Kynkaanniemi et al., 2019; density, coverage: Naeem et al., 2020; k = 5 neighbours.

    Attributes:
        precision: share of generated images within a real image's ball, in [0, 1]; higher is better.
        density: mean number of real balls around a generated image, over k, >= 0; 1 for real images.
        recall: share of real images within a generated image's ball, in [0, 1]; higher is better.
        coverage: share of real images with a generated one in their ball, in [0, 1]; higher is better.
    """

    def __init__(self, within: Tensor, holders: Tensor, guests: Tensor, k: int) -> None:
        """Keep what was found.

        Args:
            within: number of real balls around each generated image, (N,).
            holders: for each real image, up to 8 generated ones whose balls hold it, -1 where fewer, (M, 8).
            guests: for each real image, up to 8 generated ones in its ball, -1 where fewer, (M, 8).
            k: neighbours that a ball reaches to.
        """
        self._within, self._holders, self._guests, self._k = within, holders, guests, k

    def precision(self, counts: Tensor) -> Tensor:
        return counts @ (self._within > 0).double() / counts.sum(1)

    def density(self, counts: Tensor) -> Tensor:
        return counts @ self._within.double() / counts.sum(1) / self._k

    def recall(self, counts: Tensor) -> Tensor:
        return _any_drawn(self._holders, counts)

    def coverage(self, counts: Tensor) -> Tensor:
        return _any_drawn(self._guests, counts)

    def covered(self) -> Figure:
        """Coverage and its 95 % interval by the jackknife, which is not too narrow on average (Efron & Stein, 1981).

        A bootstrap draw holds two thirds of the images and covers less, more evenly: its intervals come out at two
        thirds of the length that fresh samples give.
        """
        n, found = len(self._within), self._guests >= 0
        only = self._guests.amax(1)[found.sum(1) == 1]  # the sole image in a ball
        lost = torch.bincount(only, minlength=n).double() / len(found)
        value, half = float(found.any(1).double().mean()), 1.96 * float((lost.var(correction=0) * (n - 1)).sqrt())
        return Figure(value=value, low=max(0.0, value - half), high=min(1.0, value + half))


def _any_drawn(lists: Tensor, counts: Tensor) -> Tensor:
    """The share of lists (M, L) of image numbers, or -1, of which at least one counts; (B,)."""
    drawn = torch.nn.functional.pad(counts > 0, (0, 1))  # the last column answers for -1
    return torch.stack([row[lists].any(1).double().mean() for row in drawn])


def memberships(features: Tensor, real: Tensor, real_radii: Tensor, k: int = 5) -> Memberships:
    """Look for neighbours among all pairs of generated (N, D) and real features (M, D); `real_radii` of `radii`."""
    x, y = features.double(), real.double()
    own, listed = radii(x, k), min(LISTED, len(x))
    within = torch.zeros(len(x), dtype=torch.long)
    holders, guests = [], []
    for start in range(0, len(y), CHUNK):
        rows = slice(start, start + CHUNK)
        distances = squared_distances(y[rows], x)  # (chunk, N)
        within += (distances <= real_radii[rows, None]).sum(0)
        near, who = distances.topk(listed, largest=False)
        guests.append(who.masked_fill(near > real_radii[rows, None], -1))
        inside, whose = (own - distances).topk(listed)
        holders.append(whose.masked_fill(inside < 0, -1))
    return Memberships(within, torch.cat(holders), torch.cat(guests), k)


def vendi_of(features: Tensor) -> Statistic:
    """The effective number of different images, in [1, D]; higher is more varied (Friedman & Dieng, 2023).

    The exponential of the entropy of the eigenvalues of the cosine kernel over N.
    """
    x = normalize(features.double())

    def vendi(counts: Tensor) -> Tensor:
        sums = zip(_squares(x, counts), counts.sum(1), strict=True)
        spectra = [torch.linalg.eigvalsh(squares / total) for squares, total in sums]
        return torch.stack([torch.special.entr(values.clamp(min=0)).sum().exp() for values in spectra])

    return vendi


def spreads(features: Tensor, labels: Tensor, classes: int, counts: Tensor) -> Tensor:
    """Root mean squared distance of the images of a class from their mean, (B, K); 0 for fewer than two.

    Args:
        features: (N, D); labels: int64 (N,), below `classes`.
        counts: how often each image counts, (B, N).
    """
    x, found = features.double(), []
    for label in range(classes):
        member = labels == label
        own, often = x[member], counts[:, member]
        n = often.sum(1)
        mean = often @ own / n.clamp(min=1)[:, None]  # (B, D)
        variance = often @ own.square().sum(1) / n.clamp(min=1) - mean.square().sum(1)
        found.append(torch.where(n > 1, variance.clamp(min=0).sqrt(), 0.0))
    return torch.stack(found, 1)


def spread_of(features: Tensor, labels: Tensor, real: Tensor) -> Statistic:
    """How far images of a class lie apart, over what real images of it do, the mean over the classes; 1 is best.

    Args:
        features: (N, D); labels: the judge's classes, int64 (N,).
        real: of `spreads` of real images, (K,); a class that real images have no spread in is left out.
    """
    known = real > 0

    def ratio(counts: Tensor) -> Tensor:
        return (spreads(features, labels, len(real), counts)[:, known] / real[known]).mean(1)

    return ratio
