"""Processes: paths between data and noise, what is predicted on them, and the loss that trains it."""

from latentarena.process.loss import TIMES, Times, matching_loss
from latentarena.process.path import PATHS, Cosine, LinearBeta, Path, Point, Straight, Trigonometric, VariancePreserving
from latentarena.process.target import TARGETS, Denoiser, Estimate, Network, Row, Target, denoiser, predict

__all__ = [
    "PATHS",
    "TARGETS",
    "TIMES",
    "Cosine",
    "Denoiser",
    "Estimate",
    "LinearBeta",
    "Network",
    "Path",
    "Point",
    "Row",
    "Straight",
    "Target",
    "Times",
    "Trigonometric",
    "VariancePreserving",
    "denoiser",
    "matching_loss",
    "predict",
]
