"""Randomness that is a pure function of what it is for.

A stream is named by a key such as `(seed, "flow", step)`: the same key gives the same numbers in any
process, so a resumed run needs no saved generator state and several processes agree without talking.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable

import torch
from torch import Tensor

BLOCK = 16  # rows of noise drawn together
GOLDEN = -0x61C8864680B583EB  # 2^64 over the golden ratio, odd, as a signed integer
Fresh = Callable[[Tensor], Tensor]
"""Standard normal noise of the shape, type and device of a tensor, new at every call."""


def stream(*key: int | str, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator seeded by the key's SHA-256; nothing global is touched."""
    seed = hashlib.sha256(repr(key).encode()).digest()[:8]
    return torch.Generator(device).manual_seed(int.from_bytes(seed, "big") >> 1)


def normal_rows(n: int, shape: tuple[int, ...], seed: int, purpose: str) -> Tensor:
    """Standard normal numbers that `seed` stands for, (n, *shape), alike on every device and for every n."""
    whole = -(-n // BLOCK) * BLOCK  # in whole blocks, so that the first rows do not depend on n
    return torch.randn(whole, *shape, generator=stream(seed, purpose))[:n]


class RowNoise:
    """Fresh noise of which each row has its own: it depends on what the row began with and on nothing beside it.

    So a sampler that adds noise in its steps makes the same image of a row in any batch and at any place of it. The
    numbers are SplitMix64 (Steele et al., 2014) of a counter that starts at the hash of the row, made normal by the
    inverse of the error function.
    """

    def __init__(self, rows: Tensor, seed: int) -> None:
        """Start at rows (N, ...), such as the noise that a sampler starts from, and a seed for all of them."""
        parts = [f"{seed}:".encode() + row.tobytes() for row in rows.detach().cpu().contiguous().numpy()]
        starts = [int.from_bytes(hashlib.sha256(part).digest()[:8], "big", signed=True) for part in parts]
        self._starts = torch.tensor(starts, dtype=torch.int64)
        self._used = 0

    def __call__(self, x: Tensor) -> Tensor:
        """The next noise, shaped as x (N, ...)."""
        count = math.prod(x.shape[1:])
        counter = torch.arange(self._used + 1, self._used + count + 1) * GOLDEN
        self._used += count
        bits = _mixed(self._starts[:, None] + counter) >> 12 & (1 << 52) - 1
        uniform = (bits.double() + 0.5) / (1 << 52)  # exact, so never 0 or 1
        normal: Tensor = torch.special.ndtri(uniform)
        return normal.view(x.shape).to(x)


def _mixed(z: Tensor) -> Tensor:
    """The finaliser of SplitMix64; int64 wraps around, and its shifts keep the sign, so that is masked away."""
    z = (z ^ (z >> 30 & (1 << 34) - 1)) * -0x40A7B892E31B1A47
    z = (z ^ (z >> 27 & (1 << 37) - 1)) * -0x6B2FB644ECCEEE15
    return z ^ (z >> 31 & (1 << 33) - 1)


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
