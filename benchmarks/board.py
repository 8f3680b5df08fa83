"""How long ranking takes, and a site's new board: `python benchmarks/board.py` writes docs/board.json.

Entries are random, of a fixed seed. Times are the processor's, so that other programs on the machine count little.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from latentarena.arena.contest_files import load_contest
from latentarena.arena.entry import Addresses
from latentarena.arena.objects import Objects
from latentarena.arena.pages import templates
from latentarena.arena.store import Database, Store
from latentarena.card.figure import Figure
from latentarena.contest.entry import Entry
from latentarena.contest.making import make_board
from latentarena.contest.ranking import dependences, rank, stability
from latentarena.facts import machine
from latentarena.files import write_json
from latentarena.web.board import BoardPages
from latentarena.web.desk import Desk
from latentarena.web.frame import PageFrame

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "support"))
from stored_entries import add_entry

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
            one.metric: Figure.of(float(value), float(value) * 0.98, float(value) * 1.02)
            for one, value in zip(OPEN.measures, values, strict=True)
        }
        points = {"quality": 50.0}
        made.append(Entry(f"e{i}", f"entry {i}", f"team {i}", figures, {"samples": 10_000}, points, verified=True))
    return made


def seconds(work: Callable[[], object]) -> float:
    """The median of a few runs, in seconds of the processor."""
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return round(sorted(times)[REPEATS // 2], 4)


def site(many: int) -> dict[str, float]:
    """Seconds until a site shows its board for the first time, and once one more entry was scored."""
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/arena.db")
        database.upgrade()
        with database.writing() as session:
            for i in range(many):
                add_entry(session, i)
        pages = BoardPages(Desk(Store(database), Objects(f"{folder}/objects"), OPEN), PageFrame(OPEN))
        found = {"site, first board": round(once(pages._make), 4)}
        times = []
        for i in range(many, many + REPEATS):
            with database.writing() as session:
                add_entry(session, i)
            times.append(once(pages._make))
        database.close()
    return found | {"site, one more entry": round(sorted(times)[REPEATS // 2], 4)}


def once(work: Callable[[], object]) -> float:
    """Seconds of the processor."""
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    """Time each part for boards of several sizes."""
    found: dict[str, dict[str, float]] = {}
    for many in (10, 100, 500, 2000):
        own = entries(many)
        board = make_board(own, OPEN)
        page = templates().from_string('{% from "board_table.html" import board_table %}{{ board_table(board, at) }}')
        shown = {"board": board, "at": Addresses("{id}", "{id}.png", frozenset(one.id for one in own))}
        found[str(many)] = {
            "rank": seconds(lambda own=own: rank(own, OPEN)),
            "stability": seconds(lambda own=own: stability(own, OPEN)),
            "dependences": seconds(lambda own=own: dependences(own, OPEN)),
            "whole board": seconds(lambda own=own: make_board(own, OPEN)),
            "table as HTML": seconds(lambda page=page, shown=shown: page.render(shown)),
            **site(many),
        }
        print(many, found[str(many)])
    write_json(OUT, {"machine": machine(), "seconds of the processor by entries": found})


if __name__ == "__main__":
    main()
