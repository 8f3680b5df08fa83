"""A roster: which teams there are, and who is in them. Only the team's name is ever public.

Class lists come from course systems and spreadsheets in many shapes: the delimiter, the encoding and the columns are
found out, and what was found is part of the answer, for people to look at before anything is added.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from latentarena.arena.names import Names, clean_name
from latentarena.errors import ConfigError
from latentarena.text import plain_line, without_marks

MOST = 2000  # lines
LARGEST = 200_000  # letters, or bytes of a file
LONGEST_MEMBER = 120  # letters of a name, and of an address
LONGEST_ENTRY = 2 * LONGEST_MEMBER + 3  # letters of `name <address>`
DELIMITERS = (",", ";", "\t", "|")
SAY = "write a first line that names the columns, such as team,member,email"
TEAM = """team; team name; teamname; teams; group name; groupname; group; groups; project group; gruppenname; gruppe;
gruppen; mannschaft; nom du groupe; groupe; groupes; equipe; nombre del grupo; grupo; equipo; nome do grupo; gruppo;
squadra; nome del gruppo; groepsnaam; groep; lag; grupp; zespol; grupa; komanda; gruppa"""
MEMBER = """member; member name; members; student; student name; participant; full name; fullname; display name; name;
mitglied; teilnehmer; teilnehmerin; studierende; vollstandiger name; etudiant; membre; estudiante; alumno; miembro;
aluno; membro; studente; naam; namn; imie i nazwisko"""
FIRST = """first name; firstname; given name; given names; forename; vorname; prenom; nombre; nombres; primeiro nome;
nome; voornaam"""
LAST = """last name; lastname; surname; family name; familyname; nachname; familienname; zuname; nom; nom de famille;
apellido; apellidos; apellido s; sobrenome; cognome; achternaam"""
EMAIL = """email; e mail; email address; e mail address; mail; mail address; e mail adresse; emailadresse; mailadresse;
adresse de courriel; adresse e mail; courriel; correo; correo electronico; direccion de correo; endereco de email;
indirizzo email; indirizzo e mail; e mailadres; login id; sis login id; login; username; user name; user id;
benutzername; anmeldename"""
KNOWN = {
    role: tuple(" ".join(name.split()) for name in names.split(";"))
    for role, names in {"team": TEAM, "member": MEMBER, "first": FIRST, "last": LAST, "email": EMAIL}.items()
}
"""What course systems and people call the columns, without accents and signs, the most telling names first."""
ADDRESS = re.compile(r"<([^<>]+)>$")
WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # .xlsx and .ods, and .xls


@dataclass(frozen=True)
class Columns:
    """Which columns of a roster say what, by their place from 0; None where no column does.

    Attributes:
        names: the columns' names as the first line has them; empty where it has none.
        first, last: parts of a member's name, where no column has it whole.
    """

    names: tuple[str, ...]
    team: int
    member: int | None = None
    first: int | None = None
    last: int | None = None
    email: int | None = None

    @property
    def used(self) -> dict[str, str]:
        """By role, what the column is called."""
        roles = {"team": self.team, "member": self.member, "first": self.first, "last": self.last, "email": self.email}
        named = {role: index for role, index in roles.items() if index is not None}
        return {role: self.names[at] if self.names else f"column {at + 1}" for role, at in named.items()}

    @property
    def ignored(self) -> tuple[str, ...]:
        """What the columns are called that say nothing here."""
        return tuple(name for name in self.names if name and name not in self.used.values())


@dataclass(frozen=True)
class Roster:
    """What a class list says.

    Attributes:
        teams: members by team, in the list's order.
        lines: by team, the line that names it first.
        columns: what was read from where.
        teamless: lines that name somebody and no team.
    """

    teams: Mapping[str, tuple[str, ...]]
    lines: Mapping[str, int]
    columns: Columns
    teamless: tuple[int, ...] = ()


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


def roster_text(content: bytes) -> str:
    """The text of a class list in UTF-8 or UTF-16, with or without a byte order mark, or in Windows' cp1252.

    Raises:
        ConfigError: it is a workbook, or no text; the message says what to do.
    """
    if content.startswith(WORKBOOKS):
        raise ConfigError("the roster is a workbook, not text; save it as CSV in the spreadsheet program")
    for encoding in _encodings(content):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text.lstrip("\ufeff")
    raise ConfigError("the roster is not text in UTF-8, UTF-16 or cp1252; save it as CSV (UTF-8)")


def _encodings(content: bytes) -> Iterator[str]:
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        yield "utf-16"
    elif content[1::2].count(0) > len(content) // 4:  # every other byte of Latin letters is zero
        yield "utf-16-le"
    elif content[::2].count(0) > len(content) // 4:
        yield "utf-16-be"
    yield from ("utf-8-sig", "cp1252")


def read_roster(text: str) -> Roster:
    """Teams and their members from a class list, a line for each member.

    Args:
        text: CSV as it was pasted or uploaded, with commas, semicolons, tabs or bars. A first line may name the
            columns, in any order and among others; without one they are team,member,email, the latter two optional.

    Raises:
        ConfigError: one line that names the line of the roster and what is wrong with it.
    """
    rows = _rows(text)
    if not rows:
        raise ConfigError(f"the roster names no team; {SAY}")
    columns = _columns(rows)
    teams: dict[str, list[str]] = {}
    lines: dict[str, int] = {}
    teamless = []
    for number, cells in rows[1 if columns.names else 0 :]:
        raw = _cell(cells, columns.team)
        if not raw:
            teamless.append(number)
            continue
        name = _name(number, raw)
        lines.setdefault(name, number)
        members = teams.setdefault(name, [])
        members += [one for one in _members(cells, columns) if not any(is_same_member(one, other) for other in members)]
    if not teams:
        raise ConfigError(f"the roster names no team; {SAY}")
    return Roster({name: tuple(members) for name, members in teams.items()}, lines, columns, tuple(teamless))


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
    homes = {name: list(members) for name, members in teams.items()}
    plans = []
    for name, members in wanted.items():
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


def _rows(text: str) -> list[tuple[int, list[str]]]:
    """The lines that hold something, by their number, taken apart at the delimiter that fits best."""
    text = text.lstrip("\ufeff")
    told = re.match(r"sep=(.)\r?\n", text)  # Excel's own word for it
    best: list[tuple[int, list[str]]] | None = None
    score, fault = (False, 0), ""
    for delimiter in (told[1],) if told else DELIMITERS:
        try:
            rows = list(_parsed(text[told.end() :] if told else text, delimiter, 1 if told else 0))
        except csv.Error as error:
            fault = fault or str(error)
            continue
        first = rows[0][1] if rows else []
        found = (len(first) > 1 and _named(first, "team") is not None, len(first))
        if best is None or found > score:
            best, score = rows, found
    if best is None:
        raise ConfigError(f"the roster is not CSV ({fault}); write team,member,email on each line")
    return best


def _parsed(text: str, delimiter: str, before: int) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    for many, cells in enumerate(reader):
        if many > MOST:  # beside one that may name the columns
            raise ConfigError(f"the roster has more than {MOST} lines; hand it in in parts")
        cells = [" ".join(cell.split()) for cell in cells]
        if any(cells):
            yield before + reader.line_num, cells


def _columns(rows: Sequence[tuple[int, list[str]]]) -> Columns:
    """Which column says what: by the names in the first line, or by their order where it names none."""
    names = rows[0][1]
    found = {role: _named(names, role) for role in KNOWN}
    if all(at is None for at in found.values()):
        _refuse_order(rows)
        return Columns((), 0, 1, None, None, 2)
    if found["team"] is None:
        shown = ", ".join(repr(plain_line(name, 40)) for name in names[:12] if name)
        raise ConfigError(f"line {rows[0][0]} of the roster names no column of teams among {shown}; call one `team`")
    parts = found["first"] is not None and (found["last"] is not None or found["member"] is not None)
    if parts:  # `Name` beside a first name is the last name
        last = found["last"] if found["last"] is not None else found["member"]
        return Columns(tuple(names), found["team"], None, found["first"], last, found["email"])
    member = next((found[role] for role in ("member", "last", "first") if found[role] is not None), None)
    return Columns(tuple(names), found["team"], member, None, None, found["email"])


def _named(names: Sequence[str], role: str) -> int | None:
    """The column of the most telling of a role's names."""
    plain = [_plain(name) for name in names]
    return next((plain.index(name) for name in KNOWN[role] if name in plain), None)


def _plain(name: str) -> str:
    flat = without_marks(unicodedata.normalize("NFKD", name).casefold())
    return " ".join(re.sub(r"[\W_]+", " ", flat).split())


def _refuse_order(rows: Sequence[tuple[int, list[str]]]) -> None:
    """Raise where columns without names cannot be team,member,email: people's names would become public."""
    number, first = rows[0]
    width = max(len(cells) for _, cells in rows)
    holds = [[_cell(cells, at).count("@") == 1 for _, cells in rows] for at in range(width)]
    if width > 3:
        raise ConfigError(f"line {number} of the roster names none of its {width} columns; {SAY}")
    if any(len(one) > 1 and not one[0] and all(one[1:]) for one in holds):
        shown = ", ".join(repr(plain_line(name, 40)) for name in first if name)
        raise ConfigError(f"line {number} of the roster seems to name columns, {shown}, of which none is known; {SAY}")
    many = [sum(one) for one in holds]
    distinct = Counter(_cell(cells, 0) for _, cells in rows).most_common(1)[0][1] == 1
    people = width == 2 and len(rows) > 1 and many[1] == len(rows) and distinct  # as likely names as teams
    if many[0] or (width == 3 and many[1] > many[2]) or people:
        raise ConfigError(f"the roster does not say which of its {width} columns names the team; {SAY}")


def _cell(cells: Sequence[str], at: int | None) -> str:
    return cells[at] if at is not None and at < len(cells) else ""


def _name(number: int, text: str) -> str:
    try:
        return clean_name(text, "team name")
    except ConfigError as error:
        raise ConfigError(f"line {number} of the roster: {error}") from None


def _members(cells: Sequence[str], columns: Columns) -> list[str]:
    """The member that a line names, if it does."""
    parts = [_cell(cells, at) for at in (columns.first, columns.last, columns.member)]
    member = plain_line(" ".join(part for part in parts if part), LONGEST_MEMBER)
    address = plain_line(_cell(cells, columns.email), LONGEST_MEMBER)
    if not member and not address:
        return []
    return [f"{member} <{address}>" if member and address else member or address]
