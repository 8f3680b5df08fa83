"""One hostile input, and how a test reports what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

__all__ = ["Case", "cases"]


@dataclass(frozen=True)
class Case:
    """A hostile input: `row` of the threat matrix, a `name` unique within the row. Extend it with what the input is."""

    row: int
    name: str

    def __str__(self) -> str:
        return f"row{self.row:02}-{self.name}"


def cases(table: Sequence[Case]) -> pytest.MarkDecorator:
    """Parametrise a test with `case`, one of the table: `@cases(TABLE)`. A test that passes has contained it.

    Each case carries the mark `corpus`, by which the last line 'hostile corpus: N of M contained' is counted.
    """
    names = [str(case) for case in table]
    assert len(set(names)) == len(names), "two cases have one name"
    return pytest.mark.parametrize("case", [pytest.param(one, marks=pytest.mark.corpus, id=str(one)) for one in table])
