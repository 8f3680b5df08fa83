"""What the static site and the server share: the environment of the templates and the geometry of small plots."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment

from latentarena.card.pages import environment
from latentarena.contest.board import Board, Column, Line
from latentarena.text import visible

HERE = Path(__file__).parent
STATIC = HERE / "static"
SHADES = 5
DRAWN = 250  # other entries in a plot; of more every second or third one, and so on
LOGARITHMIC = 20.0  # columns whose values span this factor, all above 0, are drawn on a logarithmic scale


@dataclass(frozen=True)
class Strip:
    """A column of the board drawn as a line, better to the right; places in [0, 100].

    Attributes:
        others: where the other entries lie, the best first; own: where this one does, or None without a value.
        low, high: the ends of its interval.
    """

    others: tuple[float, ...]
    own: float | None
    low: float
    high: float


def templates(*folders: Path) -> Environment:
    """The templates of the arena, and of further folders before them.

    What is put into them is text and no markup, and nothing in it hides or reorders what stands beside it.
    """
    made = environment(*folders, HERE / "templates", shown=_shown, heat=heat, percent=percent, strip=strip)
    made.filters["moment"] = moment
    return made


def moment(when: datetime) -> str:
    """A time as text, such as `2025-07-14 23:59 UTC`."""
    return f"{when:%Y-%m-%d %H:%M} UTC"


def _shown(value: Any) -> Any:
    return visible(value) if type(value) is str else value  # what a macro made is markup, and was shown before


def heat(place: int, entries: int) -> int:
    """A rank as one of `SHADES`, 0 for the best."""
    return min(SHADES - 1, SHADES * (place - 1) // max(entries, 1)) if place > 1 else 0


def percent(share: float) -> str:
    """A probability as a percentage, which never rounds to a certainty."""
    if 0 < share < 0.01:
        return "< 1 %"
    return "> 99 %" if 0.99 < share < 1 else f"{share:.0%}".replace("%", " %")


def strip(board: Board, line: Line, column: Column) -> Strip:
    """Where a line stands among all ranked ones in a column."""
    figures = [one.cells[column.metric].figure for one in board.lines if one.id != line.id]
    cost = column.better.cost
    costs = sorted(cost(figure.value) for figure in figures if figure is not None)
    own = line.cells[column.metric].figure
    drawn = [] if own is None else [cost(own.value), cost(own.low), cost(own.high)]
    scale = _Scale.of([*costs[:1], *costs[-1:], *drawn])
    others = tuple(map(scale.at, costs[:: 1 + len(costs) // DRAWN]))
    if own is None:
        return Strip(others, None, 0.0, 0.0)
    at, *ends = map(scale.at, drawn)
    return Strip(others, at, *sorted(ends))


@dataclass(frozen=True)
class _Scale:
    """A scale from costs to [0, 100], better to the right."""

    low: float
    high: float
    logarithmic: bool

    @classmethod
    def of(cls, values: Sequence[float]) -> _Scale:
        low, high = min(values, default=0.0), max(values, default=0.0)
        logarithmic = low > 0 and high / low > LOGARITHMIC
        return cls(math.log(low), math.log(high), True) if logarithmic else cls(low, high, False)

    def at(self, value: float) -> float:
        place = math.log(value) if self.logarithmic else value
        return 50.0 if self.high == self.low else 100 * (self.high - place) / (self.high - self.low)
