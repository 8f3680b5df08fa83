"""Distillation: generators of one or a few steps, and how straight a flow is."""

from latentarena.distill.consistency import consistency_loss
from latentarena.distill.meanflow import average_correction, average_velocity, meanflow_jump, meanflow_loss
from latentarena.distill.straightness import straightness, straightness_of

__all__ = [
    "average_correction",
    "average_velocity",
    "consistency_loss",
    "meanflow_jump",
    "meanflow_loss",
    "straightness",
    "straightness_of",
]
