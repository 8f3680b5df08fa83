"""The random numbers of one evaluation, as functions of a key and a bundle's hash."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from latentarena.key import PRACTICE, Key


@dataclass(frozen=True)
class Randomness:
    """Everything random in one evaluation; equal keys and bundles give equal numbers in every process.

    Attributes:
        key: secret or public.
        bundle: hash of the bundle; empty for models that come from no bundle.
    """

    key: Key = PRACTICE
    bundle: str = ""

    def seed(self, *use: int | str) -> int:
        """A seed for one use, in [0, 2^63)."""
        return self.key.seed(self.bundle, *use)

    def stream(self, *use: int | str) -> torch.Generator:
        """A generator for one use."""
        return torch.Generator().manual_seed(self.seed(*use))

    def noise(self, n: int, shape: tuple[int, ...], *use: int | str) -> Tensor:
        """Standard normal noise for one use, (n, *shape)."""
        return torch.randn(n, *shape, generator=self.stream("noise", *use))


WITHOUT_BUNDLE = Randomness()
"""By the public key, for models that come from no bundle."""
