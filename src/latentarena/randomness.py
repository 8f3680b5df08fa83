"""Randomness that is a pure function of what it is for.

A stream is named by a key such as `(seed, "flow", step)`: the same key gives the same numbers in any
process, so a resumed run needs no saved generator state and several processes agree without talking.
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

__all__ = ["Draws", "normal_rows", "stream"]

BLOCK = 16  # rows of noise drawn together


def stream(*key: int | str, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator seeded by the key's SHA-256; nothing global is touched."""
    seed = hashlib.sha256(repr(key).encode()).digest()[:8]
    return torch.Generator(device).manual_seed(int.from_bytes(seed, "big") >> 1)


def normal_rows(n: int, shape: tuple[int, ...], seed: int, purpose: str) -> Tensor:
    """Standard normal numbers that `seed` stands for, (n, *shape), alike on every device and for every n."""
    whole = -(-n // BLOCK) * BLOCK  # in whole blocks, so that the first rows do not depend on n
    return torch.randn(whole, *shape, generator=stream(seed, purpose))[:n]


class Draws:
    """The random numbers of one training step, alike however many processes share the batch.

    Every process draws for the global batch and keeps its own rows, so the loss curve of `world`
    processes is that of one.
    """

    def __init__(self, generator: torch.Generator, rank: int = 0, world: int = 1) -> None:
        self.generator, self.rank, self.world = generator, rank, world

    def mine(self, rows: Tensor) -> Tensor:
        """This process's share of the rows of a global batch."""
        share = len(rows) // self.world
        return rows[self.rank * share : (self.rank + 1) * share]

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers; `shape[0]` is the local batch."""
        rows, *rest = shape
        device = self.generator.device
        return self.mine(torch.randn(rows * self.world, *rest, generator=self.generator, device=device))

    def lattice(self, n: int) -> Tensor:
        """n equally spaced numbers in [0, 1) from a random start, over the global batch together; (n,)."""
        total, device = n * self.world, self.generator.device
        start = torch.rand((), generator=self.generator, device=device)
        return self.mine((start + torch.arange(total, device=device) / total) % 1)

    def uniform(self, *shape: int) -> Tensor:
        """Uniform numbers in [0, 1); `shape[0]` is the local batch."""
        rows, *rest = shape
        device = self.generator.device
        return self.mine(torch.rand(rows * self.world, *rest, generator=self.generator, device=device))
