"""Tables and memories found by what they are: how many different images there are, and whose split they come from.

Pure functions of arrays. A model that has never seen the test split cannot tell it from as many fresh images of the
train split, so its samples are as often near to the one as to the other, or nearer to train images, which it has
learned from. No assumption on the model goes into that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from latentarena.card.figure import Figure
from latentarena.judge.continuity import STEP
from latentarena.judge.metrics.estimate import wilson
from latentarena.judge.metrics.neighbours import two_nearest

NEAR = 1 / 2  # of the distance to the next image: as near to one image as real ones hardly ever are


@dataclass(frozen=True)
class Leaning:
    """To which of two sets of equally many images some samples are nearer.

    Attributes:
        test, train: different images of each set that samples are copies of, see `NEAR`.
        share: of the samples that are nearer to the test set than to the train set.
        originals: effective number of different images that samples are nearest to, (sum n)^2 / sum n^2 for n samples
            at each (Kish, 1965): so many independent answers the share rests on. Blurred samples crowd around a few.
        looked: images of each set that were looked at.
    """

    test: int
    train: int
    share: float
    originals: float
    looked: int

    @property
    def chance(self) -> float:
        """Of so many copies in the test set, or more, among all copies, if the sets were alike to the model."""
        return self._tail(self.test)

    @property
    def train_chance(self) -> float:
        """The same of the train set."""
        return self._tail(self.train)

    def _tail(self, copies: int) -> float:
        from scipy.special import bdtrc  # not where a bundle is only opened

        return float(bdtrc(copies - 1, self.test + self.train, 0.5)) if copies else 1.0


def leaning(samples: Tensor, test: Tensor, train: Tensor) -> Leaning:
    """Compare samples (N, ...) with test and train images in one space: pixels, reconstructions or features.

    Args:
        samples: (N, ...); test, train: (M, ...), of which as many are looked at as the smaller set has.
    """
    some = min(len(test), len(train))
    near_test, first_test, second_test = two_nearest(samples, test[:some])
    near_train, first_train, second_train = two_nearest(samples, train[:some])
    copies = first_test <= NEAR * torch.minimum(second_test, first_train)
    train_copies = first_train <= NEAR * torch.minimum(second_train, first_test)
    closer = first_test < first_train
    crowds = torch.bincount(torch.where(closer, near_test, some + near_train)).double()
    return Leaning(
        test=torch.unique(near_test[copies]).numel(),
        train=torch.unique(near_train[train_copies]).numel(),
        originals=float(crowds.sum().square() / crowds.square().sum()),
        looked=some,
        share=float((closer.double() + 0.5 * (first_test == first_train).double()).mean()),
    )


class Support(Figure):
    """How many different images a sampler draws from; its interval reaches to infinity where that cannot be ruled out.

    Attributes:
        met: share of the samples that have an equal among the others.
    """

    met: float


def support(images: Tensor) -> Support:
    """The number of different images that a sampler draws from, by the birthday paradox (Arora & Zhang, 2018).

    Of n draws from N equally likely images a share of 1 - exp(-(n - 1) / N) has an equal among the others. Equal are
    images that differ by less than a step of 1/255 in a pixel, root mean square. Where the images are not equally
    likely this is the number of equally likely ones that would meet as often.

    Args:
        images: (n, C, H, W), n > 2.
    """
    n = len(images)
    _, first, _ = two_nearest(images, images, but_itself=True)
    met = int((first <= math.sqrt(images[0].numel()) * STEP).sum())
    pairs = wilson(met // 2, n // 2)  # the two of a pair are one event
    value, low, high = (_drawn_from(n, share) for share in (met / n, pairs.high, pairs.low))
    return Support.model_construct(met=met / n, value=value, low=low, high=high)  # infinite: no figure of a file


def _drawn_from(n: int, share: float) -> float:
    if share <= 1e-12:
        return math.inf
    return (n - 1) / -math.log1p(-share) if share < 1 else 1.0
