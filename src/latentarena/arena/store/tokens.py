"""Secrets that say who is calling: tokens of teams and organisers, and the sessions of browsers that they open."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from latentarena.arena.records import Role, Team, TokenHolder
from latentarena.arena.store.database import StorePart
from latentarena.arena.store.models import TeamRow, TokenRow
from latentarena.arena.store.rows import note, team_row

BYTES = 32  # of a secret: 256 bits


class Tokens(StorePart):
    """Tokens and sessions; only their hashes are kept."""

    def new(self, team: str | None, label: str, actor: str, now: datetime, expires: datetime | None = None) -> str:
        """Make a token for a team, by its id, or for an organiser (None); it is shown this once.

        Raises:
            NotThere: no such team.
        """
        with self._database.writing() as session:
            if team is not None:
                label = team_row(session, team).name
            token = new_token(session, "team" if team else "organiser", team, label, now, expires)
            note(session, now, actor, "new token", label)
        return token

    def revoke(self, team: str | None, actor: str, now: datetime) -> int:
        """End all tokens and sessions of a team, or of all organisers (None); returns how many.

        Raises:
            NotThere: no such team.
        """
        with self._database.writing() as session:
            name = "organisers" if team is None else team_row(session, team).name
            whose = TokenRow.role == "organiser" if team is None else TokenRow.team == team
            query = update(TokenRow).where(whose, TokenRow.revoked.is_(False)).values(revoked=True)
            ended = cast(Any, session.execute(query)).rowcount
            note(session, now, actor, "revoke tokens", name, str(ended))
        return int(ended)

    def replace(self, team: str, actor: str, now: datetime) -> tuple[str, str]:
        """End all tokens and sessions of a team and make one new token; returns the team's name and the token.

        Raises:
            NotThere: no such team.
        """
        self.revoke(team, actor, now)
        with self._database.reading() as session:
            name = team_row(session, team).name
        return name, self.new(team, name, actor, now)

    def has_organiser(self) -> bool:
        """Whether anybody can sign in as an organiser."""
        query = select(TokenRow.digest).where(TokenRow.role == "organiser", TokenRow.revoked.is_(False)).limit(1)
        with self._database.reading() as session:
            return session.scalar(query) is not None

    def identify(self, secret: str, now: datetime) -> TokenHolder | None:
        """Whose token or session this is; None if nobody's, expired or revoked."""
        with self._database.reading() as session:
            return _identity(session, secret, now)

    def open_session(self, secret: str, now: datetime, lasts: timedelta) -> str | None:
        """A session for a browser, opened by a token, with which it ends; None if the token is nobody's.

        A session opens none: else two that renew each other would outlive their token. Sessions that are over are
        forgotten here.
        """
        with self._database.writing() as session:
            found = _identity(session, secret, now)
            if found is None or found.session:
                return None
            session.execute(delete(TokenRow).where(TokenRow.parent.is_not(None), TokenRow.expires <= now))
            root = session.get_one(TokenRow, found.token)
            ends = now + lasts if root.expires is None else min(now + lasts, root.expires)
            team = found.team.id if found.team else None
            return new_token(session, found.role, team, found.label, now, ends, parent=found.token)

    def close_session(self, secret: str) -> None:
        """End a session; a token goes on."""
        with self._database.writing() as session:
            row = session.get(TokenRow, _hash(secret))
            if row is not None and row.parent is not None:
                session.delete(row)


def new_token(
    session: Session,
    role: Role,
    team: str | None,
    label: str,
    now: datetime,
    expires: datetime | None = None,
    parent: str | None = None,
) -> str:
    """Add a token, or a session of the token `parent`; returns its secret."""
    secret = secrets.token_urlsafe(BYTES)
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


def _identity(session: Session, secret: str, now: datetime) -> TokenHolder | None:
    row = one = session.get(TokenRow, _hash(secret))
    while one is not None:  # a secret lives no longer than any that it descends from
        if one.revoked or (one.expires is not None and one.expires <= now):
            return None
        one = session.get(TokenRow, one.parent) if one.parent else None
    if row is None:
        return None
    team = session.get(TeamRow, row.team) if row.team else None
    owner = Team(team.id, team.name) if team else None
    return TokenHolder(cast(Role, row.role), owner, row.digest, row.label, session=row.parent is not None)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
