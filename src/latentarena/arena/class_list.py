"""The table of a class list: its lines taken apart, and which of its columns says what."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

from latentarena.errors import ConfigError
from latentarena.text import plain_line, without_marks

MOST = 2000  # lines
DELIMITERS = (",", ";", "\t", "|")
SAY = "write a first line that names the columns, such as team,member,email"
TEAM = """team; team name; teamname; teams; group name; groupname; group; groups; project group; gruppenname; gruppe;
gruppen; mannschaft; nom du groupe; groupe; groupes; equipe; nombre del grupo; grupo; equipo; nome do grupo; gruppo;
squadra; nome del gruppo; groepsnaam; groep; lag; grupp; zespol; grupa; komanda; gruppa; команда; группа; група; takım;
grup; ομαδα; tym; skupina; csapat; joukkue; ryhma; hold; 组; 小组; 组别; 团队; 队伍; 組; グループ; チーム; 班; 팀; 조;
그룹; grupos; equipos"""
SEVERAL = """group members; team members; members; mitglieder; gruppenmitglieder; teilnehmende; membres; miembros;
membri; membros"""
MEMBER = f"""{SEVERAL}; member; member name; group member; team member; student; student name; participant; full
name; fullname; display name; name; mitglied; teilnehmer; teilnehmerin; studierende; vollstandiger name; etudiant;
membre; estudiante; alumno; miembro; aluno; membro; studente; naam; namn; imie i nazwisko; фио; студент; участник;
ad soyad; öğrenci; ονοματεπωνυμο; jméno a příjmení; 姓名; 学生; 成员; 氏名; 名前; 이름; 성명; 학생"""
FIRST = """first name; firstname; given name; given names; forename; vorname; prenom; nombre; nombres; primeiro nome;
nome; voornaam; имя; ім'я; adı; ad; ονομα; jméno; imię; fornavn; förnamn; etunimi; 名"""
LAST = """last name; lastname; surname; family name; familyname; nachname; familienname; zuname; nom; nom de famille;
apellido; apellidos; apellido s; sobrenome; cognome; achternaam; фамилия; прізвище; soyadı; soyad;
επωνυμο; příjmení; nazwisko; etternavn; efternamn; sukunimi; 姓"""
EMAIL = """email; e mail; email address; e mail address; mail; mail address; e mail adresse; emailadresse; mailadresse;
adresse de courriel; adresse e mail; courriel; correo; correo electronico; direccion de correo; endereco de email;
indirizzo email; indirizzo e mail; e mailadres; login id; sis login id; login; username; user name; user id;
benutzername; anmeldename; почта; электронная почта; эл почта; пошта; e posta; eposta;
邮箱; 电子邮件; メール; メールアドレス; 이메일"""
PLURAL = ("teams", "groups", "gruppen", "groupes", "grupos", "equipos")
OTHER_WORDS = "code id no nr number title description size count max members section role status comment grade points"
TITLES = 4  # lines that may stand above the one that names the columns
NUMBERED = re.compile(r"(?P<before>.*?) ?(?P<number>\d+|(?<= )[a-h](?= |$))(?: (?P<behind>\D*))?")
AS_TEXT = re.compile(r'^="(.*)"$', re.DOTALL)  # how a spreadsheet is told that `="007"` is no number
PEOPLE = ("email", "first", "last", "member")
NOT_TABLE = re.compile(
    r"%PDF-|\{\\rtf|\s*<(?:!|\?|html|head|body|table|div|meta|style)\b|\s*[\[{]\s*[\[{\"]", re.IGNORECASE
)
"""How PDF, RTF, HTML, XML and JSON begin."""
RULED = re.compile(r"^(?=.*[|+])(?=.*(?:--|==))[ \t\r|+:=-]+$", re.MULTILINE)
"""A line that rules off the columns' names of a table in Markdown or in drawn boxes."""


def _plain(name: str) -> str:
    flat = without_marks(unicodedata.normalize("NFKD", name).casefold())
    return " ".join(re.sub(r"[\W_]+", " ", flat).split())


KNOWN = {
    role: tuple(map(_plain, names.split(";")))
    for role, names in {"team": TEAM, "member": MEMBER, "first": FIRST, "last": LAST, "email": EMAIL}.items()
}
"""What course systems and people call the columns, without accents and signs, the most telling names first."""
MANY = frozenset(map(_plain, SEVERAL.split(";")))
"""Names of columns that may hold several members."""
VOCABULARY = {word for names in KNOWN.values() for name in names for word in name.split()} | set(OTHER_WORDS.split())
"""Words that columns' names are made of, those that say nothing here too."""


@dataclass(frozen=True)
class Columns:
    """Which columns of a roster say what, by their place from 0; None where no column does.

    Attributes:
        names: the columns' names as the first line has them; empty where it has none.
        first, last: parts of a member's name, where no column has it whole.
        numbered: the columns of further members, as `Member 1`, `Email 1`, `Member 2`, ...: for each those of the parts
            of the name, and that of the address.
    """

    names: tuple[str, ...]
    team: int
    member: int | None = None
    first: int | None = None
    last: int | None = None
    email: int | None = None
    numbered: tuple[tuple[tuple[int, ...], int | None], ...] = ()

    @property
    def used(self) -> dict[str, str]:
        """By role, what the column is called."""
        roles = {"team": self.team, "member": self.member, "first": self.first, "last": self.last, "email": self.email}
        named: dict[str, tuple[int, ...]] = {role: (at,) for role, at in roles.items() if at is not None}
        for i, (parts, email) in enumerate(self.numbered, 1):
            named |= {f"member {i}": parts} | ({f"email {i}": (email,)} if email is not None else {})
        told = self.names or tuple(f"column {at + 1}" for at in range(3))
        return {role: " ".join(told[at] for at in places) for role, places in named.items() if places}

    @property
    def plural(self) -> bool:
        """Whether the column of teams is named as one that may hold several, such as `Groups`."""
        return bool(self.names) and _plain(self.names[self.team]) in PLURAL

    @property
    def several(self) -> bool:
        """Whether the column of members is named as one that may hold several, such as `Group members`."""
        return bool(self.names) and self.member is not None and _plain(self.names[self.member]) in MANY

    @property
    def ignored(self) -> tuple[str, ...]:
        """What the columns are called that say nothing here."""
        used = {self.team, self.member, self.first, self.last, self.email}
        used.update(at for parts, email in self.numbered for at in (*parts, email))
        return tuple(name for at, name in enumerate(self.names) if name and at not in used)


def table_rows(text: str) -> list[tuple[int, list[str]]]:
    """The lines that hold something, by their number, taken apart at the delimiter that fits best.

    Raises:
        ConfigError: it is no table of so few lines.
    """
    text = text.lstrip("\ufeff")
    if NOT_TABLE.match(text):
        raise ConfigError("the roster is a document (PDF, RTF, HTML or JSON), not a table; save the table as CSV")
    if ruled := RULED.search(text):
        line = text.count("\n", 0, ruled.start()) + 1
        shown = plain_line(ruled[0], 40)
        raise ConfigError(f"line {line} of the roster, {shown!r}, is of a Markdown table; save the table as CSV")
    told = re.match(r"sep=(.)\r?\n", text)  # Excel's own word for it
    best: list[tuple[int, list[str]]] | None = None
    score, fault = (False, False, 0), ""
    for delimiter in (told[1],) if told else DELIMITERS:
        try:
            rows = list(_parsed(text[told.end() :] if told else text, delimiter, 1 if told else 0))
        except csv.Error as error:
            fault = fault or str(error)
            continue
        first = rows[header_at(rows) or 0][1] if rows else []
        found = (len(first) > 1 and _named(first, "team") is not None, _comes_first(text, delimiter), len(first))
        if best is None or found > score:
            best, score = rows, found
    if best is None:
        raise ConfigError(f"the roster is not CSV ({fault}); write team,member,email on each line")
    if best and header_at(best) is None and not score[1]:
        raise ConfigError(f"the roster has several signs between its cells, and no line that names columns; {SAY}")
    return best


def _comes_first(text: str, delimiter: str) -> bool:
    """Whether no other delimiter stands before it in any line, as the semicolon does not in `Team A;Doe, Ann`.

    What is in quotes may hold any.
    """
    begun = (line.partition(delimiter)[0] for line in text.splitlines() if not line.startswith('"'))
    return not any(other in one for one in begun for other in DELIMITERS)


def _parsed(text: str, delimiter: str, before: int) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    for many, cells in enumerate(reader):
        if many > MOST:  # beside one that may name the columns
            raise ConfigError(f"the roster has more than {MOST} lines; hand it in in parts")
        cells = [AS_TEXT.sub(r"\1", cell) for cell in cells]
        cells = ["\n".join(" ".join(line.split()) for line in cell.splitlines() if line.strip()) for cell in cells]
        if any(cells):
            yield before + reader.line_num, cells


def header_at(rows: Sequence[tuple[int, list[str]]]) -> int | None:
    """Which of the rows names the columns: of the first few the one with most known names; None where none does.

    Below the first it has two or more: what a title holds, or a team is called, may be a column's name too.
    """
    many = [
        sum(_named(names, role) is not None for role in KNOWN)
        + (_named(names, "team") is not None and bool(_numbered(names)))
        for _, names in rows[: TITLES + 1]
    ]
    at = many.index(max(many))
    return at if many[at] > (at > 0) else None


def names_beyond_ascii(text: str) -> int:
    """How many cells of the first lines are known columns' names that ASCII cannot write: their encoding is right."""
    cells = (cell for line in text.splitlines()[: TITLES + 1] for cell in re.split(r"[,;\t|]", line))
    foreign = (cell for cell in cells if any(sign.isalpha() and not sign.isascii() for sign in cell))
    return sum(any(_plain(cell) in names for names in KNOWN.values()) for cell in foreign)


def find_columns(rows: Sequence[tuple[int, list[str]]], header: int | None) -> Columns:
    """Which column says what: by the names in the row that has them, or by their order where none does.

    Raises:
        ConfigError: no column of teams is named, a name stands twice, a row has more cells than there are names, or the
            order of columns without names may be another one.
    """
    if header is None:
        _refuse_order(rows)
        return Columns((), 0, 1, None, None, 2)
    number, names = rows[header]
    found = {role: _named(names, role) for role in KNOWN}
    if found["team"] is None:
        shown = ", ".join(repr(plain_line(name, 40)) for name in names[:12] if name)
        raise ConfigError(f"line {number} of the roster names no column of teams among {shown}; call one `team`")
    _refuse_lost(rows[header:], {names[at] for at in found.values() if at is not None})
    numbered = _numbered(names)
    parts = found["first"] is not None and (found["last"] is not None or found["member"] is not None)
    if parts:  # `Name` beside a first name is the last name
        last = found["last"] if found["last"] is not None else found["member"]
        return Columns(tuple(names), found["team"], None, found["first"], last, found["email"], numbered)
    member = next((found[role] for role in ("member", "last", "first") if found[role] is not None), None)
    return Columns(tuple(names), found["team"], member, None, None, found["email"], numbered)


def _refuse_lost(rows: Sequence[tuple[int, list[str]]], used: Set[str]) -> None:
    """Raise where a cell would be left out that nobody meant to: of a second column of a name, or of none."""
    number, names = rows[0]
    twice = next((name for name in names if name in used and names.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(
            f"line {number} of the roster names {names.count(twice)} columns {plain_line(twice, 40)!r}; "
            "give other names to those that are not meant, and number those of members, such as member 1, member 2"
        )
    for line, cells in rows[1:]:
        if any(cells[len(names) :]):
            raise ConfigError(
                f"line {line} of the roster has {len(cells)} cells, but line {number} names {len(names)} columns; "
                "put quotes around a cell that holds the sign between cells"
            )


def _numbered(names: Sequence[str]) -> tuple[tuple[tuple[int, ...], int | None], ...]:
    """The columns of members that are told apart by numbers or letters, each with that of an address of the same."""
    found: dict[str, dict[str, int]] = {}
    for at, name in enumerate(names):
        told = NUMBERED.fullmatch(_plain(name))
        role = _role_of(told["before"], told["behind"]) if told else None
        if told and role:
            found.setdefault(told["number"], {}).setdefault(role, at)
    members = ((_name_parts(one), one.get("email")) for one in found.values())
    return tuple((parts, email) for parts, email in members if parts)


def _role_of(before: str, behind: str) -> str | None:
    """What `Email 1`, `First name 2`, `Member 1 email` or `Name of member 1` is called; None where it is nothing."""
    kind = before.removeprefix("name of ").removesuffix(" s")
    if behind:
        return next((role for role in PEOPLE if kind in KNOWN["member"] and behind in KNOWN[role]), None)
    return next((role for role in PEOPLE if kind in KNOWN[role]), None)


def _name_parts(found: Mapping[str, int]) -> tuple[int, ...]:
    """The columns of a member's name, first name first."""
    if "member" in found:
        return (found["member"],)
    return tuple(found[role] for role in ("first", "last") if role in found)


def _named(names: Sequence[str], role: str) -> int | None:
    """The column of the most telling of a role's names."""
    plain = [_plain(name) for name in names]
    return next((plain.index(name) for name in KNOWN[role] if name in plain), None)


def _refuse_order(rows: Sequence[tuple[int, list[str]]]) -> None:
    """Raise where columns without names cannot be team,member,email: people's names would become public."""
    number, first = rows[0]
    width = max(len(cells) for _, cells in rows)
    holds = [[cell_of(cells, at).count("@") == 1 for _, cells in rows] for at in range(width)]
    if width == 1:
        raise ConfigError(
            f"line {number} of the roster names no column, so its lines may be people, whose names nobody else should "
            "see; write a first line `team` if they are teams, or team,member,email"
        )
    if width > 3:
        raise ConfigError(f"line {number} of the roster names none of its {width} columns; {SAY}")
    words = [_plain(name).split() for name in first if name]
    named = len(words) > 1 and VOCABULARY.issuperset(word for name in words for word in name)
    if named or any(len(one) > 1 and not one[0] and all(one[1:]) for one in holds):
        shown = ", ".join(repr(plain_line(name, 40)) for name in first if name)
        raise ConfigError(f"line {number} of the roster seems to name columns, {shown}, of which none is known; {SAY}")
    many = [sum(one) for one in holds]
    if many[0] or (width == 3 and many[1] > many[2]):
        raise ConfigError(f"the roster does not say which of its {width} columns names the team; {SAY}")
    for line, cells in rows:
        if (third := cell_of(cells, 2)) and "@" not in third:
            raise ConfigError(
                f"line {line} of the roster has {plain_line(third, 40)!r} where an address is expected, as line "
                f"{number} names no columns; {SAY}, or put quotes around a name that holds the sign between cells"
            )
    firsts = [_plain(cell_of(cells, 0)) for _, cells in rows]
    times, teams = Counter(firsts), set(KNOWN["team"])
    alone = [times[name] == 1 and any(cells[1:]) for name, (_, cells) in zip(firsts, rows, strict=True)]
    sure = [len(name.split()) <= 2 and not teams.isdisjoint(name.split()) for name in firsts]  # not `Team A: Ann Doe`
    if 2 * sum(one and not team for team, one in zip(sure, alone, strict=True)) > len(rows):
        raise ConfigError(
            f"the roster does not say which of its {width} columns names the team, as line {number} names no columns, "
            f"and the first may hold people's names, for most are there once; {SAY}"
        )


def cell_of(cells: Sequence[str], at: int | None) -> str:
    """What a row holds in a column, in one line; nothing where it is too short, or there is no such column."""
    return " ".join(lines_of(cells, at))


def lines_of(cells: Sequence[str], at: int | None) -> list[str]:
    """The lines of what a row holds in a column."""
    return cells[at].splitlines() if at is not None and at < len(cells) else []
