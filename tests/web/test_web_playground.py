"""Drawing on a real site: one visitor's flood holds nobody up, and everybody is told their place at once."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from arena_parts import Parts, until
from arena_site import Site, running
from latentarena.arena.client import pack
from latentarena.arena.playground import OF_ONE
from untrained import native

FLOOD = 55


@pytest.fixture
def drawn(tmp_path: Path) -> Iterator[tuple[Site, str]]:
    """A site and the address of an entry's playground; the model is small, and loaded already."""
    model = (
        "autoencoder={kind: mlp, latent: [6], widths: [16]}",
        "generator={backbone: {kind: mlp, width: 16, depth: 1}}",
    )
    native(tmp_path / "bundle", "quickstart-digits", "data={name: mnist}", *model)
    with running(tmp_path) as site:
        parts = Parts(site.db, site.folder)
        content = pack(tmp_path / "bundle")
        with site.api(site.add_teams("Painters")["Painters"]) as api:
            entry = api.post("/submissions", content=content).json()["id"]
        assert parts.worker(once=True).wait(60) == 0
        parts.close()
        here = f"{site.url}/entries/{entry}/play"
        first = httpx.get(here, timeout=30)
        assert first.status_code == 200 or first.headers["Refresh"] == "1"
        until(lambda: httpx.get(here, timeout=30).status_code == 200, 90)
        yield site, here


def test_a_flood_of_animations_stalls_nobody(drawn: tuple[Site, str]) -> None:
    site, here = drawn
    as_json = {"Accept": "application/json"}

    def asked(seed: int) -> tuple[httpx.Response, float]:
        began = time.monotonic()
        found = httpx.get(f"{here}/becoming?steps=100&seed={seed}", headers=as_json, timeout=60)
        return found, time.monotonic() - began

    with ThreadPoolExecutor(FLOOD) as pool, site.api() as other:
        flood = [pool.submit(asked, seed) for seed in range(FLOOD)]
        waits = []
        while not all(one.done() for one in flood):
            began = time.monotonic()
            assert other.get("/board").status_code == 200
            waits.append(time.monotonic() - began)
            time.sleep(0.02)
    answers = [one.result()[0] for one in flood]
    statuses = [one.status_code for one in answers]
    assert set(statuses) <= {200, 202, 429}
    assert statuses.count(202) > 1
    places = [one.json()["place"] for one in answers if one.status_code == 202]
    assert 5 < max(places) <= OF_ONE + 1
    assert all(one.headers["Retry-After"] == "1" for one in answers if one.status_code != 200)
    assert sorted(waits)[len(waits) // 2] < 1.0
    assert max(one.result()[1] for one in flood) < 20  # on a busy machine; the drawings themselves take longer
    waiting = next(seed for seed, status in enumerate(statuses) if status == 202)
    until(lambda: asked(waiting)[0].headers["content-type"] == "image/gif")
    assert asked(waiting)[1] < 1.0  # from the cache


def test_a_picture_that_waits_is_a_picture_of_its_place(drawn: tuple[Site, str]) -> None:
    """For browsers without scripts."""
    _, here = drawn
    address = f"{here}/becoming?steps=100&seed=7"
    seen = []
    until(lambda: seen.append(httpx.get(address)) or seen[-1].status_code == 200)
    for one in seen[:-1]:
        assert one.status_code == 202
        assert one.headers["content-type"] == "image/svg+xml"
        assert "being drawn" in one.text or "in the queue" in one.text
        assert one.headers["cache-control"] == "no-store"
    assert seen[-1].headers["content-type"] == "image/gif"
    assert "private" in seen[-1].headers["cache-control"]


def test_visitors_who_leave_in_the_middle_of_a_drawing_stop_nobody(drawn: tuple[Site, str]) -> None:
    """Connections end while a drawing is asked for, waited for and sent: the next visitor gets the next one."""
    site, here = drawn
    path = here.removeprefix(site.url)
    for seed in range(30):
        with socket.create_connection(("127.0.0.1", site.port), timeout=10) as line:
            line.sendall(f"GET {path}/becoming?steps=50&seed={seed} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            time.sleep(0.01 * seed)
            if seed % 2:  # not a farewell, but a reset
                line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    until(lambda: httpx.get(f"{here}/becoming?steps=50&seed=99", timeout=30).status_code == 200)
    assert httpx.get(f"{here}/becoming?steps=50&seed=0", timeout=30).status_code in (200, 202)
    assert "Traceback" not in (site.folder / "log").read_text()
