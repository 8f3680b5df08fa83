"""Workers as real processes, killed, stopped and misled, on SQLite and on PostgreSQL: rows 33, 34, 36 and 38."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import latentarena.judge
from arena_parts import Parts, alive, now, until

JUDGED = """
import sys
from pathlib import Path
from latentarena.card.score_card import read_card
from latentarena.judge.classifier import Judge
card, _, _, out, *options = sys.argv[1:]
judge = Judge.load(Path(options[options.index("--judge") + 1]))
found = read_card(Path(card)).model_copy(update={"model": judge.digest})
Path(out, "card.json").write_text(found.model_dump_json())
"""


@pytest.fixture(params=["sqlite", "postgres"])
def parts(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Parts]:
    on_postgres = request.param == "postgres"
    made = Parts(
        request.getfixturevalue("postgres").new_database() if on_postgres else f"sqlite:///{tmp_path / 'arena.db'}",
        tmp_path,
    )
    yield made
    made.close()


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Parts]:
    made = Parts(f"sqlite:///{tmp_path / 'arena.db'}", tmp_path)
    yield made
    made.close()


def test_what_is_handed_in_is_scored(parts: Parts) -> None:
    id_ = parts.hand_in(parts.team(), "score")
    assert parts.worker(once=True).wait(60) == 0
    found = parts.store.submissions.one(id_)
    assert (found.state, found.name, found.form) == ("scored", "fake", "portable")
    [one] = parts.store.cards.of(id_)
    assert parts.objects.read(one.files["samples.png"]) == b"\x89PNG"
    assert set(one.files) == {"samples.png"}
    assert one.current
    assert one.started <= one.finished


def test_a_killed_worker_s_job_is_done_once_by_another(parts: Parts) -> None:
    id_ = parts.hand_in(parts.team(), "sleep 2")
    first = parts.worker()
    until(lambda: len(parts.starts()) == 1)
    first.kill()
    evaluation = parts.starts()[0][0]
    until(lambda: not alive(evaluation))
    assert parts.state(id_) == "running"
    parts.worker()
    until(lambda: parts.state(id_) == "scored")
    assert len(parts.starts()) == 2
    assert len(parts.values(id_)) == 1


def test_what_a_worker_thought_dead_still_writes_changes_nothing(parts: Parts) -> None:
    id_ = parts.hand_in(parts.team(), "sleep 0.5")
    ghost = parts.worker()
    until(lambda: len(parts.starts()) == 1)
    ghost.send_signal(signal.SIGSTOP)  # it sleeps past its lease, with a result ready
    heir = parts.worker()
    until(lambda: parts.state(id_) == "scored")
    [before] = parts.store.cards.of(id_)
    ghost.send_signal(signal.SIGCONT)
    until(lambda: "is lost" in (log := (parts.folder / "log").read_text()) or "was lost" in log)
    assert parts.store.cards.of(id_) == [before]
    for one in (ghost, heir):
        one.terminate()
        assert one.wait(30) == 0


def test_a_job_that_kills_three_workers_is_set_aside_and_its_owner_told(parts: Parts) -> None:
    team = parts.team()
    id_ = parts.hand_in(team, "kill")
    for _ in range(3):
        assert parts.worker().wait(60) == -signal.SIGKILL
    other = parts.hand_in(team, "score")
    parts.worker()
    until(lambda: parts.state(other) == "scored" and parts.state(id_) == "quarantined")
    assert len(parts.starts()) == 4
    assert "died 3 times" in parts.store.submissions.one(id_, team).sentence
    assert any(line.action == "quarantine" and line.subject == id_ for line in parts.store.audit.lines())


@pytest.mark.parametrize(
    ("does", "state", "reason"),
    [
        ("refuse", "refused", "zip-bomb"),
        ("sleep 50", "refused", "timeout"),
        ("die", "failed", "crashed"),
        ("link", "failed", "unreadable"),
        ("broken", "quarantined", "evaluation-died"),
    ],
)
def test_an_evaluation_that_comes_to_no_card_tells_why(plain: Parts, does: str, state: str, reason: str) -> None:
    id_ = plain.hand_in(plain.team(), does)
    plain.worker(patience=1.5)
    until(lambda: plain.state(id_) == state)
    found = plain.store.submissions.one(id_)
    assert found.reason == reason
    assert found.sentence
    assert plain.values(id_) == []
    assert len(plain.starts()) == (3 if state == "quarantined" else 1)  # only a machine's fault is tried again


def test_files_of_other_names_or_too_large_are_not_kept(plain: Parts) -> None:
    id_ = plain.hand_in(plain.team(), "huge")
    assert plain.worker(once=True).wait(60) == 0
    assert set(plain.store.cards.of(id_)[0].files) == {"samples.png"}


def test_a_worker_that_is_told_to_stop_gives_its_job_back(parts: Parts) -> None:
    id_ = parts.hand_in(parts.team(), "sleep 50")
    worker = parts.worker()
    until(lambda: len(parts.starts()) == 1)
    worker.terminate()
    assert worker.wait(30) == 0
    assert parts.state(id_) == "queued"
    assert not alive(parts.starts()[0][0])
    job = parts.queue.claim("next", parts.store.submissions.one(id_).received.replace(year=2100))
    assert job is not None
    assert job.deaths == 0


def test_an_evaluation_gets_the_judge_that_was_asked_for(plain: Parts) -> None:
    judge = next((Path(latentarena.judge.__file__).parent / "weights" / "opinions").glob("*.safetensors"))
    digest = plain.objects.put(judge.read_bytes())
    id_ = plain.hand_in(plain.team(), "score")
    assert plain.worker(once=True).wait(60) == 0
    assert plain.store.rejudging.begin(digest, "tests", now()) == 1
    program = [sys.executable, "-c", JUDGED, str(plain.card)]
    assert plain.worker(once=True, program=program).wait(60) == 0
    assert plain.values(id_) == [digest, "fake"]


def test_a_long_evaluation_keeps_its_lease(plain: Parts) -> None:
    id_ = plain.hand_in(plain.team(), "sleep 3")  # three times the lease
    plain.worker()
    plain.worker()
    until(lambda: plain.state(id_) == "scored")
    assert len(plain.starts()) == 1


def test_a_result_waits_for_a_database_that_is_busy(plain: Parts) -> None:
    plain.lease = 60
    id_ = plain.hand_in(plain.team(), "sleep 1")
    plain.worker()
    until(lambda: len(plain.starts()) == 1)
    with sqlite3.connect(plain.folder / "arena.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        until(lambda: "cannot be kept yet" in (plain.folder / "log").read_text())
        other.execute("ROLLBACK")
    until(lambda: plain.state(id_) == "scored")
    assert len(plain.starts()) == 1


def test_a_file_that_was_lost_is_told_to_its_owner(plain: Parts) -> None:
    id_, other = (plain.hand_in(plain.team(name), f"score {name}") for name in ("Two", "One"))
    os.unlink(plain.objects.path(plain.store.submissions.one(id_).digest))
    assert plain.worker(once=True).wait(60) == 0
    found = plain.store.submissions.one(id_)
    assert (found.state, found.reason) == ("failed", "lost")
    assert plain.state(other) == "scored"


def test_the_evaluation_sees_no_secrets(plain: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARENA_DB", "postgresql://name:password@host/arena")
    id_ = plain.hand_in(plain.team(), "sleep 50")
    plain.worker()
    until(lambda: len(plain.starts()) == 1)
    evaluation = plain.starts()[0][0]
    assert b"password" not in Path(f"/proc/{evaluation}/environ").read_bytes()
    assert plain.state(id_) == "running"


def test_a_worker_without_a_contest_says_so(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "latentarena", "worker", "--once", "--db", f"sqlite:///{tmp_path / 'new.db'}"]
    done = subprocess.run(
        [*command, "--objects", str(tmp_path / "objects")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "arena: the database holds no contest; start arena serve CONTEST on it first"
    )


def test_workers_store_and_files_import_no_torch() -> None:
    code = "import sys, latentarena.arena.operation; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "latentarena.arena.worker" in loaded
    assert {"torch", "onnx", "onnxruntime", "matplotlib", "typer", "numpy"}.isdisjoint(loaded)
