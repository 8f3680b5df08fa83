"""kill -9 of the server while an upload is on its way (row 35); the same bundle twice (row 37); on both databases."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import psutil
import pytest

from arena_parts import bundle_that, until
from arena_site import Site, running

SIZE = 3_000_000


def kill(site: Site) -> None:
    """SIGKILL to the server and all its processes."""
    parent = psutil.Process(site.process.pid)
    for one in [*parent.children(recursive=True), parent]:
        one.kill()
    site.process.wait()


def begin_upload(site: Site, token: str) -> socket.socket:
    """Two thirds of a body, and then nothing."""
    connection = socket.create_connection(("127.0.0.1", site.port))
    head = f"POST /api/v1/submissions HTTP/1.1\r\nHost: arena\r\nAuthorization: Bearer {token}\r\n"
    head += f"Content-Type: application/zip\r\nContent-Length: {SIZE}\r\n\r\n"
    connection.sendall(head.encode() + b"PK\x03\x04" + bytes(SIZE * 2 // 3))
    return connection


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_server_killed_mid_upload_keeps_what_it_acknowledged_and_nothing_of_the_rest(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    db = request.getfixturevalue("postgres").new_database() if kind == "postgres" else None
    parts, bundle = tmp_path / "objects" / "parts", bundle_that("score", bytes(1000))
    with running(tmp_path, db=db) as site:
        token = site.add_teams("One")["One"]
        with site.api(token) as api:
            first, again = (api.post("/submissions", content=bundle) for _ in range(2))
        assert [first.status_code, again.status_code] == [201, 200]
        assert first.json()["id"] == again.json()["id"]
        with begin_upload(site, token):
            until(lambda: any(path.stat().st_size > SIZE // 3 for path in parts.iterdir()))
            kill(site)
    [left] = parts.iterdir()
    os.utime(left, (0, 0))  # as old as it is when it is swept
    with running(tmp_path, db=db) as site, site.api(token) as api:
        assert [one["id"] for one in api.get("/submissions").json()["submissions"]] == [first.json()["id"]]
        assert list(parts.iterdir()) == []
        assert api.post("/submissions", content=bundle).status_code == 200
    files = [path for path in (tmp_path / "objects").rglob("*") if path.is_file()]
    assert [path.read_bytes() for path in files] == [bundle]
