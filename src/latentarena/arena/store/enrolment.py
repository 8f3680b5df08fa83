"""Changes to teams that are there: their names, their members, and their end. Every method is one transaction.

The audit log says how many members came and went, and not who: it is kept for good, and names of people may not be.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from latentarena.arena.names import Names, clean_name
from latentarena.arena.roster import LONGEST_ENTRY, is_same_member
from latentarena.arena.store.database import Database
from latentarena.arena.store.models import SubmissionRow, TeamRow, TokenRow
from latentarena.arena.store.records import TeamDetails
from latentarena.arena.store.store import alone_with_names, bump, looks, note
from latentarena.errors import ConfigError, NotThere
from latentarena.text import plain_line


class Enrolment:
    """Changes and removes teams."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def change(
        self,
        team: str,
        actor: str,
        now: datetime,
        name: str | None = None,
        add: Sequence[str] = (),
        remove: Sequence[str] = (),
    ) -> TeamDetails:
        """Give a team another name, take members out of it and put others in, all or nothing; the team as it is then.

        Args:
            name: under which its entries stand from now on; None keeps the one it has.
            add: each as `name <address>`; who is in it already is not added again.
            remove: each as it is kept, or by name or address alone.

        Raises:
            NotThere: no such team, or a member to be removed is not in it.
            ConfigError: the name is refused or looks like another team's; a member is no text that can be shown, or
                two are called what is to be removed.
        """
        with self.database.writing() as session:
            alone_with_names(session)
            row = _team(session, team)
            if name is not None:
                _rename(session, row, name, actor, now)
            if add or remove:
                _change_members(session, row, add, remove, actor, now)
            many = session.scalar(select(func.count()).where(SubmissionRow.team == team)) or 0
            return TeamDetails(row.id, row.name, tuple(json.loads(row.members)), row.created, many)

    def remove(self, team: str, actor: str, now: datetime) -> None:
        """Forget a team with its members and tokens.

        Raises:
            NotThere: no such team.
            ConfigError: it has handed something in, which must be erased first.
        """
        with self.database.writing() as session:
            row = _team(session, team)
            many = session.scalar(select(func.count()).where(SubmissionRow.team == team)) or 0
            if many:
                raise ConfigError(
                    f"team {row.name!r} has handed in {many} bundle{'s' if many > 1 else ''}; "
                    "erase them first, or remove the team with its entries"
                )
            session.execute(delete(TokenRow).where(TokenRow.team == team, TokenRow.parent.is_not(None)))
            session.execute(delete(TokenRow).where(TokenRow.team == team))
            note(session, now, actor, "remove team", row.name)
            session.delete(row)


def _team(session: Session, id_: str) -> TeamRow:
    row = session.get(TeamRow, id_, with_for_update=True)
    if row is None:
        raise NotThere(f"there is no team {id_!r}")
    return row


def _rename(session: Session, row: TeamRow, name: str, actor: str, now: datetime) -> None:
    name = clean_name(name, "team name")
    like = Names(session.scalars(select(TeamRow.name).where(TeamRow.id != row.id))).like(name)
    if like is not None:
        raise ConfigError(f"team {name!r} looks like {like!r}, which is there already; choose another name")
    note(session, now, actor, "rename team", name, f"was {row.name}")
    row.name, row.skeleton = name, looks(name)
    bump(session)


def _change_members(
    session: Session, row: TeamRow, add: Sequence[str], remove: Sequence[str], actor: str, now: datetime
) -> None:
    new = [plain_line(one, LONGEST_ENTRY) for one in add]
    if not all(new):
        raise ConfigError("a member has no name and no address; write it as `name <address>`")
    members: list[str] = json.loads(row.members)
    for one in remove:
        members.remove(_member(members, one, row.name))
    come: list[str] = []
    for one in new:
        if not any(is_same_member(one, other) for other in (*members, *come)):
            come.append(one)
    row.members = json.dumps([*members, *come])
    note(session, now, actor, "change members", row.name, f"{len(come)} added, {len(remove)} removed")


def _member(members: Sequence[str], wanted: str, team: str) -> str:
    """The member that is meant: as it is kept, else by name or address."""
    if wanted in members:
        return wanted
    found = [one for one in members if is_same_member(one, wanted) or one.casefold().endswith(f"<{wanted.casefold()}>")]
    if len(found) > 1:
        raise ConfigError(f"{len(found)} members of {team!r} are called {wanted!r}; give the address too")
    if not found:
        raise NotThere(f"{plain_line(wanted, 80)!r} is no member of {team!r}")
    return found[0]
