"""What every visitor may ask of a contest's site: who they are, the board, and scored entries."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from latentarena.arena.entry import PICTURES
from latentarena.arena.objects import Objects
from latentarena.arena.scored import ScoredEntries
from latentarena.arena.store import Evaluation, Store, Submission
from latentarena.contest.commitment import Commitment, commitment_of
from latentarena.contest.contest import Contest
from latentarena.contest.entry import Entry
from latentarena.errors import ConfigError, NotThere
from latentarena.web.routing import Caller, Role

PIECE = 1 << 18  # bytes of a download at a time


class Desk:
    """A contest's store and files, asked on behalf of visitors. Every method may block: call it off the event loop."""

    def __init__(self, store: Store, objects: Objects, contest: Contest) -> None:
        self.store, self.objects, self.contest = store, objects, contest
        self.entries = ScoredEntries(store)

    def identify(self, secret: str, session: bool = False) -> Caller | None:
        """The caller of a token or of a session; None if it is nobody's, revoked or expired, or of the other kind."""
        found = self.store.tokens.identify(secret, now())
        if found is None or found.session != session:
            return None
        if found.team is None:
            return Caller(Role.ORGANISER, None, found.label)
        return Caller(Role.TEAM, found.team.id, found.team.name)

    def sign_in(self, token: str, seconds: int) -> tuple[Caller, str] | None:
        """The caller of a token, and a new session for them; None if it is nobody's."""
        session = self.store.tokens.open_session(token, now(), timedelta(seconds=seconds))
        caller = self.identify(session, session=True) if session else None
        return (caller, session) if caller and session else None

    def version(self) -> str:
        """A text that changes whenever the board may look different."""
        return f"{self.store.version()}{'-closed' if self.contest.closed(now()) else ''}"

    def rules(self) -> Contest:
        """The contest with the judge in force: the one that an organiser has adopted, else the contest file's."""
        judge = self.store.rules.judge()
        return self.contest if judge is None else self.contest.model_copy(update={"judge": judge})

    def commitment(self) -> Commitment:
        """The commitment to the contest's key, with the key itself once the contest has closed."""
        moment = now()
        return commitment_of(self.store.rules.key(self.contest, moment), self.contest, moment)

    def shown(self, entry: str) -> Entry:
        """A scored entry, as everybody may see it.

        Raises:
            NotThere: there is none.
        """
        one, found = self._current(entry)
        return self.entries.in_terms(one, found, self.rules())

    def opens(self, entry: str, caller: Caller) -> bool:
        """Whether the caller may download the bundle of an entry.

        Raises:
            NotThere: there is no such entry.
        """
        return _may_have(caller, self.store.submissions.one(entry))

    def _current(self, entry: str) -> tuple[Submission, Evaluation]:
        one = self.store.submissions.one(entry)
        found = next((found for found in self.store.cards.of(one.id) if found.current), None)
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


def _may_have(caller: Caller, one: Submission) -> bool:
    """Whether the caller may download a bundle: a public one, one's own, or any for organisers."""
    return one.public or caller.role is Role.ORGANISER or caller.team == one.team.id


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)
