"""What the site asks of the store, in the terms of its pages: who a caller is, what they may see, and how it reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from mmap import mmap

from latentarena.arena.enrolment import Enrolled, add_roster, plan_roster, remove_team
from latentarena.arena.entry import PICTURES, ScoredEntry
from latentarena.arena.erasing import erase_entry
from latentarena.arena.objects import Incoming, Objects
from latentarena.arena.pages import moment
from latentarena.arena.roster import read_roster
from latentarena.arena.scored import ScoredEntries
from latentarena.arena.store import (
    Audited,
    Certification,
    Certifying,
    Enrolment,
    Evaluation,
    Store,
    Submission,
    TeamDetails,
)
from latentarena.contest.commitment import Commitment, commitment_of
from latentarena.contest.contest import Contest
from latentarena.errors import ConfigError, NotThere, OutOfTime, StoreError
from latentarena.gates import BUNDLE, SUBMISSION, glance
from latentarena.web.access import Caller, Role
from latentarena.web.views import Page, Status, status_of

PIECE = 1 << 18  # bytes of a download at a time


class Desk:
    """A contest's store and files, asked on behalf of callers. Every method may block: call it off the event loop."""

    def __init__(self, store: Store, objects: Objects, contest: Contest) -> None:
        self.store, self.objects, self.contest = store, objects, contest
        self._entries = ScoredEntries(store)

    # who is calling

    def identify(self, secret: str) -> Caller | None:
        """Whose token this is; None if nobody's, revoked or expired, or that of a session."""
        return self._caller(secret, session=False)

    def identify_session(self, secret: str) -> Caller | None:
        """Whose session this is; None if nobody's, or over."""
        return self._caller(secret, session=True)

    def _caller(self, secret: str, session: bool) -> Caller | None:
        found = self.store.identify(secret, _now())
        if found is None or found.session != session:
            return None
        if found.team is None:
            return Caller(Role.ORGANISER, None, found.label)
        return Caller(Role.TEAM, found.team.id, found.team.name)

    def sign_in(self, token: str, seconds: int) -> tuple[Caller, str] | None:
        """Who the token belongs to and a session for it; None if it is nobody's."""
        session = self.store.open_session(token, _now(), timedelta(seconds=seconds))
        caller = self.identify_session(session) if session else None
        return (caller, session) if caller and session else None

    # the board

    def version(self) -> str:
        """Changes whenever the board may look different."""
        return f"{self.store.version()}{'-closed' if self.contest.closed(_now()) else ''}"

    def rules(self) -> Contest:
        """The contest with the judge in force: the one that an organiser has adopted, else the contest file's."""
        judge = self.store.judge()
        return self.contest if judge is None else self.contest.model_copy(update={"judge": judge})

    def commitment(self) -> Commitment:
        """What may be known of the contest's key now."""
        now = _now()
        return commitment_of(self.store.key(self.contest.name, now), self.contest, now)

    def scored(self, rules: Contest) -> list[ScoredEntry[str]]:
        """Every scored entry in the contest's terms, in the order they were received; see `ScoredEntries`."""
        return self._entries.all(rules)

    def trained(self) -> dict[str, Certification]:
        """How far the repeated trainings of entries are, by entry."""
        return Certifying(self.store.database).found()

    def train_anew(self, submission: str, caller: Caller) -> None:
        """Queue the recipe of an entry to be trained anew.

        Raises:
            NotThere, ConfigError: there is no such entry, or it has no recipe.
        """
        Certifying(self.store.database).order([submission], caller.name, _now())

    def in_terms(self, one: Submission, found: Evaluation, rules: Contest) -> ScoredEntry[str]:
        """Any evaluation of an entry in a contest's terms; see `ScoredEntries`."""
        return self._entries.in_terms(one, found, rules)

    # scored entries, for everyone

    def shown(self, entry: str, caller: Caller) -> ScoredEntry[str]:
        """A scored entry as the caller may see it; of its pictures, the hashes under which they are kept.

        Raises:
            NotThere: there is none.
        """
        one, found = self._current(entry)
        return replace(self.in_terms(one, found, self.rules()), bundle_open=_may_have(caller, one))

    def _current(self, entry: str) -> tuple[Submission, Evaluation]:
        one = self.store.submission(entry)
        found = next((found for found in self.store.evaluations(one.id) if found.current), None)
        if found is None:
            raise NotThere(f"there is no entry {entry!r}")
        return one, found

    def picture(self, entry: str, name: str) -> str:
        """The hash of a PNG of an entry; with a new judge's cards it changes.

        Raises:
            NotThere: there is no such entry or picture.
        """
        _, found = self._current(entry)
        if name not in found.files or name not in {picture.name for picture in PICTURES}:
            raise NotThere(f"there is no picture {name[:80]!r}")
        return found.files[name]

    def bundle(self, entry: str, caller: Caller) -> tuple[int, Iterator[bytes]]:
        """Size and content of an entry's zip.

        Raises:
            NotThere: there is none, or its owner did not publish it.
        """
        one, _ = self._current(entry)
        if not _may_have(caller, one):
            raise NotThere(f"there is no bundle of entry {entry!r}")
        file = self.objects.open(one.digest)

        def pieces() -> Iterator[bytes]:
            with file:
                while piece := file.read(PIECE):
                    yield piece

        return one.size, pieces()

    def playable(self, entry: str) -> str:
        """The hash of an entry's bundle, to draw with.

        Raises:
            NotThere: there is no such entry.
            ConfigError: it is a program, which draws in its evaluation only.
        """
        one, _ = self._current(entry)
        if one.form == "python-2025":
            raise ConfigError("this entry is a Python file of 2025: it only runs while it is evaluated")
        return one.digest

    # a team's own

    def incoming(self, team: str) -> Incoming:
        """A place for an upload.

        Raises:
            OutOfTime, QuotaReached: the team may hand in nothing now.
            StorageFull, StoreError: it cannot be taken.
        """
        late = out_of_time(self.contest, _now())
        if late:
            raise OutOfTime(late)
        self.store.refuse_over_quota(team, self.contest.quotas, _now())
        return self.objects.incoming()

    def submit(self, team: str, incoming: Incoming) -> tuple[Status, bool]:
        """Keep an upload and queue it; whether it is new. It is received once all of it is on disk.

        Raises:
            OutOfTime, QuotaReached, StorageFull, StoreBusy, StoreError: it was not taken, and nothing of it is kept.
            GateError: it is at a glance nothing that could be scored; it costs no quota and waits for nothing.
        """
        digest, rules = incoming.settle(), self.contest
        received = _now()
        late = out_of_time(rules, received)
        if late:
            arrived = f"{received:%Y-%m-%d %H:%M:%S} UTC"
            raise OutOfTime(f"{late}; what counts is when the whole bundle has arrived, which was {arrived}")
        with incoming.look() as content:
            refuse_junk(content, rules)
        try:
            one, new = self.store.submit(
                team, digest, incoming.size, rules.judge, rules.quotas, received, keep=incoming.keep
            )
        except StoreError:
            with suppress(StoreError):  # it may have been put away before it could not be noted
                self.store.discard_object(digest, self.objects.remove)
            raise
        return status_of(one), new

    def status(self, submission: str, caller: Caller) -> Status:
        """What became of a submission of the caller's own, or of any for organisers.

        Raises:
            NotThere: there is none, or it is another team's.
        """
        return status_of(self.store.submission(submission, _owner(caller)))

    def statuses(self, caller: Caller, number: int = 1, states: Sequence[str] = ()) -> Page[Status]:
        """A page of the caller's own submissions (an organiser's: all), the latest first, in any of the states."""
        owner = _owner(caller)
        return Page.of(
            number,
            self.store.submission_count(owner, states),
            lambda limit, offset: map(status_of, self.store.submissions(owner, limit, offset, states)),
        )

    def left(self, team: str) -> str:
        """How many more bundles a team may hand in, in a sentence; empty where there is no limit."""
        left = self.store.left(team, self.contest.quotas, _now())
        return "" if left is None else f"Your team may hand in {left} more now."

    def choose(self, submission: str, caller: Caller) -> None:
        """Let this entry count for its team.

        Raises:
            NotThere: it is not the caller's.
        """
        self.store.choose(submission, _team(caller), _now())

    def publish(self, submission: str, caller: Caller, public: bool) -> None:
        """Let everyone download a bundle, or nobody else.

        Raises:
            NotThere: it is not the caller's.
        """
        self.store.publish(submission, _team(caller), public, _now())

    # for organisers

    def teams(self, number: int = 1) -> Page[TeamDetails]:
        """A page of the teams, by name."""
        return Page.of(number, self.store.team_count(), self.store.teams)

    def audit(self, number: int = 1) -> Page[Audited]:
        """A page of what was done, the latest first."""
        return Page.of(number, self.store.audit_count(), self.store.audit)

    def plan_teams(self, roster: str) -> Enrolled:
        """What a roster would change.

        Raises:
            ConfigError: one line on what is wrong with the roster.
        """
        return plan_roster(self.store, read_roster(roster))

    def add_teams(self, roster: str, caller: Caller) -> Enrolled:
        """Add the teams and members of a roster that are not there yet; with the new teams' tokens, shown this once.

        Raises:
            ConfigError: one line on what is wrong with the roster.
        """
        return add_roster(self.store, read_roster(roster), caller.name)

    def team(self, team: str) -> TeamDetails:
        """A team with its private members.

        Raises:
            NotThere: there is no such team.
        """
        found = next((one for one in self.store.teams() if one.id == team), None)
        if found is None:
            raise NotThere(f"there is no team {team[:80]!r}")
        return found

    def change_team(
        self, team: str, caller: Caller, name: str | None = None, add: Sequence[str] = (), remove: Sequence[str] = ()
    ) -> TeamDetails:
        """Rename a team, or change who is in it; see `Enrolment.change`."""
        return Enrolment(self.store.database).change(team, caller.name, _now(), name, add, remove)

    def remove_team(self, team: str, caller: Caller, entries: bool) -> list[str]:
        """Forget a team, and its entries if they are to go; the hashes of files that are gone. See `remove_team`."""
        return remove_team(self.store, self.objects, team, caller.name, entries)

    def new_token(self, team: str, caller: Caller) -> tuple[str, str]:
        """A new token for a team, in place of all it had: name and token.

        Raises:
            NotThere: there is no such team.
        """
        name = self.team(team).name
        self.store.revoke_tokens(team, caller.name, _now())
        return name, self.store.new_token(team, name, caller.name, _now())

    def revoke(self, team: str, caller: Caller) -> int:
        """End all tokens and sessions of a team; how many.

        Raises:
            NotThere: there is no such team.
        """
        return self.store.revoke_tokens(team, caller.name, _now())

    def erase(self, submission: str, caller: Caller) -> list[str]:
        """Forget a submission with its files, but for those that another one has too; their hashes.

        Raises:
            NotThere: there is none.
        """
        return erase_entry(self.store, self.objects, submission, caller.name)

    def requeue(self, submission: str, caller: Caller) -> None:
        """Evaluate again what ended without a score.

        Raises:
            NotThere, ConfigError: there is none, or it did not.
        """
        self.store.requeue(submission, self.rules().judge, caller.name, _now())


def refuse_junk(content: bytes | mmap, contest: Contest) -> None:
    """Raise where a file is at a glance none that the contest takes: what it is is in the message.

    A program of 2025 may come as it is where the contest takes it. What begins with a zip file's two letters and is
    none is left to the evaluation, which says what is wrong with it.

    Raises:
        GateError: with the way out.
    """
    programs = "python-2025" in contest.forms
    if programs and content[:2] != b"PK" and content.find(b"SubmissionInterface") >= 0:
        return
    if content[:2] == b"PK" and content[2:4] not in (b"\x03\x04", b"\x05\x06"):
        return
    glance(content, (BUNDLE, SUBMISSION) if programs else (BUNDLE,))


def out_of_time(contest: Contest, now: datetime) -> str:
    """Why nothing is received now; empty if it is."""
    if contest.receives(now):
        return ""
    if contest.opens and now < contest.opens:
        return f"the contest opens {moment(contest.opens)}"
    assert contest.closes is not None
    return f"the contest closed {moment(contest.closes)}"


def _may_have(caller: Caller, one: Submission) -> bool:
    """Whether the caller may download a bundle: a public one, one's own, or any for organisers."""
    return one.public or caller.role is Role.ORGANISER or caller.team == one.team.id


def _owner(caller: Caller) -> str | None:
    """Whose things the caller may see: None is everyone's."""
    return None if caller.role is Role.ORGANISER else _team(caller)


def _team(caller: Caller) -> str:
    if caller.team is None:
        raise NotThere("an organiser's token belongs to no team; sign in with the token of a team")
    return caller.team


def _now() -> datetime:
    return datetime.now(UTC)
