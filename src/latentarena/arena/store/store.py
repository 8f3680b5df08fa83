"""A contest's memory. Every method is one transaction: durable when it returns, or as if it had never been called."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, cast

from sqlalchemy import ColumnElement, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from latentarena.arena.names import clean_name, skeleton
from latentarena.arena.roster import LONGEST_ENTRY, plan_teams
from latentarena.arena.store.database import Database
from latentarena.arena.store.models import (
    AuditRow,
    Base,
    ContestRow,
    CounterRow,
    EvaluationRow,
    JobRow,
    KeyRow,
    SubmissionRow,
    TeamRow,
    TokenRow,
)
from latentarena.arena.store.records import Audited, Evaluation, Identity, Listed, Role, Submission, Team, TeamDetails
from latentarena.contest.contest import Quotas
from latentarena.errors import ConfigError, NotThere, QuotaReached
from latentarena.key import Key
from latentarena.text import plain_line

BOARD = "board"  # the counter of what the board shows
TOKEN_BYTES = 32  # 256 bits
DAY = timedelta(days=1)
Kind = Literal["evaluate", "retrain"]
AT_ONCE = 500  # ids in one question to the database
PLENTY = 200  # audit lines and submissions that are listed at once


class Store:
    """Teams, tokens, submissions and score cards in a database."""

    def __init__(self, database: Database) -> None:
        """Keep the database; `Database.upgrade` has made its tables."""
        self.database = database

    # contest

    def put_contest(self, name: str, content: str, now: datetime) -> None:
        """Note the contest file that is in force from now on, if it is another than before.

        A judge that was adopted stays, unless the file now names another one than it did.
        """
        digest = hashlib.sha256(content.encode()).hexdigest()
        with self.database.writing() as session:
            latest = latest_contest(session)
            if latest is None or latest.digest != digest:
                same = latest is not None and _judge_in(latest.content) == _judge_in(content)
                judge = latest.judge if latest is not None and same else None
                session.merge(ContestRow(digest=digest, name=name, content=content, since=now, judge=judge))
                note(session, now, "site", "contest", name, digest)
                bump(session)

    def contest(self) -> str | None:
        """The contest file in force, as JSON; None before the first."""
        with self.database.reading() as session:
            latest = latest_contest(session)
            return None if latest is None else latest.content

    def judge(self) -> str | None:
        """The judge that an organiser has adopted in place of the contest file's; None where nobody did."""
        with self.database.reading() as session:
            return session.scalars(select(ContestRow.judge).order_by(ContestRow.since.desc()).limit(1)).first()

    def key(self, contest: str, now: datetime) -> Key:
        """The key in force of the contest of this name, made when it is first asked for."""
        with self.database.reading() as session:
            known = _latest_key(session, contest)
        return self.new_key(contest, now, unless=True) if known is None else known

    def new_key(self, contest: str, now: datetime, unless: bool = False) -> Key:
        """Make a key, in force from now on; or, with `unless`, give the one that there is."""
        with self.database.writing() as session:
            known = _latest_key(session, contest) if unless else None
            if known is not None:
                return known
            key = Key.new()
            session.add(KeyRow(commitment=key.commitment, contest=contest, content=key.text, since=now))
            note(session, now, "site", "new key", contest, key.commitment)
            bump(session)
        return key

    def version(self) -> int:
        """Grows whenever the board may look different."""
        with self.database.reading() as session:
            return session.scalar(select(CounterRow.value).where(CounterRow.name == BOARD)) or 0

    # teams and tokens: for organisers

    def add_teams(self, roster: Iterable[tuple[str, Sequence[str]]], actor: str, now: datetime) -> dict[str, str]:
        """Add teams with their members, or members to teams that are there; all or none.

        Args:
            roster: names with members; private.
            actor: who does it.

        Returns:
            Tokens of the new teams by name; they are nowhere else.

        Raises:
            ConfigError: a name that is refused, or looks like another team's.
        """
        wanted: dict[str, list[str]] = {}
        for raw, members in roster:
            own = wanted.setdefault(clean_name(raw, "team"), [])
            own += [plain_line(member, LONGEST_ENTRY) for member in members]
        made = {}
        with self.database.writing() as session:
            alone_with_names(session)
            rows = {row.name: row for row in session.scalars(select(TeamRow))}
            for plan in plan_teams(wanted, {name: json.loads(row.members) for name, row in rows.items()}):
                if plan.new:
                    made[plan.name] = _new_team(session, plan.name, plan.added, actor, now)
                elif plan.added:
                    row = rows[plan.name]
                    row.members = json.dumps([*json.loads(row.members), *plan.added])
                    note(session, now, actor, "add members", plan.name, str(len(plan.added)))
            bump(session)
        return made

    def teams(self, limit: int | None = None, offset: int = 0) -> list[TeamDetails]:
        """All teams, or so many after so many, with their private members, by name."""
        count = select(SubmissionRow.team, func.count().label("n")).group_by(SubmissionRow.team).subquery()
        query = select(TeamRow, count.c.n).outerjoin(count, count.c.team == TeamRow.id).order_by(TeamRow.name)
        with self.database.reading() as session:
            return [
                TeamDetails(row.id, row.name, tuple(json.loads(row.members)), row.created, n or 0)
                for row, n in session.execute(query.limit(limit).offset(offset))
            ]

    def team_count(self) -> int:
        """How many teams there are."""
        with self.database.reading() as session:
            return session.scalar(select(func.count()).select_from(TeamRow)) or 0

    def new_token(
        self, team: str | None, label: str, actor: str, now: datetime, expires: datetime | None = None
    ) -> str:
        """Make a token for a team, by its id, or for an organiser (None); it is shown this once.

        Raises:
            NotThere: no such team.
        """
        with self.database.writing() as session:
            if team is not None:
                label = _team(session, team).name
            token = _new_token(session, "team" if team else "organiser", team, label, now, expires)
            note(session, now, actor, "new token", label)
        return token

    def revoke_tokens(self, team: str | None, actor: str, now: datetime) -> int:
        """End all tokens and sessions of a team, or of all organisers (None); returns how many.

        Raises:
            NotThere: no such team.
        """
        with self.database.writing() as session:
            name = "organisers" if team is None else _team(session, team).name
            whose = TokenRow.role == "organiser" if team is None else TokenRow.team == team
            query = update(TokenRow).where(whose, TokenRow.revoked.is_(False)).values(revoked=True)
            ended = cast(Any, session.execute(query)).rowcount
            note(session, now, actor, "revoke tokens", name, str(ended))
        return int(ended)

    def audit(self, limit: int = PLENTY, offset: int = 0) -> list[Audited]:
        """What was done, the latest first: so many lines after so many."""
        with self.database.reading() as session:
            rows = session.scalars(select(AuditRow).order_by(AuditRow.id.desc()).limit(limit).offset(offset))
            return [Audited(row.at, row.actor, row.action, row.subject, row.detail) for row in rows]

    def audit_count(self) -> int:
        """How many lines the audit log has."""
        with self.database.reading() as session:
            return session.scalar(select(func.count()).select_from(AuditRow)) or 0

    def has_organiser(self) -> bool:
        """Whether anybody can sign in as an organiser."""
        query = select(TokenRow.digest).where(TokenRow.role == "organiser", TokenRow.revoked.is_(False)).limit(1)
        with self.database.reading() as session:
            return session.scalar(query) is not None

    # who is calling

    def identify(self, secret: str, now: datetime) -> Identity | None:
        """Whose token or session this is; None if nobody's, expired or revoked."""
        with self.database.reading() as session:
            return _identity(session, secret, now)

    def open_session(self, secret: str, now: datetime, lasts: timedelta) -> str | None:
        """A session for a browser, opened by a token, with which it ends; None if the token is nobody's.

        A session opens none: else two that renew each other would outlive their token. Sessions that are over are
        forgotten here.
        """
        with self.database.writing() as session:
            found = _identity(session, secret, now)
            if found is None or found.session:
                return None
            session.execute(delete(TokenRow).where(TokenRow.parent.is_not(None), TokenRow.expires <= now))
            root = session.get_one(TokenRow, found.token)
            ends = now + lasts if root.expires is None else min(now + lasts, root.expires)
            team = found.team.id if found.team else None
            return _new_token(session, found.role, team, found.label, now, ends, parent=found.token)

    def close_session(self, secret: str) -> None:
        """End a session; a token goes on."""
        with self.database.writing() as session:
            row = session.get(TokenRow, _hash(secret))
            if row is not None and row.parent is not None:
                session.delete(row)

    # submissions

    def submit(
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
        with self.database.writing() as session:
            owner = _team(session, team, alone=True)
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
        with self.database.reading() as session:
            return min((left for _, left in _left(session, team, quotas, now)), default=None)

    def refuse_over_quota(self, team: str, quotas: Quotas, now: datetime) -> None:
        """Raise QuotaReached where a team may hand in nothing now, so that no upload is begun in vain."""
        with self.database.reading() as session:
            _refuse_over_quota(session, team, quotas, now)

    def submission(self, id_: str, team: str | None = None) -> Submission:
        """One submission, with how many wait before it.

        Args:
            team: whose it must be; None for organisers.

        Raises:
            NotThere: there is none, or it is another team's.
        """
        with self.database.reading() as session:
            row = _submission(session, id_, team)
            return submission_of(row, _team(session, row.team), _ahead(session, row))

    def submissions(
        self, team: str | None = None, limit: int = PLENTY, offset: int = 0, states: Sequence[str] = ()
    ) -> list[Submission]:
        """Those of a team, or of all (None), the latest first: so many after so many, in any of the states if given."""
        query = select(SubmissionRow, TeamRow).join(TeamRow, TeamRow.id == SubmissionRow.team)
        query = query.where(*_wanted(team, states))
        query = query.order_by(SubmissionRow.received.desc(), SubmissionRow.id.desc()).limit(limit).offset(offset)
        with self.database.reading() as session:
            rows = session.execute(query).all()
            ahead = _waiting(session) if any(row.state == "queued" for row, _ in rows) else {}
            return [submission_of(row, owner, ahead.get(row.id)) for row, owner in rows]

    def submission_count(self, team: str | None = None, states: Sequence[str] = ()) -> int:
        """How many there are of a team, or of all (None), in any of the states if given."""
        with self.database.reading() as session:
            return session.scalar(select(func.count()).select_from(SubmissionRow).where(*_wanted(team, states))) or 0

    def publish(self, id_: str, team: str, public: bool, now: datetime) -> None:
        """Let anybody download a bundle, or nobody.

        Raises:
            NotThere: there is none, or it is another team's.
        """
        with self.database.writing() as session:
            row = _submission(session, id_, team)
            row.public = public
            note(session, now, _team(session, team).name, "publish" if public else "withdraw", id_)
            bump(session)

    def choose(self, id_: str, team: str, now: datetime) -> None:
        """Let this one of a team's entries stand on the board, where the contest lets teams choose.

        Raises:
            NotThere: there is none, or it is another team's.
        """
        with self.database.writing() as session:
            row = _submission(session, id_, team)
            session.execute(update(SubmissionRow).where(SubmissionRow.team == team).values(chosen=False))
            row.chosen = True
            note(session, now, _team(session, team).name, "choose", id_)
            bump(session)

    # score cards

    def scored(self) -> list[tuple[Submission, Evaluation]]:
        """Every entry with its current evaluation, in the order they were received."""
        query = (
            select(SubmissionRow, TeamRow, EvaluationRow)
            .join(TeamRow, TeamRow.id == SubmissionRow.team)
            .join(EvaluationRow, EvaluationRow.submission == SubmissionRow.id)
            .where(EvaluationRow.current.is_(True))
            .order_by(SubmissionRow.received, SubmissionRow.id)
        )
        with self.database.reading() as session:
            return [
                (submission_of(row, team), evaluation_of(evaluation))
                for row, team, evaluation in session.execute(query)
            ]

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
        with self.database.reading() as session:
            return [Listed(*row) for row in session.execute(query)]

    def cards(self, evaluations: Sequence[str]) -> dict[str, tuple[str, str]]:
        """Score card and bundle's card of evaluations, JSON text by id."""
        found: dict[str, tuple[str, str]] = {}
        with self.database.reading() as session:
            for start in range(0, len(evaluations), AT_ONCE):
                query = select(EvaluationRow.id, EvaluationRow.card, EvaluationRow.bundle)
                rows = session.execute(query.where(EvaluationRow.id.in_(evaluations[start : start + AT_ONCE])))
                found |= {id_: (card, bundle) for id_, card, bundle in rows}
        return found

    def evaluations(self, submission: str) -> list[Evaluation]:
        """All evaluations of a submission, the latest first."""
        query = select(EvaluationRow).where(EvaluationRow.submission == submission)
        with self.database.reading() as session:
            return [evaluation_of(row) for row in session.scalars(query.order_by(EvaluationRow.finished.desc()))]

    def requeue(self, id_: str, judge: str, actor: str, now: datetime) -> None:
        """Try a submission again that was refused, failed or quarantined.

        Raises:
            NotThere: there is none.
            ConfigError: it waits, runs or is scored.
        """
        with self.database.writing() as session:
            row = _submission(session, id_, None)
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
        with self.database.writing() as session:
            row = _submission(session, id_, None)
            team, files = _team(session, row.team).name, {row.digest}
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

    def discard_object(self, digest: str, remove: Callable[[str], object]) -> bool:
        """Have an object removed unless something speaks of it still; whether it was.

        Args:
            remove: takes it out of the object store; nobody notes the object meanwhile.
        """
        with self.database.writing() as session:
            alone_with_object(session, digest)
            if _spoken_of(session, digest):
                return False
            remove(digest)
        return True

    def counts(self) -> dict[str, int]:
        """Submissions by state; `waiting` and `leased` are jobs."""
        with self.database.reading() as session:
            states = session.execute(select(SubmissionRow.state, func.count()).group_by(SubmissionRow.state)).all()
            jobs = dict(session.execute(select(JobRow.state, func.count()).group_by(JobRow.state)).all())
        return dict(states) | {
            "waiting": jobs.get("queued", 0),
            "leased": jobs.get("leased", 0),
        }

    def objects(self) -> set[str]:
        """The hashes of everything in the object store that something here speaks of."""
        with self.database.reading() as session:
            kept = set(session.scalars(select(SubmissionRow.digest)))
            for listed in session.scalars(select(EvaluationRow.files)):
                kept |= set(json.loads(listed).values())
        return kept


def new_id() -> str:
    """An id that sorts by time and cannot be guessed."""
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(8)}"


def note(session: Session, now: datetime, actor: str, action: str, subject: str, detail: str = "") -> None:
    """Add a line to the audit log."""
    session.add(AuditRow(at=now, actor=actor, action=action, subject=subject, detail=detail))


def looks(name: str) -> str:
    """What the table keeps of a team's looks, so that two transactions cannot make one name twice: a hash."""
    return hashlib.sha256("\n".join(skeleton(name)).encode()).hexdigest()


def alone_with_names(session: Session) -> None:
    """Until this transaction ends nobody else gives teams names."""
    alone_with_object(session, "names of teams")


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


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _new_team(session: Session, name: str, members: Sequence[str], actor: str, now: datetime) -> str:
    """Add a team; returns its token."""
    row = TeamRow(id=new_id(), name=name, skeleton=looks(name), members=json.dumps(members), created=now)
    session.add(row)
    session.flush()
    note(session, now, actor, "add team", name)
    return _new_token(session, "team", row.id, name, now)


def _new_token(
    session: Session,
    role: Role,
    team: str | None,
    label: str,
    now: datetime,
    expires: datetime | None = None,
    parent: str | None = None,
) -> str:
    secret = secrets.token_urlsafe(TOKEN_BYTES)
    session.add(
        TokenRow(
            digest=_hash(secret),
            role=role,
            team=team,
            parent=parent,
            label=label,
            created=now,
            expires=expires,
            revoked=False,
        )
    )
    return secret


def _identity(session: Session, secret: str, now: datetime) -> Identity | None:
    row = one = session.get(TokenRow, _hash(secret))
    while one is not None:  # a secret lives no longer than any that it descends from
        if one.revoked or (one.expires is not None and one.expires <= now):
            return None
        one = session.get(TokenRow, one.parent) if one.parent else None
    if row is None:
        return None
    team = session.get(TeamRow, row.team) if row.team else None
    owner = Team(team.id, team.name) if team else None
    return Identity(cast(Role, row.role), owner, row.digest, row.label, session=row.parent is not None)


def _team(session: Session, id_: str, alone: bool = False) -> TeamRow:
    """A team; `alone` makes others that want it so wait, for two of its uploads at once must see each other."""
    row = session.get(TeamRow, id_, with_for_update={"key_share": True} if alone else None)
    if row is None:
        raise NotThere(f"there is no team {id_!r}")
    return row


def _submission(session: Session, id_: str, team: str | None) -> SubmissionRow:
    row = session.get(SubmissionRow, id_)
    if row is None or team not in (None, row.team):
        raise NotThere(f"there is no submission {id_!r}")
    return row


def latest_contest(session: Session) -> ContestRow | None:
    """The contest in force."""
    return session.scalars(select(ContestRow).order_by(ContestRow.since.desc()).limit(1)).first()


def _latest_key(session: Session, contest: str) -> Key | None:
    query = select(KeyRow.content).where(KeyRow.contest == contest).order_by(KeyRow.since.desc()).limit(1)
    content = session.scalar(query)
    return None if content is None else Key.parse(content)


def _judge_in(content: str) -> Any:
    return json.loads(content).get("judge")


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


def _spoken_of(session: Session, digest: str) -> bool:
    """Whether anything names an object: a submission, an evaluation's files, or a judge."""
    speaking = (
        select(SubmissionRow.id).where(SubmissionRow.digest == digest),
        select(EvaluationRow.id).where(EvaluationRow.files.contains(digest)),
        select(JobRow.id).where(JobRow.judge == digest),
        select(ContestRow.digest).where(ContestRow.judge == digest),
    )
    return any(session.scalar(query.limit(1)) is not None for query in speaking)


def alone_with_object(session: Session, digest: str) -> None:
    """Until this transaction ends nobody else notes or removes this object; SQLite has only one writer anyhow."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:digest, 0))"), {"digest": digest})
