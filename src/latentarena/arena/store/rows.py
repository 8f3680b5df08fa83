"""What the parts of the store share: records made of rows, new rows, and notes of what was done."""

from __future__ import annotations

import json
import secrets
import time
from datetime import datetime
from typing import Any, Literal, cast

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from latentarena.arena.records import Evaluation, Submission, Team
from latentarena.arena.store.models import (
    AuditRow,
    ContestRow,
    CounterRow,
    EvaluationRow,
    JobRow,
    SubmissionRow,
    TeamRow,
)
from latentarena.errors import NotThere

BOARD = "board"  # the counter of what the board shows
Kind = Literal["evaluate", "retrain"]


def new_id() -> str:
    """An id that sorts by time and cannot be guessed."""
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(8)}"


def note(session: Session, now: datetime, actor: str, action: str, subject: str, detail: str = "") -> None:
    """Add a line to the audit log."""
    session.add(AuditRow(at=now, actor=actor, action=action, subject=subject, detail=detail))


def bump(session: Session) -> None:
    """Say that the board may look different once this transaction is through."""
    insert = sqlite_insert if session.get_bind().dialect.name == "sqlite" else postgresql_insert
    query = insert(CounterRow).values(name=BOARD, value=1)
    session.execute(query.on_conflict_do_update(index_elements=["name"], set_={"value": CounterRow.value + 1}))


def submission_of(row: SubmissionRow, team: TeamRow, ahead: int | None = None) -> Submission:
    """The record of a row."""
    return Submission(
        id=row.id,
        team=Team(team.id, team.name),
        received=row.received,
        digest=row.digest,
        size=row.size,
        name=row.name,
        form=row.form,
        state=cast(Any, row.state),
        reason=row.reason,
        sentence=row.sentence,
        log=row.log,
        public=row.public,
        chosen=row.chosen,
        ahead=ahead,
    )


def evaluation_of(row: EvaluationRow) -> Evaluation:
    """The record of a row."""
    return Evaluation(
        id=row.id,
        submission=row.submission,
        judge=row.judge,
        source=row.source,
        fingerprint=row.fingerprint,
        tier=row.tier,
        card=row.card,
        bundle=row.bundle,
        files=json.loads(row.files),
        started=row.started,
        finished=row.finished,
        current=row.current,
        proposed=row.proposed,
    )


def team_row(session: Session, id_: str, for_update: Any = None) -> TeamRow:
    """A team; `for_update` locks its row, as SQLAlchemy's `with_for_update` does.

    Raises:
        NotThere: there is none.
    """
    row = session.get(TeamRow, id_, with_for_update=for_update)
    if row is None:
        raise NotThere(f"there is no team {id_[:80]!r}")
    return row


def submission_row(session: Session, id_: str, team: str | None) -> SubmissionRow:
    """A submission.

    Args:
        team: whose it must be; None for organisers.

    Raises:
        NotThere: there is none, or it is another team's.
    """
    row = session.get(SubmissionRow, id_)
    if row is None or team not in (None, row.team):
        raise NotThere(f"there is no submission {id_!r}")
    return row


def latest_contest(session: Session) -> ContestRow | None:
    """The contest in force."""
    return session.scalars(select(ContestRow).order_by(ContestRow.since.desc()).limit(1)).first()


def new_job(submission: str, judge: str, now: datetime, kind: Kind = "evaluate") -> JobRow:
    """An evaluation that waits, or a recipe to be trained anew."""
    return JobRow(
        id=new_id(),
        submission=submission,
        judge=judge,
        state="queued",
        created=now,
        not_before=now,
        owner="",
        fence=0,
        deaths=0,
        kind=kind,
    )


def alone_with_object(session: Session, digest: str) -> None:
    """Until this transaction ends nobody else notes or removes this object; SQLite has only one writer anyhow."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:digest, 0))"), {"digest": digest})
