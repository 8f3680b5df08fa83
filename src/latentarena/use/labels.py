"""The classes that are asked of a conditional model where nobody chooses them."""

from __future__ import annotations

import torch
from torch import Tensor

from latentarena.bundle import AnyModel


def labels_for(model: AnyModel, n: int) -> Tensor | None:
    """Labels for n samples of a conditional model, every class in turn, int64 (n,); None if unconditional."""
    return torch.arange(n) % len(model.classes) if model.conditional else None
