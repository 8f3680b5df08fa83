"""A condition on a field of an entry."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any, Literal

from pydantic import model_validator

from latentarena.config import Config

Value = bool | int | float | str
Op = Literal["<=", ">=", "<", ">", "==", "!=", "in", "not in"]
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
    "==": operator.eq,
    "!=": operator.ne,
}


class Rule(Config):
    """A condition on a field of an entry; a field that is missing fails it.

    Attributes:
        field: a metric, or one of a contest's `FACTS`, `points.CATEGORY`, or `bundle.KEY` of the bundle's card; for
            awards also `place` and `CATEGORY_rank`.
        op: how to compare.
        value: with what; a list for `in` and `not in`.
    """

    field: str
    op: Op
    value: Value | tuple[Value, ...]

    @model_validator(mode="after")
    def _list_where_one_is_due(self) -> Rule:
        if isinstance(self.value, tuple) != (self.op in ("in", "not in")):
            raise ValueError(f"op {self.op!r} takes {'a list' if self.op in ('in', 'not in') else 'one value'}")
        return self

    def holds(self, facts: Mapping[str, Any]) -> bool:
        """Whether an entry meets it; values of another type than the rule's never do."""
        found = facts.get(self.field)
        if found is None or found != found:  # NaN is as good as missing
            return False
        if isinstance(self.value, tuple):
            return (found in self.value) == (self.op == "in")
        numbers = [isinstance(one, int | float) and not isinstance(one, bool) for one in (found, self.value)]
        if not all(numbers) and type(found) is not type(self.value):
            return False
        return COMPARISONS[self.op](found, self.value)

    @property
    def words(self) -> str:
        """Such as `mse <= 0.01`."""
        value = ", ".join(map(str, self.value)) if isinstance(self.value, tuple) else str(self.value)
        return f"{self.field} {self.op} {value}"
