"""Samplers whose fault is known, made of real images: what each metric of a set of images has to see, and what not."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

from latentarena.card.catalogue import METRICS
from latentarena.card.score_card import Score
from latentarena.data import Dataset
from latentarena.judge.classifier import Judge
from latentarena.judge.known import real_index
from latentarena.randomness import stream

__all__ = ["FAULTS", "FAULTY", "PERFECT", "PRIOR", "held_out", "moved", "tuned", "worse"]

PERFECT, COPIES, PRIOR = "held-out real images", "copies of train images", "prior samples"
TUNING_STEPS = 60
ALL = frozenset({"frechet", "kernel_distance", "coverage"})  # what sees every change of the distribution
FAULTS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    # metrics that have to move, and metrics that must not
    PERFECT: (frozenset(), frozenset(METRICS)),
    "one class missing": (
        ALL | {"class_kl", "classes_missing", "recall"},
        frozenset({"confidence_gap", "entropy_gap", "precision", "density", "sample_sharpness", "copies"}),
    ),
    "half of the classes twice as often": (
        ALL | {"class_kl"},
        frozenset({"classes_missing", "confidence_gap", "entropy_gap", "precision", "sample_sharpness", "copies"}),
    ),
    "blurred": (ALL | {"sample_sharpness", "confidence_gap"}, frozenset({"copies", "classes_missing", "class_kl"})),
    "noisy": (ALL | {"sample_sharpness", "nearest_ratio", "confidence_gap"}, frozenset({"copies"})),
    # the judge is a little surer of what it learned from, so its confidence may move
    COPIES: (
        frozenset({"copies", "nearest_ratio"}),
        ALL | {"class_kl", "classes_missing", "recall", "precision", "density", "spread", "vendi"},
    ),
    PRIOR: (ALL | {"confidence_gap", "entropy_gap", "class_kl", "precision", "recall"}, frozenset({"copies"})),
    "shuffled pixels": (
        ALL | {"confidence_gap", "entropy_gap", "precision", "sample_sharpness", "nearest_ratio", "recall"},
        frozenset({"copies"}),
    ),
}


def held_out(data: Dataset, n: int) -> Tensor:
    """Numbers of test images that the floors for n samples do not look at, in a fixed random order."""
    rest = torch.ones(len(data.test), dtype=torch.bool)
    rest[real_index(data, n)] = False
    pool = rest.nonzero()[:, 0]
    return pool[torch.randperm(len(pool), generator=stream("held out"))]


def _perfect(data: Dataset, n: int) -> Tensor:
    return data.test.batch(held_out(data, n)[:n])


def _without(data: Dataset, n: int) -> Tensor:
    pool = held_out(data, n)
    return data.test.batch(pool[data.test.labels[pool] != data.test.labels.max()][:n])


def _doubled(data: Dataset, n: int) -> Tensor:
    pool, half = held_out(data, n), (int(data.test.labels.max()) + 1) // 2
    low, high = (pool[(data.test.labels[pool] < half) == side] for side in (True, False))
    return data.test.batch(torch.cat([low[: 2 * n // 3], high[: n - 2 * n // 3]]))


def _blurred(data: Dataset, n: int) -> Tensor:
    return avg_pool2d(pad(_perfect(data, n), (1, 1, 1, 1)), 3, 1)


def _noisy(data: Dataset, n: int) -> Tensor:
    images = _perfect(data, n)
    return (images + 0.1 * torch.randn(images.shape, generator=stream("noisy"))).clamp(0, 1)


def _copied(data: Dataset, n: int) -> Tensor:
    return data.train.batch(torch.randperm(len(data.train), generator=stream("copied"))[:n])


def _shuffled(data: Dataset, n: int) -> Tensor:
    images = _perfect(data, n)
    order = torch.rand(images.flatten(1).shape, generator=stream("shuffled")).argsort(1)
    return images.flatten(1).gather(1, order).view_as(images)


FAULTY: dict[str, Callable[[Dataset, int], Tensor]] = {
    PERFECT: _perfect,
    "one class missing": _without,
    "half of the classes twice as often": _doubled,
    "blurred": _blurred,
    "noisy": _noisy,
    COPIES: _copied,
    "shuffled pixels": _shuffled,
}


def worse(name: str, score: Score) -> bool:
    """Whether a figure is worse than that of real images by more than both intervals."""
    real, better = score.real, METRICS[name].better
    if real is None or score.meets(real):
        return False
    if better == "lower":
        return score.low > real.high
    return score.high < real.low if better == "higher" else True


def moved(scores: Mapping[str, Score]) -> set[str]:
    """The metrics that saw something, but for those that are only shown since their distance to real data counts."""
    return {name for name, score in scores.items() if METRICS[name].better != "like real data" and worse(name, score)}


def tuned(judge: Judge, images: Tensor, data: Dataset, steps: int = TUNING_STEPS) -> Tensor:
    """The images, changed until this judge sees in each what it sees in some real train image: cheating in pixels.

    Args:
        judge: whose weights are followed.
        images: float (N, C, H, W) in [0, 1].
        data: whose train images lend their features.
        steps: of Adam.
    """
    chosen = torch.randperm(len(data.train), generator=stream("tuned"))[: len(images)]
    wanted = judge.look(data.train.batch(chosen)).features.clone()
    body, found = judge._network["body"], []  # an attack knows no privacy
    for start in images.split(500):
        target = wanted[sum(map(len, found)) :][: len(start)]
        logits = torch.logit(start.clamp(0.02, 0.98)).requires_grad_()
        adam = torch.optim.Adam([logits], lr=0.2)
        for _ in range(steps):
            loss = (body(logits.sigmoid()) - target).square().sum()
            adam.zero_grad()
            loss.backward()
            adam.step()
        found.append(logits.detach().sigmoid())
    return torch.cat(found)
