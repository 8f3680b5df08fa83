"""Structural similarity of images."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latentarena.judge.material import Reconstructions
from latentarena.judge.metrics.estimate import Measures, mean_of

WINDOW = 7
AREA = WINDOW * WINDOW
SCALE = AREA * (AREA - 1)  # sample covariance times this = AREA x sum of products - product of sums
C1, C2 = 0.01**2 * AREA**2, 0.03**2 * SCALE

Sums = NDArray[np.float64]
TOGETHER = 128  # images: what is summed of them stays in a core's own cache


def of_reconstructions(made: Reconstructions) -> Measures:
    """How alike reconstructions and images are in structure."""
    return {"ssim": mean_of(ssims(made.again, made.images))}


def ssim(images: Tensor, others: Tensor) -> float:
    """The mean of `ssims` over images."""
    return float(ssims(images, others).mean())


def ssims(images: Tensor, others: Tensor) -> Tensor:
    """Structural similarity of each pair of images, (N, C, H, W) twice -> (N,) float64 in [-1, 1]; higher is better.

    Uniform 7x7 window, sample covariance, data range 1, borders left out: the defaults of scikit-image's
    `structural_similarity`, which the 2025 contest used (Wang et al., 2004).

    Raises:
        ValueError: the images are smaller than the window.
    """
    if min(images.shape[-2:]) < WINDOW:
        raise ValueError(f"images of {tuple(images.shape[-2:])} are smaller than the SSIM window of {WINDOW}")
    first, second = (stack.detach().cpu().flatten(0, 1).numpy() for stack in (images, others))
    pieces = [np.array_split(stack, max(1, len(stack) // TOGETHER)) for stack in (first, second)]
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        found = list(pool.map(_similarities, *pieces))
    return torch.from_numpy(np.concatenate(found)).view(len(images), -1).mean(1)


def _similarities(images: NDArray[np.floating], others: NDArray[np.floating]) -> Sums:
    """The mean similarity of (n, H, W) and (n, H, W), walking down the rows with the sums of columns."""
    x, y = (stack.astype(np.float64).transpose(1, 0, 2) for stack in (images, others))  # (H, n, W)
    terms = np.stack([x, y, 2 * x * y, x * x + y * y], axis=1)  # (H, 4, n, W)
    sums: Sums = np.zeros_like(terms[0])  # over the rows of the window
    down, across = len(terms) - WINDOW + 1, images.shape[2] - WINDOW + 1
    total: Sums = np.zeros((len(images), across))
    for row in range(len(terms)):
        sums += terms[row]
        if row >= WINDOW:
            sums -= terms[row - WINDOW]
        if row >= WINDOW - 1:
            total += _over_windows(sums, across)
    mean: Sums = total.cumsum(1)[:, -1] / (across * down)  # added up in order, as `sum` does not
    return mean


def _over_windows(sums: Sums, across: int) -> Sums:
    """The similarity in each window of a row (n, across), from the sums in each column (4, n, W)."""
    within = sums[..., :across].copy()
    for k in range(1, WINDOW):
        within += sums[..., k : k + across]
    x, y, product, square = within
    of_means, means = 2 * x * y, x * x + y * y
    alike = (of_means + C1) * (AREA * product - of_means + C2)
    found: Sums = alike / ((means + C1) * (AREA * square - means + C2))
    return found
