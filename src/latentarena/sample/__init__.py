"""Sampling: solvers as jumps, guidance as wrapped denoisers, and the generator that walks from noise to data."""

from latentarena.sample.guide import Classifier, Guide, autoguidance, classifier_free, classifier_guidance
from latentarena.sample.likelihood import bits_per_dimension, invert, log_likelihood
from latentarena.sample.solver import (
    GRIDS,
    SOLVERS,
    Jump,
    Solver,
    consistency,
    ddim,
    dopri5,
    dpm_solver_pp,
    euler,
    euler_maruyama,
    heun,
    last,
    midpoint,
    rk4,
    sample,
)

__all__ = [
    "GRIDS",
    "SOLVERS",
    "Classifier",
    "Guide",
    "Jump",
    "Solver",
    "autoguidance",
    "bits_per_dimension",
    "classifier_free",
    "classifier_guidance",
    "consistency",
    "ddim",
    "dopri5",
    "dpm_solver_pp",
    "euler",
    "euler_maruyama",
    "heun",
    "invert",
    "last",
    "log_likelihood",
    "midpoint",
    "rk4",
    "sample",
]
