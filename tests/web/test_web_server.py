"""The server under bad clients, by raw sockets: slow and huge headers, oversized, cut and malformed bodies."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator

import httpx
import psutil
import pytest

from arena_site import Site, running
from latentarena.arena.contest_files import load_contest

LIMIT = load_contest("open").quotas.bytes
SLOW = 200


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running(tmp_path_factory.mktemp("site")) as found:
        yield found


@pytest.fixture(scope="module")
def token(site: Site) -> str:
    return site.add_teams("Raw Sockets")["Raw Sockets"]


def talk(site: Site, sent: bytes, patience: float = 10) -> bytes:
    """Everything the server answers until it closes the connection; `(open)` at the end if it did not."""
    with socket.create_connection(("127.0.0.1", site.port), patience) as connection:
        answer = b""
        try:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR) if sent.endswith(b"(cut)") else None
            while piece := connection.recv(1 << 16):
                answer += piece
        except TimeoutError:
            answer += b"(open)"
        except ConnectionError:
            pass
        return answer


def head(path: str, token: str, *lines: str) -> bytes:
    listed = "".join(f"{line}\r\n" for line in (f"Authorization: Bearer {token}", *lines))
    return f"POST {path} HTTP/1.1\r\nHost: arena\r\n{listed}\r\n".encode()


def test_slow_headers_harm_nobody_and_are_cut_off(site: Site) -> None:
    """Row 29: so many connections that send a header a second, for ever."""
    began = time.monotonic()
    slow = [socket.create_connection(("127.0.0.1", site.port), 20) for _ in range(SLOW)]
    ended: list[float] = []
    stop = threading.Event()

    def drip() -> None:
        alive = list(slow)
        for connection in alive:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: arena\r\n")
            connection.setblocking(False)
        while alive and not stop.is_set():
            for connection in list(alive):
                try:
                    if connection.recv(1024) == b"":
                        raise ConnectionError
                except BlockingIOError:
                    try:
                        connection.send(b"X-Slow: 1\r\n")
                    except OSError:
                        alive.remove(connection)
                        ended.append(time.monotonic() - began)
                except OSError:
                    alive.remove(connection)
                    ended.append(time.monotonic() - began)
            time.sleep(0.25)

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        with httpx.Client(base_url=site.url, timeout=5) as other:
            waits = []
            while thread.is_alive() and time.monotonic() - began < 12:
                start = time.monotonic()
                assert other.get("/rules").status_code == 200
                waits.append(time.monotonic() - start)
                time.sleep(0.05)
    finally:
        stop.set()
        thread.join(20)
        for connection in slow:
            connection.close()
    assert len(ended) == SLOW
    assert max(ended) <= 10
    assert sorted(waits)[len(waits) // 2] < 0.1


def test_a_header_of_two_megabytes_is_refused(site: Site) -> None:
    answer = talk(site, b"GET / HTTP/1.1\r\nHost: arena\r\nX-Big: " + b"a" * 2_000_000 + b"\r\n\r\n")
    assert answer == b"" or answer.startswith(b"HTTP/1.1 431 ")
    answer = talk(site, b"GET / HTTP/1.1\r\nHost: arena\r\n" + b"a: b\r\n" * 3000 + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 431 ")


def test_a_declared_oversize_is_refused_before_it_is_sent(site: Site, token: str) -> None:
    answer = talk(site, head("/api/v1/submissions", token, f"Content-Length: {LIMIT + (1 << 20)}"))
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert not answer.endswith(b"(open)")
    answer = talk(site, head("/login", token, "Content-Length: 1000000"))
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_chunked_overflow_is_cut_off_and_memory_stays_flat(site: Site, token: str) -> None:
    """Row 28: the body is written as it comes; at the limit the connection ends."""
    server = psutil.Process(site.process.pid)
    family = [server, *server.children(recursive=True)]
    before = sum(one.memory_info().rss for one in family)
    piece = b"100000\r\n" + os.urandom(1 << 20) + b"\r\n"
    peak = sent = 0
    with socket.create_connection(("127.0.0.1", site.port), 20) as connection:
        connection.sendall(head("/api/v1/submissions", token, "Transfer-Encoding: chunked"))
        try:
            while sent < 3 * LIMIT:
                connection.sendall(piece)
                sent += 1 << 20
                peak = max(peak, sum(one.memory_info().rss for one in family) - before)
        except ConnectionError:
            pass
    assert sent < LIMIT + (16 << 20)
    assert peak < 24 << 20
    left = [path for path in (site.folder / "objects").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in left) < LIMIT


@pytest.mark.parametrize("kind", ["short", "nonsense chunks", "no such form", "no end", "two files", "empty"])
def test_a_malformed_upload_is_a_clear_refusal_and_leaves_nothing(site: Site, token: str, kind: str) -> None:
    path = "/api/v1/submissions"
    form = "Content-Type: multipart/form-data; boundary=b"
    part = b'--b\r\nContent-Disposition: form-data; name="bundle"; filename="x"\r\n\r\nPK a file\r\n'
    twice = part + part + b"--b--\r\n"
    sent = {
        "short": head(path, token, "Content-Length: 100") + b"PK(cut)",
        "nonsense chunks": head(path, token, "Transfer-Encoding: chunked") + b"zz\r\nhello\r\n",
        "no such form": head(path, token, form, "Content-Length: 9") + b"not a form"[:9],
        "no end": head(path, token, form, f"Content-Length: {len(part)}") + part,
        "two files": head(path, token, form, f"Content-Length: {len(twice)}") + twice,
        "empty": head(path, token, "Content-Length: 0"),
    }[kind]
    answer = talk(site, sent, 2)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400 "), answer
    with site.api(token) as api:
        assert api.get("/submissions").json() == {"submissions": []}
    assert [path for path in (site.folder / "objects").rglob("*") if path.is_file()] == []
