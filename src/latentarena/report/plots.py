"""Plots as inline SVG: every mark says what it is when it is pointed at, colours follow the page, no script."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from matplotlib.ticker import LogLocator, MaxNLocator

WIDTH, HEIGHT = 420.0, 300.0
LEFT, RIGHT, TOP, BOTTOM = 56.0, 20.0, 12.0, 44.0
MARGIN = 0.06  # of the range, around the data
MOST_TICKS = 6


@dataclass(frozen=True)
class Mark:
    """A point of a plot.

    Attributes:
        text: shown when it is pointed at; href: where a click leads.
        series: number of its colour; large: whether it stands out.
    """

    x: float
    y: float
    text: str
    series: int = 0
    href: str = ""
    large: bool = False


@dataclass(frozen=True)
class Line:
    """A line of a plot; see `Mark`.

    Attributes:
        dashed: whether it is drawn in the colour of the text, dashed, rather than in its series' colour.
    """

    points: Sequence[tuple[float, float]]
    text: str
    series: int = 0
    href: str = ""
    dashed: bool = False


@dataclass(frozen=True)
class Plot:
    """Marks and lines over two axes that may be logarithmic; `series` names the colours."""

    title: str
    x: str
    y: str
    series: Sequence[str]
    marks: Sequence[Mark] = ()
    lines: Sequence[Line] = ()
    logarithmic: tuple[bool, bool] = (False, False)
    caption: str = ""


@dataclass(frozen=True)
class Axis:
    """One axis: from data to pixels.

    Attributes:
        low, high: of the data, with a margin, on the axis's own scale.
        start, end: pixels of these.
    """

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool

    @classmethod
    def of(cls, values: Sequence[float], start: float, end: float, logarithmic: bool) -> Axis:
        """The axis that holds all of the values."""
        scaled = [math.log10(value) if logarithmic else value for value in values]
        low, high = min(scaled), max(scaled)
        spare = MARGIN * (high - low) or abs(high) * MARGIN or 1.0
        return cls(low - spare, high + spare, start, end, logarithmic)

    def at(self, value: float) -> float:
        """The pixel of a value."""
        scaled = math.log10(value) if self.logarithmic else value
        return self.start + (scaled - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self) -> list[tuple[float, str]]:
        """Pixels and words of the ticks."""
        if self.logarithmic:
            low, high = 10**self.low, 10**self.high
            values = [value for value in _logarithmic(low, high) if low <= value <= high]
        else:
            found = MaxNLocator(MOST_TICKS - 1).tick_values(self.low, self.high)
            values = [float(value) for value in found if self.low <= value <= self.high]
        return [(self.at(value), short(value)) for value in values]


@dataclass(frozen=True)
class Drawn:
    """A plot in pixels, for the template `plot.html`."""

    plot: Plot
    x: Axis
    y: Axis
    size: ClassVar = (WIDTH, HEIGHT)
    frame: ClassVar = (LEFT, TOP, WIDTH - RIGHT, HEIGHT - BOTTOM)

    def polyline(self, line: Line) -> str:
        """The points of a line, as SVG has them."""
        return " ".join(f"{self.x.at(x):.1f},{self.y.at(y):.1f}" for x, y in line.points)


def draw(plot: Plot) -> Drawn | None:
    """A plot in pixels; None where nothing can be drawn. On logarithmic axes what is not above zero is left out."""
    marks = [mark for mark in plot.marks if _fits(mark.x, mark.y, plot.logarithmic)]
    lines = [
        replace(line, points=[point for point in line.points if _fits(*point, plot.logarithmic)]) for line in plot.lines
    ]
    points = [(mark.x, mark.y) for mark in marks] + [point for line in lines for point in line.points]
    if not points:
        return None
    xs, ys = zip(*points, strict=True)
    across = Axis.of(xs, LEFT, WIDTH - RIGHT, plot.logarithmic[0])
    up = Axis.of(ys, HEIGHT - BOTTOM, TOP, plot.logarithmic[1])
    return Drawn(replace(plot, marks=marks, lines=lines), across, up)


def pareto(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points that no other one beats, lower being better in both, from left to right."""
    front: list[tuple[float, float]] = []
    for x, y in sorted(set(points)):
        if not front or y < front[-1][1]:
            front.append((x, y))
    return front


def short(value: float) -> str:
    """A number with few digits: 0.02, 500, 20k, 3M, 5T."""
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if size <= abs(value) < 1e15:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def _logarithmic(low: float, high: float) -> list[float]:
    """Ticks at powers of ten, and at twice and five times these where there are few."""
    for subs in ((1.0,), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0)):
        found = [float(value) for value in LogLocator(subs=subs, numticks=100).tick_values(low, high)]
        if sum(low <= value <= high for value in found) >= 3:
            break
    inside = [value for value in found if low <= value <= high]
    return inside[:: math.ceil(len(inside) / MOST_TICKS)] if len(inside) > MOST_TICKS else inside


def _fits(x: float, y: float, logarithmic: tuple[bool, bool]) -> bool:
    return all(math.isfinite(value) and (value > 0 or not log) for value, log in zip((x, y), logarithmic, strict=True))
