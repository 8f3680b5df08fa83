"""The columns of the 2025 contest as metrics, in the order of its board; `judge/contest2025.py` measures them."""

from __future__ import annotations

from latentarena.card.figure import Better
from latentarena.card.metric import Metric

COLUMNS = {
    "total_params": Metric("efficiency", "parameters", Better.LOWER, "stored numbers of the whole model", decimals=0),
    "time_per_sample": Metric("efficiency", "seconds a sample", Better.LOWER, "median time of sampling", decimals=6),
    "mse": Metric(
        "reconstruction", "MSE", Better.LOWER, "mean squared error of a pixel, 256 images", decimals=5, largest=1
    ),
    "ssim": Metric(
        "reconstruction", "SSIM", Better.HIGHER, "structural similarity, 256 images", smallest=-1, largest=1
    ),
    "entropy": Metric("quality", "entropy", Better.LOWER, "mean entropy of the judge's classes, 2,048 samples"),
    "kl_div_classes": Metric(
        "diversity", "class KL", Better.LOWER, "of known class frequencies from those of 2,048 samples", decimals=5
    ),
    "gen_confidence": Metric(
        "quality", "confidence", Better.HIGHER, "mean largest probability of a class, 2,048 samples", largest=1
    ),
}
"""By name. Infinite may be only what has no largest value, such as the divergence where a class is missing."""
