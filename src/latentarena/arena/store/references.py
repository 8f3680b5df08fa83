"""Files of the object store that the database refers to, and the removal of those that nothing refers to."""

from __future__ import annotations

import json
from collections.abc import Callable

from sqlalchemy import select
from sqlalchemy.orm import Session

from latentarena.arena.store.database import StorePart
from latentarena.arena.store.models import ContestRow, EvaluationRow, JobRow, SubmissionRow
from latentarena.arena.store.rows import alone_with_object


class References(StorePart):
    """References to objects, by their hashes."""

    def all(self) -> set[str]:
        """The hashes of everything in the object store that something here speaks of."""
        with self._database.reading() as session:
            kept = set(session.scalars(select(SubmissionRow.digest)))
            for listed in session.scalars(select(EvaluationRow.files)):
                kept |= set(json.loads(listed).values())
        return kept

    def first(self, most: int = 20) -> list[str]:
        """The hashes of the bundles that were handed in first, by which the object store of a site is known."""
        with self._database.reading() as session:
            return list(session.scalars(select(SubmissionRow.digest).order_by(SubmissionRow.received).limit(most)))

    def discard(self, digest: str, remove: Callable[[str], object]) -> bool:
        """Have an object removed unless something speaks of it still; whether it was.

        Args:
            remove: takes it out of the object store; nobody notes the object meanwhile.
        """
        with self._database.writing() as session:
            alone_with_object(session, digest)
            if _spoken_of(session, digest):
                return False
            remove(digest)
        return True


def _spoken_of(session: Session, digest: str) -> bool:
    """Whether anything names an object: a submission, an evaluation's files, or a judge."""
    speaking = (
        select(SubmissionRow.id).where(SubmissionRow.digest == digest),
        select(EvaluationRow.id).where(EvaluationRow.files.contains(digest)),
        select(JobRow.id).where(JobRow.judge == digest),
        select(ContestRow.digest).where(ContestRow.judge == digest),
    )
    return any(session.scalar(query.limit(1)) is not None for query in speaking)
