"""Finite scalar quantisation: every number of a latent takes one of a few evenly spaced values."""

from __future__ import annotations

from math import atanh

from torch import Tensor, nn


class FSQ(nn.Module):
    """Finite scalar quantisation (Mentzer et al., 2024): tanh, then one of L levels from -1 to 1; it has no weights.

    The levels are (k + offset) / reach with k = round(reach * value - offset) and reach = (L - 1) / 2. An even number
    has no level at zero, hence the offset of one half; the shift inside the tanh makes an input of zero a level all
    the same, so that no untrained encoder starts between two. With two levels it has to, as they are tanh's limits.
    """

    def __init__(self, levels: int) -> None:
        super().__init__()
        self.reach = (levels - 1) / 2
        self.offset = 0.0 if levels % 2 else 0.5
        self.shift = atanh(self.offset / self.reach) if levels > 2 else 0.0

    def bound(self, code: Tensor) -> Tensor:
        """Numbers bounded to (-1, 1), before rounding."""
        return (code + self.shift).tanh()

    def snap(self, latents: Tensor) -> Tensor:
        """The nearest levels to any numbers; the gradient passes straight through (Bengio et al., 2013)."""
        index = (self.reach * latents.detach().clamp(-1, 1) - self.offset).round()
        return (index + self.offset) / self.reach + (latents - latents.detach())  # the difference is zero, exactly

    def extra_repr(self) -> str:
        """The levels, by which two quantisers without weights differ."""
        return f"levels={round(2 * self.reach) + 1}"

    def forward(self, code: Tensor) -> Tensor:
        return self.snap(self.bound(code))
