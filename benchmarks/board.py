"""How long ranking takes: `python benchmarks/board.py` writes docs/board.json. Entries are random, of a fixed seed."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from latentarena.arena.board import make_board
from latentarena.arena.contest import load_contest
from latentarena.arena.entries import Entry
from latentarena.arena.pages import environment
from latentarena.arena.ranking import Figure, Row, dependences, rank, stability
from latentarena.facts import machine
from latentarena.files import write_json

OUT = Path(__file__).parents[1] / "docs" / "board.json"
OPEN = load_contest("open")
REPEATS = 5


def entries(many: int) -> list[Entry]:
    """Entries whose figures lie close together, so that ties are common."""
    generator = np.random.default_rng(0)
    made = []
    for i in range(many):
        values = generator.uniform(0.5, 0.6, len(OPEN.measures))
        figures = {
            one.metric: Figure(float(value), float(value) * 0.98, float(value) * 1.02)
            for one, value in zip(OPEN.measures, values, strict=True)
        }
        points = {"quality": 50.0}
        made.append(Entry(f"e{i}", f"entry {i}", f"team {i}", figures, {"samples": 10_000}, points, verified=True))
    return made


def seconds(work: Callable[[], object]) -> float:
    """The median of a few runs, in seconds."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return round(sorted(times)[REPEATS // 2], 4)


def main() -> None:
    """Time each part for boards of several sizes."""
    found: dict[str, dict[str, float]] = {}
    for many in (10, 100, 500):
        own = entries(many)
        rows = [Row(one.team, one.figures, one.facts) for one in own]
        board = make_board(own, OPEN)
        page = environment().from_string(
            '{% from "board_table.html" import board_table %}{{ board_table(board, entry_url, picture_url) }}'
        )
        shown = {"board": board, "entry_url": lambda line: line.id, "picture_url": lambda line: f"{line.id}.png"}
        found[str(many)] = {
            "rank": seconds(lambda rows=rows: rank(rows, OPEN)),
            "stability": seconds(lambda rows=rows: stability(rows, OPEN)),
            "dependences": seconds(lambda rows=rows: dependences(rows, OPEN)),
            "whole board": seconds(lambda own=own: make_board(own, OPEN)),
            "table as HTML": seconds(lambda page=page, shown=shown: page.render(shown)),
        }
        print(many, found[str(many)])
    write_json(OUT, {"machine": machine(), "seconds by entries": found})


if __name__ == "__main__":
    main()
