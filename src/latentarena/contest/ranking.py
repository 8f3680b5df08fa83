"""Ranking: entries in, ranks out. Pure, total and deterministic; the order of the entries handed in does not matter.

Entries are the rows of a table, named by their teams; hidden figures are as good as missing.

A column is ranked first, then a category by the mean of its columns' ranks, then the whole by the weighted sum or mean
of the categories' ranks; 1 is best, and what is equal shares the best of its ranks (`min`, "1224").

Statistical ties: overlap of intervals is not transitive, so "overlapping entries share a rank" defines no ranking. The
rule here does: *a rank is one more than the number of entries that are better beyond the error bars*, which means that
their whole interval is better than this one's whole interval. It is the lower end of the confidence set of a rank
(Mogstad, Romano, Shaikh & Wilhelm, 2024) and the rule of Chatbot Arena (Chiang et al., 2024). Intervals that touch
overlap. Without intervals it is the `min` rank.

A value that is missing or no number stands last, behind infinity, and such rows share that rank. All sums are of whole
numbers, so that no tie is made or broken by rounding.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from latentarena.card.figure import Figure
from latentarena.contest.contest import Contest, TieBreak
from latentarena.contest.entry import Entry

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
ROUNDS = 400
FEWEST, CELLS = 100, 200_000  # on large boards draws are fewer, so that a board of thousands is made in a second
THIRDS = 200  # places from the top that are looked at for rows on which the order of others hangs
SMALL = 16  # values up to so many times their number are counted where they are ranked
EVERY = slice(None)
NOTHING = Figure.of(math.nan)
THOUSAND = 1000  # weights are whole thousandths
SURE = 0.95
DEVIATIONS = 1.959964  # of a normal distribution, on either side of 95 %


@dataclass(frozen=True)
class Placed:
    """Where a row stands.

    Attributes:
        name: of the team.
        place: from 1; rows that nothing tells apart share it.
        total: the weighted sum or mean of the categories' ranks.
        categories, columns: ranks by category and by metric.
        level: other rows of equal total.
        reason: how the tie with them was broken, or that it was not; empty without a tie.
    """

    name: str
    place: int
    total: float
    categories: dict[str, int]
    columns: dict[str, int]
    level: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class Stability:
    """How sure a place is, with every figure redrawn within its error bar.

    Attributes:
        first: probability of being first; a shared first place counts in equal parts.
        low, high: the places that hold 95 % of the draws; a shared place is the best of those shared.
    """

    first: float
    low: int
    high: int


@dataclass(frozen=True)
class Dependence:
    """A rank reversal: the order of two rows depends on a third (irrelevant alternatives).

    Attributes:
        without: the row that is taken away.
        first, second: first stands before second, or level with it.
        was_level: with the third there, their totals are equal.
        would_be: without it: -1 first stands before second, 0 they are level, 1 second stands before first.
    """

    without: str
    first: str
    second: str
    was_level: bool
    would_be: int

    @property
    def words(self) -> str:
        """A sentence."""
        if self.would_be == 0:
            return f"Without {self.without}, {self.first} and {self.second} would have equal totals."
        ahead, behind = (self.first, self.second) if self.would_be < 0 else (self.second, self.first)
        now = "now their totals are equal" if self.was_level else f"now {behind} stands before {ahead}"
        return f"Without {self.without}, {ahead} would stand before {behind}; {now}."


def rank(rows: Sequence[Entry], contest: Contest) -> tuple[Placed, ...]:
    """Every row with its place, best first; rows that share a place stand in the order of their names.

    Raises:
        ValueError: two rows have one name.
    """
    rows = _by_name(rows)
    sums = _sums(_column_ranks(*_ends(_figures(rows, contest), contest)), contest)
    whole = int(_weights(contest).sum()) if contest.total == "mean" else THOUSAND
    placed: list[Placed] = []
    for group in _groups(sums.total):
        before = len(placed)
        for place, index, reason in _settled(group, rows, contest.tie_breaks):
            one = Placed(
                name=rows[index].team,
                place=before + place,
                total=float(Fraction(int(sums.total[index]), whole)),
                categories=_named([category.name for category in contest.categories], sums.categories[:, index]),
                columns=_named([measure.metric for measure in contest.measures], sums.columns[:, index]),
                level=tuple(rows[other].team for other in group if other != index),
                reason=reason,
            )
            placed.append(one)
    return tuple(placed)


def stability(rows: Sequence[Entry], contest: Contest, rounds: int = ROUNDS, seed: int = 0) -> dict[str, Stability]:
    """How sure each place is: figures redrawn `rounds` times from their error bars, then ranked by the same rule.

    Where `rounds` times the rows are more than `CELLS`, there are fewer rounds, but at least `FEWEST`.

    A figure is drawn from two halves of normal distributions, so that 95 % of the draws fall into its interval, which
    moves along. Figures are drawn independently of each other, for score cards do not say how they hang together. Ties
    are left as they are.

    Returns:
        By name; empty where no figure has an error bar, for then nothing is known.
    """
    rows = _by_name(rows)
    figures = _figures(rows, contest)
    low, _, high = figures
    if not (low < high).any():
        return {}
    generator, rounds = np.random.default_rng(seed), min(rounds, max(FEWEST, CELLS // len(rows)))
    places = np.empty((rounds, len(rows)), np.int64)
    for i in range(rounds):
        drawn = _drawn(figures, generator)
        places[i] = _min_ranks(_sums(_column_ranks(*_ends(drawn, contest)), contest).total)
    first = places == 1
    share = (first / first.sum(1, keepdims=True)).mean(0)
    low, high = np.quantile(places, [(1 - SURE) / 2, (1 + SURE) / 2], axis=0, method="closest_observation")
    return {row.team: Stability(float(share[i]), int(low[i]), int(high[i])) for i, row in enumerate(rows)}


def dependences(rows: Sequence[Entry], contest: Contest, among: int = 50) -> list[Dependence]:
    """Pairs whose order by total changes when one other row is taken away; the best placed pairs first.

    Args:
        among: pairs are looked for among so many rows from the top; any of the first `THIRDS` may be taken away.
    """
    rows = _by_name(rows)
    least, most = _ends(_figures(rows, contest), contest)
    columns, starts = _column_ranks(least, most), _starts(contest)
    sums, total = np.add.reduceat(columns, starts), _sums(columns, contest).total
    order = np.argsort(total, kind="stable")  # best first; level rows by name
    top, found = order[:among], list[tuple[int, int, Dependence]]()
    for third in map(int, order[:THIRDS]):
        behind = _beats(most[:, [third]], least)  # those rank one better when it is gone
        left = sums - np.add.reduceat(behind, starts, dtype=np.int64)
        left[:, third] = sums.max() + 1  # so that it is counted before nobody
        kept = top[top != third]
        without = _weights(contest) @ np.array([_min_ranks(values, kept) for values in left])
        was, would = (np.sign(np.subtract.outer(one, one)) for one in (total[kept], without))
        for i, j in np.argwhere(np.triu(was != would)):
            first, second = rows[kept[i]].team, rows[kept[j]].team
            found.append((i, j, Dependence(rows[third].team, first, second, bool(was[i, j] == 0), int(would[i, j]))))
    return [one for _, _, one in sorted(found, key=lambda found: (found[0], found[1], found[2].without))]


def _figures(rows: Sequence[Entry], contest: Contest) -> Floats:
    """Lower ends, values and upper ends of all figures, (3, columns, rows); NaN where there is none.

    Intervals are stretched to hold their value.
    """
    columns = [[row.counted.get(measure.metric, NOTHING) for row in rows] for measure in contest.measures]
    ends = np.array([[(one.low, one.value, one.high) for one in column] for column in columns], np.float64)
    low, value, high = np.moveaxis(ends.reshape(len(columns), len(rows), 3), 2, 0)
    return np.stack([np.minimum(low, value), value, np.maximum(high, value)])


def _drawn(figures: Floats, generator: np.random.Generator) -> Floats:
    """Every figure somewhere else within its error bar, which moves along."""
    low, value, high = figures
    z = generator.standard_normal(value.shape) / DEVIATIONS
    with np.errstate(invalid="ignore"):
        width = np.where(z > 0, high - value, value - low)
        return figures + np.where(np.isfinite(width), z * width, 0.0)


def _ends(figures: Floats, contest: Contest) -> tuple[Floats, Floats]:
    """The better and the worse end of each interval (or twice the value, for `min` ties), lower being better."""
    low, high = figures[[0, 2]] if contest.ties == "statistical" else figures[[1, 1]]
    for i, measure in enumerate(contest.measures):
        low[i], high[i] = contest.better(measure).costs(low[i], high[i], np.maximum)
    return low, high


@dataclass(frozen=True)
class _Sums:
    """Ranks of columns (C, N) and categories (K, N), and the weighted sums of the latter in thousandths (N,)."""

    columns: Ints
    categories: Ints
    total: Ints


def _beats(most: Floats, least: Floats) -> NDArray[np.bool_]:
    """Whether an interval whose worse end is `most` lies wholly before one whose better end is `least`."""
    return (most < least) | (np.isnan(least) & ~np.isnan(most))


def _column_ranks(least: Floats, most: Floats) -> Ints:
    """One more than how many rows beat each, column by column; NumPy sorts NaN behind infinity, as is meant here."""
    ranks = np.empty(least.shape, np.int64)
    for row, a, b in zip(ranks, least, most, strict=True):
        order = np.argsort(a)  # keys in order are found in half the time
        row[order] = 1 + np.searchsorted(np.sort(b), a[order], "left")
    return ranks


def _min_ranks(values: Ints, at: Ints | slice = EVERY) -> Ints:
    """One more than how many are smaller, for those `at` these indices, of whole numbers from 0 on.

    Small ones are counted, which is faster than to sort them.
    """
    if values.max(initial=0) > SMALL * len(values):
        return 1 + np.searchsorted(np.sort(values), values[at], "left").astype(np.int64)
    counts = np.bincount(values)
    return 1 + (np.cumsum(counts) - counts)[values[at]]


def _sums(columns: Ints, contest: Contest) -> _Sums:
    categories = np.array([_min_ranks(sums) for sums in np.add.reduceat(columns, _starts(contest))], np.int64)
    return _Sums(columns, categories, _weights(contest) @ categories)


def _starts(contest: Contest) -> Ints:
    """The first column of each category."""
    return np.cumsum([0, *(len(category.metrics) for category in contest.categories)])[:-1]


def _weights(contest: Contest) -> Ints:
    return np.array([round(category.weight * THOUSAND) for category in contest.categories], np.int64)


def _groups(total: Ints) -> Iterator[list[int]]:
    """Indices of equal total together, the lowest first."""
    order = sorted(range(len(total)), key=lambda i: int(total[i]))
    for _, group in itertools.groupby(order, key=lambda i: int(total[i])):
        yield list(group)


def _settled(group: list[int], rows: Sequence[Entry], breaks: Sequence[TieBreak]) -> Iterator[tuple[int, int, str]]:
    """(place within the group, index, reason) of rows of equal total, best first."""
    if len(group) == 1:
        yield 1, group[0], ""
        return
    keys = {i: tuple(_key(rows[i], one) for one in breaks) for i in group}
    order = sorted(group, key=lambda i: (keys[i], rows[i].team))
    for i in order:
        place = 1 + sum(keys[other] < keys[i] for other in group)
        yield place, i, _reason(i, order, keys, rows, breaks)


def _key(row: Entry, one: TieBreak) -> float:
    """What a tie break sorts by, lower being better."""
    if one.order is not None:
        return float(one.order.index(row.team) if row.team in one.order else len(one.order))
    value = row.facts.get(one.field or "")
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        return math.inf
    return float(one.better.cost(value))


def _reason(
    i: int, order: list[int], keys: dict[int, tuple[float, ...]], rows: Sequence[Entry], breaks: Sequence[TieBreak]
) -> str:
    """Such as `level with B, C; before B by quality of analysis; C shares the place`, in the order of the rows."""
    said: dict[str, list[str]] = {}
    for other in order:
        if other == i:
            continue
        decisive = next((n for n, (a, b) in enumerate(zip(keys[i], keys[other], strict=True)) if a != b), None)
        if decisive is None:
            words = "shares the place with {}"
        else:
            side = "before" if keys[i][decisive] < keys[other][decisive] else "behind"
            words = f"{side} {{}} by {breaks[decisive].by}"
        said.setdefault(words, []).append(rows[other].team)
    return "equal total: " + "; ".join(words.replace("{}", ", ".join(names)) for words, names in said.items())


def _by_name(rows: Sequence[Entry]) -> list[Entry]:
    names = [row.team for row in rows]
    if len(set(names)) < len(names):
        raise ValueError(f"two rows are named {next(name for name in names if names.count(name) > 1)!r}")
    return sorted(rows, key=lambda row: row.team)


def _named(names: Sequence[str], ranks: Ints) -> dict[str, int]:
    return dict(zip(names, ranks.tolist(), strict=True))
