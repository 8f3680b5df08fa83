"""Sampling: solvers as jumps, guidance as wrapped denoisers, and the generator that walks from noise to data."""

from latentarena.sample.guide import Guide, autoguidance, classifier_free
from latentarena.sample.solver import (
    GRIDS,
    SOLVERS,
    Jump,
    Solver,
    ddim,
    dopri5,
    dpm_solver_pp,
    euler,
    euler_maruyama,
    heun,
    midpoint,
    rk4,
    sample,
)

__all__ = [
    "GRIDS",
    "SOLVERS",
    "Guide",
    "Jump",
    "Solver",
    "autoguidance",
    "classifier_free",
    "ddim",
    "dopri5",
    "dpm_solver_pp",
    "euler",
    "euler_maruyama",
    "heun",
    "midpoint",
    "rk4",
    "sample",
]
