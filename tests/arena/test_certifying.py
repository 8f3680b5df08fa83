"""Repeated trainings in the queue: behind evaluations, top places first, safe when a worker is killed."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update
from typer.testing import CliRunner

from arena_parts import Parts, alive, now, until
from forked import Forked
from latentarena.arena.certification import certificate_in, nominate
from latentarena.arena.contest_files import load_contest
from latentarena.arena.scored import ScoredEntries
from latentarena.arena.store import Outcome
from latentarena.arena.store.models import EvaluationRow
from latentarena.cli.app import app
from latentarena.contest.contest import Contest
from latentarena.errors import ConfigError, NotThere
from score_cards import certificate, made_card

FAKE = Path(__file__).parents[1] / "support" / "fake_training.py"
WORKER = """
import sys
from datetime import timedelta
from latentarena.arena import operation
from latentarena.arena.store import Queue
url, objects, lease, record, seconds, fake, *program = sys.argv[1:]
operation.Queue = lambda database: Queue(database, timedelta(seconds=float(lease)), timedelta(seconds=0.05))
operation.work(url, objects, False, program, 60, trainer=(sys.executable, "-S", "-E", fake, record, seconds))
"""


def rules(**certify: object) -> Contest:
    raw = load_contest("open").model_dump(mode="json")
    return Contest.model_validate(raw | {"certify": {"training": True, "top": 2, "seeds": 3} | certify})


@pytest.fixture(params=["sqlite", "postgres"])
def parts(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Parts]:
    on_postgres = request.param == "postgres"
    url = request.getfixturevalue("postgres").new_database() if on_postgres else f"sqlite:///{tmp_path / 'arena.db'}"
    made = Parts(url, tmp_path)
    (tmp_path / "certificate.json").write_text(certificate().model_dump_json())
    yield made
    made.close()


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Parts]:
    made = Parts(f"sqlite:///{tmp_path / 'arena.db'}", tmp_path)
    (tmp_path / "certificate.json").write_text(certificate().model_dump_json())
    yield made
    made.close()


def scored(parts: Parts, name: str, mse: float = 0.01, form: str = "native", does: str = "score") -> str:
    """An entry that was evaluated."""
    id_ = parts.hand_in(parts.team(name), f"{does} {name}")
    job = parts.queue.claim("tests", now())
    assert job is not None
    card = made_card(name, mse=mse)
    end = Outcome(name, form, card.judge_hash, card.source, card.fingerprint, "", card.model_dump_json(), "{}", {})
    assert parts.queue.finish(job, end, now())
    return id_


def worker(parts: Parts, seconds: float = 0.2, lease: float = 1.0) -> Forked:
    """A worker in a process of its own, whose evaluations and trainings are quick."""
    arguments = [parts.url, parts.objects_url, lease, parts.record, seconds, FAKE, *parts.program]
    process = Forked([str(one) for one in arguments], WORKER, parts.folder / "log")
    parts.workers.append(process)
    return process


def trainings(parts: Parts) -> list[int]:
    """The process of every training that was begun."""
    return [int(line.split()[1]) for line in parts.record.read_text().splitlines() if line.startswith("train ")]


def order(parts: Parts, *ids: str) -> int:
    return parts.store.certifying.order(ids, "tests", now())


def states(parts: Parts) -> dict[str, str]:
    return {id_: one.state for id_, one in parts.store.certifying.found().items()}


def test_top_places_are_trained_anew_without_being_asked_best_first(plain: Parts) -> None:
    third, first, other, second = (
        scored(plain, "third", 0.05),
        scored(plain, "first", 0.001),
        scored(plain, "portable", 0.0001, form="portable"),
        scored(plain, "second", 0.01),
    )
    entries = ScoredEntries(plain.store)
    assert nominate(plain.store, entries, rules(top=3), now()) == 2
    assert list(states(plain)) == [first, second]
    assert nominate(plain.store, entries, rules(top=3), now()) == 0  # once
    assert {third, other}.isdisjoint(states(plain))
    for one in (rules(training=False), rules(top=0), load_contest("contest-2025")):
        assert nominate(plain.store, entries, one, now()) == 0


def test_cards_are_parsed_once_and_one_that_cannot_be_read_stops_nobody(
    plain: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored(plain, "old", 0.0001)
    broken = made_card("old").model_dump_json().replace('"value":0.01,', '"value":-7.0,', 1)
    with plain.database.writing() as session:
        session.execute(update(EvaluationRow).values(card=broken))
    first, parsed = scored(plain, "first"), []
    read = plain.store.cards.texts
    monkeypatch.setattr(plain.store.cards, "texts", lambda ids: parsed.extend(ids) or read(ids))
    entries = ScoredEntries(plain.store)
    assert nominate(plain.store, entries, rules(), now()) == 1
    assert list(states(plain)) == [first]
    scored(plain, "second")
    before = len(parsed)
    assert nominate(plain.store, entries, rules(), now()) == 1
    assert before == 2
    assert len(parsed) == 3


def test_evaluations_are_claimed_before_trainings_however_long_these_wait(parts: Parts) -> None:
    entry = scored(parts, "a")
    assert order(parts, entry) == 1
    later = parts.hand_in(parts.team("b"), "score")
    assert parts.store.submissions.one(later).ahead == 0
    assert parts.queue.evaluation_waits(now())
    jobs = [parts.queue.claim("tests", now()) for _ in range(2)]
    assert [(one.kind, one.submission.id) for one in jobs if one] == [("evaluate", later), ("retrain", entry)]
    assert not parts.queue.evaluation_waits(now())
    assert parts.state(entry) == "scored"  # it stands on the board meanwhile
    assert parts.store.rejudging.state().waiting == 0  # nobody evaluates it again


def test_a_worker_trains_anew_and_the_certificate_is_kept(parts: Parts) -> None:
    parts.store.rules.put("open", rules().model_dump_json(), now())
    entry = scored(parts, "a")
    worker(parts)  # it sees by itself that this one is at the top
    until(lambda: states(parts).get(entry) == "done")
    made = certificate_in(parts.store.certifying.found()[entry])
    assert made == certificate()
    assert len(trainings(parts)) == 1
    assert not list(Path("/tmp").glob(f"arena-training-*-{parts.store.certifying.found()[entry].job}"))


def test_a_killed_worker_s_training_is_gone_on_with_by_another(plain: Parts) -> None:
    entry = scored(plain, "a")
    order(plain, entry)
    first = worker(plain, seconds=3)
    until(lambda: len(trainings(plain)) == 1)
    job = plain.store.certifying.found()[entry].job
    [shop] = Path("/tmp").glob(f"arena-training-*-{job}")
    until(lambda: (shop / "steps").exists() and len((shop / "steps").read_text()) > 5)
    first.send_signal(signal.SIGKILL)
    until(lambda: not alive(trainings(plain)[0]))
    kept = len((shop / "steps").read_text())
    worker(plain, seconds=3)
    until(lambda: states(plain)[entry] == "done")
    assert len(trainings(plain)) == 2
    assert kept > 5
    assert certificate_in(plain.store.certifying.found()[entry]) is not None


def test_a_training_steps_aside_for_an_evaluation_and_is_gone_on_with(plain: Parts) -> None:
    entry = scored(plain, "a")
    order(plain, entry)
    worker(plain, seconds=6, lease=30)
    until(lambda: len(trainings(plain)) == 1)
    other = plain.hand_in(plain.team("b"), "score")
    until(lambda: plain.state(other) == "scored")
    assert states(plain)[entry] != "done"
    until(lambda: states(plain)[entry] == "done")
    assert len(trainings(plain)) == 2
    assert certificate_in(plain.store.certifying.found()[entry]) is not None


def test_what_a_ghost_writes_changes_nothing(plain: Parts) -> None:
    entry = scored(plain, "a")
    order(plain, entry)
    job = plain.queue.claim("ghost", now())
    assert job is not None
    assert plain.queue.release(job, now())
    heir = plain.queue.claim("heir", now())
    assert heir is not None
    from latentarena.arena.store import Trained

    assert not plain.queue.finish(job, Trained("{}"), now())
    assert plain.queue.finish(heir, Trained(certificate().model_dump_json()), now())
    assert certificate_in(plain.store.certifying.found()[entry]) == certificate()


@pytest.mark.parametrize(
    ("does", "state", "words"),
    [("refuse", "done", "it has no recipe"), ("die", "done", "crashed (SIGSEGV)")],
)
def test_a_training_that_comes_to_nothing_says_why_and_the_score_stays(
    plain: Parts, does: str, state: str, words: str
) -> None:
    entry = scored(plain, "a", does=does)
    order(plain, entry)
    worker(plain)
    until(lambda: states(plain)[entry] == state)
    found = plain.store.certifying.found()[entry]
    assert words in found.words
    assert certificate_in(found) is None
    assert plain.state(entry) == "scored"


def test_the_organiser_orders_and_sees_trainings_from_the_shell(plain: Parts) -> None:
    entry = scored(plain, "a")
    waiting = plain.hand_in(plain.team("b"), "score")
    run = CliRunner()
    done = run.invoke(app, ["certify", entry, "--db", plain.url])
    assert done.exit_code == 0
    assert "1 recipe waits to be trained anew" in done.output
    assert f"{entry}: waits to be trained anew" in run.invoke(app, ["certify", "--db", plain.url]).output
    assert order(plain, entry) == 0  # it waits already
    with pytest.raises(ConfigError, match="only scored native bundles"):
        order(plain, waiting)
    with pytest.raises(NotThere):
        order(plain, "nothing")
    assert [line.action for line in plain.store.audit.lines()][:1] == ["train anew"]


def test_downgrading_forgets_certificates_and_nothing_else(plain: Parts) -> None:
    entry = scored(plain, "a")
    order(plain, entry)
    plain.database.downgrade("0004")
    plain.database.upgrade()
    assert states(plain) == {}
    assert plain.state(entry) == "scored"
    assert json.loads(plain.store.cards.of(entry)[0].card)["model"] == "a"
