"""The store's memory: teams and secrets, submissions, leases, score cards; on SQLite and on PostgreSQL."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from latentarena.arena.store import DEATHS, Database, Outcome, Queue, Refusal, Store
from latentarena.arena.store.models import Base, TokenRow
from latentarena.arena.store.rejudging import Rejudging
from latentarena.contest.contest import Quotas
from latentarena.errors import ConfigError, NotThere, QuotaReached

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
NEW = "n" * 64  # a judge
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
    store.teams.add([(name, [f"{name} Privatename"])], "tests", NOW)
    return next(team.id for team in store.teams.all() if team.name == name)


def handed_in(store: Store, team: str, letter: str = "a", now: datetime = NOW) -> str:
    return store.submissions.add(team, letter * 64, 100, "official", FREE, now)[0].id


def outcome(value: float = 1.0) -> Outcome:
    card = json.dumps({"value": value})
    return Outcome("model", "native", "j" * 64, "s" * 64, "f" * 64, "tier 2", card, "{}", {"samples.png": "b" * 64})


def test_a_token_is_its_teams_until_it_is_revoked(store: Store) -> None:
    token = store.teams.add([("Alpha", ["Ada"])], "tests", NOW)["Alpha"]
    found = store.tokens.identify(token, NOW)
    assert found is not None
    assert (found.role, found.team and found.team.name) == ("team", "Alpha")
    assert store.tokens.identify(token[:-1] + ("A" if token[-1] != "A" else "B"), NOW) is None
    session = store.tokens.open_session(token, NOW, MINUTE)
    assert session is not None
    assert store.tokens.identify(session, NOW + MINUTE / 2) is not None
    assert store.tokens.identify(session, NOW + MINUTE) is None
    store.tokens.revoke(found.team.id if found.team else "", "tests", NOW)
    assert store.tokens.identify(token, NOW) is None
    assert store.tokens.identify(session, NOW) is None


def test_a_session_ends_with_its_token_and_opens_no_other(store: Store) -> None:
    team = team_of(store, "Alpha")
    token = store.tokens.new(team, "", "tests", NOW, NOW + HOUR)
    now, session = NOW, store.tokens.open_session(token, NOW, 12 * HOUR)
    assert session is not None
    while now < NOW + 2 * HOUR:  # two sessions that renew each other would never end
        assert store.tokens.open_session(session, now, 12 * HOUR) is None
        now += 20 * MINUTE
    assert store.tokens.identify(session, NOW + HOUR) is None


def test_a_session_that_descends_from_a_session_is_no_better_than_its_root(store: Store) -> None:
    """As they stand in a database of an earlier version."""
    team = team_of(store, "Alpha")
    token = store.tokens.new(team, "", "tests", NOW, NOW + HOUR)
    last = store.tokens.open_session(token, NOW, MINUTE)
    with store.database.writing() as session:
        for i in range(5):
            row = TokenRow(role="team", team=team, label="", created=NOW, expires=NOW + 99 * HOUR, revoked=False)
            row.digest, row.parent = (
                hashlib.sha256(f"old {i}".encode()).hexdigest(),
                hashlib.sha256((f"old {i - 1}" if i else str(last)).encode()).hexdigest(),
            )
            session.add(row)
            session.flush()
    assert store.tokens.identify("old 4", NOW + 2 * MINUTE) is None


def test_organisers_tokens_are_revoked_together(store: Store) -> None:
    token = store.tokens.new(None, "organiser", "tests", NOW)
    session = store.tokens.open_session(token, NOW, HOUR)
    assert session is not None
    assert store.tokens.revoke(None, "tests", NOW) == 2
    assert store.tokens.identify(token, NOW) is store.tokens.identify(session, NOW) is None
    assert not store.tokens.has_organiser()


def test_secrets_are_not_in_the_database(store: Store) -> None:
    token = store.teams.add([("Alpha", [])], "tests", NOW)["Alpha"]
    with store.database.reading() as session:
        content = [session.execute(table.select()).all() for table in Base.metadata.sorted_tables]
    assert "Alpha" in repr(content)
    assert token not in repr(content)


def test_a_name_that_looks_like_another_is_refused_and_nothing_of_the_roster_is_kept(store: Store) -> None:
    team_of(store, "Marco")
    with pytest.raises(ConfigError, match="looks like team 'Marco'"):
        store.teams.add([("New", []), ("Mаrco", [])], "tests", NOW)  # a Cyrillic letter
    assert [team.name for team in store.teams.all()] == ["Marco"]


def test_the_same_bytes_from_the_same_team_are_the_same_submission(store: Store) -> None:
    one, other = team_of(store, "One"), team_of(store, "Other")
    first, new = store.submissions.add(one, "a" * 64, 9, "official", FREE, NOW)
    again, anew = store.submissions.add(one, "a" * 64, 9, "official", FREE, NOW + MINUTE)
    assert (new, anew, again.id, again.received) == (True, False, first.id, NOW)
    assert store.submissions.add(other, "a" * 64, 9, "official", FREE, NOW)[0].id != first.id


def test_quotas_count_a_day_and_the_whole(store: Store) -> None:
    team, quotas = team_of(store, "One"), Quotas(per_day=2, total=3)
    for i, letter in enumerate("ab"):
        store.submissions.add(team, letter * 64, 9, "official", quotas, NOW + i * MINUTE)
    with pytest.raises(QuotaReached, match="24 hours"):
        store.submissions.add(team, "c" * 64, 9, "official", quotas, NOW + 2 * MINUTE)
    tomorrow = NOW + timedelta(days=1, seconds=1)
    store.submissions.add(team, "c" * 64, 9, "official", quotas, tomorrow)
    with pytest.raises(QuotaReached, match="3 bundles"):
        store.submissions.add(team, "d" * 64, 9, "official", quotas, tomorrow + timedelta(days=9))


def test_what_is_told_of_a_quota_is_what_is_refused_by(store: Store) -> None:
    """Beyond any length at which a list is cut off, too."""
    team, many = team_of(store, "One"), 251
    for i in range(many):
        store.submissions.add(team, f"{i:064x}", 9, "official", FREE, NOW + i * MINUTE)
    after = NOW + many * MINUTE
    assert store.submissions.left(team, FREE, after) is None
    assert store.submissions.left(team, Quotas(total=300), after) == 300 - many
    assert store.submissions.left(team, Quotas(total=300, per_day=many + 1), after) == 1
    assert store.submissions.left(team, Quotas(total=many), after) == 0
    with pytest.raises(QuotaReached):
        store.submissions.refuse_over_quota(team, Quotas(total=many), after)
    store.submissions.refuse_over_quota(team, Quotas(total=many + 1), after)


def test_what_is_over_the_quota_is_never_put_into_the_object_store(store: Store) -> None:
    team, put = team_of(store, "One"), []
    for letter in "ab":
        with suppress(QuotaReached):
            store.submissions.add(
                team, letter * 64, 9, "official", Quotas(total=1), NOW, keep=lambda one=letter: put.append(one)
            )
    assert put == ["a"]


def test_another_teams_submission_is_not_there(store: Store) -> None:
    one, other = team_of(store, "One"), team_of(store, "Other")
    id_ = handed_in(store, one)
    for look in (
        store.submissions.one,
        lambda i, t: store.submissions.publish(i, t, True, NOW),
        lambda i, t: store.submissions.choose(i, t, NOW),
    ):
        with pytest.raises(NotThere):
            look(id_, other)
    assert store.submissions.one(id_, one).team.name == "One"


def test_jobs_are_claimed_in_order_and_once(store: Store, queue: Queue) -> None:
    team = team_of(store, "One")
    ids = [handed_in(store, team, letter, NOW + i * MINUTE) for i, letter in enumerate("abc")]
    assert [store.submissions.one(id_).ahead for id_ in ids] == [0, 1, 2]
    later = NOW + 5 * MINUTE
    claimed = [queue.claim(f"worker {i}", later) for i in range(4)]
    assert [job.submission.id if job else None for job in claimed] == [*ids, None]
    assert {store.submissions.one(id_).state for id_ in ids} == {"running"}


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
    assert [json.loads(one.card)["value"] for one in store.cards.of(id_)] == [1]
    assert store.submissions.one(id_).state == "scored"
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
    found = store.submissions.one(id_)
    assert (found.state, found.reason) == ("quarantined", "evaluation-died")
    assert f"died {DEATHS} times" in found.sentence
    store.submissions.requeue(id_, "official", "tests", now)
    assert queue.claim("lucky", now) is not None


def test_a_released_job_rests_on_nobody(store: Store, queue: Queue) -> None:
    id_ = handed_in(store, team_of(store, "One"))
    job = queue.claim("stopping", NOW)
    assert job is not None
    assert queue.release(job, NOW)
    assert store.submissions.one(id_).state == "queued"
    again = queue.claim("next", NOW)
    assert again is not None
    assert again.deaths == 0


def test_a_refusal_reaches_its_owner(store: Store, queue: Queue) -> None:
    id_ = handed_in(store, team_of(store, "One"))
    job = queue.claim("worker", NOW)
    assert job is not None
    assert queue.finish(job, Refusal("refused", "zip-bomb", "bundle.zip unpacks to too much"), NOW)
    found = store.submissions.one(id_)
    assert (found.state, found.reason, found.sentence) == ("refused", "zip-bomb", "bundle.zip unpacks to too much")
    assert store.rejudging.state().entries == ()


def judged_again(store: Store, queue: Queue, judge: str, *values: int) -> Rejudging:
    """All entries evaluated by a judge, with these values in the order in which the entries were received."""
    rejudging = store.rejudging
    rejudging.begin(judge, "tests", NOW)
    for value in values:
        job = queue.claim("worker", NOW + MINUTE)
        assert job is not None
        assert job.judge == judge
        assert queue.finish(job, outcome(value), NOW + 2 * MINUTE)
    return rejudging


def in_force(store: Store) -> list[int]:
    return [json.loads(one.card)["value"] for _, one, _ in store.rejudging.state().entries]


@pytest.fixture
def two_scored(store: Store, queue: Queue) -> list[str]:
    store.rules.put("c", '{"judge": "official"}', NOW)
    ids = [handed_in(store, team_of(store, name), now=NOW - when) for name, when in (("One", HOUR), ("Two", MINUTE))]
    for value in (1, 2):
        job = queue.claim("worker", NOW)
        assert job is not None
        queue.finish(job, outcome(value), NOW)
    return ids


def test_new_cards_come_into_force_all_at_once_when_they_are_adopted(
    store: Store, queue: Queue, two_scored: list[str]
) -> None:
    rejudging = judged_again(store, queue, NEW, 3)
    assert rejudging.begin(NEW, "tests", NOW + MINUTE) == 0, "one waits, one is done"
    state = rejudging.state()
    assert (state.judge, state.waiting, state.proposed, in_force(store)) == (NEW, 1, 1, [1, 2])
    with pytest.raises(ConfigError, match="1 entries still wait"):
        rejudging.adopt("tests", NOW)
    judged_again(store, queue, NEW, 4)
    pairs = [(old.card, new.card) for _, old, new in rejudging.state().entries if new]
    assert pairs == [(outcome(1).card, outcome(3).card), (outcome(2).card, outcome(4).card)]
    assert (in_force(store), store.rules.judge()) == ([1, 2], None)
    version = store.version()
    assert rejudging.adopt("Ada", NOW + HOUR) == 2
    assert (in_force(store), store.rules.judge(), rejudging.state().judge) == ([3, 4], NEW, None)
    assert store.version() > version
    assert [one.current for one in store.cards.of(two_scored[0])] == [True, False], "the one before is kept"
    assert [(one.actor, one.action, one.detail) for one in store.audit.lines(1)] == [
        ("Ada", "adopt new cards", "2 entries")
    ]
    with pytest.raises(ConfigError, match="no new card"):
        rejudging.adopt("tests", NOW)


def test_new_cards_that_are_discarded_leave_no_trace_on_the_board(
    store: Store, queue: Queue, two_scored: list[str]
) -> None:
    rejudging = judged_again(store, queue, NEW, 3)
    running = queue.claim("worker", NOW + MINUTE)
    assert running is not None
    with pytest.raises(ConfigError, match="adopt or discard"):
        rejudging.begin("o" * 64, "tests", NOW)
    assert rejudging.discard("Ada", NOW + HOUR) == 1
    assert not queue.finish(running, outcome(9), NOW + HOUR), "it is no longer wanted"
    assert (in_force(store), store.rules.judge(), rejudging.state().judge) == ([1, 2], None, None)
    assert len(store.cards.of(two_scored[0])) == 1
    assert store.audit.lines(1)[0].action == "discard new cards"
    assert rejudging.begin("o" * 64, "tests", NOW) == 2


def test_an_entry_that_the_new_judge_cannot_score_keeps_its_old_card(
    store: Store, queue: Queue, two_scored: list[str]
) -> None:
    rejudging = judged_again(store, queue, NEW, 3)
    job = queue.claim("worker", NOW + MINUTE)
    assert job is not None
    assert queue.finish(job, Refusal("failed", "timeout", "too slow"), NOW + 2 * MINUTE)
    assert [new is not None for _, _, new in rejudging.state().entries] == [True, False]
    assert store.submissions.one(two_scored[1]).state == "scored"
    rejudging.adopt("tests", NOW + HOUR)
    assert in_force(store) == [3, 2]


def test_what_waits_is_evaluated_by_the_judge_that_was_adopted(
    store: Store, queue: Queue, two_scored: list[str]
) -> None:
    rejudging = judged_again(store, queue, NEW, 3, 4)
    running = handed_in(store, team_of(store, "Three"), now=NOW - MINUTE)
    waiting = handed_in(store, team_of(store, "Four"))
    assert rejudging.state().waiting == 0, "a first evaluation is no second one"
    before = queue.claim("worker", NOW)
    assert before is not None
    assert before.submission.id == running
    rejudging.adopt("tests", NOW + HOUR)
    assert queue.finish(before, outcome(5), NOW + HOUR)
    assert store.submissions.one(running).state == "queued", "its card is by the judge before"
    late = handed_in(store, team_of(store, "Five"))
    jobs = [queue.claim("worker", NOW + HOUR) for _ in range(3)]
    assert {(job.submission.id, job.judge) for job in jobs if job} == {(one, NEW) for one in (running, waiting, late)}


def test_a_judge_that_was_adopted_stays_until_the_contest_file_names_another(
    store: Store, queue: Queue, two_scored: list[str]
) -> None:
    judged_again(store, queue, NEW, 3, 4).adopt("tests", NOW)
    store.rules.put("c", '{"judge": "official", "title": "Changed"}', NOW + MINUTE)
    assert store.rules.judge() == NEW
    store.rules.put("c", f'{{"judge": "{"o" * 64}"}}', NOW + HOUR)
    assert store.rules.judge() is None


def test_a_clock_that_jumps_gives_no_second_score(store: Store, queue: Queue) -> None:
    id_ = handed_in(store, team_of(store, "One"))
    first = queue.claim("before", NOW)
    jumped = NOW + timedelta(hours=1)
    queue.sweep(jumped)
    second = queue.claim("after", jumped + MINUTE)
    assert first is not None
    assert second is not None
    assert [queue.finish(first, outcome(1), NOW), queue.finish(second, outcome(2), NOW)] == [False, True]
    assert len(store.cards.of(id_)) == 1


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
    assert len(store.cards.of(id_)) == 1


def test_private_names_are_nowhere_but_in_the_organisers_list(store: Store, queue: Queue) -> None:
    team = team_of(store, "One")
    id_ = handed_in(store, team)
    job = queue.claim("worker", NOW)
    assert job is not None
    queue.finish(job, outcome(), NOW)
    public = [
        store.submissions.one(id_, team),
        store.submissions.latest(team),
        store.rejudging.state().entries,
        store.cards.of(id_),
        job,
    ]
    assert "Privatename" not in repr(public)
    assert "Privatename" not in repr(store.audit.lines())
    assert "Privatename" in repr(store.teams.all())
    team_of(store, "Two")
    assert store.teams.one(team) == next(one for one in store.teams.all() if one.id == team)
