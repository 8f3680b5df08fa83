"""The tables. Times are whole microseconds since 1970 in UTC; secrets are kept as SHA-256 only."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Moment(TypeDecorator[datetime]):
    """An aware datetime as an integer, which every database compares and keeps alike."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Microseconds since 1970."""
        return None if value is None else round(value.timestamp() * 1_000_000)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """The datetime in UTC."""
        return None if value is None else datetime.fromtimestamp(value / 1_000_000, UTC)


class Words(TypeDecorator[str]):
    """Text that strangers may have had a hand in: cut to length, without what no database keeps."""

    impl = String
    cache_ok = True

    def __init__(self, longest: int) -> None:
        """Keep so many letters."""
        super().__init__(longest)
        self.longest = longest

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """NUL and half surrogate pairs become question marks."""
        if value is None:
            return None
        return value.encode("utf-8", "replace").decode().replace("\0", "?")[: self.longest]


class Base(DeclarativeBase):
    """All tables."""


class ContestRow(Base):
    """The contest file, every version of it that the site was started with; the latest is in force.

    `judge` is the one that the organiser has adopted since, in place of the file's.
    """

    __tablename__ = "contests"
    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(40))
    content: Mapped[str] = mapped_column(Text)
    since: Mapped[datetime] = mapped_column(Moment)
    judge: Mapped[str | None] = mapped_column(String(64))


class KeyRow(Base):
    """A key of a contest, in hexadecimal digits, with its SHA-256; the latest of a contest's name is in force.

    Attributes:
        shown: when it was first asked for while the contest was closed, when everybody may know it.
    """

    __tablename__ = "keys"
    commitment: Mapped[str] = mapped_column(String(64), primary_key=True)
    contest: Mapped[str] = mapped_column(String(40))
    content: Mapped[str] = mapped_column(String(64))
    since: Mapped[datetime] = mapped_column(Moment)
    shown: Mapped[datetime | None] = mapped_column(Moment)


class TeamRow(Base):
    """A team: a public name, and members that only organisers see (JSON: a list of strings)."""

    __tablename__ = "teams"
    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    name: Mapped[str] = mapped_column(String(80), unique=True)
    skeleton: Mapped[str] = mapped_column(String(240), unique=True)
    members: Mapped[str] = mapped_column(Text)
    created: Mapped[datetime] = mapped_column(Moment)


class TokenRow(Base):
    """What a caller proves itself by: a token, or a session that was opened with one and ends with it."""

    __tablename__ = "tokens"
    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    role: Mapped[str] = mapped_column(String(10))
    team: Mapped[str | None] = mapped_column(ForeignKey("teams.id"), index=True)
    parent: Mapped[str | None] = mapped_column(ForeignKey("tokens.digest", ondelete="CASCADE"), index=True)
    label: Mapped[str] = mapped_column(Words(80))
    created: Mapped[datetime] = mapped_column(Moment)
    expires: Mapped[datetime | None] = mapped_column(Moment)
    revoked: Mapped[bool] = mapped_column(Boolean, default=False)


class SubmissionRow(Base):
    """A bundle that was handed in; `state` is queued, running, scored, refused, failed or quarantined."""

    __tablename__ = "submissions"
    __table_args__ = (UniqueConstraint("team", "digest"), Index("submissions_by_time", "received"))
    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    team: Mapped[str] = mapped_column(ForeignKey("teams.id"), index=True)
    received: Mapped[datetime] = mapped_column(Moment)
    digest: Mapped[str] = mapped_column(String(64))
    size: Mapped[int] = mapped_column(BigInteger)
    name: Mapped[str] = mapped_column(Words(80), default="")
    form: Mapped[str] = mapped_column(Words(20), default="")
    state: Mapped[str] = mapped_column(String(12))
    reason: Mapped[str] = mapped_column(Words(40), default="")
    sentence: Mapped[str] = mapped_column(Words(1000), default="")
    log: Mapped[str] = mapped_column(Words(20000), default="")
    public: Mapped[bool] = mapped_column(Boolean, default=False)
    chosen: Mapped[bool] = mapped_column(Boolean, default=False)


class EvaluationRow(Base):
    """A score card of a submission; with a new judge there is another one, `proposed` until it is adopted.

    `card` is the score card and `bundle` the bundle's own card, both JSON; `files` are objects by name (JSON). `fence`
    is that of the lease it was written under: no two evaluations of one job can have the same.
    """

    __tablename__ = "evaluations"
    __table_args__ = (UniqueConstraint("job", "fence"), Index("evaluations_by_submission", "submission", "finished"))
    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    submission: Mapped[str] = mapped_column(ForeignKey("submissions.id"))
    job: Mapped[str] = mapped_column(ForeignKey("jobs.id"))
    fence: Mapped[int] = mapped_column(Integer)
    judge: Mapped[str] = mapped_column(String(64))
    source: Mapped[str] = mapped_column(String(64))
    fingerprint: Mapped[str] = mapped_column(String(64))
    tier: Mapped[str] = mapped_column(Words(40))
    card: Mapped[str] = mapped_column(Text)
    bundle: Mapped[str] = mapped_column(Text)
    files: Mapped[str] = mapped_column(Text)
    started: Mapped[datetime] = mapped_column(Moment)
    finished: Mapped[datetime] = mapped_column(Moment)
    current: Mapped[bool] = mapped_column(Boolean)
    proposed: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())


class CertificateRow(Base):
    """What a recipe that was trained anew came to: a certificate (JSON), or the reason why there is none."""

    __tablename__ = "certificates"
    job: Mapped[str] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    submission: Mapped[str] = mapped_column(ForeignKey("submissions.id"), index=True)
    fence: Mapped[int] = mapped_column(Integer)
    content: Mapped[str] = mapped_column(Text)
    sentence: Mapped[str] = mapped_column(Words(1000), default="")
    finished: Mapped[datetime] = mapped_column(Moment)


class JobRow(Base):
    """An evaluation to be made, or a recipe to be trained anew (`kind`: evaluate, retrain).

    `fence` grows with every lease: what is written under an older one changes nothing.
    """

    __tablename__ = "jobs"
    __table_args__ = (Index("jobs_to_claim", "state", "not_before"),)
    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    submission: Mapped[str] = mapped_column(ForeignKey("submissions.id"), index=True)
    judge: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(12))
    created: Mapped[datetime] = mapped_column(Moment)
    not_before: Mapped[datetime] = mapped_column(Moment)
    owner: Mapped[str] = mapped_column(Words(80), default="")
    leased_until: Mapped[datetime | None] = mapped_column(Moment)
    started: Mapped[datetime | None] = mapped_column(Moment)
    fence: Mapped[int] = mapped_column(Integer, default=0)
    deaths: Mapped[int] = mapped_column(Integer, default=0)
    kind: Mapped[str] = mapped_column(String(12), default="evaluate", server_default="evaluate")


class CounterRow(Base):
    """How often something changed; reading it is cheap."""

    __tablename__ = "counters"
    name: Mapped[str] = mapped_column(String(20), primary_key=True)
    value: Mapped[int] = mapped_column(BigInteger)


class AuditRow(Base):
    """What was done by whom; rows are only ever added."""

    __tablename__ = "audit"
    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    at: Mapped[datetime] = mapped_column(Moment)
    actor: Mapped[str] = mapped_column(Words(80))
    action: Mapped[str] = mapped_column(Words(40))
    subject: Mapped[str] = mapped_column(Words(120))
    detail: Mapped[str] = mapped_column(Words(1000), default="")
