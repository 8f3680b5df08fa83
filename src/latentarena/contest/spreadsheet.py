"""Boards as CSV: raw columns in, ranks out, and no cell that a spreadsheet would compute."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from latentarena.card.figure import Figure
from latentarena.contest.board import Board, Line
from latentarena.contest.contest import Contest
from latentarena.contest.entry import Entry
from latentarena.contest.ranking import Placed, rank
from latentarena.errors import ConfigError

NAMES = ("team", "name", "entry", "model")  # the column that names a row: the first of these that is there
ACTIVE = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What a spreadsheet takes for the beginning of a formula (OWASP, CSV injection), in both widths."""


@dataclass(frozen=True)
class Ranked:
    """A ranked table.

    Attributes:
        header, rows: the input's columns, then the ranks; best row first, as text.
        placed: the same rows as the ranking has them.
    """

    header: list[str]
    rows: list[list[str]]
    placed: tuple[Placed, ...]


def inert(cell: Any) -> Any:
    """A cell that no spreadsheet computes: text that looks like a formula gets an apostrophe in front; numbers stay.

    Carriage returns become line feeds, for what follows one may be read as another row.
    """
    if not isinstance(cell, str):
        return cell
    text = cell.replace("\r\n", "\n").replace("\r", "\n")
    number = text == text.strip() and _number(text) is not None
    return f"'{text}" if cell.startswith(ACTIVE) and not number else text


def write_csv(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Text of a CSV file with inert cells and lines that end in a newline."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerows([[inert(cell) for cell in row] for row in (header, *rows)])
    return buffer.getvalue()


def rank_table(where: str, text: str, contest: Contest) -> Ranked:
    """Rank a CSV of raw columns; `METRIC_low` and `METRIC_high` beside a column are its 95 % interval.

    Adds `METRIC_rank` for each ranked column, `CATEGORY_rank` where a category has several, and `overall_rank`, the
    contest's total. Rank columns that the table has already are computed anew in their place. Empty cells and `nan`
    stand last in their column.

    Args:
        where: the text's file, for messages.

    Raises:
        ConfigError: one line that names the file, the line and the column.
    """
    header, named = _named(where, text, contest)
    placed = rank(_rows(where, named, contest), contest)
    ranks = {one.name: _ranks(one, contest) for one in placed}
    whole = header + [name for name in (ranks[placed[0].name] if placed else {}) if name not in header]
    made = [[(named[one.name][1] | ranks[one.name])[name] for name in whole] for one in placed]
    return Ranked(whole, made, placed)


def table_rows(where: str, text: str, contest: Contest) -> list[Entry]:
    """The rows of a CSV of raw columns, as `rank_table` ranks them; whoever has the table vouches for it.

    Raises:
        ConfigError: as `rank_table` does.
    """
    return _rows(where, _named(where, text, contest)[1], contest)


def _named(where: str, text: str, contest: Contest) -> tuple[list[str], dict[str, tuple[int, dict[str, str]]]]:
    """The header, and (line number, cells by column) by the name of each row."""
    try:
        header, records = _table(where, csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise ConfigError(f"{where} is not CSV: {error}") from None
    missing = [measure.metric for measure in contest.measures if measure.metric not in header]
    if missing:
        wanted = ", ".join(measure.metric for measure in contest.measures)
        raise ConfigError(f"{where}: no column {missing[0]!r}; contest {contest.name} ranks {wanted}")
    key = next((name for name in NAMES if name in header), None)
    if key is None:
        raise ConfigError(f"{where}: no column that names the rows; call one of them {', '.join(NAMES[:-1])} or model")
    return header, _by_name(where, key, records)


def _rows(where: str, named: dict[str, tuple[int, dict[str, str]]], contest: Contest) -> list[Entry]:
    return [
        Entry(name, name, name, _figures(where, line, cells, contest), verified=True)
        for name, (line, cells) in named.items()
    ]


def _table(where: str, reader: Any) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """The header, and (line number, cells by column) of each row."""
    header = [name.strip() for name in next(reader, [])]
    if not any(header):
        raise ConfigError(f"{where} is empty; the first line names the columns")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise ConfigError(f"{where}: column {twice[0]!r} is there twice")
    records = []
    for cells in reader:
        if not any(cells):
            continue
        if len(cells) != len(header):
            raise ConfigError(
                f"{where} line {reader.line_num}: {len(cells)} cells, but {len(header)} columns are named"
            )
        records.append((reader.line_num, dict(zip(header, cells, strict=True))))
    if not records:
        raise ConfigError(f"{where} has a header and no rows")
    return header, records


def _by_name(where: str, key: str, records: list[tuple[int, dict[str, str]]]) -> dict[str, tuple[int, dict[str, str]]]:
    named: dict[str, tuple[int, dict[str, str]]] = {}
    for line, cells in records:
        name = cells[key].strip()
        if not name:
            raise ConfigError(f"{where} line {line}: {key} is empty; name every row")
        if name in named:
            raise ConfigError(f"{where} line {line}: {key} {name!r} is on line {named[name][0]} too; keep one of them")
        named[name] = (line, cells)
    return named


def _figures(where: str, line: int, cells: Mapping[str, str], contest: Contest) -> dict[str, Figure]:
    def number(column: str) -> float | None:
        text = cells.get(column, "").strip()
        value = _number(text)
        if text and value is None:
            raise ConfigError(f"{where} line {line}: {column} = {text!r} is no number")
        return value

    figures = {}
    for measure in contest.measures:
        value = number(measure.metric)
        if value is not None:
            figures[measure.metric] = Figure.of(
                value, number(f"{measure.metric}_low"), number(f"{measure.metric}_high")
            )
    return figures


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _ranks(placed: Placed, contest: Contest) -> dict[str, str]:
    """Rank columns as text, as the board of 2025 had them."""
    several = [
        category.name for category in contest.categories if [category.name] != [m.metric for m in category.metrics]
    ]
    ranks: dict[str, float] = {f"{metric}_rank": place for metric, place in placed.columns.items()}
    ranks |= {f"{name}_rank": placed.categories[name] for name in several if f"{name}_rank" not in ranks}
    return {name: str(float(place)) for name, place in (ranks | {"overall_rank": placed.total}).items()}


def board_csv(board: Board) -> str:
    """The whole board as CSV: one line for each entry, ranked ones first; figures with intervals and ranks."""
    groups, metrics = board.groups, [column.metric for group in board.groups for column in group.columns]
    several = [group.name for group in groups if len(group.columns) > 1]
    header = ["place", "team", "entry", "name", "total", *(f"{name}_rank" for name in several), "points", "first"]
    header += ["place_low", "place_high", "verified", "unverified_figures", "trained_anew", "uncertified_figures"]
    header += ["awards", "why_not_ranked"]
    header += [f"{metric}{part}" for metric in metrics for part in ("", "_low", "_high", "_rank")]
    return write_csv(header, (list(_cells(line, several, metrics)) for line in board.listed))


def _cells(line: Line, several: Sequence[str], metrics: Sequence[str]) -> Iterator[Any]:
    yield from (line.place, line.team, line.id, line.name, line.total)
    yield from (line.categories.get(name) for name in several)
    yield from (line.points.get("all"), line.first, line.low, line.high)
    doubted = "; ".join(metric for metric in metrics if line.cells[metric].unverified)
    uncertified = "; ".join(metric for metric in metrics if line.cells[metric].uncertified)
    yield from ("yes" if line.verified else "self-reported", doubted, line.trained or "no", uncertified)
    yield from ("; ".join(line.awards), line.refused)
    for metric in metrics:
        cell = line.cells[metric]
        infinite, figure = "inf" if cell.text == "∞" else None, cell.figure
        yield from (infinite, None, None) if figure is None else (figure.value, figure.low, figure.high)
        yield cell.rank
