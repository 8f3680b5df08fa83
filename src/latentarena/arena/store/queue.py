"""The queue of evaluations, and behind them of trainings to be repeated: leases with fencing, retries, quarantine.

A worker holds a lease and renews it. When it dies, the lease runs out and the job is claimed again, under a higher
`fence`; whatever the dead worker's ghost still writes carries the old one and changes nothing. So a clock that jumps
can cost an evaluation twice its time, but never gives two scores. A job whose workers died three times is quarantined.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import case, delete, or_, select, update
from sqlalchemy.orm import Session

from latentarena.arena.records import Job, Outcome, Refusal, Trained
from latentarena.arena.store.database import Database
from latentarena.arena.store.models import CertificateRow, EvaluationRow, JobRow, SubmissionRow, TeamRow
from latentarena.arena.store.rows import alone_with_object, bump, latest_contest, new_id, note, submission_of
from latentarena.errors import StoreError

LEASE = timedelta(seconds=60)
DEATHS = 3  # of workers at one job, before it is quarantined
BACKOFF = timedelta(seconds=5)  # after the first death; doubled with each
BEHIND = case((JobRow.kind == "evaluate", 0), else_=1)  # a repeated training waits for every evaluation
FAR = timedelta(minutes=10)  # nothing is put off for so long: a time beyond was written before the clock was set back


class Queue:
    """The jobs in a database."""

    def __init__(self, database: Database, lease: timedelta = LEASE, backoff: timedelta = BACKOFF) -> None:
        """Keep the database.

        Args:
            lease: for how long a worker that does not renew it holds a job.
            backoff: how long a job rests after its worker died, doubled with each death.
        """
        self.database, self.lease, self.backoff = database, lease, backoff

    def claim(self, owner: str, now: datetime, only: str | None = None) -> Job | None:
        """Take the oldest job that waits, evaluations first, or the one of this id; None where none waits.

        No two callers get the same.
        """
        with self.database.writing() as session:
            self._sweep(session, now)
            row = session.scalars(
                select(JobRow)
                .where(JobRow.state == "queued", or_(JobRow.not_before <= now, JobRow.not_before > now + FAR))
                .where(*([] if only is None else [JobRow.id == only]))
                .order_by(BEHIND, JobRow.created, JobRow.id)
                .limit(1)
                .with_for_update(skip_locked=True)
            ).first()
            if row is None:
                return None
            submission = session.get_one(SubmissionRow, row.submission)
            row.state, row.owner, row.fence = "leased", owner, row.fence + 1
            row.started, row.leased_until = now, now + self.lease
            if submission.state == "queued":
                submission.state = "running"
            team = session.get_one(TeamRow, submission.team)
            return Job(
                id=row.id,
                submission=submission_of(submission, team),
                judge=row.judge,
                owner=owner,
                fence=row.fence,
                deaths=row.deaths,
                leased_until=row.leased_until,
                kind=cast(Any, row.kind),
            )

    def evaluation_waits(self, now: datetime) -> bool:
        """Whether an entry waits to be evaluated, before which a repeated training steps back."""
        query = select(JobRow.id).where(JobRow.kind == "evaluate", JobRow.state == "queued", JobRow.not_before <= now)
        with self.database.reading() as session:
            return session.scalar(query.limit(1)) is not None

    def renew(self, job: Job, now: datetime) -> bool:
        """Hold a job for longer; false where the lease is another's by now, and the work is in vain."""
        query = (
            update(JobRow)
            .where(JobRow.id == job.id, JobRow.fence == job.fence, JobRow.state == "leased")
            .values(leased_until=now + self.lease)
        )
        with self.database.writing() as session:
            return bool(cast(Any, session.execute(query)).rowcount)

    def finish(self, job: Job, end: Outcome | Refusal | Trained, now: datetime) -> bool:
        """Write what a job came to, once; false, and nothing written, where the lease is another's by now."""
        with self.database.writing() as session:
            row = _held(session, job)
            if row is None:
                return False
            submission = session.get_one(SubmissionRow, row.submission)
            if row.kind == "retrain":
                _certify(session, row, end, now)
                return True
            contest = latest_contest(session)
            if submission.state == "running" and contest is not None and contest.judge not in (None, row.judge):
                row.judge = contest.judge or row.judge  # it was adopted meanwhile
                _requeue(session, row, now)
                return True
            if isinstance(end, Trained):
                raise StoreError("a certificate is no score card")
            if isinstance(end, Outcome):
                for digest in sorted(set(end.files.values())):
                    alone_with_object(session, digest)
                _score(session, row, submission, end, now)
            elif submission.state == "running":
                submission.state, submission.reason, submission.sentence = end.state, end.reason, end.sentence
                submission.name, submission.form = end.name or submission.name, end.form or submission.form
            else:  # it has a score already, which stays
                note(session, now, "worker", "not judged again", submission.id, f"{end.reason}: {end.sentence}")
            submission.log = end.log
            row.state, row.leased_until = "done", None
            bump(session)
            return True

    def release(self, job: Job, now: datetime) -> bool:
        """Give a job back unharmed, as a worker does that is told to stop."""
        with self.database.writing() as session:
            row = _held(session, job)
            if row is not None:
                _requeue(session, row, now)
            return row is not None

    def died(self, job: Job, now: datetime) -> bool:
        """Say that the evaluation of a job died, as its worker saw; it counts like a worker's own death."""
        with self.database.writing() as session:
            row = _held(session, job)
            if row is not None:
                self._bury(session, row, now)
            return row is not None

    def sweep(self, now: datetime) -> int:
        """Take back the jobs of dead workers; returns how many."""
        with self.database.writing() as session:
            return self._sweep(session, now)

    def _sweep(self, session: Session, now: datetime) -> int:
        ended = or_(JobRow.leased_until < now, JobRow.leased_until > now + self.lease + FAR)
        query = select(JobRow).where(JobRow.state == "leased", ended)
        rows = session.scalars(query.with_for_update(skip_locked=True)).all()
        for row in rows:
            self._bury(session, row, now)
        session.flush()
        return len(rows)

    def _bury(self, session: Session, row: JobRow, now: datetime) -> None:
        row.deaths += 1
        if row.deaths < DEATHS:
            _requeue(session, row, now + self.backoff * 2 ** (row.deaths - 1))
            return
        row.state, row.leased_until = "quarantined", None
        submission = session.get_one(SubmissionRow, row.submission)
        if submission.state == "running":
            submission.state, submission.reason = "quarantined", "evaluation-died"
            submission.sentence = (
                f"its evaluation died {row.deaths} times; it is set aside, and an organiser can have it tried again"
            )
        note(session, now, "queue", "quarantine", submission.id, f"{row.deaths} deaths")
        bump(session)


def _certify(session: Session, row: JobRow, end: Outcome | Refusal | Trained, now: datetime) -> None:
    """Keep the certificate of a repeated training, or why there is none."""
    content, sentence = (end.content, "") if isinstance(end, Trained) else ("", getattr(end, "sentence", ""))
    session.add(
        CertificateRow(
            job=row.id, submission=row.submission, fence=row.fence, content=content, sentence=sentence, finished=now
        )
    )
    row.state, row.leased_until = "done", None
    bump(session)


def _held(session: Session, job: Job) -> JobRow | None:
    """The job's row, locked, if the lease still is the job's."""
    query = select(JobRow).where(JobRow.id == job.id, JobRow.fence == job.fence, JobRow.state == "leased")
    return session.scalars(query.with_for_update()).first()


def _requeue(session: Session, row: JobRow, not_before: datetime) -> None:
    row.state, row.owner, row.leased_until, row.not_before = "queued", "", None, not_before
    submission = session.get_one(SubmissionRow, row.submission)
    if submission.state == "running":
        submission.state = "queued"


def _score(session: Session, job: JobRow, submission: SubmissionRow, end: Outcome, now: datetime) -> None:
    """Put a first score card in force; a further one is proposed, in the place of what was proposed before."""
    again = submission.state == "scored"
    if again:
        before = delete(EvaluationRow).where(EvaluationRow.submission == submission.id, EvaluationRow.proposed)
        session.execute(before)
    session.add(
        EvaluationRow(
            id=new_id(),
            submission=submission.id,
            job=job.id,
            fence=job.fence,
            judge=end.judge,
            source=end.source,
            fingerprint=end.fingerprint,
            tier=end.tier,
            card=end.card,
            bundle=end.bundle,
            files=json.dumps(end.files),
            started=job.started,
            finished=now,
            current=not again,
            proposed=again,
        )
    )
    if not again:
        submission.state, submission.reason, submission.sentence = "scored", "", ""
        submission.name, submission.form = end.name, end.form
