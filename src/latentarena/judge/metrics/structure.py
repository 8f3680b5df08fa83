"""Structural similarity, compiled: sums over small windows of small images are too fine-grained for tensors."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

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

Pixels = NDArray[np.floating]
Kernel = Callable[[Pixels, Pixels, NDArray[np.float64]], None]


def of_reconstructions(made: Reconstructions) -> Measures:
    """How alike reconstructions and images are in structure."""
    return {"ssim": mean_of(ssims(made.again, made.images))}


def ssim(images: Tensor, others: Tensor) -> float:
    """The mean of `ssims` over images."""
    return float(ssims(images, others).mean())


def ssims(images: Tensor, others: Tensor) -> Tensor:
    """Structural similarity of each pair of images, (N, C, H, W) twice -> (N,) float64 in [-1, 1]; higher is better.

    Uniform 7x7 window, sample covariance, data range 1, borders left out: the defaults of scikit-image's
    `structural_similarity`, which the 2025 contest used (Wang et al., 2004). The first call of a process compiles.

    Raises:
        ValueError: the images are smaller than the window.
    """
    if min(images.shape[-2:]) < WINDOW:
        raise ValueError(f"images of {tuple(images.shape[-2:])} are smaller than the SSIM window of {WINDOW}")
    first, second = (stack.detach().cpu().contiguous().flatten(0, 1).numpy() for stack in (images, others))
    found = np.empty(len(first))
    threads = torch.get_num_threads()
    parts = zip(*(np.array_split(stack, threads) for stack in (first, second, found)), strict=True)
    kernel = _compiled()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda part: kernel(*part), parts))
    return torch.from_numpy(found).view(len(images), -1).mean(1)


@cache
def _compiled() -> Kernel:
    # imported here since it takes a while; not kept on disk, since its store is read with pickle
    from numba import njit

    kernel: Kernel = njit(nogil=True, error_model="numpy")(_fill)
    return kernel


def _fill(images: Pixels, others: Pixels, out: NDArray[np.float64]) -> None:
    """Fill (n,) with the mean similarity of (n, H, W) and (n, H, W), walking down the rows with the sums of columns."""
    height, width = images.shape[1:]
    across, down = width - WINDOW + 1, height - WINDOW + 1
    for i in range(len(images)):
        # the sums of x, y, 2 x y and x^2 + y^2 in each column, and of what is found
        xs, ys, products, squares, total = np.zeros((5, width))
        for row in range(height):
            for c in range(width):
                x, y = np.float64(images[i, row, c]), np.float64(others[i, row, c])
                xs[c] += x
                ys[c] += y
                products[c] += 2 * x * y
                squares[c] += x * x + y * y
            if row >= WINDOW:
                for c in range(width):
                    x, y = np.float64(images[i, row - WINDOW, c]), np.float64(others[i, row - WINDOW, c])
                    xs[c] -= x
                    ys[c] -= y
                    products[c] -= 2 * x * y
                    squares[c] -= x * x + y * y
            if row >= WINDOW - 1:
                for c in range(across):
                    x, y, product, square = xs[c], ys[c], products[c], squares[c]
                    for k in range(1, WINDOW):
                        x, y = x + xs[c + k], y + ys[c + k]
                        product, square = product + products[c + k], square + squares[c + k]
                    of_means, means = 2 * x * y, x * x + y * y
                    total[c] += ((of_means + C1) * (AREA * product - of_means + C2)) / (
                        (means + C1) * (AREA * square - means + C2)
                    )
        out[i] = total.sum() / (across * down)
