"""What is received and what is not, on a real site: deadlines, quotas, tokens that end while a bundle is on its way."""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest

from arena_parts import Parts, bundle_that, now
from arena_site import Site, running
from latentarena.contest.contest import Quotas
from receiving import a_contest, objects

PATH = "/api/v1/submissions"
SIZE = 300_000


def send_slowly(site: Site, token: str, ends: datetime) -> bytes:
    """Begin an upload now, and end it at some time; the answer."""
    lines = f"Host: arena\r\nAuthorization: Bearer {token}\r\nContent-Length: {SIZE}\r\nConnection: close\r\n"
    with socket.create_connection(("127.0.0.1", site.port), 30) as connection:
        connection.sendall(f"POST {PATH} HTTP/1.1\r\n{lines}\r\n".encode() + bytes(SIZE - 1000))
        while now() < ends:
            time.sleep(0.05)
        connection.sendall(os.urandom(1000))
        answer = b""
        while piece := connection.recv(1 << 16):
            answer += piece
    return answer


def send_form_slowly(site: Site, token: str, ends: datetime) -> bytes:
    """The same as a form, chunk by chunk."""

    def pieces() -> Iterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="bundle"; filename="x"\r\n\r\nPK late'
        while now() < ends:
            time.sleep(0.05)
        yield b"\r\n--b--\r\n"

    headers = {"Authorization": f"Bearer {token}", "Content-Type": "multipart/form-data; boundary=b"}
    answer = httpx.post(f"{site.url}{PATH}", content=pieces(), headers=headers, timeout=30)
    return f"HTTP/1.1 {answer.status_code} {answer.text}".encode()


@contextmanager
def closing_soon(folder: Path) -> Iterator[tuple[Site, datetime]]:
    """A site whose contest is open for some seconds more; a busy machine may take long to start it."""
    for seconds in (6, 12, 25, 50):
        closes = now() + timedelta(seconds=seconds)
        home = folder / str(seconds)
        home.mkdir()
        with running(home, a_contest(home, closes=closes.isoformat())) as site:
            if now() < closes - timedelta(seconds=2.5):
                yield site, closes
                return


def test_what_begins_before_the_close_and_ends_after_it_is_late(tmp_path: Path) -> None:
    """The closing moment is compared with the time at which all of the bundle is on disk."""
    with closing_soon(tmp_path) as (site, closes), ThreadPoolExecutor(2) as pool:
        token = site.add_teams("Late")["Late"]
        with site.api(token) as api:
            early = api.post("/submissions", content=bundle_that("early"))
            assert early.status_code == 201
        assert now() < closes
        ends = closes + timedelta(seconds=0.5)
        for sent in [pool.submit(send, site, token, ends) for send in (send_slowly, send_form_slowly)]:
            said = sent.result().decode()
            assert said.startswith("HTTP/1.1 403 ")
            assert "the contest closed" in said
            assert re.search(r"has arrived, which was [-\d]+ \d\d:\d\d:\d\d UTC", said)  # to the second
        with site.api(token) as api:
            listed = api.get("/submissions").json()["submissions"]
        assert [one["id"] for one in listed] == [early.json()["id"]]
        assert len(objects(site)) == 1


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One in which no test of this file leaves a bundle."""
    with running(tmp_path_factory.mktemp("site")) as found:
        yield found


def test_a_token_that_is_revoked_while_its_bundle_is_on_its_way_hands_nothing_in(site: Site) -> None:
    with ThreadPoolExecutor(1) as pool:
        token = site.add_teams("Gone")["Gone"]
        sent = pool.submit(send_slowly, site, token, now() + timedelta(seconds=1.5))
        time.sleep(0.5)
        parts = Parts(site.db, site.folder)
        parts.store.tokens.revoke(parts.team("Gone"), "tests", now())
        parts.close()
        assert sent.result().startswith(b"HTTP/1.1 401 ")
        assert objects(site) == []


def test_what_is_over_the_quota_leaves_nothing_behind(tmp_path: Path) -> None:
    """Eight at once, of which the quota takes two: what is refused is in no folder, and the page says what is left."""
    with running(tmp_path, a_contest(tmp_path, quotas="{total: 2}")) as site:
        token = site.add_teams("Eager")["Eager"]
        assert "may hand in 2 more now" in site.browser(token).get("/submit").text

        def send(i: int) -> int:
            with site.api(token) as api:
                return api.post("/submissions", content=bundle_that(str(i), bytes(100_000))).status_code

        with ThreadPoolExecutor(8) as pool:
            statuses = sorted(pool.map(send, range(8)))
        assert statuses == [201] * 2 + [429] * 6
        assert len(objects(site)) == 2
        assert "may hand in 0 more now" in site.browser(token).get("/submit").text


def test_a_team_of_many_entries_reads_what_its_quota_leaves(tmp_path: Path) -> None:
    """Beyond the length at which the list of its entries is cut off."""
    with running(tmp_path, a_contest(tmp_path, quotas="{total: 300}")) as site:
        token, parts = site.add_teams("Busy")["Busy"], Parts(site.db, site.folder)
        team = parts.team("Busy")
        for i in range(250):
            parts.store.submissions.add(team, f"{i:064x}", 9, "official", Quotas(total=300), now())
        parts.close()
        assert "may hand in 50 more now" in site.browser(token).get("/submit").text


def test_a_form_of_many_parts_is_refused_before_it_costs_time(site: Site) -> None:
    """700,000 parts of a few bytes each took half a minute in which nobody else was served."""
    token = site.add_teams("Parts")["Parts"]
    body = b"--b\r\nA: b\r\n\r\n\r\n" * 700_000 + b"--b--\r\n"
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "multipart/form-data; boundary=b"}
    began = time.monotonic()
    try:
        answer = httpx.post(f"{site.url}{PATH}", content=body, headers=headers, timeout=60)
        assert answer.status_code == 413
        assert "parts" in answer.json()["detail"]
    except httpx.TransportError:  # it was cut off while it was still being sent
        pass
    assert httpx.get(f"{site.url}/api/v1/board", timeout=60).status_code == 200
    assert time.monotonic() - began < 5
    assert objects(site) == []


def test_what_is_nested_or_of_many_fields_is_a_refusal(site: Site) -> None:
    """Other bodies that cost a parser more than their size."""
    with httpx.Client(base_url=site.url, timeout=60) as client:
        began = time.monotonic()
        deep = {"Authorization": f"Bearer {site.organiser}", "Content-Type": "application/json"}
        assert client.post("/api/v1/teams", content=b"[" * 200_000, headers=deep).status_code in (400, 422)
        wide = {"Content-Type": "application/x-www-form-urlencoded"}
        assert client.post("/login", content=b"a=&" * 80_000, headers=wide).status_code in (400, 413, 422)
        assert time.monotonic() - began < 5
