"""Processes: paths between data and noise, what is predicted on them, and the loss that trains it."""

from latentarena.process.coupling import COUPLINGS, Coupling, independent, optimal_transport
from latentarena.process.loss import TIMES, WEIGHTINGS, Times, Weighting, matching_loss
from latentarena.process.path import PATHS, Cosine, LinearBeta, Path, Point, Straight, Trigonometric, VariancePreserving
from latentarena.process.target import (
    CORRECTIONS,
    TARGETS,
    Denoiser,
    Estimate,
    Network,
    Row,
    Target,
    denoiser,
    determinant,
    gaussian_correction,
    refuse_singular,
)

__all__ = [
    "CORRECTIONS",
    "COUPLINGS",
    "PATHS",
    "TARGETS",
    "TIMES",
    "WEIGHTINGS",
    "Cosine",
    "Coupling",
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
    "Weighting",
    "denoiser",
    "determinant",
    "gaussian_correction",
    "independent",
    "matching_loss",
    "optimal_transport",
    "refuse_singular",
]
