"""Lists of ten thousand: every row is on a page, every page is quick, and programs read them all."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import insert

from arena_parts import Parts, now
from arena_site import Site, running
from latentarena.arena.client import Client
from latentarena.arena.store.models import AuditRow, JobRow, SubmissionRow, TeamRow
from stored_entries import keep_one

MANY = 10_000
SECONDS = 3.0  # for a page, on a busy machine; a whole list takes longer


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, str]]:
    """A site of ten thousand teams, submissions that wait and lines of audit, with the token of their team."""
    folder = tmp_path_factory.mktemp("site")
    parts = Parts(f"sqlite:///{folder / 'arena.db'}", folder)
    team, came = parts.team("Tireless"), now()
    moments = [came + timedelta(milliseconds=i) for i in range(MANY)]
    texts = {"name": "", "form": "", "reason": "", "sentence": "", "log": "", "public": False, "chosen": False}
    state = {"state": "queued", "judge": "official", "kind": "evaluate", "owner": "", "fence": 0, "deaths": 0}
    rows = {
        TeamRow: [
            {"id": f"t{i}", "name": f"Team {i:05d}", "skeleton": f"t{i}", "members": '["x"]', "created": when}
            for i, when in enumerate(moments)
        ],
        SubmissionRow: [
            {"id": f"s{i:05d}", "team": team, "received": when, "digest": f"{i:064x}", "size": 1, "state": "queued"}
            | texts
            for i, when in enumerate(moments)
        ],
        AuditRow: [
            {"at": when, "actor": "tests", "action": "count", "subject": str(i), "detail": ""}
            for i, when in enumerate(moments)
        ],
        JobRow: [
            {"id": f"j{i}", "submission": f"s{i:05d}", "created": when, "not_before": when} | state
            for i, when in enumerate(moments)
        ],
    }
    with parts.database.writing() as session:
        for table, made in rows.items():
            session.execute(insert(table), made)
    keep_one(parts)
    token = parts.store.tokens.new(team, "", "tests", now())
    parts.close()
    with running(folder) as site:
        yield site, token


def walk(http: httpx.Client, path: str, row: str) -> list[str]:
    """The first group of a pattern in all pages of a list, by the links from one to the next."""
    found: list[str] = []
    while path:
        began = time.monotonic()
        answer = http.get(path)
        assert answer.status_code == 200
        assert time.monotonic() - began < SECONDS
        found += re.findall(row, answer.text)
        following = re.search(r'rel="next" href="([^"]+)"', answer.text)
        path = following[1].replace("&amp;", "&") if following else ""
    return found


def test_every_row_is_on_some_page(full: tuple[Site, str]) -> None:
    site, token = full
    organiser, team = site.browser(site.organiser).http, site.browser(token).http
    lines = walk(organiser, "/organiser/audit?page=60", r'data-label="On">(\d+)<')
    assert set(map(str, range(4000))) <= set(lines)
    teams = walk(organiser, "/organiser?page=60", r'scope="row">(Team \d+)<')
    assert {f"Team {i:05d}" for i in range(6000, MANY)} <= set(teams)
    for http, path in (
        (organiser, "/organiser/entries?group=waiting&page=90"),
        (organiser, "/organiser/entries?page=90"),
        (team, "/team?page=90"),
    ):
        entries = walk(http, path, r'href="/submissions/(s\d+)"')
        assert {f"s{i:05d}" for i in range(1000)} <= set(entries), path
    assert "10,000" in organiser.get("/organiser/entries?group=waiting").text
    assert "None." in organiser.get("/organiser/entries?group=scored").text
    assert organiser.get("/organiser/entries?group=nonsense").status_code == 404
    assert organiser.get("/organiser/audit?page=0").status_code == 422
    assert organiser.get("/organiser/audit?page=999999").status_code == 200  # the last


def test_programs_read_lists_page_by_page(full: tuple[Site, str]) -> None:
    site, token = full
    with Client(site.url, token) as client:
        ids = [one["id"] for one in client.submissions()]
    assert ids == [f"s{i:05d}" for i in reversed(range(MANY))]
    with site.api(site.organiser) as api:
        first, last = (api.get("/teams", params={"page": page}) for page in (1, 101))
    assert [len(one.json()["teams"]) for one in (first, last)] == [100, 1]
    assert first.headers["X-Total-Count"] == str(MANY + 1)
    assert first.links["next"]["url"] == "/api/v1/teams?page=2"
    assert last.links == {}


def test_places_in_the_queue_are_told_of_a_page_at_once(full: tuple[Site, str]) -> None:
    """Not by a count of all that waits for each row."""
    site, _ = full
    parts = Parts(site.db, site.folder)
    began = time.monotonic()
    shown = parts.store.submissions.latest(limit=100, offset=5000)
    assert time.monotonic() - began < SECONDS
    assert [one.ahead for one in shown] == [MANY - 5001 - i for i in range(100)]
    assert shown[0].ahead == parts.store.submissions.one(shown[0].id).ahead
    parts.close()
