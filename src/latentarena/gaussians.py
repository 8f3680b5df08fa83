"""The Frechet distance between two Gaussians, by which sets of images are compared in a network's features."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def frechet_from(
    mean: Tensor, covariance: Tensor, smallest: Tensor | float = 0.0
) -> Callable[[Tensor, Tensor], Tensor]:
    """The squared Frechet (2-Wasserstein) distance to one Gaussian, whose matrix root is taken once.

    |m - m'|^2 + tr(S + S' - 2 (S'^1/2 S S'^1/2)^1/2)  (Dowson & Landau, 1982; Heusel et al., 2017).

    Args:
        mean: (D,), float64; covariance: (D, D), symmetric positive semi-definite.
        smallest: eigenvalue of the product that counts; below, the slope of its root has no end.

    Returns:
        Mean (D,) and covariance (D, D) of another Gaussian -> a scalar, nought but for rounding where they are equal.
    """
    values, vectors = torch.linalg.eigh(covariance)
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T

    def distance(other_mean: Tensor, other_covariance: Tensor) -> Tensor:
        cross = torch.linalg.eigvalsh(root @ other_covariance @ root).clamp(min=smallest).sqrt().sum()
        shift = (other_mean - mean).square().sum()
        return shift + other_covariance.trace() + covariance.trace() - 2 * cross  # type: ignore[no-any-return]

    return distance
