"""How much one server bears, and its section of docs/arena.md.

    python benchmarks/arena_load.py [--entries 500] [--bundle FILE] [--docs DIR]

Starts `arena serve` with a SQLite database of so many scored entries, and loads it from a second process that shares
the machine's cores: GETs of the board, durable uploads, both at once, and GETs beside 200 connections that never end
their headers; where a bundle is named, also GETs while one visitor asks for 220 animations of it at once. The exit
status is the number of bars that were missed.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx

from arena_pages import replace_section, zipped
from latentarena.arena.contest_files import CONTESTS
from latentarena.arena.objects import Objects
from latentarena.arena.store import Database, Outcome, Queue, Store
from latentarena.contest.contest import Quotas
from latentarena.facts import machine

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "tests" / "support"))
from score_cards import FIGURES, made_card  # noqa: E402 - the cards that the tests use

SIZE = 1_750_000  # bytes of an upload
SLOW = 200
LONGEST = 120.0  # seconds in which the animations that were taken must be drawn
ANIMATIONS = 220  # asked for at once by one visitor
CONNECTIONS = {"board": 16, "uploads": 8}
RATE = 50.0  # bundles a second that must be borne in time
BARS = {
    "board": ("GET of the board", 1000.0, 50.0),
    "limit": ("POST of bundles, as many as it takes", RATE, math.inf),
    "uploads": (f"POST of {RATE:.0f} bundles a second, each on disk when it is answered", 0.99 * RATE, 50.0),
    "both": ("GET of the board, while bundles arrive", 0.0, math.inf),
    "drawings": (f"GET of the board, 20 a second, while {ANIMATIONS} animations are asked for", 19.8, 1000.0),
    "beside": (f"GET of the board, beside {SLOW} connections that never end their headers", 1000.0, 50.0),
}
"""What is promised: requests a second at least, p99 in milliseconds at most."""


def generate(url: str, token: str = "", *arguments: str) -> dict[str, Any]:
    """Run the load generator as a process of its own."""
    environment = {**os.environ, "ARENA_TOKEN": token}
    command = [sys.executable, str(HERE / "arena_client.py"), url, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@contextmanager
def slow_headers(port: int) -> Iterator[list[float]]:
    """`SLOW` connections that never finish their headers; yields how long each was borne, in seconds."""
    borne: list[float] = []
    stop = threading.Event()

    def drip() -> None:
        began = {socket.create_connection(("127.0.0.1", port)): time.monotonic() for _ in range(SLOW)}
        for one in began:
            one.sendall(b"GET / HTTP/1.1\r\nHost: arena\r\n")
            one.setblocking(False)
        while began and not stop.wait(0.5):
            for one, since in list(began.items()):
                try:
                    one.send(b"X-Slow: 1\r\n")
                    ended = one.recv(1) == b""
                except BlockingIOError:
                    ended = False
                except OSError:
                    ended = True
                if ended:
                    borne.append(time.monotonic() - since)
                    one.close()
                    del began[one]

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        yield borne
    finally:
        thread.join(15)
        stop.set()
        thread.join()


def uploads(folder: Path, many: int, seed: int) -> Path:
    """So many different bundles with weights of `SIZE` bytes."""
    folder.mkdir()
    noise = random.Random(seed).randbytes(SIZE)
    for i in range(many):
        (folder / f"{i:05d}.zip").write_bytes(zipped(i.to_bytes(8, "big") + noise[8:]))
    return folder


def fill(folder: Path, entries: int, bundle: bytes | None) -> tuple[str, str]:
    """A database of so many teams with a scored entry each; a token of a further team, and the first entry's id.

    Args:
        bundle: that the first entry holds.
    """
    database = Database(f"sqlite:///{folder / 'arena.db'}")
    database.upgrade()
    first = ""
    store, queue, objects, now = Store(database), Queue(database), Objects(str(folder / "objects")), datetime.now(UTC)
    store.teams.add([(f"Team {i}", []) for i in range(entries)], "benchmark", now)
    for i, team in enumerate(store.teams.all()):
        content = bundle if bundle and i == 0 else f"PK {i}".encode()
        one, _ = store.submissions.add(team.id, objects.put(content), len(content), "official", Quotas(), now)
        first = one.id if i == 0 else first
        job = queue.claim("benchmark", now)
        assert job is not None
        queue.finish(job, outcome(i, objects), now)
    token = store.teams.add([("Loader", [])], "benchmark", now)["Loader"]
    database.close()
    return token, first


def outcome(i: int, objects: Objects) -> Outcome:
    """A score card of made-up figures."""
    made = random.Random(i)
    card = made_card(f"model-{i}", **{name: value * made.uniform(0.5, 1.0) for name, value in FIGURES.items()})
    files = {"samples.png": objects.put(b"\x89PNG")}
    return Outcome(
        card.model, "native", card.judge, card.source, card.fingerprint, "2", card.model_dump_json(), "{}", files
    )


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """`arena serve` on a free port, without workers; its contest has no quota."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "load.yaml").write_text((CONTESTS / "open.yaml").read_text().replace("per_day: 10, ", ""))
    command = [sys.executable, "-m", "latentarena", "serve", "load.yaml", "--workers", "0", "--port", str(port)]
    command += ["--uploads-per-minute", "1000000"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with suppress(httpx.HTTPError):
                if httpx.get(f"{url}/", timeout=30).status_code == 200:
                    break
            time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def drawings(url: str, entry: str) -> dict[str, Any]:
    """GETs of the board while one visitor asks for many animations, and what became of these."""

    def ask(seed: int) -> tuple[int, float]:
        began = time.perf_counter()
        status = http.get(f"/entries/{entry}/play/becoming", params={"seed": seed, "steps": 100}).status_code
        return status, time.perf_counter() - began

    with httpx.Client(base_url=url, timeout=60) as http, ThreadPoolExecutor(ANIMATIONS + 1) as pool:
        beside = pool.submit(generate, f"{url}/", "", "--requests", "600", "--connections", "16", "--rate", "20")
        time.sleep(1)
        answers = list(pool.map(ask, range(ANIMATIONS)))
        waiting = {seed for seed, (status, _) in enumerate(answers) if status == HTTPStatus.ACCEPTED}
        taken, began = len(waiting), time.perf_counter()
        while waiting and time.perf_counter() - began < LONGEST:
            time.sleep(0.3)
            waiting -= {seed for seed in waiting if ask(seed)[0] == HTTPStatus.OK}
        drawn = time.perf_counter() - began
        found = beside.result()
    return found | {
        "taken": taken,
        "refused": sum(status == HTTPStatus.TOO_MANY_REQUESTS for status, _ in answers),
        "answered": max(seconds for _, seconds in answers),
        "drawn": drawn,
        "left": len(waiting),
    }


def measure(entries: int, bundle: bytes | None) -> dict[str, Any]:
    """All loads, one after the other."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        token, entry = fill(folder, entries, bundle)
        many, once, again = (uploads(folder / f"sent-{i}", 300, i) for i in range(3))
        with serving(folder) as url:
            gets = ("--requests", "8000", "--connections", str(CONNECTIONS["board"]))
            posts = ("--expect", "201", "--connections", str(CONNECTIONS["uploads"]), "--files")
            generate(f"{url}/", "", "--requests", "2000")
            found = {"entries": entries, "machine": machine(), "busy": os.getloadavg()[0]}
            tries = [generate(f"{url}/", "", *gets) for _ in range(3)]
            found["board"] = max(tries, key=lambda one: float(one["rate"]))
            found["limit"] = generate(f"{url}/api/v1/submissions", token, *posts, str(many))
            found["uploads"] = generate(f"{url}/api/v1/submissions", token, "--rate", str(RATE), *posts, str(once))
            with ThreadPoolExecutor() as pool:
                beside = pool.submit(generate, f"{url}/api/v1/submissions", token, *posts, str(again))
                found["both"] = generate(f"{url}/", "", *gets)
                found["uploads beside"] = beside.result()
            if bundle:
                found["drawings"] = drawings(url, entry)
            with slow_headers(int(url.rpartition(":")[2])) as borne:
                found["beside"] = generate(f"{url}/", "", *gets)
            found["borne"] = {"connections": len(borne), "longest": max(borne, default=math.inf)}
    return found


def section(found: dict[str, Any]) -> tuple[list[str], int]:
    """The section of the page, and how many bars were missed."""
    lines = ["## Load", "", "Made by `python benchmarks/arena_load.py`.", ""]
    lines += [
        f"One `arena serve` with SQLite and {found['entries']} entries, loaded from a second process "
        f"on the same machine ({found['machine']}), so that both share the cores. The board has "
        f"{found['board']['bytes'] / 1024:,.0f} KB; a "
        f"bundle {SIZE / 1e6:.2f} MB. As many as it takes: each of {CONNECTIONS['uploads']} connections sends its next "
        "bundle when the last one is answered. So many a second: they come in even steps whatever became of those "
        "before, and the time of each runs from when it was due. The board alone is loaded three times, and the least "
        "disturbed run is shown: "
        f"other programs were running, {found['busy']:.0f} on average when it began.",
        "",
        "| load | requests/s | p50 (ms) | p99 (ms) | failed | promised |",
        "|---|---:|---:|---:|---:|---|",
    ]
    missed = 0
    for name, (title, rate, slowest) in BARS.items():
        if name not in found:
            continue
        one = found[name]
        kept = one["rate"] >= rate and one["p99"] <= slowest and not one["failed"]
        missed += not kept
        promised = f">= {rate:,.0f}/s" + (f", p99 <= {slowest:.0f} ms" if slowest < math.inf else "") if rate else "–"
        lines.append(
            f"| {title} | {one['rate']:,.0f} | {one['p50']:.1f} | {one['p99']:.1f} | {one['failed']} | "
            f"{promised}{'' if kept else ' **missed**'} |"
        )
    if drawn := found.get("drawings"):
        missed += drawn["left"] > 0
        lines += [
            "",
            f"The {ANIMATIONS} questions for an animation were answered within {drawn['answered']:.1f} s: "
            f"{drawn['taken']} with a place in the queue, {drawn['refused']} with a refusal (32 of one visitor may "
            f"wait). {drawn['taken'] - drawn['left']} of those with a place were drawn within {drawn['drawn']:.0f} s; "
            f"the slowest board meanwhile took {drawn['slowest'] / 1000:.2f} s.",
        ]
    borne = found["borne"]
    cut = borne["connections"] == SLOW and borne["longest"] <= 10
    lines += [
        "",
        f"Of {SLOW} connections that never end their headers {borne['connections']} were closed, the last after "
        f"{borne['longest']:.1f} s (promised: all within 10 s).",
    ]
    return lines, missed + (not cut)


def main() -> int:
    """Measure, write, and say what was missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--entries", type=int, default=500)
    parser.add_argument("--bundle", type=Path, help="a bundle's zip, to ask for animations of")
    parser.add_argument("--docs", type=Path, default=HERE.parent / "docs")
    asked = parser.parse_args()
    lines, missed = section(measure(asked.entries, asked.bundle.read_bytes() if asked.bundle else None))
    replace_section(asked.docs / "arena.md", "load", lines)
    print("\n".join(lines))
    return missed


if __name__ == "__main__":
    sys.exit(main())
