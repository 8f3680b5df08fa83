"""Databases and disks that die, fill up or are busy, with real ones: rows 35 and 36 of the matrix."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

import latentarena.arena.store.database as database_module
from arena_parts import Parts, now
from latentarena.arena.objects import Objects
from latentarena.arena.store import Database, Store
from latentarena.arena.store.models import JobRow, SubmissionRow
from latentarena.contest.contest import Quotas
from latentarena.errors import StorageFull, StoreBusy
from postgres_server import PostgresServer, programs

SENDER = """
import sys
from datetime import UTC, datetime
from latentarena.contest.contest import Quotas
from latentarena.arena.objects import Objects
from latentarena.arena.store import Database, Store
from latentarena.errors import StoreError
url, folder, team, seed = sys.argv[1:]
store, objects, i = Store(Database(url)), Objects(folder), 0
print("ready", flush=True)
while True:
    content, i = f"{seed} {i}".encode() * 5000, i + 1
    digest = objects.put(content)
    try:
        one, _ = store.submissions.add(team, digest, len(content), "official", Quotas(), datetime.now(UTC))
        print(one.id, flush=True)
    except StoreError as error:
        print("refused", type(error).__name__, flush=True)
        sys.exit()
"""


class Sender:
    """A process that hands in as fast as it can and says what was acknowledged."""

    def __init__(self, parts: Parts, team: str, seed: int) -> None:
        arguments = [parts.url, str(parts.folder / "objects"), team, str(seed)]
        self.process = subprocess.Popen([sys.executable, "-c", SENDER, *arguments], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def end(self) -> list[str]:
        """What it was told before it was killed; a line that was cut short does not count."""
        self.process.kill()
        said = self.process.communicate()[0]
        return [line[:-1] for line in said.splitlines(keepends=True) if line.endswith("\n")]


def refuse_torn(parts: Parts, acknowledged: set[str]) -> int:
    """Assert that all that was acknowledged is there whole, and nothing by half; how many submissions there are."""
    with parts.database.reading() as session:
        ids = set(session.scalars(select(SubmissionRow.id)))
        queued = set(session.scalars(select(JobRow.submission)))
        assert session.scalar(select(func.count()).select_from(JobRow)) == len(ids)
        digests = set(session.scalars(select(SubmissionRow.digest)))
    assert acknowledged <= ids == queued
    for digest in digests:
        parts.objects.read(digest)
    return len(ids)


@pytest.fixture(params=["sqlite", "postgres"])
def parts(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Parts]:
    on_postgres = request.param == "postgres"
    url = request.getfixturevalue("postgres").new_database() if on_postgres else f"sqlite:///{tmp_path / 'arena.db'}"
    with closing(Parts(url, tmp_path)) as made:
        yield made


def test_what_was_acknowledged_outlives_the_death_of_its_process(parts: Parts) -> None:
    team, chance, acknowledged = parts.team(), random.Random(0), set[str]()
    killed = 0
    while killed < 4 or (len(acknowledged) <= 4 and killed < 20):  # on a busy machine few are acknowledged in time
        sender = Sender(parts, team, killed)
        time.sleep(chance.uniform(0.05, 0.4))
        acknowledged |= set(sender.end())
        refuse_torn(parts, acknowledged)
        killed += 1
    assert len(acknowledged) > 4
    if parts.database.sqlite:
        with parts.database.reading() as session:
            assert session.scalar(text("PRAGMA integrity_check")) == "ok"
    assert parts.objects.sweep(older=0) <= killed
    assert list((parts.folder / "objects" / "parts").iterdir()) == []


def test_what_was_acknowledged_outlives_the_death_of_the_database(postgres: PostgresServer, tmp_path: Path) -> None:
    with closing(Parts(postgres.new_database(), tmp_path)) as parts:
        team, chance, acknowledged = parts.team(), random.Random(1), set[str]()
        killed = 0
        while killed < 3 or (len(acknowledged) <= 3 and killed < 20):  # as above
            sender = Sender(parts, team, killed)
            time.sleep(chance.uniform(0.1, 0.5))
            postgres.kill()
            sender.process.wait(60)
            *told, refused = sender.end()
            assert refused == "refused StoreBusy"
            acknowledged |= set(told)
            postgres.start()
            refuse_torn(parts, acknowledged)
            killed += 1
        assert len(acknowledged) > 3


def test_a_busy_database_is_said_to_be_busy_and_can_be_read(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    team = parts.team()
    monkeypatch.setattr(database_module, "PATIENCE", 0.3)
    with closing(Database(parts.url)) as database, parts.database.writing() as other:
        parts.store = Store(database)
        other.execute(text("UPDATE teams SET name = name"))  # and does not end
        with pytest.raises(StoreBusy):
            parts.store.submissions.add(team, "a" * 64, 1, "official", Quotas(), now())
        assert [one.name for one in parts.store.teams.all()] == ["One"]
        other.rollback()
        parts.store.submissions.add(team, "a" * 64, 1, "official", Quotas(), now())


@pytest.fixture
def small_disk() -> Iterator[Callable[[int], Path]]:
    """Makes file systems of so many bytes."""
    made: list[Path] = []

    def make(size: int) -> Path:
        folder = Path(tempfile.mkdtemp(prefix="arena-small-"))
        command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=777", "none", str(folder)]
        if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
            folder.rmdir()
            pytest.skip("NO FULL DISK HERE: a tmpfs cannot be mounted (only root can)")
        made.append(folder)
        return folder

    yield make
    for folder in made:
        subprocess.run(["umount", "-l", str(folder)], check=True)
        folder.rmdir()


def fill(folder: Path, leave: int = 0) -> Path:
    """Fill a disk up to so many bytes."""
    path = folder / "filler"
    with path.open("wb", buffering=0) as file:
        free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
        try:
            for _ in range(max(0, free - leave) // 4096 + (leave == 0)):
                file.write(bytes(4096))
        except OSError:
            pass
    return path


def test_a_full_disk_takes_no_file_and_keeps_those_it_has(small_disk: Callable[[int], Path]) -> None:
    disk = small_disk(1 << 20)
    objects = Objects(str(disk / "objects"))
    kept = objects.put(b"before")
    filler = fill(disk, leave=64 << 10)
    with pytest.raises(StorageFull):
        objects.put(bytes(256 << 10))
    assert list((disk / "objects" / "parts").iterdir()) == []
    assert objects.read(kept) == b"before"
    filler.unlink()
    assert objects.read(objects.put(bytes(256 << 10))) == bytes(256 << 10)


def store_on_a_full_disk(url: str, disk: Path) -> None:
    """Hand in until there is no room, read, make room, hand in."""
    with closing(Database(url)) as database:
        database.upgrade()
        store = Store(database)
        store.teams.add([("One", [])], "tests", now())
        [team] = store.teams.all()
        filler, sent = fill(disk, leave=300 << 10), 0
        with suppress(StorageFull):
            while sent < 20_000:
                store.submissions.add(team.id, f"{sent:064x}", 1, "official", Quotas(), now())
                sent += 1
        assert 0 < sent < 20_000
        assert store.submissions.by_state()["queued"] == sent
        assert store.submissions.by_state()["waiting"] == sent
        filler.unlink()
        store.submissions.add(team.id, "f" * 64, 1, "official", Quotas(), now())
        assert store.submissions.by_state()["waiting"] == sent + 1


def test_sqlite_on_a_full_disk_changes_nothing_and_can_be_read(small_disk: Callable[[int], Path]) -> None:
    disk = small_disk(4 << 20)
    store_on_a_full_disk(f"sqlite:///{disk / 'arena.db'}", disk)


def test_postgresql_on_a_full_disk_changes_nothing_and_can_be_read(small_disk: Callable[[int], Path]) -> None:
    home = programs()
    if home is None:
        pytest.skip("NO POSTGRESQL HERE: initdb was not found, or there is no user but root to run it")
    disk = small_disk(160 << 20)
    server = PostgresServer(home, disk)
    try:
        store_on_a_full_disk(server.new_database(), disk)
    finally:
        server.stop()
