"""What every backbone is told besides x_t: the time and, where there are classes, the label."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

__all__ = ["Conditioning", "modulate"]

HIGHEST = 50.0  # radians over the unit of time: what a network can use on a smooth path


class Conditioning(nn.Module):
    """Time (and label) to one vector: sinusoidal features, one layer, plus a learned row per class.

    `(t (B,), labels int64 (B,) or None) -> (B, width)`. The last row of the class table stands for "no label".
    """

    def __init__(self, width: int, classes: int | None, features: int = 32) -> None:
        super().__init__()
        frequencies = torch.exp(torch.linspace(0, math.log(HIGHEST), features // 2))
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.time = nn.Linear(features, width)
        self.label = nn.Embedding(classes + 1, width) if classes else None

    def forward(self, t: Tensor, labels: Tensor | None) -> Tensor:
        angles = t[:, None] * self.get_buffer("frequencies")  # (B, features / 2)
        vector = self.time(torch.cat([angles.cos(), angles.sin()], 1))
        if self.label is not None:
            none = torch.full(t.shape, self.label.num_embeddings - 1, device=t.device)
            vector = vector + self.label(none if labels is None else labels)
        return nn.functional.silu(vector)


def modulate(h: Tensor, scale_shift: Tensor) -> Tensor:
    """adaLN's affine map (Peebles & Xie, 2023): h (B, C, ...) by scale and shift, together (B, 2 C)."""
    scale, shift = scale_shift.reshape(len(h), -1, *(1 for _ in h.shape[2:])).chunk(2, 1)
    return h * (1 + scale) + shift
