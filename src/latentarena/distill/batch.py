"""A time of its own for each sample, where samplers have one for the whole batch."""

from __future__ import annotations

from torch import Tensor

from latentarena.process import Denoiser, Path
from latentarena.sample import Jump, Solver


def column(values: Tensor, like: Tensor) -> Tensor:
    """Values (B,) as (B, 1, ...), to broadcast against `like` (B, ...)."""
    return values.reshape(-1, *(1 for _ in like.shape[1:]))


def timewise(solver: Solver) -> Solver:
    """The solver with jumps between times t and s (B,); one that keeps a memory or adapts its steps cannot do that."""

    def wrapped(path: Path, denoise: Denoiser, labels: Tensor | None) -> Jump:
        jump = solver(path, lambda x, t, labels: denoise(x, t.flatten(), labels), labels)
        return lambda x, t, s: jump(x, column(t, x), column(s, x))

    return wrapped
