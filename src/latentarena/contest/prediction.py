"""Where a model would stand on a board, and which of its figures costs it most. Needs no torch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from latentarena.card.figure import Figure
from latentarena.contest.board import Board, Line
from latentarena.contest.contest import Contest
from latentarena.contest.entries import refusal
from latentarena.contest.entry import Entry
from latentarena.contest.ranking import Placed, rank
from latentarena.errors import ConfigError

OWN = "\0"  # a name that no team can have


@dataclass(frozen=True)
class PredictedPlace:
    """Where an entry would stand: `worst` if what was not measured were the worst there, `best` if it were the best."""

    best: Placed
    worst: Placed


@dataclass(frozen=True)
class Prediction:
    """What becomes of an entry on a board.

    Attributes:
        standing: None where it would not be ranked, and `refused` says why.
        entries: on the board then, itself included.
        unmeasured: ranked metrics of which the entry has no figure.
        costliest: the measured metric that would improve its total most if it were the best of the board there; None
            where no single one would.
        there: where it would then stand.
    """

    standing: PredictedPlace | None
    entries: int
    refused: str = ""
    unmeasured: tuple[str, ...] = ()
    costliest: str | None = None
    there: PredictedPlace | None = None

    @property
    def lost(self) -> int:
        """Places that the costliest metric costs; of several that are possible, the most."""
        if self.standing is None or self.there is None:
            return 0
        pairs = ((self.standing.best, self.there.best), (self.standing.worst, self.there.worst))
        return max(now.place - then.place for now, then in pairs)


def predict(entry: Entry, board: Board, contest: Contest) -> Prediction:
    """Rank an entry among the lines of a board, and look for the metric that costs most.

    Args:
        entry: of `entry_of`; its team's line on the board, if there is one, is replaced.
        board: as `board.json` has it.
        contest: the rules that made the board.

    Raises:
        ConfigError: the board ranks other figures than the contest.
    """
    ranked = [column.metric for group in board.groups for column in group.columns]
    wanted = [measure.metric for measure in contest.measures]
    if ranked != wanted:
        raise ConfigError(f"the board ranks {', '.join(ranked)}; contest {contest.name} ranks {', '.join(wanted)}")
    verified = any(line.verified for line in board.lines)  # self-reported ones stand behind those in any case
    others = [_row(line) for line in board.lines if line.team != entry.team and line.verified >= verified]
    refused = refusal(entry, contest.model_copy(update={"self_reported": True}))
    if refused:
        return Prediction(None, len(others), refused)
    unmeasured = tuple(metric for metric in wanted if metric not in entry.counted)
    own = _standing(entry.counted, others, contest)
    found = {
        metric: _standing({**entry.counted, metric: best}, others, contest)
        for metric, best in _best(others, contest)
        if metric not in unmeasured
    }
    metric = min(found, key=lambda metric: found[metric].worst.total, default=None)
    if metric is None or found[metric].worst.total >= own.worst.total:
        return Prediction(own, len(others) + 1, "", unmeasured)
    return Prediction(own, len(others) + 1, "", unmeasured, metric, found[metric])


def _standing(figures: Mapping[str, Figure], others: list[Entry], contest: Contest) -> PredictedPlace:
    perfect = {measure.metric: Figure.of(contest.better(measure).best) for measure in contest.measures}
    best, worst = (
        next(one for one in rank([Entry(OWN, OWN, OWN, row), *others], contest) if one.name == OWN)
        for row in (perfect | dict(figures), figures)
    )
    return PredictedPlace(best, worst)


def _best(others: list[Entry], contest: Contest) -> Iterator[tuple[str, Figure]]:
    """Each ranked metric with the best figure that another entry has."""
    for measure in contest.measures:
        figures = [row.figures[measure.metric] for row in others if measure.metric in row.figures]
        better = contest.better(measure)
        if figures:
            yield measure.metric, min(figures, key=lambda one: better.cost(one.value))


def _row(line: Line) -> Entry:
    figures = {}
    for metric, cell in line.cells.items():
        figure = Figure.of(math.inf) if cell.text == "∞" else cell.figure
        if figure is not None and not cell.uncertified:
            figures[metric] = figure
    return Entry(line.id, line.name, line.team, figures)
