"""The store's memory: teams and secrets, submissions, leases, score cards; on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from latentarena.arena.contest import Quotas
from latentarena.arena.store import DEATHS, Database, Outcome, Queue, Refusal, Store
from latentarena.arena.store.models import Base
from latentarena.errors import ConfigError, NotThere, QuotaReached

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
FREE = Quotas()


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    on_postgres = request.param == "postgres"
    database = Database(
        request.getfixturevalue("postgres").new_database() if on_postgres else f"sqlite:///{tmp_path / 'arena.db'}"
    )
    database.upgrade()
    yield database
    database.close()


@pytest.fixture
def store(database: Database) -> Store:
    return Store(database)


@pytest.fixture
def queue(database: Database) -> Queue:
    return Queue(database, lease=MINUTE)


def team_of(store: Store, name: str) -> str:
    store.add_teams([(name, [f"{name} Privatename"])], "tests", NOW)
    return next(team.id for team in store.teams() if team.name == name)


def handed_in(store: Store, team: str, letter: str = "a", now: datetime = NOW) -> str:
    return store.submit(team, letter * 64, 100, "official", FREE, now)[0].id


def outcome(value: float = 1.0) -> Outcome:
    card = json.dumps({"value": value})
    return Outcome("model", "native", "j" * 64, "s" * 64, "f" * 64, "tier 2", card, "{}", {"samples.png": "b" * 64})


def test_a_token_is_its_teams_until_it_is_revoked(store: Store) -> None:
    token = store.add_teams([("Alpha", ["Ada"])], "tests", NOW)["Alpha"]
    found = store.identify(token, NOW)
    assert found is not None
    assert (found.role, found.team and found.team.name) == ("team", "Alpha")
    assert store.identify(token[:-1] + ("A" if token[-1] != "A" else "B"), NOW) is None
    session = store.open_session(token, NOW, MINUTE)
    assert session is not None
    assert store.identify(session, NOW + MINUTE / 2) is not None
    assert store.identify(session, NOW + MINUTE) is None
    store.revoke_tokens(found.team.id if found.team else "", "tests", NOW)
    assert store.identify(token, NOW) is None
    assert store.identify(session, NOW) is None


def test_secrets_are_not_in_the_database(store: Store) -> None:
    token = store.add_teams([("Alpha", [])], "tests", NOW)["Alpha"]
    with store.database.reading() as session:
        content = [session.execute(table.select()).all() for table in Base.metadata.sorted_tables]
    assert "Alpha" in repr(content)
    assert token not in repr(content)


def test_a_name_that_looks_like_another_is_refused_and_nothing_of_the_roster_is_kept(store: Store) -> None:
    team_of(store, "Marco")
    with pytest.raises(ConfigError, match="looks like team 'Marco'"):
        store.add_teams([("New", []), ("Mаrco", [])], "tests", NOW)  # a Cyrillic letter
    assert [team.name for team in store.teams()] == ["Marco"]


def test_the_same_bytes_from_the_same_team_are_the_same_submission(store: Store) -> None:
    one, other = team_of(store, "One"), team_of(store, "Other")
    first, new = store.submit(one, "a" * 64, 9, "official", FREE, NOW)
    again, anew = store.submit(one, "a" * 64, 9, "official", FREE, NOW + MINUTE)
    assert (new, anew, again.id, again.received) == (True, False, first.id, NOW)
    assert store.submit(other, "a" * 64, 9, "official", FREE, NOW)[0].id != first.id


def test_quotas_count_a_day_and_the_whole(store: Store) -> None:
    team, quotas = team_of(store, "One"), Quotas(per_day=2, total=3)
    for i, letter in enumerate("ab"):
        store.submit(team, letter * 64, 9, "official", quotas, NOW + i * MINUTE)
    with pytest.raises(QuotaReached, match="24 hours"):
        store.submit(team, "c" * 64, 9, "official", quotas, NOW + 2 * MINUTE)
    tomorrow = NOW + timedelta(days=1, seconds=1)
    store.submit(team, "c" * 64, 9, "official", quotas, tomorrow)
    with pytest.raises(QuotaReached, match="3 bundles"):
        store.submit(team, "d" * 64, 9, "official", quotas, tomorrow + timedelta(days=9))


def test_another_teams_submission_is_not_there(store: Store) -> None:
    one, other = team_of(store, "One"), team_of(store, "Other")
    id_ = handed_in(store, one)
    for look in (store.submission, lambda i, t: store.publish(i, t, True, NOW), lambda i, t: store.choose(i, t, NOW)):
        with pytest.raises(NotThere):
            look(id_, other)
    assert store.submission(id_, one).team.name == "One"


def test_jobs_are_claimed_in_order_and_once(store: Store, queue: Queue) -> None:
    team = team_of(store, "One")
    ids = [handed_in(store, team, letter, NOW + i * MINUTE) for i, letter in enumerate("abc")]
    assert [store.submission(id_).ahead for id_ in ids] == [0, 1, 2]
    later = NOW + 5 * MINUTE
    claimed = [queue.claim(f"worker {i}", later) for i in range(4)]
    assert [job.submission.id if job else None for job in claimed] == [*ids, None]
    assert {store.submission(id_).state for id_ in ids} == {"running"}


def test_a_score_is_written_once_and_by_the_lease_holder_only(store: Store, queue: Queue) -> None:
    id_, version = handed_in(store, team_of(store, "One")), store.version()
    ghost = queue.claim("first", NOW)
    assert ghost is not None
    assert queue.claim("second", NOW + MINUTE) is None  # the lease holds
    after = NOW + 2 * MINUTE
    assert queue.sweep(after) == 1
    job = queue.claim("second", after + MINUTE)
    assert job is not None
    assert job.fence > ghost.fence
    assert not queue.renew(ghost, after + MINUTE)
    assert not queue.finish(ghost, outcome(666), after + MINUTE)
    assert not queue.release(ghost, after + MINUTE)
    assert queue.renew(job, after + MINUTE)
    assert queue.finish(job, outcome(1), after + MINUTE)
    assert not queue.finish(job, outcome(2), after + MINUTE)
    assert [json.loads(one.card)["value"] for one in store.evaluations(id_)] == [1]
    assert store.submission(id_).state == "scored"
    assert store.version() > version


def test_a_job_that_kills_its_workers_is_set_aside_and_can_be_tried_again(store: Store, queue: Queue) -> None:
    id_ = handed_in(store, team_of(store, "One"))
    now = NOW
    for _ in range(DEATHS):
        assert queue.claim("doomed", now) is not None
        now += timedelta(hours=1)
        queue.sweep(now)
        now += timedelta(hours=1)
    assert queue.claim("lucky", now) is None
    found = store.submission(id_)
    assert (found.state, found.reason) == ("quarantined", "evaluation-died")
    assert f"died {DEATHS} times" in found.sentence
    store.requeue(id_, "official", "tests", now)
    assert queue.claim("lucky", now) is not None


def test_a_released_job_rests_on_nobody(store: Store, queue: Queue) -> None:
    id_ = handed_in(store, team_of(store, "One"))
    job = queue.claim("stopping", NOW)
    assert job is not None
    assert queue.release(job, NOW)
    assert store.submission(id_).state == "queued"
    again = queue.claim("next", NOW)
    assert again is not None
    assert again.deaths == 0


def test_a_refusal_reaches_its_owner(store: Store, queue: Queue) -> None:
    id_ = handed_in(store, team_of(store, "One"))
    job = queue.claim("worker", NOW)
    assert job is not None
    assert queue.finish(job, Refusal("refused", "zip-bomb", "bundle.zip unpacks to too much"), NOW)
    found = store.submission(id_)
    assert (found.state, found.reason, found.sentence) == ("refused", "zip-bomb", "bundle.zip unpacks to too much")
    assert store.scored() == []


def test_a_new_judge_leaves_the_old_card_standing_until_it_has_its_own(store: Store, queue: Queue) -> None:
    id_ = handed_in(store, team_of(store, "One"))
    job = queue.claim("worker", NOW)
    assert job is not None
    queue.finish(job, outcome(1), NOW)
    assert store.rejudge("n" * 64, "tests", NOW + MINUTE) == 1
    assert store.rejudge("n" * 64, "tests", NOW + MINUTE) == 0
    assert [json.loads(one.card)["value"] for _, one in store.scored()] == [1]
    job = queue.claim("worker", NOW + MINUTE)
    assert job is not None
    assert (job.judge, store.submission(id_).state) == ("n" * 64, "scored")
    queue.finish(job, outcome(2), NOW + 2 * MINUTE)
    assert [json.loads(one.card)["value"] for _, one in store.scored()] == [2]
    assert [(json.loads(one.card)["value"], one.current) for one in store.evaluations(id_)] == [(2, True), (1, False)]


def test_a_clock_that_jumps_gives_no_second_score(store: Store, queue: Queue) -> None:
    id_ = handed_in(store, team_of(store, "One"))
    first = queue.claim("before", NOW)
    jumped = NOW + timedelta(hours=1)
    queue.sweep(jumped)
    second = queue.claim("after", jumped + MINUTE)
    assert first is not None
    assert second is not None
    assert [queue.finish(first, outcome(1), NOW), queue.finish(second, outcome(2), NOW)] == [False, True]
    assert len(store.evaluations(id_)) == 1


def test_a_clock_that_is_set_back_keeps_no_job_waiting(store: Store, queue: Queue) -> None:
    team, back = team_of(store, "One"), NOW - timedelta(hours=1)
    id_ = handed_in(store, team)
    job = queue.claim("before", back)
    assert job is not None, "it waits for the time at which it was handed in"
    assert queue.renew(job, NOW)
    assert queue.sweep(back) == 1, "its dead worker holds it for an hour"
    heir = queue.claim("after", back + MINUTE)
    assert heir is not None
    assert [queue.finish(job, outcome(1), back), queue.finish(heir, outcome(2), back)] == [False, True]
    assert len(store.evaluations(id_)) == 1


def test_private_names_are_nowhere_but_in_the_organisers_list(store: Store, queue: Queue) -> None:
    team = team_of(store, "One")
    id_ = handed_in(store, team)
    job = queue.claim("worker", NOW)
    assert job is not None
    queue.finish(job, outcome(), NOW)
    public = [store.submission(id_, team), store.submissions(team), store.scored(), store.evaluations(id_), job]
    assert "Privatename" not in repr(public)
    assert "Privatename" not in repr(store.audit())
    assert "Privatename" in repr(store.teams())
