"""Score cards: the evaluation of each entry that is in force, and those before."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from latentarena.arena.records import Evaluation, Listed
from latentarena.arena.store.database import StorePart
from latentarena.arena.store.models import EvaluationRow, SubmissionRow, TeamRow
from latentarena.arena.store.rows import evaluation_of

AT_ONCE = 500  # ids in one question to the database


class ScoreCards(StorePart):
    """Evaluations with their score cards."""

    def listed(self) -> list[Listed]:
        """Every entry as a board lists it, in the order they were received; its card is read by `cards`."""
        query = (
            select(
                SubmissionRow.id, TeamRow.name, SubmissionRow.name, SubmissionRow.form, SubmissionRow.received,
                SubmissionRow.chosen, EvaluationRow.id, EvaluationRow.files,
            )
            .join(TeamRow, TeamRow.id == SubmissionRow.team)
            .join(EvaluationRow, EvaluationRow.submission == SubmissionRow.id)
            .where(EvaluationRow.current.is_(True))
            .order_by(SubmissionRow.received, SubmissionRow.id)
        )  # fmt: skip
        with self._database.reading() as session:
            return [Listed(*row) for row in session.execute(query)]

    def texts(self, evaluations: Sequence[str]) -> dict[str, tuple[str, str]]:
        """Score card and bundle's card of evaluations, JSON text by id."""
        found: dict[str, tuple[str, str]] = {}
        with self._database.reading() as session:
            for start in range(0, len(evaluations), AT_ONCE):
                query = select(EvaluationRow.id, EvaluationRow.card, EvaluationRow.bundle)
                rows = session.execute(query.where(EvaluationRow.id.in_(evaluations[start : start + AT_ONCE])))
                found |= {id_: (card, bundle) for id_, card, bundle in rows}
        return found

    def of(self, submission: str) -> list[Evaluation]:
        """All evaluations of a submission, the latest first."""
        query = select(EvaluationRow).where(EvaluationRow.submission == submission)
        with self._database.reading() as session:
            return [evaluation_of(row) for row in session.scalars(query.order_by(EvaluationRow.finished.desc()))]
