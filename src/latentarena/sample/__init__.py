"""Sampling: solvers as jumps, and the generator that walks them from noise to data."""

from latentarena.sample.solver import SOLVERS, Jump, Solver, euler, heun, sample, uniform_times

__all__ = ["SOLVERS", "Jump", "Solver", "euler", "heun", "sample", "uniform_times"]
