"""Parts of an arena for tests: a database on either server, a card, and real workers whose evaluations are quick."""

from __future__ import annotations

import io
import json
import signal
import socket
import sys
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from forked import Forked
from latentarena.arena.contest_files import load_contest
from latentarena.arena.objects import Objects
from latentarena.arena.store import Database, Queue, Store
from latentarena.card.score_card import ScoreCard
from latentarena.contest.contest import Quotas
from score_cards import FIGURES, made_card

FAKE = Path(__file__).with_name("fake_evaluation.py")
WORKER = """
import sys
from datetime import timedelta
from latentarena.arena import operation
from latentarena.arena.store import Queue
url, objects, lease, once, patience, *program = sys.argv[1:]
operation.Queue = lambda database: Queue(database, timedelta(seconds=float(lease)), timedelta(seconds=0.05))
operation.work(url, objects, once == "once", program, float(patience))
"""


def now() -> datetime:
    """The time."""
    return datetime.now(UTC)


def free_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(holds: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.03)


def bundle_that(does: str, more: bytes = b"") -> bytes:
    """A zip file that looks like a native bundle at a glance, and tells `fake_evaluation` what to do.

    Args:
        more: bytes of the card, so that a bundle is large or one of its own.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for name, content in (("card.json", b"{}" + more), ("weights.safetensors", f"do {does}".encode())):
            packed.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()


def a_card(model: str = "fake", value: float = 0.5) -> ScoreCard:
    """A score card of which every figure is the same."""
    return made_card(model, **dict.fromkeys(FIGURES, value))


@dataclass
class Parts:
    """A database with a contest, files, and what it takes to run workers on them."""

    url: str
    folder: Path
    lease: float = 1.0
    objects_url: str = ""  # a folder of its own unless given
    workers: list[Forked] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make the tables and note the contest."""
        self.database = Database(self.url)
        self.database.upgrade()
        self.store, self.queue = Store(self.database), Queue(self.database)
        self.objects_url = self.objects_url or str(self.folder / "objects")
        self.objects = Objects(self.objects_url)
        self.store.rules.put("open", load_contest("open").model_dump_json(), now())
        self.record = self.folder / "record"
        self.record.touch()
        self.card = self.folder / "card.json"
        self.card.write_text(a_card().model_dump_json())

    @property
    def program(self) -> list[str]:
        """The quick evaluation."""
        return [sys.executable, "-S", "-E", str(FAKE), str(self.card), str(self.record)]

    def team(self, name: str = "One") -> str:
        """A team's id."""
        self.store.teams.add([(name, [])], "tests", now())
        return next(team.id for team in self.store.teams.all() if team.name == name)

    def hand_in(self, team: str, does: str) -> str:
        """A submission that does something; see `fake_evaluation`."""
        content = bundle_that(does)
        digest = self.objects.put(content)
        return self.store.submissions.add(team, digest, len(content), "official", Quotas(), now())[0].id

    def worker(self, once: bool = False, patience: float = 60, program: Sequence[str] | None = None) -> Forked:
        """A worker in a process of its own, with the quick evaluation or the one that is named."""
        program = self.program if program is None else program
        arguments = [self.url, self.objects_url, self.lease, "once" if once else "on", patience, *program]
        process = Forked([str(one) for one in arguments], WORKER, self.folder / "log")
        self.workers.append(process)
        return process

    def starts(self) -> list[tuple[int, int]]:
        """Process and worker of every evaluation that was begun."""
        pairs = [line.split() for line in self.record.read_text().splitlines()]
        return [(int(own), int(parent)) for own, parent in pairs]

    def state(self, id_: str) -> str:
        """Of a submission."""
        return self.store.submissions.one(id_).state

    def values(self, id_: str) -> list[str]:
        """The models named in the evaluations of a submission."""
        return [json.loads(one.card)["model"] for one in self.store.cards.of(id_)]

    def close(self) -> None:
        """End the workers that are left."""
        for process in self.workers:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait()
        self.database.close()


def alive(process: int) -> bool:
    """Whether there is such a process that is more than a zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
