"""Metrics of what the judge takes images for. Probabilities (N, K) have rows that sum to one; labels are int64 (N,)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from latentarena.judge.material import Labels, Prior, Samples
from latentarena.judge.metrics.estimate import Measures, Statistic, mean_of, wilson

RARE = 0.1  # a class with less than this share of its known frequency is missing


def of_samples(samples: Samples) -> Measures:
    """How sure the judge is of the samples, and which classes it sees in them."""
    seen, frequencies = samples.seen, samples.real.frequencies
    sure, unsure = confidences(seen.probabilities), entropies(seen.probabilities)
    real = samples.real.test.probabilities
    return {
        "confidence": mean_of(sure),
        "entropy": mean_of(unsure),
        "confidence_gap": gap_to_band(sure, confidences(real)),
        "entropy_gap": gap_to_band(unsure, entropies(real)),
        "class_kl": class_kl_of(seen.labels, frequencies),
        "classes_missing": classes_missing_of(seen.labels, frequencies),
    }


def of_prior(prior: Prior) -> Measures:
    """How sure the judge is of images decoded from the prior."""
    probabilities = prior.seen.probabilities
    return {"prior_confidence": mean_of(confidences(probabilities)), "prior_entropy": mean_of(entropies(probabilities))}


def of_labels(labels: Labels) -> Measures:
    """How often the judge sees the class that was asked for, over all and in the class where it does least."""
    right = labels.seen == labels.asked
    worst = int(labels.obeyed.nan_to_num(2).argmin())  # never one not asked for
    of_worst = right[labels.asked == worst]
    return {
        "accuracy": wilson(int(right.sum()), len(right)),
        "worst_accuracy": wilson(int(of_worst.sum()), len(of_worst)),
    }


def confidences(probabilities: Tensor) -> Tensor:
    """Largest class probability of each image, in [1/K, 1], (N,). Best is what real data has, not 1."""
    return probabilities.amax(1).double()


def confidence(probabilities: Tensor) -> float:
    """The mean of `confidences`."""
    return float(confidences(probabilities).mean())


def entropies(probabilities: Tensor) -> Tensor:
    """Entropy of the class probabilities of each image in nats, in [0, log K], (N,). Best is what real data has."""
    each: Tensor = torch.special.entr(probabilities.double())
    return each.sum(1)


def entropy(probabilities: Tensor) -> float:
    """The mean of `entropies`."""
    return float(entropies(probabilities).mean())


def gap_to_band(values: Tensor, real: Tensor) -> Statistic:
    """How far the mean of `values` (N,) lies outside the band in which the mean of N real values would lie; >= 0.

    The band is the mean of `real` (M,) and 1.96 of its standard errors at N to either side: going beyond real data,
    as a sampler of nothing but easy images does, costs as much as falling short of it.
    """
    values, real = values.double(), real.double()
    middle, half = real.mean(), 1.96 * real.std(correction=0) / len(values) ** 0.5
    return lambda counts: ((counts @ values / counts.sum(1) - middle).abs() - half).clamp(min=0)


def class_kl(labels: Tensor, frequencies: Tensor) -> float:
    """KL(known class frequencies || frequencies of `labels`) in nats, >= 0; lower is better.

    The counts are smoothed by one (Laplace), so a class that is missing costs much and stays finite.

    Args:
        labels: int64 (N,), the judge's arg-max classes.
        frequencies: (K,), the train split's class frequencies, summing to one.
    """
    return float(class_kl_of(labels, frequencies)(torch.ones(1, len(labels), dtype=torch.float64)))


def class_kl_of(labels: Tensor, frequencies: Tensor) -> Statistic:
    """`class_kl` as a statistic."""
    known, member = frequencies.double(), one_hot(labels, len(frequencies)).double()

    def divergence(counts: Tensor) -> Tensor:
        smoothed = counts @ member + 1  # (B, K)
        shares = smoothed / smoothed.sum(1, keepdim=True)
        # nothing is lost where a known class is empty: x log x -> 0
        return (torch.xlogy(known, known) - torch.xlogy(known, shares)).sum(1).clamp(min=0)

    return divergence


def classes_missing_of(labels: Tensor, frequencies: Tensor) -> Statistic:
    """How many known classes have less than a tenth of their known share of `labels`, 0 to K; lower is better."""
    known, member = frequencies.double(), one_hot(labels, len(frequencies)).double()

    def missing(counts: Tensor) -> Tensor:
        shares = counts @ member / counts.sum(1, keepdim=True)
        return (shares < RARE * known).sum(1).double()

    return missing


def expected_calibration_error(probabilities: Tensor, labels: Tensor, bins: int = 15) -> float:
    """Expected |accuracy - confidence| over equal-width confidence bins, in [0, 1] (Guo et al., 2017)."""
    sure, predicted = probabilities.double().max(1)
    right = (predicted == labels).double()
    which = (sure * bins).ceil().long().clamp(1, bins) - 1
    gaps = torch.zeros(bins, dtype=torch.float64).index_add_(0, which, right - sure)
    return float(gaps.abs().sum()) / len(labels)
