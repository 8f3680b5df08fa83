"""What a box may answer: a schema for each call, against which an answer is checked before anything uses it.

A box belongs to a stranger, and so does every part of what it says: names, types, shapes, counts, numbers and text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from latentarena.bounds import LARGEST_COUNT, LARGEST_SIDE
from latentarena.sandbox.wire import Array, Frame
from latentarena.text import printable

LARGEST_VALUE = 1e15  # of a float32 in an array: what is computed with it overflows nowhere
LONGEST = 1000  # characters of a text
MOST_ROWS = 1 << 28
SIDES = (1, 3)  # fewest and most sides of a row whose shape is left open

Text = Annotated[str, Field(strict=True, max_length=LONGEST), AfterValidator(printable)]
"""A line of a stranger's words; what a terminal would act on has become spaces."""
Amount = Annotated[int, Field(strict=True, ge=0, lt=LARGEST_COUNT)]
"""How many of something."""


Whole = Annotated[int, Field(strict=True, gt=-LARGEST_COUNT, lt=LARGEST_COUNT)]
"""A whole number."""


class AnswerError(ValueError):
    """An answer that breaks its schema; `reason` is `nonsense`, or `not-finite` for values that are none."""

    def __init__(self, message: str, reason: str = "nonsense") -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Numbers:
    """An array that is expected.

    Attributes:
        dtype: of its values, such as `float32`.
        rows: how many; a word stands for any number that is the same in all arrays of that word.
        row: shape of a row; None is one to three sides of any length.
        low, high: the smallest and the largest value allowed. Values are always finite.
    """

    dtype: str
    rows: int | str
    row: tuple[int, ...] | None = ()
    low: float = -LARGEST_VALUE
    high: float = LARGEST_VALUE

    def __str__(self) -> str:
        row = "..." if self.row is None else ", ".join(map(str, self.row))
        return f"{self.dtype} [{self.rows}{', ' if row else ''}{row}]"

    def check(self, name: str, array: Array, counts: dict[str, int]) -> None:
        """Raise an AnswerError where an array is another; `counts` keeps the rows of each word."""
        rows = len(array) if array.ndim else -1
        wanted = self.rows if isinstance(self.rows, int) else counts.setdefault(self.rows, rows)
        if self.row is None:
            fits = SIDES[0] <= array.ndim - 1 <= SIDES[1] and all(0 < side <= LARGEST_SIDE for side in array.shape[1:])
        else:
            fits = array.shape[1:] == self.row
        if array.dtype != self.dtype or rows != wanted or not fits or rows > MOST_ROWS:
            given = f"{array.dtype} {list(array.shape)}"
            raise AnswerError(f"{name} is {given}, expected {self}")
        if array.size == 0:
            return
        low, high = array.min(), array.max()  # either is NaN where a value is
        if not (np.isfinite(low) and np.isfinite(high)):
            raise AnswerError(f"{name} holds values that are not finite", "not-finite")
        if low < self.low or high > self.high:
            raise AnswerError(f"{name} holds values from {low:.4g} to {high:.4g}, beyond {self.low:g} to {self.high:g}")


@dataclass(frozen=True)
class Expected:
    """The answer to a call: just these facts and just these arrays.

    Attributes:
        facts: a pydantic type for each, by name.
        arrays: by name.
    """

    facts: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, Numbers] = field(default_factory=dict)

    def checked(self, frame: Frame) -> Frame:
        """The answer as the schema reads it: text is printable.

        Raises:
            AnswerError: it is another; the message is one line.
        """
        _refuse_names("facts", frame.facts, self.facts)
        _refuse_names("arrays", frame.arrays, self.arrays)
        counts: dict[str, int] = {}
        for name, array in frame.arrays.items():
            self.arrays[name].check(name, array, counts)
        return Frame(
            frame.verb, {name: _read(name, frame.facts[name], kind) for name, kind in self.facts.items()}, frame.arrays
        )


def texts(names: Iterable[str]) -> Expected:
    """The answer of as many texts, by name."""
    return Expected(facts=dict.fromkeys(names, Text))


def _refuse_names(what: str, given: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    if given.keys() != wanted.keys():
        odd = sorted(given.keys() - wanted.keys())
        lacks = sorted(wanted.keys() - given.keys())
        said = f"there is {printable(ascii(odd[0]))[:80]}" if odd else f"{lacks[0]} is not there"
        raise AnswerError(f"its {what} are not {', '.join(sorted(wanted)) or 'none'}: {said}")


def _read(name: str, value: Any, kind: Any) -> Any:
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise AnswerError(f"{name} is refused: {printable(first['msg'])[:200]}") from None
