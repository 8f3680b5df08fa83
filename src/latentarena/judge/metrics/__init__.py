"""Metrics: pure functions of arrays, float64 inside, defined for every input.

Each module has a function for every material that it measures, such as `of_samples`; see `judge/measure.py`.
"""

from latentarena.card.figure import Better, Figure
from latentarena.card.own import OWN_METRICS, OwnMetric
from latentarena.judge.metrics.classes import (
    class_kl,
    class_kl_of,
    classes_missing_of,
    confidence,
    confidences,
    entropies,
    entropy,
    expected_calibration_error,
    gap_to_band,
)
from latentarena.judge.metrics.estimate import (
    Statistic,
    draws,
    estimate,
    exactly,
    mean_of,
    ratio_of,
    wilson,
)
from latentarena.judge.metrics.features import (
    Memberships,
    frechet_distance,
    frechet_of,
    kernel_distance_of,
    memberships,
    radii,
    spread_of,
    spreads,
    vendi_of,
)
from latentarena.judge.metrics.latents import gaussian_gap_of, probe
from latentarena.judge.metrics.neighbours import nearest, two_nearest
from latentarena.judge.metrics.pictures import (
    absolute_errors,
    edge_energies,
    mse,
    psnr,
    psnr_of,
    squared_errors,
)
from latentarena.judge.metrics.structure import ssim, ssims

__all__ = [
    "OWN_METRICS",
    "Better",
    "Figure",
    "Memberships",
    "OwnMetric",
    "Statistic",
    "absolute_errors",
    "class_kl",
    "class_kl_of",
    "classes_missing_of",
    "confidence",
    "confidences",
    "draws",
    "edge_energies",
    "entropies",
    "entropy",
    "estimate",
    "exactly",
    "expected_calibration_error",
    "frechet_distance",
    "frechet_of",
    "gap_to_band",
    "gaussian_gap_of",
    "kernel_distance_of",
    "mean_of",
    "memberships",
    "mse",
    "nearest",
    "probe",
    "psnr",
    "psnr_of",
    "radii",
    "ratio_of",
    "spread_of",
    "spreads",
    "squared_errors",
    "ssim",
    "ssims",
    "two_nearest",
    "vendi_of",
    "wilson",
]
