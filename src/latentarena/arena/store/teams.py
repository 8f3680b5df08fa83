"""Teams and their members: added by rosters, changed, removed.

The audit log says how many members came and went, and not who: it is kept for good, and names of people may not be.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from latentarena.arena.names import Names, clean_name, skeleton
from latentarena.arena.records import TeamDetails
from latentarena.arena.roster import LONGEST_ENTRY, is_same_member, plan_teams
from latentarena.arena.store.database import StorePart
from latentarena.arena.store.models import SubmissionRow, TeamRow, TokenRow
from latentarena.arena.store.rows import alone_with_object, bump, new_id, note, team_row
from latentarena.arena.store.tokens import new_token
from latentarena.errors import ConfigError, NotThere
from latentarena.text import plain_line


class Teams(StorePart):
    """Teams, with the private names of their members."""

    def add(self, roster: Iterable[tuple[str, Sequence[str]]], actor: str, now: datetime) -> dict[str, str]:
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
        with self._database.writing() as session:
            alone_with_object(session, "names of teams")
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

    def all(self, limit: int | None = None, offset: int = 0) -> list[TeamDetails]:
        """All teams, or so many after so many, with their private members, by name."""
        count = select(SubmissionRow.team, func.count().label("n")).group_by(SubmissionRow.team).subquery()
        query = select(TeamRow, count.c.n).outerjoin(count, count.c.team == TeamRow.id).order_by(TeamRow.name)
        with self._database.reading() as session:
            return [_details(row, n or 0) for row, n in session.execute(query.limit(limit).offset(offset))]

    def one(self, team: str) -> TeamDetails:
        """A team with its private members.

        Raises:
            NotThere: no such team.
        """
        with self._database.reading() as session:
            return _details(team_row(session, team), _handed_in(session, team))

    def count(self) -> int:
        """How many teams there are."""
        with self._database.reading() as session:
            return session.scalar(select(func.count()).select_from(TeamRow)) or 0

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
        with self._database.writing() as session:
            alone_with_object(session, "names of teams")
            row = team_row(session, team, for_update=True)
            if name is not None:
                _rename(session, row, name, actor, now)
            if add or remove:
                _change_members(session, row, add, remove, actor, now)
            return _details(row, _handed_in(session, team))

    def remove(self, team: str, actor: str, now: datetime) -> None:
        """Forget a team with its members and tokens.

        Raises:
            NotThere: no such team.
            ConfigError: it has handed something in, which must be erased first.
        """
        with self._database.writing() as session:
            row = team_row(session, team, for_update=True)
            many = _handed_in(session, team)
            if many:
                raise ConfigError(
                    f"team {row.name!r} has handed in {many} bundle{'s' if many > 1 else ''}; "
                    "erase them first, or remove the team with its entries"
                )
            session.execute(delete(TokenRow).where(TokenRow.team == team, TokenRow.parent.is_not(None)))
            session.execute(delete(TokenRow).where(TokenRow.team == team))
            note(session, now, actor, "remove team", row.name)
            session.delete(row)


def _details(row: TeamRow, many: int) -> TeamDetails:
    return TeamDetails(row.id, row.name, tuple(json.loads(row.members)), row.created, many)


def _handed_in(session: Session, team: str) -> int:
    """How many bundles a team has handed in."""
    return session.scalar(select(func.count()).where(SubmissionRow.team == team)) or 0


def _new_team(session: Session, name: str, members: Sequence[str], actor: str, now: datetime) -> str:
    """Add a team; returns its token."""
    row = TeamRow(id=new_id(), name=name, skeleton=_looks(name), members=json.dumps(members), created=now)
    session.add(row)
    session.flush()
    note(session, now, actor, "add team", name)
    return new_token(session, "team", row.id, name, now)


def _rename(session: Session, row: TeamRow, name: str, actor: str, now: datetime) -> None:
    name = clean_name(name, "team name")
    like = Names(session.scalars(select(TeamRow.name).where(TeamRow.id != row.id))).like(name)
    if like is not None:
        raise ConfigError(f"team {name!r} looks like {like!r}, which is there already; choose another name")
    note(session, now, actor, "rename team", name, f"was {row.name}")
    row.name, row.skeleton = name, _looks(name)
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


def _looks(name: str) -> str:
    """What the table keeps of a team's looks, so that two transactions cannot make one name twice: a hash."""
    return hashlib.sha256("\n".join(skeleton(name)).encode()).hexdigest()
