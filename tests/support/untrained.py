"""Bundles whose models nobody trained, of any recipe, on the embedded digits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from latentarena.bundle import NativeBundle, Provenance, save_bundle
from latentarena.data.digits import embedded_digits
from latentarena.latents import LatentStatistics
from latentarena.model.latent_model import LatentModel
from latentarena.train.recipe import load_recipe

__all__ = ["CLASSES", "SHAPE", "native", "provenance"]

SHAPE, CLASSES = (1, 8, 8), tuple("0123456789")
UNMEASURED = LatentStatistics(dimensions=1, dead=0, smallest=1, largest=1, kl=None)


def native(folder: Path, recipe: str, *overrides: str) -> NativeBundle:
    """An untrained bundle with weights that are not zero anywhere."""
    whole = load_recipe(recipe, ["data={name: digits}", *overrides])
    model = LatentModel(whole.architecture(SHAPE, CLASSES)).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    made = provenance(whole.model_dump(mode="json"), "digits", embedded_digits().digest)
    return save_bundle(folder, recipe, model, made)


def provenance(recipe: dict[str, Any], dataset: str, data: str, latents: LatentStatistics = UNMEASURED) -> Provenance:
    """How a model came to be that nobody trained."""
    return Provenance(
        recipe=recipe, dataset=dataset, data=data, seconds={}, losses={}, latents=latents, machine="", versions={}
    )
