"""The API on a real site: submissions that stay one, limits, other teams' things, faults of disk and database."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from arena_parts import Parts, a_card, bundle_that, until
from arena_site import Site, running
from latentarena.arena.client import Client
from latentarena.contest.board import Board
from latentarena.errors import ArenaError

JUDGE = "67cf626b32b2".ljust(64, "0")  # passes for the official judge's hash
HOSTILE = "=cmd|' /C calc'!A0<script>alert(1)</script>"


@pytest.fixture(params=["sqlite", "postgres"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    db = request.getfixturevalue("postgres").new_database() if request.param == "postgres" else None
    with running(tmp_path, db=db) as found:
        yield found


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Site]:
    with running(tmp_path) as found:
        yield found


def bundle(folder: Path, word: str) -> Path:
    path = folder / f"{abs(hash(word))}.zip"
    path.write_bytes(bundle_that(word))
    return path


def test_a_submission_is_one_however_often_it_is_sent(site: Site, tmp_path: Path) -> None:
    """Row 37, at once and one after the other, as a body and as a form."""
    tokens = site.add_teams("One", "Two")
    path = bundle(tmp_path, "score")
    with Client(site.url, tokens["One"]) as client, ThreadPoolExecutor(8) as pool:
        ids = {one["id"] for one in pool.map(lambda _: client.submit(path), range(8))}
        assert len(ids) == 1
    with site.api(tokens["One"]) as api:
        form = api.post("/submissions", files={"bundle": ("../../etc/passwd", path.read_bytes(), "application/zip")})
        assert (form.status_code, form.json()["id"]) == (200, *ids)
        assert len(api.get("/submissions").json()["submissions"]) == 1
    with Client(site.url, tokens["Two"]) as client:
        assert client.submit(path)["id"] not in ids
    assert len([one for one in (site.folder / "objects").rglob("*") if one.is_file()]) == 1


def test_another_team_s_submissions_and_bundles_do_not_exist(site: Site, tmp_path: Path) -> None:
    """Row 32, before and after scoring; and what a stranger named becomes inert text on every page and in the CSV."""
    tokens = site.add_teams("One", "Two")
    with Client(site.url, tokens["One"]) as client:
        own = client.submit(bundle(tmp_path, "score"))["id"]
    paths = [f"/api/v1/submissions/{own}", f"/submissions/{own}", f"/submissions/{own}/status"]
    browser = site.browser(tokens["Two"])
    other = browser.http
    assert [other.get(path).status_code for path in paths] == [404] * 3
    for action in ("choose", "publish", "withhold"):
        assert browser.send("/logout", f"/submissions/{own}/{action}").status_code == 404
    score(site)
    assert [other.get(path).status_code for path in paths] == [404] * 3
    assert other.get(f"/entries/{own}/bundle").status_code == 404
    until(lambda: HOSTILE[:10] in httpx.get(f"{site.url}/board.csv").text)
    for path in ("/", f"/entries/{own}", "/compare"):
        assert "<script>alert" not in other.get(path).text
    csv = httpx.get(f"{site.url}/board.csv").text
    assert f"'{HOSTILE[:12]}" in csv
    assert site.browser(tokens["One"]).http.get(f"/entries/{own}/bundle").status_code == 200
    assert site.browser().get(f"/entries/{own}").status_code == 200
    Board.model_validate(httpx.get(f"{site.url}/api/v1/board").json())


def score(site: Site) -> None:
    """Have what waits scored by a real worker; the model's name is hostile."""
    parts = Parts(site.db, site.folder)
    card = a_card(HOSTILE).model_copy(update={"judge_hash": JUDGE})
    parts.card.write_text(card.model_dump_json())
    assert parts.worker(once=True).wait(60) == 0
    parts.close()


def test_too_much_is_429_and_says_when_to_come_back(plain: Site, tmp_path: Path) -> None:
    """Row 31: a burst by one team, and the contest's quota."""
    tokens = plain.add_teams("Eager", "Calm")
    with plain.api(tokens["Eager"]) as api:
        answers = [api.post("/submissions", content=bundle_that(str(i))) for i in range(12)]
    assert [one.status_code for one in answers[:10]] == [201] * 10
    assert {one.status_code for one in answers[10:]} == {429}
    assert int(answers[-1].headers["Retry-After"]) > 0
    with plain.api(tokens["Calm"]) as api:
        assert api.post("/submissions", content=bundle_that("calm")).status_code == 201
    with Client(plain.url, tokens["Eager"]) as client, pytest.raises(ArenaError, match=r"429.*too many submissions"):
        client.submit(bundle(tmp_path, "more"))


def test_a_full_disk_is_507_and_reads_go_on(tmp_path: Path) -> None:
    """Row 36: no file may grow beyond what the database needs."""
    with running(tmp_path, largest=1 << 20) as site:
        token = site.add_teams("Heavy")["Heavy"]
        with site.api(token) as api:
            refused = api.post("/submissions", content=os.urandom(3 << 20))
            assert refused.status_code == 507
            assert "disk is full" in refused.json()["detail"]
            assert api.get("/board").status_code == 200
            assert api.post("/submissions", content=bundle_that("small")).status_code == 201
        assert list((site.folder / "objects" / "parts").iterdir()) == []


def test_a_busy_database_is_503_and_reads_go_on(plain: Site) -> None:
    """Row 36: another process holds the write lock."""
    token = plain.add_teams("Patient")["Patient"]
    lock = sqlite3.connect(plain.folder / "arena.db", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    with plain.api(token) as api:
        refused = api.post("/submissions", content=bundle_that("busy"))
        assert refused.status_code == 503
        assert int(refused.headers["Retry-After"]) > 0
        assert api.get("/board").status_code == 200
        assert api.get("/submissions").json() == {"submissions": []}
        lock.execute("ROLLBACK")
        assert api.post("/submissions", content=bundle_that("busy")).status_code == 201


def test_what_was_acknowledged_outlives_a_killed_server(tmp_path: Path) -> None:
    """Row 35: the server is killed while bundles arrive; those it answered for are there, and no others."""
    with running(tmp_path) as site:
        token = site.add_teams("Sender")["Sender"]
        known = []
        with site.api(token) as api:
            for _ in range(4):
                known.append(api.post("/submissions", content=bundle_that("score", os.urandom(1 << 18))).json()["id"])
        with socket.create_connection(("127.0.0.1", site.port)) as half:
            lines = f"Authorization: Bearer {token}\r\nContent-Length: 1000000\r\n"
            half.sendall(f"POST /api/v1/submissions HTTP/1.1\r\nHost: arena\r\n{lines}\r\n".encode() + bytes(300_000))
            time.sleep(0.3)
            children = psutil.Process(site.process.pid).children(recursive=True)
            site.process.kill()
            _, left = psutil.wait_procs(children, 10)
        assert left == []  # the serving process does not outlive its parent
    with running(tmp_path) as again, again.api(token) as api:
        found = api.get("/submissions").json()["submissions"]
        assert sorted(one["id"] for one in found) == sorted(known)
        for one in found:
            assert (tmp_path / "objects" / one["digest"][:2] / one["digest"]).stat().st_size == one["size"]


def test_schemathesis_finds_no_server_error(plain: Site) -> None:
    """Requests made up from the API's own description, in a process of their own."""
    token = plain.add_teams("Fuzzers")["Fuzzers"]
    for who in (token, plain.organiser):
        command = ["schemathesis", "run", f"{plain.url}/api/v1/openapi.json", "--checks", "not_a_server_error"]
        command += ["--max-examples", "8", "--phases", "examples,coverage,fuzzing", "--seed", "1", "--no-color"]
        command += ["--header", f"Authorization: Bearer {who}"]
        scripts = Path(sys.executable).parent
        done = subprocess.run(
            [scripts / command[0], *command[1:]], cwd=plain.folder, capture_output=True, text=True, timeout=200
        )
        assert done.returncode == 0, done.stdout[-3000:]
        assert '"status": 500' not in (plain.folder / "log").read_text()
