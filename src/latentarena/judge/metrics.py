"""Metrics: pure functions of arrays, float64 inside, defined for every input.

Images are float (N, C, H, W) in [0, 1]; probabilities (N, K) rows sum to one; features (N, D).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

__all__ = [
    "class_kl",
    "confidence",
    "entropy",
    "expected_calibration_error",
    "frechet_distance",
    "mse",
    "psnr",
    "ssim",
]


def mse(images: Tensor, others: Tensor) -> float:
    """Mean squared error per pixel, in [0, 1]; lower is better."""
    return float((images - others).square().mean(dtype=torch.float64))


def psnr(images: Tensor, others: Tensor) -> float:
    """Peak signal-to-noise ratio in dB: the mean over images of -10 log10(MSE), peak 1; higher is better.

    An image reproduced exactly counts as 100 dB, so that the mean stays finite.
    """
    errors = (images - others).square().flatten(1).mean(1, dtype=torch.float64)
    return float((-10 * errors.clamp(min=1e-10).log10()).mean())


def ssim(images: Tensor, others: Tensor, window: int = 7) -> float:
    """Mean structural similarity in [-1, 1]; higher is better.

    Uniform window, sample covariance, data range 1, borders left out: the defaults of scikit-image's
    `structural_similarity`, which the 2025 contest used (Wang et al., 2004).

    Raises:
        ValueError: the images are smaller than the window.
    """
    if min(images.shape[-2:]) < window:
        raise ValueError(f"images of {tuple(images.shape[-2:])} are smaller than the SSIM window of {window}")
    pairs = zip(torch.split(images, 500), torch.split(others, 500), strict=True)
    total = sum(float(_ssim_per_image(a, b, window).sum()) for a, b in pairs)
    return total / len(images)


def _ssim_per_image(x: Tensor, y: Tensor, window: int) -> Tensor:
    """(n, C, H, W) twice -> (n,)"""
    x, y = x.double(), y.double()
    n = window * window
    mean_x, mean_y, xx, yy, xy = (avg_pool2d(z, window, 1) for z in (x, y, x * x, y * y, x * y))
    unbiased = n / (n - 1)
    var_x, var_y = unbiased * (xx - mean_x * mean_x), unbiased * (yy - mean_y * mean_y)
    covariance = unbiased * (xy - mean_x * mean_y)
    c1, c2 = 0.01**2, 0.03**2
    similarity = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    return (similarity / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))).flatten(1).mean(1)


def confidence(probabilities: Tensor) -> float:
    """Mean largest class probability, in [1/K, 1]. Best is the value of real data, not 1."""
    return float(probabilities.amax(1).mean(dtype=torch.float64))


def entropy(probabilities: Tensor) -> float:
    """Mean entropy of the class probabilities in nats, in [0, log K]. Best is the value of real data."""
    return float(torch.special.entr(probabilities.double()).sum(1).mean())


def class_kl(labels: Tensor, frequencies: Tensor) -> float:
    """KL(known class frequencies || frequencies of `labels`) in nats, >= 0; lower is better.

    The counts are smoothed by one (Laplace), so a class that is missing costs much and stays finite.

    Args:
        labels: int64 (N,), the judge's arg-max classes.
        frequencies: (K,), the train split's class frequencies, summing to one.
    """
    counts = torch.bincount(labels, minlength=len(frequencies)).double() + 1
    known = frequencies.double()
    # nothing is lost where a known class is empty: x log x -> 0
    return max(0.0, float((torch.xlogy(known, known) - torch.xlogy(known, counts / counts.sum())).sum()))


def frechet_distance(mean: Tensor, covariance: Tensor, other_mean: Tensor, other_covariance: Tensor) -> float:
    """Squared Frechet (2-Wasserstein) distance between two Gaussians, >= 0; lower is better.

    |m - m'|^2 + tr(S + S' - 2 (S^1/2 S' S^1/2)^1/2)  (Dowson & Landau, 1982; Heusel et al., 2017).

    Args:
        mean, other_mean: (D,).
        covariance, other_covariance: (D, D), symmetric positive semi-definite.
    """
    s, t = covariance.double(), other_covariance.double()
    values, vectors = torch.linalg.eigh(s)
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    cross = torch.linalg.eigvalsh(root @ t @ root).clamp(min=0).sqrt().sum()
    shift = (mean.double() - other_mean.double()).square().sum()
    return max(0.0, float(shift + s.trace() + t.trace() - 2 * cross))


def expected_calibration_error(probabilities: Tensor, labels: Tensor, bins: int = 15) -> float:
    """Expected |accuracy - confidence| over equal-width confidence bins, in [0, 1] (Guo et al., 2017)."""
    sure, predicted = probabilities.double().max(1)
    right = (predicted == labels).double()
    which = (sure * bins).ceil().long().clamp(1, bins) - 1
    gaps = torch.zeros(bins, dtype=torch.float64).index_add_(0, which, right - sure)
    return math.fsum(gaps.abs().tolist()) / len(labels)
