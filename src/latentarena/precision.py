"""To how many bits the numbers of a latent are rounded. Imports no torch."""

from __future__ import annotations

from typing import Literal

Precision = Literal["float8", "float16", "float32"]
BITS: dict[Precision, int] = {"float8": 8, "float16": 16, "float32": 32}  # of one number


def coarser(one: Precision, other: Precision | None) -> Precision:
    """The one of fewer bits; the first where there is no other."""
    return min(one, other or one, key=BITS.__getitem__)
