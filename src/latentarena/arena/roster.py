"""A roster: which teams there are, and who is in them. Only the team's name is ever public.

Class lists come from course systems and spreadsheets in many shapes: the delimiter and the columns are found out, and
what was found is part of the answer, for people to look at before anything is added.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from latentarena.arena.class_list import SAY, Columns, cell_of, find_columns, header_at, lines_of, table_rows
from latentarena.arena.names import Names, clean_name, spelling
from latentarena.errors import ConfigError
from latentarena.text import plain_line

LARGEST = 200_000  # letters, or bytes of a file
LONGEST_MEMBER = 120  # letters of a name, and of an address
LONGEST_ENTRY = 2 * LONGEST_MEMBER + 3  # letters of `name <address>`
TOTAL = re.compile(
    r"(grand )?totals?|sum|summe|gesamt|anzahl|count|mean|average|mittelwert|somme|suma|totale?", re.IGNORECASE
)
ADDRESS = re.compile(r"<([^<>]+)>$")


@dataclass(frozen=True)
class Roster:
    """What a class list says.

    Attributes:
        teams: members by team, in the list's order.
        lines: by team, the line that names it first.
        columns: what was read from where.
        teamless: lines that name somebody and no team.
        doubt: of how its letters were read; empty where there is none.
    """

    teams: Mapping[str, tuple[str, ...]]
    lines: Mapping[str, int]
    columns: Columns
    teamless: tuple[int, ...] = ()
    doubt: str = ""


@dataclass(frozen=True)
class TeamPlan:
    """What a roster changes for a team.

    Attributes:
        name: as it is or will be kept; new: whether it is to be made.
        added: members that it gets; known: how many of the roster's it has already.
        elsewhere: of those that it gets, by member, another team that has them too.
    """

    name: str
    new: bool
    added: tuple[str, ...]
    known: int
    elsewhere: Mapping[str, str]


def read_roster(text: str, doubt: str = "") -> Roster:
    """Teams and their members from a class list, a line for each member.

    Args:
        text: CSV as it was pasted or uploaded, with commas, semicolons, tabs or bars. One of the first
            lines may name the columns, in any order and among others; without one they are team,member,email, the
            latter two optional, and refused where the first may be people's names. A team spelled with other case,
            spaces or dashes is the same.
        doubt: of how a file's letters were read, as `text_and_doubt` has it.

    Raises:
        ConfigError: one line that names the line of the roster and what is wrong with it.
    """
    rows = table_rows(text)
    if not rows:
        raise ConfigError(f"the roster names no team; {SAY}")
    header = header_at(rows)
    columns = find_columns(rows, header)
    alone = {spelling(cell_of(cells, columns.team)) for _, cells in rows}
    spelled: dict[str, str] = {}
    teams: dict[str, list[str]] = {}
    lines: dict[str, int] = {}
    teamless = []
    _refuse_total(*rows[-1], columns)
    for number, cells in rows[0 if header is None else header + 1 :]:
        raw = cell_of(cells, columns.team)
        if header is not None and cells == rows[header][1]:
            continue  # of several lists that were joined
        if not raw:
            teamless.append(number)
            continue
        _refuse_several(number, raw, columns, alone)
        name = _name(number, raw)
        name = spelled.setdefault(spelling(name), name)
        lines.setdefault(name, number)
        members = teams.setdefault(name, [])
        for one in _members(number, cells, columns):
            if not any(is_same_member(one, other) for other in members):
                members.append(one)
    if not teams:
        raise ConfigError(f"the roster names no team; {SAY}")
    return Roster({name: tuple(members) for name, members in teams.items()}, lines, columns, tuple(teamless), doubt)


def plan_teams(
    wanted: Mapping[str, Sequence[str]], teams: Mapping[str, Sequence[str]], lines: Mapping[str, int] | None = None
) -> list[TeamPlan]:
    """What a roster changes: new teams, and new members of teams; nothing and nobody is ever taken away.

    Args:
        wanted: members by team, as in a roster; lines: where it names each team, for the message.
        teams: those that there are, with their members.

    Raises:
        ConfigError: a new name looks like another one, there or in the roster itself.
    """
    taken = Names(teams)
    there = {spelling(name): name for name in teams}
    homes = {name: list(members) for name, members in teams.items()}
    plans = []
    for wish, members in wanted.items():
        name = wish if wish in teams else there.get(spelling(wish), wish)
        if name not in teams:
            _refuse_like(name, taken, teams, lines or {})
            taken.add(name)
        own = teams.get(name, ())
        added = tuple(one for one in members if not any(is_same_member(one, other) for other in own))
        elsewhere = {one: home for one in added if (home := _home(one, homes, name))}
        homes.setdefault(name, []).extend(added)
        plans.append(TeamPlan(name, name not in teams, added, len(members) - len(added), elsewhere))
    return plans


def _refuse_like(name: str, taken: Names, teams: Mapping[str, Sequence[str]], lines: Mapping[str, int]) -> None:
    like = taken.like(name)
    if like is None:
        return
    if name not in lines:
        raise ConfigError(f"team {name!r} looks like team {like!r}; choose another name")
    there = "which is there already" if like in teams else f"which line {lines[like]} names"
    raise ConfigError(f"line {lines[name]} of the roster: team {name!r} looks like {like!r}, {there}; rename one")


def is_same_member(one: str, other: str) -> bool:
    """Whether two entries `name <address>` are one person: by their addresses, or by name where one has none."""
    addresses = [_address(entry) for entry in (one, other)]
    if all(addresses):
        return addresses[0] == addresses[1]
    names = [ADDRESS.sub("", entry).strip().casefold() for entry in (one, other)]
    return names[0] == names[1]


def _address(entry: str) -> str:
    found = ADDRESS.search(entry)
    return (found[1] if found else entry if "@" in entry else "").strip().casefold()


def _home(member: str, homes: Mapping[str, Sequence[str]], but: str) -> str | None:
    """Another team that has this member, told by the address: people of one name are many."""
    address = _address(member)
    if not address:
        return None
    return next(
        (name for name, members in homes.items() if name != but and address in map(_address, members)),
        None,
    )


def _name(number: int, text: str) -> str:
    try:
        return clean_name(text, "team name")
    except ConfigError as error:
        raise ConfigError(f"line {number} of the roster: {error}") from None


def _refuse_several(number: int, text: str, columns: Columns, alone: Collection[str]) -> None:
    """Raise where a cell lists teams, as Moodle's `Groups` does: the column's name says so, or parts are teams too."""
    parts = [part for part in re.split(r"\s*[,;|]\s*", text) if part]
    if len(parts) > 1 and (columns.plural or any(spelling(part) in alone for part in parts)):
        shown = plain_line(text, 60)
        raise ConfigError(f"line {number} of the roster: {shown!r} names {len(parts)} teams; leave the one that counts")


def _refuse_total(number: int, cells: Sequence[str], columns: Columns) -> None:
    """Raise where the last line adds the others up, as reports end: it would become a team."""
    raw = cell_of(cells, columns.team)
    others = "".join((*cells[: columns.team], *cells[columns.team + 1 :]))
    if TOTAL.fullmatch(re.sub(r"[\W\d_]+$", "", raw)) and not re.search(r"[^\W\d_]", others):
        raise ConfigError(f"line {number} of the roster, {plain_line(raw, 40)!r}, seems to add others up; take it out")


def _members(number: int, cells: Sequence[str], columns: Columns) -> Iterator[str]:
    """The members that a line names, if it does: those of one cell stand in lines, or semicolons part them."""
    names, addresses = (_listed(cells, at) for at in (columns.member, columns.email))
    if max(len(names), len(addresses)) < 2:
        whole = " ".join(part for at in (columns.first, columns.last, columns.member) if (part := cell_of(cells, at)))
        if columns.several and "," in whole:
            raise ConfigError(
                f"line {number} of the roster: {plain_line(whole, 60)!r} may be one member or several; put semicolons "
                "between members"
            )
        names = [whole] if whole else []
    if names and addresses and len(names) != len(addresses):
        raise ConfigError(
            f"line {number} of the roster names {len(names)} members, but its addresses are {len(addresses)}; "
            "give each member a line of its own"
        )
    numbered = (
        (" ".join(part for at in parts if (part := cell_of(cells, at))), cell_of(cells, email))
        for parts, email in columns.numbered
    )
    own = zip_longest(names, addresses, fillvalue="")
    for one in (*own, *numbered) if names else (*numbered, *own):  # an address alone may be that of one of them
        member, address = (plain_line(text, LONGEST_MEMBER) for text in one)
        if member or address:
            yield f"{member} <{address}>" if member and address else member or address


def _listed(cells: Sequence[str], at: int | None) -> list[str]:
    """The parts of a cell that lists people or their addresses."""
    parts = (part.strip() for line in lines_of(cells, at) for part in line.split(";"))
    return [part for part in parts if part]
