"""Metrics against independent implementations, and at the edges of their domain."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.linalg
import scipy.stats
import skimage.metrics
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from latentarena.judge.metrics import (
    class_kl,
    confidence,
    entropy,
    expected_calibration_error,
    frechet_distance,
    mse,
    psnr,
    ssim,
)
from latentarena.randomness import stream

CHANNELS = [1, 3]


def uniform(*shape: int, key: str = "images") -> Tensor:
    """Uniform float32 numbers in [0, 1), the same for the same key."""
    return torch.rand(*shape, generator=stream(key))


def pair(kind: str, channels: int) -> tuple[Tensor, Tensor]:
    """Two stacks of images: unrelated noise, smooth pictures with a little noise on them, or constants."""
    first, second = uniform(5, channels, 20, 17), uniform(5, channels, 20, 17, key="others")
    if kind == "random":
        return first, second
    if kind == "constant":
        return torch.full_like(first, 0.25), torch.full_like(first, 0.75)
    smooth = avg_pool2d(uniform(5, channels, 28, 25), 9, 1)
    return smooth, (smooth + 0.02 * (second - 0.5)).clamp(0, 1)


def probabilities(n: int, classes: int, sharpness: float = 3.0) -> Tensor:
    """Rows that sum to one, float32."""
    return (sharpness * torch.randn(n, classes, generator=stream("logits"))).softmax(1)


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("kind", ["random", "smooth", "constant"])
def test_ssim_equals_scikit_image(kind: str, channels: int) -> None:
    images, others = pair(kind, channels)
    expected = np.mean(
        [
            skimage.metrics.structural_similarity(
                a.double().numpy(), b.double().numpy(), data_range=1.0, channel_axis=0
            )
            for a, b in zip(images, others, strict=True)
        ]
    )
    assert ssim(images, others) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("kind", ["random", "smooth"])
def test_mse_and_psnr_equal_scikit_image(kind: str, channels: int) -> None:
    images, others = pair(kind, channels)
    pairs = [(a.double().numpy(), b.double().numpy()) for a, b in zip(images, others, strict=True)]
    squares = [skimage.metrics.mean_squared_error(a, b) for a, b in pairs]
    ratios = [skimage.metrics.peak_signal_noise_ratio(a, b, data_range=1.0) for a, b in pairs]
    assert mse(images, others) == pytest.approx(np.mean(squares), rel=1e-6)
    assert psnr(images, others) == pytest.approx(np.mean(ratios), rel=1e-6)


def test_equal_images_get_the_best_finite_figures() -> None:
    images = uniform(3, 1, 9, 9)
    assert mse(images, images) == 0
    assert ssim(images, images) == pytest.approx(1, abs=1e-12)
    assert psnr(images, images) == 100


def test_ssim_does_not_depend_on_how_images_are_chunked() -> None:
    images, others = uniform(1003, 1, 8, 8), uniform(1003, 1, 8, 8, key="others")
    parts = [ssim(a, b) * len(a) for a, b in ((images[:400], others[:400]), (images[400:], others[400:]))]
    assert ssim(images, others) == pytest.approx(sum(parts) / 1003, abs=1e-12)


def test_ssim_refuses_images_smaller_than_its_window() -> None:
    with pytest.raises(ValueError, match=r"\(6, 9\) are smaller than the SSIM window of 7"):
        ssim(uniform(1, 1, 6, 9), uniform(1, 1, 6, 9))


def moments(key: str, rank: int, dimension: int = 12) -> tuple[Tensor, Tensor]:
    """A mean and a covariance of the given rank, float64."""
    root = torch.randn(dimension, rank, generator=stream(key, "root"), dtype=torch.float64)
    return torch.randn(dimension, generator=stream(key, "mean"), dtype=torch.float64), root @ root.T / rank


@pytest.mark.filterwarnings("ignore:Matrix is singular")
@pytest.mark.parametrize(("rank", "other_rank"), [(40, 40), (12, 40), (40, 5), (5, 7), (1, 1)])
def test_frechet_distance_equals_the_matrix_square_root_formula(rank: int, other_rank: int) -> None:
    first, second = moments("first", rank), moments("second", other_rank)
    (m, s), (n, t) = ([part.numpy() for part in pair_] for pair_ in (first, second))
    # the product of singular matrices has no reliable square root, a symmetric one has
    root = scipy.linalg.sqrtm(s).real
    expected = np.sum((m - n) ** 2) + np.trace(s) + np.trace(t) - 2 * np.trace(scipy.linalg.sqrtm(root @ t @ root).real)
    assert frechet_distance(*first, *second) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("rank", [40, 3])
def test_frechet_distance_is_zero_for_equal_and_symmetric(rank: int) -> None:
    first, second = moments("first", rank), moments("second", 12)
    assert 0 <= frechet_distance(*first, *first) < 1e-6
    assert frechet_distance(*first, *second) == pytest.approx(frechet_distance(*second, *first), abs=1e-6)


def test_frechet_distance_of_commuting_gaussians_has_a_closed_form() -> None:
    m, n = torch.tensor([1.0, 2.0]), torch.tensor([4.0, 6.0])
    distance = frechet_distance(m, torch.diag(torch.tensor([4.0, 9.0])), n, torch.diag(torch.tensor([1.0, 1.0])))
    assert distance == pytest.approx(25 + (2 - 1) ** 2 + (3 - 1) ** 2, abs=1e-12)


@pytest.mark.parametrize("labels", [[0, 1, 2, 2], [0, 0, 0, 0], [3], []], ids=["mixed", "one", "single", "none"])
@pytest.mark.parametrize("frequencies", [[0.25, 0.25, 0.25, 0.25], [0.5, 0.5, 0.0, 0.0]], ids=["even", "gaps"])
def test_class_kl_equals_scipy_on_smoothed_counts(labels: list[int], frequencies: list[float]) -> None:
    counts = np.bincount(labels, minlength=4) + 1 if labels else np.ones(4)
    value = class_kl(torch.tensor(labels, dtype=torch.int64), torch.tensor(frequencies))
    assert math.isfinite(value)
    assert value == pytest.approx(scipy.stats.entropy(frequencies, counts), abs=1e-9)


def test_class_kl_is_small_for_matching_and_large_for_a_missing_class() -> None:
    even = torch.full((10,), 0.1)
    matching, missing = torch.arange(10_000) % 10, torch.arange(10_000) % 9
    assert class_kl(matching, even) < 1e-6
    assert class_kl(missing, even) > 0.5


@pytest.mark.parametrize("sharpness", [0.0, 1.0, 50.0])
def test_entropy_equals_scipy(sharpness: float) -> None:
    rows = probabilities(200, 7, sharpness)
    expected = scipy.stats.entropy(rows.double().numpy(), axis=1).mean()
    assert entropy(rows) == pytest.approx(expected, abs=1e-6)
    assert 0 <= entropy(rows) <= math.log(7) + 1e-6


def test_entropy_of_certainty_is_zero() -> None:
    assert entropy(torch.eye(5)) == 0


@pytest.mark.parametrize("classes", [2, 10])
def test_confidence_lies_between_chance_and_one(classes: int) -> None:
    even, certain = torch.full((3, classes), 1 / classes), torch.eye(classes)
    assert confidence(even) == pytest.approx(1 / classes, abs=1e-7)
    assert confidence(certain) == 1
    assert 1 / classes < confidence(probabilities(100, classes)) < 1


def binned(rows: np.ndarray, labels: np.ndarray, bins: int) -> float:
    """Guo et al., 2017, eq. 5, bin by bin: (0, 1/bins], (1/bins, 2/bins], ..."""
    sure, predicted = rows.max(1), rows.argmax(1)
    error = 0.0
    for i in range(bins):
        inside = (sure > i / bins) & (sure <= (i + 1) / bins)
        if inside.any():
            accuracy = np.mean(predicted[inside] == labels[inside])
            error += inside.sum() / len(labels) * abs(accuracy - sure[inside].mean())
    return error


@pytest.mark.parametrize("bins", [5, 15])
@pytest.mark.parametrize("sharpness", [0.5, 3.0, 200.0])
def test_calibration_error_equals_plain_binning(sharpness: float, bins: int) -> None:
    rows = probabilities(500, 10, sharpness)
    labels = torch.randint(10, (500,), generator=stream("labels"))
    labels = torch.where(torch.arange(500) % 3 == 0, labels, rows.argmax(1))
    expected = binned(rows.double().numpy(), labels.numpy(), bins)
    assert expected_calibration_error(rows, labels, bins) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("label", "error"), [(0, 0.0), (1, 1.0)])
def test_calibration_error_of_probability_one(label: int, error: float) -> None:
    assert expected_calibration_error(torch.tensor([[1.0, 0.0]]), torch.tensor([label])) == error


@pytest.mark.parametrize("sure", [0.5, 0.6, 0.8, 1.0])
def test_calibration_error_of_a_constant_is_its_distance_from_the_accuracy(sure: float) -> None:
    rows = torch.tensor([[sure, 1 - sure]], dtype=torch.float64).repeat(10, 1)
    labels = torch.tensor([0] * 7 + [1] * 3)
    assert expected_calibration_error(rows, labels) == pytest.approx(abs(0.7 - sure), abs=1e-12)


def test_metrics_do_not_change_what_they_look_at() -> None:
    images, others, rows = uniform(2, 1, 9, 9), uniform(2, 1, 9, 9, key="others"), probabilities(4, 3)
    kept = [x.clone() for x in (images, others, rows)]
    mse(images, others), psnr(images, others), ssim(images, others)
    entropy(rows), confidence(rows), expected_calibration_error(rows, torch.zeros(4, dtype=torch.int64))
    assert all(torch.equal(a, b) for a, b in zip(kept, (images, others, rows), strict=True))
