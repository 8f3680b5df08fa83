"""Boards of hundreds: every entry is on one page, names are found across pages, and what stays is not made again."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from arena_parts import Parts, now
from arena_site import Site, running
from latentarena.arena.contest_files import load_contest
from latentarena.arena.store import Outcome
from latentarena.contest import entries as contest_entries
from latentarena.contest.board import Board
from latentarena.errors import NotThere
from latentarena.web.board import KEPT, BoardPages
from latentarena.web.desk import Desk
from latentarena.web.frame import PageFrame
from latentarena.web.rejudge import comparison
from latentarena.web.routing import Role
from score_cards import made_card
from stored_entries import add_entry, keep_one

OPEN = load_contest("open")
MANY = 230
ROW = r'<tr id="([0-9a-f]+)"'


def score(parts: Parts, name: str, i: int, card: str = "") -> str:
    """An entry that was scored, with a card of its own figures or the one that is given."""
    one = parts.hand_in(parts.team(name), f"{i} of {name}")
    job = parts.queue.claim("tests", now())
    assert job is not None
    made = made_card(f"model {i}", mse=0.01 + i / 1e5)
    content = card or made.model_dump_json()
    end = Outcome(made.model, "native", made.judge, made.source, made.fingerprint, "2", content, "{}", {})
    assert parts.queue.finish(job, end, now())
    return one


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, list[str]]]:
    """A site of so many scored entries, and their ids."""
    folder = tmp_path_factory.mktemp("site")
    parts = Parts(f"sqlite:///{folder / 'arena.db'}", folder)
    with parts.database.writing() as session:
        entries = [add_entry(session, i, f"Team {i:03d}") for i in range(MANY)]
    keep_one(parts)
    parts.close()
    with running(folder) as site:
        yield site, entries


def test_every_entry_is_on_one_page_of_the_board(full: tuple[Site, list[str]]) -> None:
    site, entries = full
    with httpx.Client(base_url=site.url, timeout=60) as http:
        pages = [http.get(f"/?page={number}").text for number in (1, 2, 3)]
        found = [re.findall(ROW, page) for page in pages]
        assert [len(page) for page in found] == [100, 100, 30]
        assert sorted(one for page in found for one in page) == sorted(entries)
        assert all(f"{MANY} ranked" in page for page in pages)
        assert f"Page 2 of 3, {MANY} in all" in pages[1]
        assert f'href="/?page=2#{found[1][0]}"' in http.get(f"/entries/{found[1][0]}").text
        assert f'href="/#{found[0][0]}"' in http.get(f"/entries/{found[0][0]}").text


def test_a_name_is_found_on_all_pages(full: tuple[Site, list[str]]) -> None:
    site, entries = full
    with httpx.Client(base_url=site.url, timeout=60) as http:
        assert re.findall(ROW, http.get("/?find=team 229").text) == [entries[229]]
        assert len(re.findall(ROW, http.get("/?find=Team 22").text)) == 10
        none = http.get("/", params={"find": "<b>nobody"}).text
        assert "0 found for “&lt;b&gt;nobody”" in none
        assert http.get("/?find=" + "x" * 81).status_code == 422


def test_comparing_names_a_hundred_entries_and_any_that_is_looked_for(full: tuple[Site, list[str]]) -> None:
    site, entries = full
    with httpx.Client(base_url=site.url, timeout=60) as http:
        page = http.get("/compare").text
        assert page.count("<option") == 2 * 100
        assert f"{MANY} entries; these are the first." in page
        page = http.get(f"/compare?find=team 229&a={entries[3]}").text
        assert set(re.findall(r'<option value="([0-9a-f]+)"', page)) == {entries[3], entries[229]}
        assert http.get(f"/compare?a={entries[3]}&b={entries[229]}").status_code == 200


def test_programs_read_the_board_whole_or_by_pages(full: tuple[Site, list[str]]) -> None:
    site, entries = full
    with site.api() as api:
        whole = Board.model_validate(api.get("/board").json())
        assert [line.place for line in whole.lines] == sorted(line.place or 0 for line in whole.lines)
        assert {line.id for line in whole.listed} == set(entries)
        second = api.get("/board?page=2")
        assert second.headers["X-Total-Count"] == str(MANY)
        assert second.headers["Link"] == '</api/v1/board?page=3>; rel="next"'
        assert Board.model_validate(second.json()).lines == whole.lines[100:200]
    assert len(httpx.get(f"{site.url}/board.csv", timeout=60).text.splitlines()) == 1 + MANY


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    made = Parts(f"sqlite:///{tmp_path / 'arena.db'}", tmp_path)
    yield made
    made.close()


def test_an_entry_that_did_not_change_is_not_made_again(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    first, made = score(parts, "First", 1), []
    real = contest_entries.entry_of

    def counted(*arguments: Any, **named: Any) -> Any:
        made.append(arguments[2])
        return real(*arguments, **named)

    monkeypatch.setattr(contest_entries, "entry_of", counted)
    desk = Desk(parts.store, parts.objects, OPEN)
    assert [one.team for one in desk.entries.all(OPEN)] == ["First"]
    second = score(parts, "Second", 2)
    assert [one.team for one in desk.entries.all(OPEN)] == ["First", "Second"]
    assert made == [first, second]
    team = parts.store.submissions.one(first).team.id
    parts.store.teams.change(team, "tests", now(), name="Renamed")
    assert [one.team for one in desk.entries.all(OPEN)] == ["Renamed", "Second"]
    assert made == [first, second, first]
    parts.store.submissions.erase(second, "tests", now())
    assert [one.team for one in desk.entries.all(OPEN)] == ["Renamed"]
    assert len(desk.entries._parsed) == 1


def test_a_card_that_cannot_be_read_is_left_out_and_the_board_stands(
    parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    raw = json.loads(made_card("old").model_dump_json())
    raw["scores"]["mse"]["value"] = -7.0  # as a version without ranges may have kept it
    old = score(parts, "Old", 1, json.dumps(raw))
    score(parts, "New", 2)
    board = BoardPages(Desk(parts.store, parts.objects, OPEN), PageFrame(OPEN))._make().board
    assert [line.team for line in board.listed] == ["New"]
    assert old != board.lines[0].id
    assert "is left out" in caplog.text
    with pytest.raises(NotThere, match="its score card cannot be read"):
        Desk(parts.store, parts.objects, OPEN).shown(old)
    assert [one.team for one in comparison(Desk(parts.store, parts.objects, OPEN)).entries] == ["New"]


def test_however_many_forms_are_asked_for_few_are_kept_and_the_first_page_stays(parts: Parts) -> None:
    score(parts, "One", 1)
    made = BoardPages(Desk(parts.store, parts.objects, OPEN), PageFrame(OPEN))._make()

    async def ask() -> None:
        first = await made.page(Role.PUBLIC, 1, "")
        for i in range(KEPT + 10):
            packed = await made.page(Role.PUBLIC, 1, f"o{i}")
            assert gzip.decompress(packed.gzip) == packed.plain
        assert await made.page(Role.PUBLIC, 1, "") is first

    asyncio.run(ask())
    assert len(made._packed) == KEPT
