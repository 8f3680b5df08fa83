"""Bounded numbers: the types of every number on a card, so that no sum or product of them leaves the floats.

A stranger's card is read with these. Their bounds lie far above what any model has and far below what overflows.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field

LARGEST_REAL = 1e30  # its square is still a float
LARGEST_COUNT = 1 << 62
LONGEST_TRAINING = 1e9  # seconds: 31 years
LARGEST_SIDE = 1 << 20
SHOWN = 40  # characters of a number that is refused

Real = Annotated[float, Field(ge=-LARGEST_REAL, le=LARGEST_REAL)]
"""A finite number, such as a loss or a figure."""
Amount = Annotated[float, Field(ge=0, le=LARGEST_REAL)]
"""A finite number that is never negative, such as a time or a scale."""
Count = Annotated[int, Field(ge=0, lt=LARGEST_COUNT)]
"""How many: steps, parameters, bytes, images."""
Seconds = Annotated[float, Field(ge=0, le=LONGEST_TRAINING)]
"""A duration in seconds."""
Side = Annotated[int, Field(ge=1, le=LARGEST_SIDE)]
"""A side of an array: rows, channels, numbers of a latent."""
Label = Annotated[str, Field(max_length=200)]
"""A short text on a card: a name, a hash, a version."""
Words = Annotated[str, Field(max_length=1000)]
"""A sentence or two on a card."""


def _bounded(raw: dict[str, Any]) -> dict[str, Any]:
    waiting: list[Any] = [raw]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list | tuple):
            waiting += value
        elif isinstance(value, int | float) and not -LARGEST_REAL <= value <= LARGEST_REAL:
            raise ValueError(f"it holds {repr(value)[:SHOWN]}, a number beyond {LARGEST_REAL:g}")
    return raw


Plain = Annotated[dict[str, Any], AfterValidator(_bounded)]
"""Plain data of any keys, such as a recipe, whose numbers are all within the bounds of `Real`."""
