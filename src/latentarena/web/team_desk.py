"""What a team asks of a contest's site: to take its bundles, what became of them, and which of them counts."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from mmap import mmap

from latentarena.arena.objects import Incoming
from latentarena.arena.pages import moment
from latentarena.arena.store import Submission
from latentarena.contest.contest import Contest
from latentarena.errors import GateError, NotThere, OutOfTime, StoreError
from latentarena.gates import BUNDLE, SUBMISSION, check_card, file_in, glance
from latentarena.gates.card import LARGEST_CARD, dataset_named
from latentarena.gates.file_set import NAMES
from latentarena.text import plain_line
from latentarena.web.desk import Desk, now
from latentarena.web.routing import Caller, Role
from latentarena.web.views import Page


class TeamDesk:
    """A team's own submissions; organisers may look at everybody's. Every method may block."""

    def __init__(self, desk: Desk) -> None:
        self._store, self._objects, self._contest = desk.store, desk.objects, desk.contest

    def incoming(self, team: str) -> Incoming:
        """A file to write an upload to.

        Raises:
            OutOfTime, QuotaReached: the team may hand in nothing now.
            StorageFull, StoreError: it cannot be taken.
        """
        late = out_of_time(self._contest, now())
        if late:
            raise OutOfTime(late)
        self._store.submissions.refuse_over_quota(team, self._contest.quotas, now())
        return self._objects.incoming()

    def submit(self, team: str, incoming: Incoming) -> tuple[Submission, bool]:
        """Keep an upload and queue it; returns also whether it is new. It is received once all of it is on disk.

        Raises:
            OutOfTime, QuotaReached, StorageFull, StoreBusy, StoreError: it was not taken, and nothing of it is kept.
            GateError: it is at a glance nothing that could be scored; it costs no quota and waits for nothing.
        """
        digest, rules = incoming.settle(), self._contest
        received = now()
        late = out_of_time(rules, received)
        if late:
            arrived = f"{received:%Y-%m-%d %H:%M:%S} UTC"
            raise OutOfTime(f"{late}; what counts is when the whole bundle has arrived, which was {arrived}")
        with incoming.look() as content:
            refuse_junk(content, rules)
        try:
            one, new = self._store.submissions.add(
                team, digest, incoming.size, rules.judge, rules.quotas, received, keep=incoming.keep
            )
        except StoreError:
            with suppress(StoreError):  # it may have been put away before it could not be noted
                self._store.references.discard(digest, self._objects.remove)
            raise
        return one, new

    def status(self, submission: str, caller: Caller) -> Submission:
        """What became of a submission of the caller's own, or of any for organisers.

        Raises:
            NotThere: there is none, or it is another team's.
        """
        return self._store.submissions.one(submission, _owner(caller))

    def statuses(self, caller: Caller, number: int = 1, states: Sequence[str] = ()) -> Page[Submission]:
        """A page of the caller's own submissions (an organiser's: all), the latest first, in any of the states."""
        owner = _owner(caller)
        return Page.of(
            number,
            self._store.submissions.count(owner, states),
            lambda limit, offset: self._store.submissions.latest(owner, limit, offset, states),
        )

    def left(self, team: str) -> str:
        """How many more bundles a team may hand in, in a sentence; empty where there is no limit."""
        left = self._store.submissions.left(team, self._contest.quotas, now())
        return "" if left is None else f"Your team may hand in {left} more now."

    def choose(self, submission: str, caller: Caller) -> None:
        """Let this entry count for its team.

        Raises:
            NotThere: it is not the caller's.
        """
        self._store.submissions.choose(submission, _team(caller), now())

    def publish(self, submission: str, caller: Caller, public: bool) -> None:
        """Let everyone download a bundle, or nobody else.

        Raises:
            NotThere: it is not the caller's.
        """
        self._store.submissions.publish(submission, _team(caller), public, now())


def refuse_junk(content: bytes | mmap, contest: Contest) -> None:
    """Reject a file that is at a glance none that the contest takes; the message says what it is.

    A program of 2025 may come as it is where the contest takes it.

    Raises:
        GateError: with the way out.
    """
    programs = "python-2025" in contest.forms
    if programs and content[:2] != b"PK" and content.find(b"SubmissionInterface") >= 0:
        return
    glance(content, (BUNDLE, SUBMISSION) if programs else (BUNDLE,))
    dataset = None
    with suppress(GateError):  # a program has no card, and what is wrong with one the evaluation says
        dataset = dataset_named(check_card(file_in(content, NAMES[0], LARGEST_CARD)))
    if dataset not in (None, contest.dataset):
        told = plain_line(str(dataset), 60)
        raise GateError("dataset", f"the bundle's model is one of {told}, not of {contest.dataset}, as this contest's")


def out_of_time(contest: Contest, now: datetime) -> str:
    """The reason why nothing is received now; empty while bundles are."""
    if contest.receives(now):
        return ""
    if contest.opens and now < contest.opens:
        return f"the contest opens {moment(contest.opens)}"
    assert contest.closes is not None
    return f"the contest closed {moment(contest.closes)}"


def _owner(caller: Caller) -> str | None:
    """The team whose submissions a caller may see; None for all."""
    return None if caller.role is Role.ORGANISER else _team(caller)


def _team(caller: Caller) -> str:
    if caller.team is None:
        raise NotThere("an organiser's token belongs to no team; sign in with the token of a team")
    return caller.team
