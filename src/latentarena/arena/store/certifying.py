"""Trainings that are repeated: which entries' recipes wait to be trained anew, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, cast

from sqlalchemy import select

from latentarena.arena.store.database import StorePart
from latentarena.arena.store.models import CertificateRow, JobRow, SubmissionRow
from latentarena.arena.store.rows import bump, new_job, note
from latentarena.errors import ConfigError, NotThere

MICROSECOND = timedelta(microseconds=1)
State = Literal["queued", "leased", "done", "quarantined"]


@dataclass(frozen=True)
class Certification:
    """How far the latest repeated training of an entry is.

    Attributes:
        job: its id; submission: whose recipe it is.
        state: queued, leased (it is being trained), done, quarantined (its training died again and again).
        content: the certificate as JSON; empty where there is none.
        sentence: why there is none, once it is done.
    """

    job: str
    submission: str
    state: State
    content: str = ""
    sentence: str = ""

    @property
    def words(self) -> str:
        """What became of it, for people."""
        if self.state == "done":
            return self.sentence or "trained anew"
        return {
            "queued": "waits to be trained anew",
            "leased": "is being trained anew",
            "quarantined": "its training died again and again; order it once more to try again",
        }[self.state]


class Certifying(StorePart):
    """Repeated trainings in a database; their jobs are those of the queue, behind all evaluations."""

    def order(self, submissions: Sequence[str], actor: str, now: datetime) -> int:
        """Queue the recipes of scored entries, the first ones first; returns how many do not wait already.

        Raises:
            NotThere: there is no such entry.
            ConfigError: it is not scored, or has no recipe.
        """
        with self._database.writing() as session:
            pending = select(JobRow.submission).where(JobRow.kind == "retrain", JobRow.state.in_(("queued", "leased")))
            waiting, many = set(session.scalars(pending)), 0
            for id_ in submissions:
                row = session.get(SubmissionRow, id_)
                if row is None:
                    raise NotThere(f"there is no submission {id_!r}")
                if row.state != "scored" or row.form != "native":
                    raise ConfigError(
                        f"submission {id_} is {row.state}, of the form {row.form or 'unknown'}; only scored native "
                        "bundles hold a recipe that can be trained anew"
                    )
                if id_ in waiting:
                    continue
                session.add(new_job(id_, "official", now + many * MICROSECOND, "retrain"))
                note(session, now, actor, "train anew", id_)
                many += 1
            if many:
                bump(session)
        return many

    def found(self) -> dict[str, Certification]:
        """The latest repeated training of every entry that has one, by submission."""
        query = (
            select(JobRow, CertificateRow)
            .outerjoin(CertificateRow, CertificateRow.job == JobRow.id)
            .where(JobRow.kind == "retrain")
            .order_by(JobRow.created, JobRow.id)
        )
        found: dict[str, Certification] = {}
        with self._database.reading() as session:
            for job, row in session.execute(query):
                one = Certification(job.id, job.submission, cast(State, job.state))
                if row is not None:
                    one = Certification(job.id, job.submission, one.state, row.content, row.sentence)
                before = found.get(job.submission)
                if before is not None and before.content and not one.content and one.state != "done":
                    one = Certification(one.job, one.submission, one.state, before.content)  # it holds until then
                found[job.submission] = one
        return found
