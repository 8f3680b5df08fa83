"""The script behind docs/peers.md: blocks alternate, ratios are to ours of the same round, the page is its file's."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

from peers_page import faster, page
from peers_race import PEERS
from peers_timed import OURS, alternated, compared

DOCS = Path(__file__).resolve().parents[1] / "docs"


def test_the_page_says_what_the_file_says() -> None:
    found = json.loads((DOCS / "peers.json").read_text("utf-8"))
    assert (DOCS / "peers.md").read_text("utf-8") == page(found)
    assert {row["part"] for row in found["timed"]["rows"]} == {"training", "sampling", "coupling", "judging"}
    assert set(found["race"]) == {OURS, *PEERS}
    assert all(point["who"] == who for who, one in found["race"].items() for point in one["curve"])


def test_contestants_come_to_the_same() -> None:
    rows = json.loads((DOCS / "peers.json").read_text("utf-8"))["timed"]["rows"]
    for row in (one for one in rows if one["value"] is not None):
        ours = next(one["value"] for one in rows if one["work"] == row["work"] and one["who"] == OURS)
        assert row["value"] == pytest.approx(ours, rel=1e-5, abs=1e-5), row


def test_every_contestant_has_a_block_in_every_round_and_none_is_always_first() -> None:
    order: list[str] = []

    def work(name: str) -> float:
        order.append(name)
        return float(sum(range(10_000)) > 0)

    speeds = alternated({name: lambda name=name: work(name) for name in "abc"}, rounds=3)
    rounds = [order[i : i + 3] for i in range(3, len(order), 3)]  # after the one that warms up
    assert [sorted(one) for one in rounds] == [["a", "b", "c"]] * 3
    assert {one[0] for one in rounds} == {"a", "b", "c"}
    assert {name: len(speed) for name, speed in speeds.items()} == {"a": 3, "b": 3, "c": 3}


def test_twice_the_work_in_a_block_is_half_the_speed() -> None:
    def block(repeats: int) -> float:
        for _ in range(repeats):
            sum(range(200_000))
        return 1.0

    rows = {row.who: row for row in compared("x", "y", "z", {OURS: lambda: block(5), "half": lambda: block(10)}, 9)}
    assert rows[OURS].ratio == 1
    assert rows["half"].ratio == pytest.approx(0.5, rel=0.2)
    assert rows["half"].low <= rows["half"].ratio <= rows["half"].high
    losses = faster([vars(row) | {"ratio": 1 / row.ratio, "low": 1 / row.high} for row in rows.values()])
    assert [row["who"] for row in losses] == ["half"]
