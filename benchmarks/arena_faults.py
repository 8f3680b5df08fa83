"""What `kill -9` does to an arena, and what a second worker brings; two sections of docs/arena.md.

    python benchmarks/arena_faults.py [--parts kills workers] [--kills 100] [--bundle FILE --bundles 6] [--docs DIR]

Half of the kills hit `arena serve` while uploads are on their way to it; half hit workers while they evaluate, on
SQLite and, where it is installed, on PostgreSQL. After each kill, all that was acknowledged must be there; at the end
every entry must have one score card. Evaluations in this part are a stand-in that takes half a second, for it is the
queue that is tested. Then one worker and two workers evaluate the same jobs: a stand-in that keeps a core busy for a
second, and copies of a bundle by the real evaluation if one is named, on one thread each; this wants a quiet machine.
The exit status is the number of promises that were missed; the gain counts only where two cores were idle.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from arena_pages import replace_section, zipped
from latentarena.arena.evaluation import EVALUATE
from latentarena.contest.contest import Quotas
from latentarena.facts import machine

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tests" / "support"))  # the parts of an arena that the tests use
from arena_parts import Parts, free_port, now, until  # noqa: E402
from postgres_server import PostgresServer, programs  # noqa: E402

SIZE = 300_000  # bytes of an upload
TEAMS = 40  # each may send ten bundles a minute
GAIN = 1.8  # promised of two workers
IDLE = 0.3  # load of a machine that is quiet
CONTEST = """
name: faults
title: Faults
categories: [{name: mse, metrics: [mse]}]
"""


@dataclass
class Uploads:
    """What was sent to servers that were killed, and what they acknowledged: content hashes by id."""

    acknowledged: dict[str, str] = field(default_factory=dict)
    cut: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def send(self, url: str, tokens: list[str], seed: int, stop: threading.Event) -> None:
        """Send until the server is gone."""
        chance = random.Random(seed)
        with httpx.Client(base_url=url, timeout=20) as http:
            while not stop.is_set():
                content = zipped(chance.randbytes(SIZE))
                headers = {"Authorization": f"Bearer {chance.choice(tokens)}", "Content-Type": "application/zip"}
                try:
                    answer = http.post("/api/v1/submissions", content=content, headers=headers)
                except httpx.HTTPError:
                    self.cut += 1
                    return
                if answer.status_code == 201:
                    with self.lock:
                        self.acknowledged[answer.json()["id"]] = answer.json()["digest"]
                elif answer.status_code != 429:
                    raise SystemExit(f"unexpected answer {answer.status_code}: {answer.text[:200]}")


@contextmanager
def serving(parts: Parts, contest: Path) -> Iterator[str]:
    """A server in a process group of its own, killed as a whole at the end."""
    port = free_port()
    command = [sys.executable, "-m", "latentarena", "serve", str(contest), "--port", str(port), "--workers", "0"]
    command += ["--db", parts.url, "--objects", str(parts.folder / "objects"), "--take-over"]
    with (parts.folder / "log").open("ab") as log:
        process = subprocess.Popen(command, cwd=parts.folder, stdout=log, stderr=log, start_new_session=True)
    url = f"http://127.0.0.1:{port}"

    def healthy() -> bool:
        with suppress(httpx.HTTPError):
            return httpx.get(f"{url}/healthz", timeout=5).status_code == 200
        return False

    try:
        until(healthy)
        yield url
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def kill_servers(kills: int, folder: Path) -> dict[str, Any]:
    """Servers that take uploads, killed at any moment; what was lost or torn."""
    contest = folder / "faults.yaml"
    contest.write_text(CONTEST)
    uploads, chance, torn, lost = Uploads(), random.Random(0), 0, set[str]()
    with closing(Parts(f"sqlite:///{folder / 'arena.db'}", folder)) as parts:
        tokens = list(parts.store.teams.add([(f"Team {i}", []) for i in range(TEAMS)], "benchmark", now()).values())
        for kill in range(kills):
            stop = threading.Event()
            with serving(parts, contest) as url:
                arguments = [(url, tokens, 2 * kill + i, stop) for i in range(2)]
                senders = [threading.Thread(target=uploads.send, args=one) for one in arguments]
                for sender in senders:
                    sender.start()
                time.sleep(chance.uniform(0.1, 0.8))
            stop.set()
            for sender in senders:
                sender.join()
            known = {one.id: one.digest for one in parts.store.submissions.latest(limit=10**6)}
            lost |= {id_ for id_, digest in uploads.acknowledged.items() if known.get(id_) != digest}
            torn += sum(not parts.objects.has(digest) for digest in known.values())
            torn += abs(parts.store.submissions.by_state()["waiting"] - len(known))
        for digest in set(known.values()):
            parts.objects.read(digest)  # raises where a hash is wrong
        partial = parts.objects.sweep(older=0)
    return {
        "kills": kills,
        "acknowledged": len(uploads.acknowledged),
        "cut": uploads.cut,
        "kept": len(known),
        "lost": len(lost),
        "torn": torn,
        "partial": partial,
    }


def kill_workers(url: str, kills: int, folder: Path) -> dict[str, Any]:
    """Two workers at a queue, one of them killed again and again; what was lost, or scored twice."""
    chance, started = random.Random(1), time.monotonic()
    with closing(Parts(url, folder, lease=1.5)) as parts:
        team = parts.team()
        ids = [parts.hand_in(team, f"sleep {0.5 + i / 10_000}") for i in range(2 * kills)]
        workers = [parts.worker(), parts.worker()]
        for _ in range(kills):
            before = len(parts.starts())
            until(
                lambda before=before: len(parts.starts()) > before or not parts.store.submissions.by_state()["waiting"],
                120,
            )
            time.sleep(chance.uniform(0, 0.6))
            victim = workers.pop(0)
            victim.kill()
            victim.wait()
            workers.append(parts.worker())
            if not parts.store.submissions.by_state()["waiting"]:  # the queue must not run dry before the last kill
                ids += [parts.hand_in(team, f"sleep {0.5 + len(ids) / 10_000 + i / 10_000}") for i in range(10)]
        asides = 0
        ended = ("scored", "quarantined")
        while any(parts.state(id_) != "scored" for id_ in ids):
            until(lambda: all(parts.state(id_) in ended for id_ in ids), 600)
            for id_ in ids:
                if parts.state(id_) == "quarantined":
                    asides += 1
                    parts.store.submissions.requeue(id_, "official", "benchmark", now())
        cards = [len(parts.store.cards.of(id_)) for id_ in ids]
        starts = len(parts.starts())
    return {
        "kills": kills,
        "jobs": len(ids),
        "lost": sum(one == 0 for one in cards),
        "twice": sum(one > 1 for one in cards),
        "starts": starts,
        "asides": asides,
        "seconds": time.monotonic() - started,
    }


def rate(folder: Path, workers: int, contents: list[bytes], program: list[str] | None) -> float:
    """Seconds that so many workers take for so many bundles, from the first start to the last end."""
    folder.mkdir()
    with closing(Parts(f"sqlite:///{folder / 'arena.db'}", folder, lease=60)) as parts:
        teams = [parts.team(f"Team {i}") for i in range(len(contents))]
        running = [parts.worker(patience=3600, program=program) for _ in range(workers)]
        until(lambda: (folder / "log").read_text().count('"ready"') == workers)
        for team, content in zip(teams, contents, strict=True):
            parts.store.submissions.add(team, parts.objects.put(content), len(content), "official", Quotas(), now())
        done = 0
        while done < len(contents):
            time.sleep(0.5)  # who looks more often takes time from those who are measured
            counts = parts.store.submissions.by_state()
            if counts.get("refused") or counts.get("failed"):
                raise SystemExit(f"an evaluation came to no score: {parts.store.submissions.latest()[0].sentence}")
            if counts.get("scored", 0) > done:
                done = counts["scored"]
                print(f"  {workers} at work: {done} of {len(contents)}", flush=True)
        found = [one for _, one, _ in parts.store.rejudging.state().entries]
        for one in running:
            one.terminate()
    return (max(one.finished for one in found) - min(one.started for one in found)).total_seconds()


def gain(folder: Path, contents: list[bytes], program: list[str] | None = None) -> dict[str, Any]:
    """One worker and two workers at the same bundles, each evaluation on one thread."""
    folder.mkdir()
    load = os.getloadavg()[0]
    one, two = (rate(folder / f"workers-{n}", n, contents, program) for n in (1, 2))
    return {"jobs": len(contents), "one": one, "two": two, "gain": one / two, "load": load}


def kill_lines(servers: dict[str, Any], workers: dict[str, dict[str, Any]]) -> list[str]:
    """The section on kills."""
    said = [
        "## Kills",
        "",
        f"By `benchmarks/arena_faults.py --parts kills` on {machine()}.",
        "",
        f"- **`kill -9` of the server, {servers['kills']} times**, at a random moment while two clients upload bundles "
        f"of {SIZE / 1000:.0f} kB (SQLite): of {servers['acknowledged']} uploads that were acknowledged "
        f"**{servers['lost']} were lost and {servers['torn']} torn**. {servers['cut']} were cut off by a kill; "
        f"{servers['kept'] - servers['acknowledged']} of these had been kept already, and {servers['partial']} left a "
        "part of a file, which was swept.",
    ]
    said += [
        f"- **`kill -9` of a worker, {one['kills']} times** while it evaluates ({name}; two workers, stand-in "
        f"evaluations of 0.5 s, leases of 1.5 s): of {one['jobs']} jobs **{one['lost']} were lost and {one['twice']} "
        f"scored twice**; {one['starts']} evaluations were begun; {one['asides']} times a job had died three times, "
        "was set aside and tried again."
        for name, one in workers.items()
    ]
    return said


def worker_lines(gains: dict[str, dict[str, Any]]) -> list[str]:
    """The section on two workers."""
    said = [
        "## A second worker",
        "",
        f"By `benchmarks/arena_faults.py --parts workers` on {machine()}; SQLite.",
        "",
        "| evaluation | jobs | one worker | two workers | gain | load before |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    said += [
        f"| {name} | {one['jobs']} | {one['one']:.1f} s | {one['two']:.1f} s | {one['gain']:.2f} | {one['load']:.1f} |"
        for name, one in gains.items()
    ]
    return [*said, "", f"Promised: {GAIN:g} times as fast, where two cores are idle (a load below {IDLE:g} before)."]


def kills(many: int, room: Path) -> tuple[list[str], int]:
    """The section on kills, and how many promises were missed."""
    home = programs()
    server = PostgresServer(home) if home else None
    try:
        for name in ("server", "sqlite", "postgres"):
            (room / name).mkdir()
        servers = kill_servers(many // 2, room / "server")
        print(servers, flush=True)
        share = many // (4 if server else 2)
        workers = {"SQLite": kill_workers(f"sqlite:///{room / 'sqlite' / 'arena.db'}", share, room / "sqlite")}
        print(workers, flush=True)
        if server:
            workers["PostgreSQL and Procrastinate"] = kill_workers(server.new_database(), share, room / "postgres")
            print(workers, flush=True)
    finally:
        if server:
            server.stop()
    missed = [servers["lost"], servers["torn"], *(one["lost"] + one["twice"] for one in workers.values())]
    return kill_lines(servers, workers), sum(one > 0 for one in missed)


def gains(jobs: int, bundle: Path | None, bundles: int, samples: int, room: Path) -> tuple[list[str], int]:
    """The section on two workers, and how many promises were missed."""
    found = {
        "one core for a second (stand-in)": gain(room / "stand-in", [f"PK busy 1 {i}".encode() for i in range(jobs)])
    }
    print(found, flush=True)
    if bundle:
        program = [*EVALUATE, "--threads", "1", "--samples", str(samples)]
        name = f"real, {bundle.name}, {samples:,} samples"
        found[name] = gain(room / "real", [bundle.read_bytes()] * bundles, program)
        print(found, flush=True)
    counts = [one for one in found.values() if (os.cpu_count() or 1) > 1 and one["load"] < IDLE]
    return worker_lines(found), sum(one["gain"] < GAIN for one in counts)


def main() -> int:
    """Run the parts and write their sections."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=("kills", "workers"), default=["kills", "workers"])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=12)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--bundles", type=int, default=6)
    parser.add_argument("--samples", type=int, default=2000, help="that a real evaluation draws")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs")
    chosen = parser.parse_args()
    room, missed = Path(tempfile.mkdtemp(prefix="arena-faults-")), 0
    try:
        for part in chosen.parts:
            if part == "kills":
                said, count = kills(chosen.kills, room)
            else:
                said, count = gains(chosen.jobs, chosen.bundle, chosen.bundles, chosen.samples, room)
            replace_section(chosen.docs / "arena.md", part, said)
            missed += count
    finally:
        shutil.rmtree(room)
    return missed


if __name__ == "__main__":
    sys.exit(main())
