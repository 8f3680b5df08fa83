"""Ranking: the published boards of 2025, and laws that hold for every table."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata
from typer.testing import CliRunner

from latentarena.arena.contest_files import load_contest
from latentarena.card.figure import Figure
from latentarena.cli.app import app
from latentarena.contest.contest import Contest
from latentarena.contest.entry import Entry
from latentarena.contest.ranking import dependences, rank, stability

BOARDS = ["leaderboard.csv", "open_leaderboard.csv"]
NAMELESS = [Path(__file__).parents[1] / "support" / "files" / f"contest-2025-{board}" for board in BOARDS]
PUBLISHED = [Path(os.environ.get("LATENTARENA_DATA", "absent")) / "contest-2025" / board for board in BOARDS]
OLD, OPEN = load_contest("contest-2025"), load_contest("open")
COLUMNS = [measure.metric for measure in OLD.measures]
HIGHER = {"ssim", "gen_confidence"}
FEW = st.sampled_from([0.0, 0.5, 1.0, 1.5, 2.0, math.inf])  # so that ties are common
ANY = st.one_of(FEW, st.floats(), st.none())


def entry(team: str, figures: Mapping[str, Figure], facts: Mapping[str, Any] = {}) -> Entry:
    return Entry(team, team, team, figures, facts)


def table(values: list[list[float | None]], metrics: list[str]) -> list[Entry]:
    return [
        entry(f"r{i:02}", {m: Figure.of(v) for m, v in zip(metrics, cells, strict=True) if v is not None})
        for i, cells in enumerate(values)
    ]


def tables(cell: st.SearchStrategy[Any] = ANY, least: int = 1) -> st.SearchStrategy[list[Entry]]:
    cells = st.lists(cell, min_size=len(COLUMNS), max_size=len(COLUMNS))
    return st.lists(cells, min_size=least, max_size=7).map(lambda values: table(values, COLUMNS))


@st.composite
def with_bars(draw: st.DrawFn) -> list[Entry]:
    metrics = [measure.metric for measure in OPEN.measures]
    rows = []
    for i in range(draw(st.integers(1, 6))):
        figures = {}
        for metric in draw(st.sets(st.sampled_from(metrics))):
            low, value, high = sorted(draw(st.tuples(*[st.integers(0, 6)] * 3)))
            figures[metric] = Figure.of(float(value), float(low), float(high))
        rows.append(entry(f"r{i}", figures))
    return rows


def raw(row: Entry, column: str) -> float:
    figure = row.figures.get(column)
    return math.nan if figure is None else figure.value


@pytest.mark.parametrize("board", [*NAMELESS, *(path for path in PUBLISHED if path.is_file())])
def test_published_boards_of_2025_come_out_exactly(board: Path, tmp_path: Path) -> None:
    published = board.read_text()
    lines = list(csv.reader(published.splitlines()))
    kept = [i for i, name in enumerate(lines[0]) if not name.endswith("_rank")]
    shuffled = [lines[0], *lines[:0:-1]]
    with (tmp_path / "raw.csv").open("w", newline="") as file:
        csv.writer(file).writerows([[line[i] for i in kept] for line in shuffled])
    command = ["board", "rank", str(tmp_path / "raw.csv"), "--contest", "contest-2025", "--out"]
    done = CliRunner().invoke(app, [*command, str(tmp_path / "ranked.csv")])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "ranked.csv").read_text() == published
    command[2] = str(board)  # ranks that are there already are computed anew
    assert CliRunner().invoke(app, [*command, str(tmp_path / "again.csv")]).exit_code == 0
    assert (tmp_path / "again.csv").read_text() == published


@given(tables())
@settings(max_examples=60, deadline=None)
def test_columns_agree_with_scipy_and_the_total_is_their_mean(rows: list[Entry]) -> None:
    placed = {one.name: one for one in rank(rows, OLD)}
    assert set(placed) == {row.name for row in rows}
    for column in COLUMNS:
        values = np.array([raw(row, column) for row in rows])
        values = -values if column in HIGHER else values
        values = np.where(np.isnan(values), np.inf, values)
        last = np.array([math.isnan(raw(row, column)) for row in rows])  # behind infinity
        order = rankdata(rankdata(values, method="dense") + last * len(rows) * 2, method="min")
        assert [placed[row.name].columns[column] for row in rows] == order.tolist()
    for one in placed.values():
        assert one.total == sum(one.columns.values()) / 7
        assert one.categories == one.columns


@given(with_bars())
@settings(max_examples=60, deadline=None)
def test_open_contest_agrees_with_a_plain_reading_of_its_rule(rows: list[Entry]) -> None:
    placed = {one.name: one for one in rank(rows, OPEN)}

    def beats(a: Entry, b: Entry, metric: str) -> bool:
        if metric not in a.figures or metric not in b.figures:
            return metric in a.figures and metric not in b.figures
        one, other = a.figures[metric], b.figures[metric]
        better = OPEN.directions[metric]
        return one.high < other.low if better == "lower" else one.low > other.high

    columns = {m.metric: {b.name: 1 + sum(beats(a, b, m.metric) for a in rows) for b in rows} for m in OPEN.measures}
    sums = dict.fromkeys(placed, 0)
    for category in OPEN.categories:
        means = {n: Fraction(sum(columns[m.metric][n] for m in category.metrics), len(category.metrics)) for n in sums}
        for name in sums:
            place = 1 + sum(other < means[name] for other in means.values())
            assert placed[name].categories[category.name] == place
            sums[name] += place
    for name, one in placed.items():
        assert one.columns == {metric: places[name] for metric, places in columns.items()}
        assert one.total == sums[name]
        assert one.place == 1 + sum(other < sums[name] for other in sums.values())


@given(st.one_of(tables(), with_bars()), st.randoms(), st.sampled_from([OLD, OPEN]))
@settings(max_examples=60, deadline=None)
def test_the_order_of_the_rows_does_not_matter_and_every_row_has_a_place(
    rows: list[Entry], random: Any, contest: Contest
) -> None:
    placed = rank(rows, contest)
    shuffled = random.sample(rows, len(rows))
    assert rank(shuffled, contest) == placed
    assert dependences(shuffled, contest) == dependences(rows, contest)
    assert [one.place for one in placed] == sorted(one.place for one in placed)
    assert placed[0].place == 1
    totals = [one.total for one in placed]
    assert totals == sorted(totals)
    for one in placed:  # "1224": a place counts those before it
        assert one.place == 1 + sum(other.place < one.place for other in placed)


@given(tables(FEW, 2), st.sampled_from(COLUMNS), st.integers(0, 6), st.floats(0.01, 2))
@settings(max_examples=60, deadline=None)
def test_a_better_figure_never_worsens_a_rank(rows: list[Entry], column: str, index: int, step: float) -> None:
    row = rows[index % len(rows)]
    value = row.figures[column].value + (step if column in HIGHER else -step)
    better = entry(row.name, {**row.figures, column: Figure.of(value)})
    before, after = (
        next(one for one in rank(table, OLD) if one.name == row.name)
        for table in (rows, [better if one is row else one for one in rows])
    )
    assert after.columns[column] <= before.columns[column]
    assert after.total <= before.total
    assert after.place <= before.place


@given(tables(ANY, 1))
@settings(max_examples=40, deadline=None)
def test_equal_rows_share_everything(rows: list[Entry]) -> None:
    twin = entry("twin", rows[0].figures)
    placed = {one.name: one for one in rank([*rows, twin], OLD)}
    one, other = placed["twin"], placed[rows[0].name]
    assert (one.place, one.total, one.columns) == (other.place, other.total, other.columns)
    assert other.name in one.level
    assert f"shares the place with {other.name}" in one.reason or len(one.level) > 1


@given(tables(FEW, 2))
@settings(max_examples=40, deadline=None)
def test_a_row_that_is_last_everywhere_changes_nothing_for_the_others(rows: list[Entry]) -> None:
    last = entry("last", {})
    with_it = [(one.name, one.place, one.total, one.columns) for one in rank([*rows, last], OLD) if one.name != "last"]
    assert with_it == [(one.name, one.place, one.total, one.columns) for one in rank(rows, OLD)]
    assert not [one for one in dependences([*rows, last], OLD) if one.without == "last"]


@given(st.one_of(tables(FEW, 3), with_bars()), st.sampled_from([OLD, OPEN]))
@settings(max_examples=40, deadline=None)
def test_dependences_are_what_ranking_without_the_third_shows(rows: list[Entry], contest: Contest) -> None:
    def signs(kept: list[Entry]) -> dict[tuple[str, str], int]:
        totals = {one.name: one.total for one in rank(kept, contest)}
        return {(a, b): (totals[a] > totals[b]) - (totals[a] < totals[b]) for a in totals for b in totals}

    whole, expected = signs(rows), set()
    for row in rows:
        for (a, b), sign in signs([other for other in rows if other is not row]).items():
            if sign != whole[a, b] and (whole[a, b], a) < (-whole[a, b], b):
                expected.add((row.name, a, b, whole[a, b] == 0, sign))
    found = dependences(rows, contest)
    assert {(one.without, one.first, one.second, one.was_level, one.would_be) for one in found} == expected
    assert len(found) == len(expected)


def test_overlap_is_not_transitive_and_the_rule_says_what_then() -> None:
    bars = {
        "a": Figure.of(1, 0, 2),
        "b": Figure.of(2.5, 1.5, 3.5),
        "c": Figure.of(4, 3, 5),
        "d": Figure.of(4.5, 3.6, 6),
    }
    rows = [entry(name, {"mse": figure, "ssim": Figure.of(0.5)}) for name, figure in bars.items()]
    columns = {one.name: one.columns["mse"] for one in rank(rows, OPEN)}
    assert columns == {"a": 1, "b": 1, "c": 2, "d": 3}  # c overlaps b, but a beats it; d is beaten by a and b


def test_missing_stands_behind_infinity_and_minus_infinity_before_all() -> None:
    values = {"a": -math.inf, "b": 0.0, "c": math.inf, "d": math.nan}
    rows = [entry(name, {"mse": Figure.of(value)}) for name, value in values.items()] + [entry("e", {})]
    columns = {one.name: one.columns["mse"] for one in rank(rows, OLD)}
    assert columns == {"a": 1, "b": 2, "c": 3, "d": 4, "e": 4}


def test_near_one_counts_the_distance_to_either_side() -> None:
    raw = OPEN.model_dump() | {"categories": [{"name": "edges", "metrics": ["sharpness"]}], "awards": []}
    contest = Contest.model_validate(raw)
    bars = {"under": Figure.of(0.8, 0.7, 0.85), "on": Figure.of(1.01, 0.97, 1.05), "over": Figure.of(1.3, 1.2, 1.4)}
    placed = rank([entry(name, {"sharpness": bar}) for name, bar in bars.items()], contest)
    assert {one.name: one.place for one in placed} == {"on": 1, "under": 2, "over": 2}


def test_ties_are_broken_in_the_organiser_s_order_and_the_reason_is_said() -> None:
    rows = [entry(name, {"mse": Figure.of(1.0)}, {"steps": steps}) for name, steps in {"a": 8, "b": 4, "c": 4}.items()]
    breaks = [{"by": "quality of analysis", "order": ["c"]}, {"by": "fewer steps", "field": "steps"}]
    contest = Contest.model_validate(OLD.model_dump() | {"tie_breaks": breaks})
    placed = rank(rows, contest)
    assert [(one.place, one.name) for one in placed] == [(1, "c"), (2, "b"), (3, "a")]
    assert placed[0].reason == "equal total: before b, a by quality of analysis"
    assert placed[1].reason == "equal total: behind c by quality of analysis; before a by fewer steps"
    shared = rank(rows, OLD)
    assert [one.place for one in shared] == [1, 1, 1]
    assert shared[0].reason == "equal total: shares the place with b, c"


def test_weights_are_exact_and_scale_out() -> None:
    def contest(total: str, *weights: float) -> Contest:
        names = ["mse", "recall", "parameters"]
        categories = [{"name": f"c-{n}", "metrics": [n], "weight": w} for n, w in zip(names, weights, strict=True)]
        return Contest.model_validate(OPEN.model_dump() | {"categories": categories, "total": total, "awards": []})

    rows = [
        entry("a", {"mse": Figure.of(1), "recall": Figure.of(0.1), "parameters": Figure.of(1)}),
        entry("b", {"mse": Figure.of(2), "recall": Figure.of(0.9), "parameters": Figure.of(2)}),
    ]
    for one in (rank(rows, contest("sum", 0.1, 0.3, 0.2)), rank(rows, contest("mean", 1, 3, 2))):
        assert [placed.place for placed in one] == [1, 1]  # 0.1 + 0.2 is 0.3 here
    light, heavy = rank(rows, contest("sum", 1, 2, 0.5)), rank(rows, contest("mean", 1, 2, 0.5))
    assert [(one.name, one.total) for one in light] == [("b", 5.0), ("a", 5.5)]
    assert [(one.name, one.total) for one in heavy] == [("b", 5.0 / 3.5), ("a", 5.5 / 3.5)]


def test_two_rows_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two rows are named 'a'"):
        rank([entry("a", {}), entry("a", {})], OLD)
    assert rank([], OPEN) == ()
    assert stability([], OPEN) == {}
    assert dependences([], OPEN) == []


def lone(**bars: Figure) -> tuple[list[Entry], Contest]:
    raw = OPEN.model_dump() | {"categories": [{"name": "one", "metrics": ["mse"]}], "ties": "min", "awards": []}
    return [entry(name, {"mse": bar}) for name, bar in bars.items()], Contest.model_validate(raw)


def test_stability_agrees_with_the_normal_distribution() -> None:
    """Of two figures one standard deviation apart, the better stays first with probability Phi(1 / sqrt 2) = 0.760."""
    half = 1.959964
    rows, contest = lone(a=Figure.of(0, -half, half), b=Figure.of(1, 1 - half, 1 + half))
    found = stability(rows, contest, rounds=4000)
    assert found["a"].first == pytest.approx(0.7602, abs=0.02)
    assert found["a"].first + found["b"].first == pytest.approx(1)
    assert (found["a"].low, found["a"].high) == (1, 2)
    assert found == stability(rows[::-1], contest, rounds=4000)
    assert found != stability(rows, contest, rounds=4000, seed=1)


def test_stability_of_clear_and_of_unknown_places() -> None:
    rows, contest = lone(a=Figure.of(0, -0.1, 0.1), b=Figure.of(5, 4.9, 5.1), c=Figure.of(9))
    assert {name: (one.first, one.low, one.high) for name, one in stability(rows, contest).items()} == {
        "a": (1.0, 1, 1),
        "b": (0.0, 2, 2),
        "c": (0.0, 3, 3),
    }
    assert stability(*lone(a=Figure.of(1), b=Figure.of(2))) == {}


@given(with_bars())
@settings(max_examples=20, deadline=None)
def test_stability_is_total(rows: list[Entry]) -> None:
    found = stability(rows, OPEN, rounds=20)
    assert not found or sum(one.first for one in found.values()) == pytest.approx(1)
    assert all(1 <= one.low <= one.high <= len(rows) for one in found.values())
