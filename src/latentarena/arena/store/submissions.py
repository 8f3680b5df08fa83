"""Bundles that were handed in, within a contest's quotas, and what their teams and organisers do with them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.orm import Session

from latentarena.arena.records import Submission
from latentarena.arena.store.database import StorePart
from latentarena.arena.store.models import Base, EvaluationRow, JobRow, SubmissionRow, TeamRow
from latentarena.arena.store.rows import (
    alone_with_object,
    bump,
    latest_contest,
    new_id,
    new_job,
    note,
    submission_of,
    submission_row,
    team_row,
)
from latentarena.contest.contest import Quotas
from latentarena.errors import ConfigError, QuotaReached

DAY = timedelta(days=1)
PLENTY = 200  # submissions that are listed at once


class Submissions(StorePart):
    """Submissions of all teams."""

    def add(
        self,
        team: str,
        digest: str,
        size: int,
        judge: str,
        quotas: Quotas,
        now: datetime,
        keep: Callable[[], object] | None = None,
    ) -> tuple[Submission, bool]:
        """Note a bundle that has arrived whole, and queue its evaluation.

        Args:
            team: id; digest, size: of the bytes.
            judge: the contest file's, in whose place an organiser may have adopted another.
            now: when it was received, which is what counts for deadlines.
            keep: puts the bytes into the object store, unless they are there already; called once nothing stands
                against the submission, and before it is noted for good.

        Returns:
            The submission, and whether it is new: the same bytes from the same team are the same submission.

        Raises:
            QuotaReached: nothing was noted.
            NotThere: no such team.
        """
        with self._database.writing() as session:
            owner = team_row(session, team, for_update={"key_share": True})  # two uploads at once see each other
            query = select(SubmissionRow).where(SubmissionRow.team == team, SubmissionRow.digest == digest)
            row = session.scalars(query).first()
            if row is not None:
                return submission_of(row, owner), False
            _refuse_over_quota(session, team, quotas, now)
            if keep is not None:
                alone_with_object(session, digest)
                keep()
            row = SubmissionRow(id=new_id(), team=team, received=now, digest=digest, size=size, state="queued")
            row.name = row.form = row.reason = row.sentence = row.log = ""
            row.public = row.chosen = False
            session.add(row)
            session.flush()
            contest = latest_contest(session)
            session.add(new_job(row.id, (contest.judge if contest else None) or judge, now))
            return submission_of(row, owner), True

    def left(self, team: str, quotas: Quotas, now: datetime) -> int | None:
        """How many more bundles a team may hand in now; None where there is no limit."""
        with self._database.reading() as session:
            return min((left for _, left in _left(session, team, quotas, now)), default=None)

    def refuse_over_quota(self, team: str, quotas: Quotas, now: datetime) -> None:
        """Raise QuotaReached where a team may hand in nothing now, so that no upload is begun in vain."""
        with self._database.reading() as session:
            _refuse_over_quota(session, team, quotas, now)

    def one(self, id_: str, team: str | None = None) -> Submission:
        """One submission, with how many wait before it.

        Args:
            team: whose it must be; None for organisers.

        Raises:
            NotThere: there is none, or it is another team's.
        """
        with self._database.reading() as session:
            row = submission_row(session, id_, team)
            return submission_of(row, team_row(session, row.team), _ahead(session, row))

    def latest(
        self, team: str | None = None, limit: int = PLENTY, offset: int = 0, states: Sequence[str] = ()
    ) -> list[Submission]:
        """Those of a team, or of all (None), the latest first: so many after so many, in any of the states if given."""
        query = select(SubmissionRow, TeamRow).join(TeamRow, TeamRow.id == SubmissionRow.team)
        query = query.where(*_wanted(team, states))
        query = query.order_by(SubmissionRow.received.desc(), SubmissionRow.id.desc()).limit(limit).offset(offset)
        with self._database.reading() as session:
            rows = session.execute(query).all()
            ahead = _waiting(session) if any(row.state == "queued" for row, _ in rows) else {}
            return [submission_of(row, owner, ahead.get(row.id)) for row, owner in rows]

    def count(self, team: str | None = None, states: Sequence[str] = ()) -> int:
        """How many there are of a team, or of all (None), in any of the states if given."""
        with self._database.reading() as session:
            return session.scalar(select(func.count()).select_from(SubmissionRow).where(*_wanted(team, states))) or 0

    def by_state(self) -> dict[str, int]:
        """Submissions by state; `waiting` and `leased` are jobs."""
        with self._database.reading() as session:
            states = session.execute(select(SubmissionRow.state, func.count()).group_by(SubmissionRow.state)).all()
            jobs = dict(session.execute(select(JobRow.state, func.count()).group_by(JobRow.state)).all())
        return dict(states) | {
            "waiting": jobs.get("queued", 0),
            "leased": jobs.get("leased", 0),
        }

    def publish(self, id_: str, team: str, public: bool, now: datetime) -> None:
        """Let anybody download a bundle, or nobody.

        Raises:
            NotThere: there is none, or it is another team's.
        """
        with self._database.writing() as session:
            row = submission_row(session, id_, team)
            row.public = public
            note(session, now, team_row(session, team).name, "publish" if public else "withdraw", id_)
            bump(session)

    def choose(self, id_: str, team: str, now: datetime) -> None:
        """Let this one of a team's entries stand on the board, where the contest lets teams choose.

        Raises:
            NotThere: there is none, or it is another team's.
        """
        with self._database.writing() as session:
            row = submission_row(session, id_, team)
            session.execute(update(SubmissionRow).where(SubmissionRow.team == team).values(chosen=False))
            row.chosen = True
            note(session, now, team_row(session, team).name, "choose", id_)
            bump(session)

    def requeue(self, id_: str, judge: str, actor: str, now: datetime) -> None:
        """Try a submission again that was refused, failed or quarantined.

        Raises:
            NotThere: there is none.
            ConfigError: it waits, runs or is scored.
        """
        with self._database.writing() as session:
            row = submission_row(session, id_, None)
            if row.state not in ("refused", "failed", "quarantined"):
                raise ConfigError(
                    f"submission {id_} is {row.state}; only one that ended without a score is tried again"
                )
            row.state, row.reason, row.sentence = "queued", "", ""
            session.add(new_job(id_, judge, now))
            note(session, now, actor, "try again", id_)

    def erase(self, id_: str, actor: str, now: datetime) -> list[str]:
        """Forget a submission with its evaluations, jobs and log; only the audit log says that it was there.

        Returns:
            The hashes of the files that were its own, for `discard_object`.

        Raises:
            NotThere: there is none.
        """
        with self._database.writing() as session:
            row = submission_row(session, id_, None)
            team, files = team_row(session, row.team).name, {row.digest}
            evaluated = select(EvaluationRow.files).where(EvaluationRow.submission == id_)
            for listed in session.scalars(evaluated):
                files |= set(json.loads(listed).values())
            for table in reversed(Base.metadata.sorted_tables):  # whatever speaks of submissions
                for column in table.columns:
                    if column.references(SubmissionRow.__table__.c.id):
                        session.execute(delete(table).where(column == id_))
            session.delete(row)
            note(session, now, actor, "erase entry", id_, f"of {team}")
            bump(session)
        return sorted(files)


def _wanted(team: str | None, states: Sequence[str]) -> Iterator[ColumnElement[bool]]:
    if team is not None:
        yield SubmissionRow.team == team
    if states:
        yield SubmissionRow.state.in_(states)


def _waiting(session: Session) -> dict[str, int]:
    """How many jobs wait before each submission's own."""
    evaluations = (JobRow.kind == "evaluate", JobRow.state == "queued")
    waiting = select(JobRow.submission).where(*evaluations).order_by(JobRow.created, JobRow.id)
    places: dict[str, int] = {}
    for place, submission in enumerate(session.scalars(waiting)):
        places.setdefault(submission, place)
    return places


def _ahead(session: Session, row: SubmissionRow) -> int | None:
    if row.state != "queued":
        return None
    own = (
        select(func.min(JobRow.created)).where(JobRow.submission == row.id, JobRow.state == "queued").scalar_subquery()
    )
    before = select(func.count()).where(JobRow.kind == "evaluate", JobRow.state == "queued", JobRow.created < own)
    return session.scalar(before) or 0


def _left(session: Session, team: str, quotas: Quotas, now: datetime) -> list[tuple[str, int]]:
    """What each quota of the contest leaves a team, with what is to be said where that is nothing."""
    of_team = select(func.count()).where(SubmissionRow.team == team)
    found = []
    if quotas.total is not None:
        said = f"the team has handed in its {quotas.total} bundles; the contest allows no more"
        found.append((said, max(0, quotas.total - (session.scalar(of_team) or 0))))
    if quotas.per_day is not None:
        said = f"the team has handed in its {quotas.per_day} bundles of these 24 hours; try again later"
        today = session.scalar(of_team.where(SubmissionRow.received > now - DAY)) or 0
        found.append((said, max(0, quotas.per_day - today)))
    return found


def _refuse_over_quota(session: Session, team: str, quotas: Quotas, now: datetime) -> None:
    for said, left in _left(session, team, quotas, now):
        if left == 0:
            raise QuotaReached(said)
