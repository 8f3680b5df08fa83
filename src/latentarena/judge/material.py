"""What metrics are measured on: images and latents of a model, what the judge sees in them, real images beside them.

Every material but `Seen` and `Neighbours`, of which they are made, carries how often each of its images counts in the
draws that error bars are taken from (`draws`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Seen:
    """What the judge sees in N images: `features` (N, D), `probabilities` (N, K), both float32 on the CPU."""

    features: Tensor
    probabilities: Tensor

    @property
    def labels(self) -> Tensor:
        """Arg-max classes, int64 (N,)."""
        return self.probabilities.argmax(1)

    def rows(self, index: Tensor | slice) -> Seen:
        """What it sees in some of the images."""
        return Seen(self.features[index], self.probabilities[index])

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Mean (D,) and covariance (D, D) of the features, float64."""
        features = self.features.double()
        return features.mean(0), features.T.cov(correction=min(1, len(features) - 1))


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

    def rows(self, index: Tensor) -> Neighbours:
        """Those of some of the images."""
        return Neighbours(self.index[index], self.first[index], self.second[index], self.copies[index])


@dataclass(frozen=True)
class Known:
    """Real images in a judge's eyes.

    Attributes:
        reference: mean (D,) and covariance (D, D) of the features of the train split, float64.
        frequencies: of the classes in the train split, (K,).
        test: what the judge sees in the test split.
        train: features of some train images, (M, D).
        radii: squared distance of each to its fifth neighbour, (M,).
        spreads: of the classes of these images, (K,).
        edges: mean edge energy of the test split.
        apart: mean distance of a test image to the nearest train image.
    """

    reference: tuple[Tensor, Tensor]
    frequencies: Tensor
    test: Seen
    train: Tensor
    radii: Tensor
    spreads: Tensor
    edges: float
    apart: float


@dataclass(frozen=True)
class Material:
    """What some metrics need.

    Attributes:
        counts: how often each of its N images counts, float64 (1 + B, N), of `draws`.
    """

    counts: Tensor


@dataclass(frozen=True)
class Samples(Material):
    """Generated images, or real ones in their place.

    Attributes:
        images: float (N, C, H, W) in [0, 1].
        seen: by the judge; near: their nearest train images; real: what they are held against.
    """

    images: Tensor
    seen: Seen
    near: Neighbours
    real: Known

    def rows(self, index: Tensor, counts: Tensor) -> Samples:
        """Some of them, with draws of their own."""
        return Samples(counts, self.images[index], self.seen.rows(index), self.near.rows(index), self.real)


@dataclass(frozen=True)
class Prior(Material):
    """Images decoded from N(0, I): `seen` by the judge, held against `real`."""

    seen: Seen
    real: Known

    def rows(self, index: Tensor, counts: Tensor) -> Prior:
        """Some of them, with draws of their own."""
        return Prior(counts, self.seen.rows(index), self.real)


@dataclass(frozen=True)
class Labels(Material):
    """Classes of N samples, int64 (N,): `asked` for by the judge, and `seen` by it; of `classes` there are."""

    asked: Tensor
    seen: Tensor
    classes: int

    @property
    def obeyed(self) -> Tensor:
        """Share of the samples of each class in which it is seen, (K,); NaN for a class that was not asked for."""
        right = torch.bincount(self.asked[self.seen == self.asked], minlength=self.classes).double()
        return right / torch.bincount(self.asked, minlength=self.classes)


@dataclass(frozen=True)
class Reconstructions(Material):
    """Test `images` and what the autoencoder makes of them, `again`, (N, C, H, W) each."""

    images: Tensor
    again: Tensor


@dataclass(frozen=True)
class Errors(Material):
    """Squared errors of reconstructions of `test` images (N,) and `train` images (M,), with draws for these."""

    test: Tensor
    train: Tensor
    train_counts: Tensor


@dataclass(frozen=True)
class Latents(Material):
    """Latents (N, *latent) and labels int64 (N,) of test images, and of as many or fewer train images."""

    test: Tensor
    test_labels: Tensor
    train: Tensor
    train_labels: Tensor
