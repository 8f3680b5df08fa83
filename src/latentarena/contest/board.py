"""The board as data: which entries stand on it, where, by what, and what must be said about it."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field

from latentarena.card.figure import Better, Figure
from latentarena.config import Config
from latentarena.contest.commitment import Commitment


class Column(Config):
    """One ranked figure: metric, title with unit, which way is better, and decimals shown."""

    metric: str
    title: str
    better: Better
    decimals: int
    what: str = ""


class Group(Config):
    """A category with its columns."""

    name: str
    title: str
    weight: float
    columns: tuple[Column, ...]


class Cell(Config):
    """A figure of a line as it is shown.

    Attributes:
        figure: with its ends where they are known; None stands for missing or infinite, which `text` tells apart.
        text, interval: as people read them; the interval is empty for figures that are exact, and a word of doubt for
            those that are not verified.
        rank: in its column; None where the line is not ranked.
        unverified: it rests on the submission's own word.
        uncertified: a figure of training that was not found by training anew; it has no rank.
        withheld: it is shown and does not rank, for what a check has found.
    """

    figure: Figure | None
    text: str
    interval: str
    rank: int | None
    unverified: bool = False
    uncertified: bool = False
    withheld: bool = False


class Line(Config):
    """One entry on the board.

    Attributes:
        place: None where it is not ranked, and `refused` says why.
        total: of the categories' ranks, weighted; categories: these ranks; cells: by metric.
        points: by category, and their weighted mean under `all`.
        first, low, high: probability of being first and the places that hold 95 % of the draws; None if not known.
        awards: names of those won.
        reason: how a tie was broken; level: names of those of equal total.
        verified: computed by the contest; others are ranked among themselves, behind all that are verified.
        trained: how often its recipe was trained anew and agreed with it; 0 where it was not.
        noise: what its score card calls the key of the judge's random numbers.
    """

    id: str
    name: str
    team: str
    place: int | None = None
    total: float | None = None
    categories: dict[str, int] = Field(default={})
    cells: dict[str, Cell] = Field(default={})
    points: dict[str, float] = Field(default={})
    first: float | None = None
    low: int | None = None
    high: int | None = None
    awards: tuple[str, ...] = ()
    reason: str = ""
    level: tuple[str, ...] = ()
    verified: bool = False
    trained: int = 0
    notice: str = ""
    noise: str = ""
    refused: str = ""


class Prize(Config):
    """An award and the teams that have it now."""

    name: str
    about: str
    winners: tuple[str, ...]


class Board(Config):
    """All that a page, a spreadsheet or a program shows of a contest's standing.

    Attributes:
        groups: what is ranked; lines: ranked entries, best first; others: those not ranked, by name.
        prizes: awards; notes: sentences to be read with the board.
        hanging: sentences on pairs whose order hangs on a third entry; empty where ranks depend on nobody else.
        commitment: to the contest's key, from which the judge's random numbers follow; None where it has none.
    """

    contest: str
    title: str
    about: str
    dataset: str
    score_set: str
    ties: str
    total: str
    groups: tuple[Group, ...]
    lines: tuple[Line, ...]
    others: tuple[Line, ...]
    prizes: tuple[Prize, ...]
    notes: tuple[str, ...]
    hanging: tuple[str, ...]
    commitment: Commitment | None = None

    @property
    def listed(self) -> tuple[Line, ...]:
        """All entries, ranked ones first."""
        return (*self.lines, *self.others)

    def only(self, listed: Iterable[Line]) -> Board:
        """The same board with these entries alone; their places are among all."""
        kept = {line.id for line in listed}
        lines, others = ((line for line in part if line.id in kept) for part in (self.lines, self.others))
        return self.model_copy(update={"lines": tuple(lines), "others": tuple(others)})
