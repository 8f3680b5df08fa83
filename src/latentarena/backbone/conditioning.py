"""What every backbone is told besides x_t: the time and, where there are classes, the label."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

HIGHEST = 50.0  # radians over the unit of time: what a network can use on a smooth path
TOKENS = 4  # for each class: attention to a single token could not choose, and would tell every position the same

Condition = Literal["adaln", "input-channel", "cross-attention"]


class Conditioning(nn.Module):
    """Time (and label) to one vector: sinusoidal features, one layer, plus a learned row per class.

    `(t (B,), labels int64 (B,) or None) -> (B, width)`. The last row of the class table stands for "no label".

    Built with two times, as an average velocity needs them, it takes (t, s), s <= t, together (B, 2), and tells the
    network t and how far it is to s.
    """

    def __init__(self, width: int, classes: int | None, times: int = 1, features: int = 32) -> None:
        super().__init__()
        frequencies = torch.exp(torch.linspace(0, math.log(HIGHEST), features // 2))
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.time = nn.Linear(times * features, width)
        self.label = nn.Embedding(classes + 1, width) if classes else None

    def forward(self, t: Tensor, labels: Tensor | None) -> Tensor:
        told = t[:, None] if t.ndim == 1 else torch.stack([t[:, 0], t[:, 0] - t[:, 1]], 1)  # (B, times)
        angles = told[:, :, None] * self.get_buffer("frequencies")  # (B, times, features / 2)
        vector = self.time(torch.cat([angles.cos(), angles.sin()], 2).flatten(1))
        if self.label is not None:
            vector = vector + self.label(_or_none(labels, self.label.num_embeddings - 1, t))
        return nn.functional.silu(vector)


class Inputs(nn.Module):
    """The inputs of a spatial network, with the label in the one place where it enters.

    `(x (B, C, H, W), t (B,), labels int64 (B,) or None) -> (x (B, channels, H, W), vector (B, width), tokens)`, with
    (t, s) (B, 2) for t where there are two times.

    - `adaln`: in the vector, as in `Conditioning`.
    - `input-channel`: one more constant channel of x for each class, 1 for the label's own; "no label" is all 0.
    - `cross-attention`: as learned tokens (B, TOKENS, width) to attend to; "no label" has tokens of its own.

    Attributes:
        channels: of x as the network gets it.
        tokens: the table of label tokens, or None where no tokens are given.
    """

    def __init__(self, channels: int, width: int, classes: int | None, condition: Condition, times: int) -> None:
        super().__init__()
        self.planes = classes if classes and condition == "input-channel" else 0
        self.channels = channels + self.planes
        self.vector = Conditioning(width, classes if condition == "adaln" else None, times)
        attended = classes and condition == "cross-attention"
        self.tokens = nn.Embedding(classes + 1, TOKENS * width) if classes and attended else None

    def forward(self, x: Tensor, t: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        tokens = None
        if self.tokens is not None:
            rows = self.tokens(_or_none(labels, self.tokens.num_embeddings - 1, t))
            tokens = rows.unflatten(1, (TOKENS, -1))
        elif self.planes:
            hot = torch.eye(self.planes + 1, self.planes, dtype=x.dtype, device=x.device)
            rows = hot[_or_none(labels, self.planes, t)]  # (B, classes)
            x = torch.cat([x, rows[:, :, None, None].expand(-1, -1, *x.shape[2:])], 1)
        return x, self.vector(t, labels), tokens


def _or_none(labels: Tensor | None, none: int, t: Tensor) -> Tensor:
    """The labels, or where there are none the index of "no label" for every sample."""
    return torch.full(t.shape[:1], none, device=t.device) if labels is None else labels


def modulate(h: Tensor, scale_shift: Tensor) -> Tensor:
    """adaLN's affine map (Peebles & Xie, 2023): h (B, C, ...) by scale and shift, together (B, 2 C)."""
    scale, shift = scale_shift.reshape(h.shape[0], -1, *(1 for _ in h.shape[2:])).chunk(2, 1)
    return h * (1 + scale) + shift
