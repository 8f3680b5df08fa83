"""The store under several callers at once, and its tables: on SQLite and on PostgreSQL."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, select

from latentarena.arena.store import Database, Queue, Refusal, Store
from latentarena.arena.store.models import Base, SubmissionRow
from latentarena.contest.contest import Quotas
from latentarena.errors import QuotaReached

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MANY = 8
CLAIMER = """
import sys, time
from datetime import UTC, datetime, timedelta
from latentarena.arena.store import Database, Queue
database = Database(sys.argv[1])
queue = Queue(database, lease=timedelta(hours=1))
print("ready", flush=True)
sys.stdin.readline()
while (job := queue.claim(sys.argv[2], datetime.now(UTC))) is not None:
    print(job.submission.id)
    time.sleep(0.005)  # the work: others get a turn
"""


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'arena.db'}"
    made: str = request.getfixturevalue("postgres").new_database()
    return made


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    database = Database(url)
    database.upgrade()
    yield database
    database.close()


@pytest.fixture
def store(database: Database) -> Store:
    return Store(database)


def a_team(store: Store, name: str = "One") -> str:
    store.teams.add([(name, [])], "tests", NOW)
    return next(team.id for team in store.teams.all() if team.name == name)


def at_once(call: Callable[[int], object]) -> list[object]:
    """What each of `MANY` calls returns or raises, all begun together."""
    with ThreadPoolExecutor(MANY) as threads:
        futures = [threads.submit(call, i) for i in range(MANY)]
        return [future.exception() or future.result() for future in futures]


def test_the_migrations_make_what_the_models_say_and_undo_it(database: Database) -> None:
    def differences() -> list[object]:
        with database.engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"include_name": ours, "compare_type": True})
            return list(compare_metadata(context, Base.metadata))

    def ours(name: str | None, kind: str, _: object) -> bool:
        return kind != "table" or not str(name).startswith("procrastinate_")

    assert differences() == []
    database.downgrade("base")
    assert set(inspect(database.engine).get_table_names()) == {"alembic_version"}
    database.upgrade()
    assert differences() == []
    assert Store(database).teams.all() == []


def test_two_processes_may_bring_the_tables_up_at_once(url: str) -> None:
    databases = [Database(url) for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(lambda one: one.upgrade(), databases)) == [None] * 4
    assert Store(databases[0]).version() == 0


def test_the_same_bytes_sent_many_times_at_once_are_one_submission(store: Store) -> None:
    team = a_team(store)
    found = at_once(lambda _: store.submissions.add(team, "a" * 64, 1, "official", Quotas(), NOW))
    assert len({submission.id for submission, _ in found}) == 1  # type: ignore[attr-defined]
    assert sum(new for _, new in found) == 1  # type: ignore[attr-defined]
    assert store.submissions.by_state()["waiting"] == 1


def test_a_quota_holds_against_uploads_at_once(store: Store) -> None:
    team, quotas = a_team(store), Quotas(per_day=3)
    found = at_once(lambda i: store.submissions.add(team, f"{i:064x}", 1, "official", quotas, NOW))
    assert Counter(type(one) for one in found) == {tuple: 3, QuotaReached: MANY - 3}


def test_no_two_processes_claim_the_same_job(store: Store, url: str) -> None:
    team, jobs = a_team(store), 40
    ids = [store.submissions.add(team, f"{i:064x}", 1, "official", Quotas(), NOW)[0].id for i in range(jobs)]
    command = [sys.executable, "-c", CLAIMER, url]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen([*command, f"worker {i}"], **pipes) for i in range(3)]  # type: ignore[call-overload]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    claimed = [process.communicate(timeout=120)[0].split() for process in processes]
    assert sorted(id_ for some in claimed for id_ in some) == sorted(ids)
    assert sum(map(bool, claimed)) > 1, "one process did all: nothing was claimed at once"


def test_a_reader_sees_one_state_while_others_write(store: Store) -> None:
    team = a_team(store)
    with store.database.reading() as session:
        before = session.scalars(select(SubmissionRow.id)).all()
        with ThreadPoolExecutor(1) as threads:
            threads.submit(store.submissions.add, team, "a" * 64, 1, "official", Quotas(), NOW).result()
        assert session.scalars(select(SubmissionRow.id)).all() == before == []
    assert len(store.submissions.latest()) == 1


@pytest.mark.parametrize("text", ["nul \0 in it", "half a pair \ud800", "long " * 100])
def test_what_strangers_print_can_be_kept(store: Store, text: str) -> None:
    id_ = store.submissions.add(a_team(store), "a" * 64, 1, "official", Quotas(), NOW)[0].id
    queue = Queue(store.database)
    job = queue.claim("worker", NOW)
    assert job is not None
    assert queue.finish(job, Refusal("failed", "died", text, log=text, name=text, form="native"), NOW + timedelta(1))
    found = store.submissions.one(id_)
    assert found.state == "failed"
    assert found.sentence.startswith(text[:4])
    assert found.log.startswith(text[:4])
