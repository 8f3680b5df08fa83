"""The board as it is served: never older than two seconds, however long nobody looked and however long it takes."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from arena_parts import Parts, a_card, bundle_that
from arena_site import running
from latentarena.arena.contest_files import load_contest
from latentarena.errors import StoreBusy
from latentarena.web import board
from latentarena.web.board import BoardPages
from latentarena.web.frame import PageFrame


@dataclass
class Slow:
    """A desk whose board takes a while; it says when each state came about."""

    takes: float
    states: list[float] = field(default_factory=lambda: [time.monotonic()])
    fails: bool = False

    def version(self) -> str:
        if self.fails:
            raise StoreBusy("busy")
        return str(len(self.states))

    def change(self) -> None:
        self.states.append(time.monotonic())


@dataclass(frozen=True)
class Made:
    version: str


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> tuple[BoardPages, Slow]:
    desk = Slow(0.3)

    def make(self: BoardPages) -> Made:
        version = desk.version()
        time.sleep(desk.takes)
        return Made(version)

    monkeypatch.setattr(BoardPages, "_make", make)
    monkeypatch.setattr(board, "OLDEST", 0.5)
    return BoardPages(desk, PageFrame(load_contest("open"))), desk  # type: ignore[arg-type]


def test_the_first_visitor_after_a_quiet_hour_sees_the_board_of_now(pages: tuple[BoardPages, Slow]) -> None:
    made, desk = pages

    async def visits() -> None:
        assert (await made.get()).version == "1"
        desk.change()
        await asyncio.sleep(0.6)
        assert (await made.get()).version == "2"

    asyncio.run(visits())


def test_under_steady_change_and_many_visitors_no_board_is_too_old(pages: tuple[BoardPages, Slow]) -> None:
    made, desk = pages
    ages = []

    async def visit() -> None:
        came = time.monotonic()
        shown = await made.get()
        gone = desk.states[int(shown.version)] if int(shown.version) < len(desk.states) else came
        ages.append(came - gone)  # since what is shown was no longer the state

    async def visits() -> None:
        for _ in range(60):
            desk.change()
            await asyncio.gather(*(visit() for _ in range(3)))
            await asyncio.sleep(0.02)

    asyncio.run(visits())
    assert max(ages) <= 0.55


def test_where_the_store_does_not_answer_nothing_old_is_shown(
    pages: tuple[BoardPages, Slow], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, desk = pages
    monkeypatch.setattr(board, "OLDEST", 2.0)
    desk.takes = 0.0

    async def visits() -> None:
        await made.get()
        desk.fails = True
        await asyncio.sleep(0.25)
        assert (await made.get()).version == "1"  # it is not too old yet
        await asyncio.sleep(2)
        with pytest.raises(StoreBusy):
            await made.get()
        desk.fails = False
        assert (await made.get()).version == "1"

    asyncio.run(visits())


def test_a_board_that_nobody_asks_for_is_renewed(
    pages: tuple[BoardPages, Slow], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, desk = pages
    monkeypatch.setattr(board, "WATCH", 0.05)

    async def visits() -> None:
        watching = asyncio.create_task(made.watch())
        await asyncio.sleep(0.5)
        desk.change()
        await asyncio.sleep(1.0)
        began = time.monotonic()
        assert (await made.get()).version == "2"
        assert time.monotonic() - began < desk.takes
        watching.cancel()

    asyncio.run(visits())


def test_what_is_scored_is_on_the_board_of_a_real_site_two_seconds_later(tmp_path: Path) -> None:
    judged = {"judge_hash": "67cf626b32b2".ljust(64, "0")}  # passes for the official judge's
    with running(tmp_path) as site:
        parts = Parts(site.db, site.folder)
        parts.card.write_text(a_card("first").model_copy(update=judged).model_dump_json())
        with site.api(site.add_teams("New")["New"]) as api:
            assert api.get("/entries").json()["entries"] == []
            entry = api.post("/submissions", content=bundle_that("score")).json()["id"]
            assert parts.worker(once=True).wait(60) == 0
            time.sleep(2.1)
            assert [one["id"] for one in api.get("/entries").json()["entries"]] == [entry]
        parts.close()
