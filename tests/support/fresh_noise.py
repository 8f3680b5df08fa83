"""Fresh noise for solvers that is drawn for all rows together."""

from __future__ import annotations

import torch

from latentarena.randomness import Fresh


def drawn_from(generator: torch.Generator) -> Fresh:
    """Noise from a generator on the CPU."""
    return lambda x: torch.randn(x.shape, generator=generator, dtype=x.dtype).to(x.device)
