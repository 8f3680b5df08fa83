"""Downloads from a real HTTP server on this machine: mirrors in turn, checked content, nothing bad left behind."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from idx_files import Files, packed, refused, tiny_entry, tiny_files
from latentarena.data.catalog import FILES, CatalogEntry
from latentarena.data.find import load_idx, where
from latentarena.errors import DataMissing


class Mirror(ThreadingHTTPServer):
    """Serves `bodies` by path and counts what it is asked for; paths in `cut` lose their second half on the way."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.bodies: dict[str, bytes] = {}
        self.cut: set[str] = set()
        self.asked: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"

    def hold(self, files: Files, pack: Callable[[bytes], bytes] = packed, under: str = "") -> None:
        """Offer the files, gzipped."""
        self.bodies |= {f"/{under}{name}.gz": pack(content) for name, content in files.items()}


class Handler(BaseHTTPRequestHandler):
    """Answers for a `Mirror`."""

    server: Mirror

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        body = self.server.bodies.get(self.path)
        if body is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if self.path in self.server.cut else body)

    def log_message(self, *_: object) -> None:
        """Silence."""


@pytest.fixture
def mirrors() -> Iterator[Callable[[], Mirror]]:
    """Starts servers and stops them all."""
    running: list[tuple[Mirror, threading.Thread]] = []

    def start() -> Mirror:
        server = Mirror()
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        running.append((server, thread))
        return server

    yield start
    for server, thread in running:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def dead() -> str:
    """An address at which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/"


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where a download of `mnist` lands, in a world without any other data."""
    for name in ("LATENTARENA_DATA", "LATENTARENA_MIRROR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("LATENTARENA_CACHE", str(tmp_path))
    return tmp_path / "data" / "mnist"


@pytest.fixture
def catalogue(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[CatalogEntry], None]:
    """Make an entry the only dataset there is."""
    return lambda entry: monkeypatch.setattr("latentarena.data.find.CATALOG", {"mnist": entry})


@pytest.fixture(params=[True, False], ids=["content hash", "packed hash"])
def entry(request: pytest.FixtureRequest) -> CatalogEntry:
    """The tiny dataset, known by its content or by its packing; without mirrors."""
    return tiny_entry(tiny_files(), hashed=request.param)


def test_download_fills_the_cache_once(
    mirrors: Callable[[], Mirror], catalogue: Callable[[CatalogEntry], None], cache: Path, entry: CatalogEntry
) -> None:
    server, files = mirrors(), tiny_files()
    server.hold(files)
    catalogue(replace(entry, mirrors=(server.address,)))
    assert where("mnist") is None
    data = load_idx("mnist")
    assert data.train.pixels.numpy().tobytes() == files[FILES[0]][16:]
    assert server.asked == [f"/{file}.gz" for file in FILES]
    assert load_idx("mnist").digest == data.digest
    assert len(server.asked) == len(FILES)
    assert where("mnist") == cache
    assert sorted(path.name for path in cache.iterdir()) == sorted(f"{file}.gz" for file in FILES)


def test_next_mirror_is_tried(
    mirrors: Callable[[], Mirror], catalogue: Callable[[CatalogEntry], None], dead: str, entry: CatalogEntry
) -> None:
    empty, good = mirrors(), mirrors()
    good.hold(tiny_files())
    catalogue(replace(entry, mirrors=(dead, empty.address, good.address)))
    assert len(load_idx("mnist").train) == 12
    assert len(empty.asked) == len(good.asked) == len(FILES)


def test_own_mirror_comes_first(
    mirrors: Callable[[], Mirror],
    catalogue: Callable[[CatalogEntry], None],
    monkeypatch: pytest.MonkeyPatch,
    entry: CatalogEntry,
) -> None:
    own, public = mirrors(), mirrors()
    own.hold(tiny_files(), under="mnist/")
    public.hold(tiny_files())
    catalogue(replace(entry, mirrors=(public.address,)))
    monkeypatch.setenv("LATENTARENA_MIRROR", own.address)
    load_idx("mnist")
    assert own.asked == [f"/mnist/{file}.gz" for file in FILES]
    assert public.asked == []


def test_repacked_files_are_accepted_by_content(
    mirrors: Callable[[], Mirror], catalogue: Callable[[CatalogEntry], None]
) -> None:
    server = mirrors()
    server.hold(tiny_files(), lambda content: packed(content, 1))
    catalogue(replace(tiny_entry(tiny_files()), mirrors=(server.address,)))
    assert len(load_idx("mnist").test) == 6


def _altered(server: Mirror, path: str) -> None:
    server.bodies[path] = packed(tiny_files(13)[FILES[0]])


def _garbled(server: Mirror, path: str) -> None:
    body = server.bodies[path]
    server.bodies[path] = body[:40] + bytes(8) + body[48:]


def _page(server: Mirror, path: str) -> None:
    server.bodies[path] = b"<html>Please log in to the network of this hotel.</html>"


def _cut(server: Mirror, path: str) -> None:
    server.cut.add(path)


def _absent(server: Mirror, path: str) -> None:
    del server.bodies[path]


FAULTS = pytest.mark.parametrize("fault", [_altered, _garbled, _page, _cut, _absent])


@FAULTS
def test_bad_content_is_refused_and_removed(
    mirrors: Callable[[], Mirror],
    catalogue: Callable[[CatalogEntry], None],
    cache: Path,
    dead: str,
    entry: CatalogEntry,
    fault: Callable[[Mirror, str], None],
) -> None:
    server = mirrors()
    server.hold(tiny_files())
    fault(server, f"/{FILES[0]}.gz")
    catalogue(replace(entry, mirrors=(dead, server.address)))
    with pytest.raises(DataMissing) as error:
        load_idx("mnist")
    assert refused(error, "mnist", dead, server.address, "--data", "LATENTARENA_DATA")
    assert list(cache.iterdir()) == []


@FAULTS
def test_bad_mirror_does_not_spoil_a_good_one(
    mirrors: Callable[[], Mirror],
    catalogue: Callable[[CatalogEntry], None],
    entry: CatalogEntry,
    fault: Callable[[Mirror, str], None],
) -> None:
    bad, good = mirrors(), mirrors()
    for server in (bad, good):
        server.hold(tiny_files())
    fault(bad, f"/{FILES[0]}.gz")
    catalogue(replace(entry, mirrors=(bad.address, good.address)))
    assert len(load_idx("mnist").train) == 12
    assert good.asked == [f"/{FILES[0]}.gz"]


def test_broken_off_download_is_finished(
    mirrors: Callable[[], Mirror], catalogue: Callable[[CatalogEntry], None], cache: Path, entry: CatalogEntry
) -> None:
    server, last = mirrors(), f"/{FILES[3]}.gz"
    server.hold(tiny_files())
    body = server.bodies.pop(last)
    catalogue(replace(entry, mirrors=(server.address,)))
    with pytest.raises(DataMissing):
        load_idx("mnist")
    assert len(list(cache.iterdir())) == 3
    server.bodies[last] = body
    assert len(load_idx("mnist").test) == 6
