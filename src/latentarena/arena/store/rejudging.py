"""All entries by a new judge: the new score cards wait beside those in force until they are adopted or discarded.

So the board changes at once, when it is told to, and never shows the figures of two judges.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.orm import Session, aliased

from latentarena.arena.records import Evaluation, Submission
from latentarena.arena.store.database import StorePart
from latentarena.arena.store.models import EvaluationRow, JobRow, SubmissionRow, TeamRow
from latentarena.arena.store.rows import bump, evaluation_of, latest_contest, new_job, note, submission_of
from latentarena.errors import ConfigError

MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Rejudged:
    """How far evaluation by a new judge is.

    Attributes:
        judge: `official` or a hash; None where nothing is evaluated again.
        waiting: entries that wait for it or are being evaluated.
        entries: every scored entry, its evaluation in force and the one proposed, None where there is none (yet).
    """

    judge: str | None
    waiting: int
    entries: tuple[tuple[Submission, Evaluation, Evaluation | None], ...]

    @property
    def proposed(self) -> int:
        """How many new score cards wait for the organiser's word."""
        return sum(new is not None for _, _, new in self.entries)


class Rejudging(StorePart):
    """Evaluation of all entries by a new judge, in a database."""

    def state(self) -> Rejudged:
        """Old and new, in the order the entries were received."""
        new = aliased(EvaluationRow)
        query = (
            select(SubmissionRow, TeamRow, EvaluationRow, new)
            .join(TeamRow, TeamRow.id == SubmissionRow.team)
            .join(EvaluationRow, EvaluationRow.submission == SubmissionRow.id)
            .outerjoin(new, (new.submission == SubmissionRow.id) & new.proposed)
            .where(EvaluationRow.current)
            .order_by(SubmissionRow.received, SubmissionRow.id)
        )
        with self._database.reading() as session:
            entries = tuple(
                (submission_of(row, team), evaluation_of(old), None if proposed is None else evaluation_of(proposed))
                for row, team, old, proposed in session.execute(query)
            )
            return Rejudged(_judge(session), _waiting(session), entries)

    def begin(self, judge: str, actor: str, now: datetime) -> int:
        """Queue every scored entry that has no new card yet; returns how many.

        Raises:
            ConfigError: evaluation by another judge is neither adopted nor discarded.
        """
        with self._database.writing() as session:
            open_ = _judge(session)
            if open_ not in (None, judge):
                raise ConfigError(f"the cards of judge {open_[:12]} are not decided on: adopt or discard them first")
            done = set(session.scalars(select(EvaluationRow.submission).where(EvaluationRow.proposed)))
            done |= set(session.scalars(select(JobRow.submission).where(*_pending())))
            scored = select(SubmissionRow.id).where(SubmissionRow.state == "scored").order_by(SubmissionRow.received)
            ids = [id_ for id_ in session.scalars(scored) if id_ not in done]
            jobs = [new_job(id_, judge, now + i * MICROSECOND) for i, id_ in enumerate(ids)]  # in that order
            session.add_all(jobs)
            note(session, now, actor, "evaluate all again", judge, str(len(jobs)))
        return len(jobs)

    def adopt(self, actor: str, now: datetime) -> int:
        """Put all new cards in force, and the judge with them; those before are kept. Returns how many.

        What is handed in from now on, or still waits, is evaluated by this judge. An entry without a new card keeps its
        old one, which no longer counts.

        Raises:
            ConfigError: there is none, or some are still being made.
        """
        with self._database.writing() as session:
            judge, waiting = _judge(session), _waiting(session)
            if waiting:
                raise ConfigError(f"{waiting} entries still wait for their new card: adopt them all at once, later")
            if judge is None:
                raise ConfigError("there is no new card to adopt; have all entries evaluated again first")
            anew = select(EvaluationRow.submission).where(EvaluationRow.proposed)
            earlier = EvaluationRow.submission.in_(list(session.scalars(anew)))
            session.execute(update(EvaluationRow).where(earlier, EvaluationRow.current).values(current=False))
            adopted = update(EvaluationRow).where(EvaluationRow.proposed).values(current=True, proposed=False)
            many = int(cast(Any, session.execute(adopted)).rowcount)
            session.execute(update(JobRow).where(JobRow.state == "queued").values(judge=judge))
            contest = latest_contest(session)
            if contest is not None:
                contest.judge = judge
            note(session, now, actor, "adopt new cards", judge, f"{many} entries")
            bump(session)
        return many

    def discard(self, actor: str, now: datetime) -> int:
        """Forget the new cards, and stop making more; returns how many cards there were.

        Raises:
            ConfigError: nothing is being evaluated again.
        """
        with self._database.writing() as session:
            judge = _judge(session)
            if judge is None:
                raise ConfigError("there is no new card to discard")
            session.execute(update(JobRow).where(*_pending()).values(state="done", leased_until=None))
            many = int(cast(Any, session.execute(delete(EvaluationRow).where(EvaluationRow.proposed))).rowcount)
            note(session, now, actor, "discard new cards", judge, f"{many} entries")
        return many


def _pending() -> Iterator[ColumnElement[bool]]:
    """Jobs of entries that are scored already."""
    scored = select(SubmissionRow.id).where(SubmissionRow.state == "scored")
    yield JobRow.kind == "evaluate"
    yield JobRow.state.in_(("queued", "leased"))
    yield JobRow.submission.in_(scored)


def _waiting(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(JobRow).where(*_pending())) or 0


def _judge(session: Session) -> str | None:
    """Whose cards are proposed or being made."""
    made = select(JobRow.judge).join(EvaluationRow, EvaluationRow.job == JobRow.id).where(EvaluationRow.proposed)
    return session.scalar(made.limit(1)) or session.scalar(select(JobRow.judge).where(*_pending()).limit(1))
