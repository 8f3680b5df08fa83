"""Procrastinate brings jobs to workers; what it loses is swept and retried: row 39, and row 36 for workers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from arena_parts import Parts, until
from postgres_server import PostgresServer


@pytest.fixture
def parts(postgres: PostgresServer, tmp_path: Path) -> Iterator[Parts]:
    made = Parts(postgres.new_database(), tmp_path)
    yield made
    made.close()


def asked(parts: Parts, query: str) -> list[Any]:
    with parts.database.writing() as session:
        result = session.execute(text(query))
        return list(result.all()) if result.returns_rows else []  # type: ignore[attr-defined]


def test_a_job_is_announced_in_the_transaction_that_makes_it_wait_and_once(parts: Parts) -> None:
    team = parts.team()
    id_ = parts.hand_in(team, "score")
    assert parts.hand_in(team, "score") == id_
    job = parts.queue.claim("worker", parts.store.submissions.one(id_).received)
    assert job is not None
    parts.queue.release(job, parts.store.submissions.one(id_).received)
    announced = asked(parts, "SELECT args ->> 'job', status::text FROM procrastinate_jobs")
    assert announced == [(job.id, "todo")]


def test_two_workers_share_the_work(parts: Parts) -> None:
    team = parts.team()
    workers = [parts.worker(), parts.worker()]
    ids = [parts.hand_in(team, f"sleep {0.5 + i / 1000}") for i in range(6)]
    until(lambda: all(parts.state(id_) == "scored" for id_ in ids))
    assert len(parts.starts()) == 6
    assert {worker for _, worker in parts.starts()} == {worker.pid for worker in workers}
    until(lambda: asked(parts, "SELECT count(*) FROM procrastinate_jobs") == [(0,)])


def test_a_delivery_that_died_with_its_worker_is_swept_and_retried(parts: Parts) -> None:
    id_ = parts.hand_in(parts.team(), "score")
    asked(parts, "INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - interval '1 hour')")
    asked(parts, "UPDATE procrastinate_jobs SET status = 'doing', worker_id = (SELECT id FROM procrastinate_workers)")
    parts.worker()
    until(lambda: parts.state(id_) == "scored")
    assert len(parts.values(id_)) == 1


def test_a_job_that_was_never_announced_is_found(parts: Parts) -> None:
    id_ = parts.hand_in(parts.team(), "score")
    asked(parts, "DELETE FROM procrastinate_jobs")
    assert parts.worker(once=True).wait(60) == 0
    assert parts.state(id_) == "scored"


def test_workers_outlive_a_database_that_is_killed(parts: Parts, postgres: PostgresServer) -> None:
    parts.lease = 30
    team = parts.team()
    first = parts.hand_in(team, "sleep 1")
    worker = parts.worker()
    until(lambda: len(parts.starts()) == 1)
    postgres.kill()
    until(lambda: "cannot be kept yet" in (parts.folder / "log").read_text())
    postgres.start()
    until(lambda: parts.state(first) == "scored")
    second = parts.hand_in(team, "score")
    until(lambda: parts.state(second) == "scored")
    assert worker.poll() is None
    assert [len(parts.values(id_)) for id_ in (first, second)] == [1, 1]
    assert len(parts.starts()) == 2
