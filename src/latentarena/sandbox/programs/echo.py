"""The least program: gives back what it gets. For tests, and to measure what a box costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from latentarena.sandbox.programs import INPUTS, Answers
from latentarena.sandbox.wire import Array


def prepare(arguments: Sequence[str]) -> Answers:
    """One verb, `echo`: facts and arrays as they came, the arguments and the names of the files."""

    def echo(facts: dict[str, Any], arrays: Mapping[str, Array]) -> tuple[dict[str, Any], Mapping[str, Array]]:
        files = sorted(str(path.relative_to(INPUTS)) for path in INPUTS.rglob("*") if path.is_file())
        return facts | {"arguments": list(arguments), "files": files}, arrays

    return {"echo": echo}
