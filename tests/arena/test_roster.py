"""Class lists as course systems, spreadsheets and people write them: what is read from them, and what is refused."""

from __future__ import annotations

import codecs
import re
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arena_parts import Parts, now
from latentarena.arena.class_text import roster_text, text_and_doubt
from latentarena.arena.enrolment import Enrolled, add_roster, plan_roster, remove_team
from latentarena.arena.roster import Roster, plan_teams, read_roster
from latentarena.errors import ConfigError, NotThere

LETTERS = "ABCDEFGHIJKLM"
CANVAS = "name,canvas_user_id,user_id,login_id,sections,group_name,canvas_group_id,group_id\r\n" + "".join(
    f'"Family{i}, Given{i}",{i},s{i},student{i}@example.edu,CS-1,Team {letter},5{i},\r\n'
    for i, letter in enumerate(LETTERS)
)
MOODLE = "First name,Last name,Email address,Group\nGiven1,Family1,one@example.edu,Team A\nGiven2,Family2,,Team B\n"
GERMAN = "Gruppe;Vorname;Name;E-Mail-Adresse\r\nTeam Ä;Jürgen;Müller;j@example.de\r\nTeam B;Ute;Groß;\r\n"
EXCEL = "sep=;\r\nTeam;Name;E-Mail\r\nTeam A;Ada;a@example.org\r\n"
TABS = "Email\tTeam name\tStudent\na@example.org\tTeam A\tAda\n"
ORDER = "team,member,email\nBlue Herons,Ada,ada@example.org\nNight Shift,,\nBlue Herons,Ben,\n\n"


def teams(text: str) -> dict[str, tuple[str, ...]]:
    return dict(read_roster(text).teams)


def test_every_common_form_of_a_class_list_is_read() -> None:
    assert teams(ORDER) == {"Blue Herons": ("Ada <ada@example.org>", "Ben"), "Night Shift": ()}
    assert teams("Blue Herons,Ada,ada@example.org\nNight Shift") == {
        "Blue Herons": ("Ada <ada@example.org>",),
        "Night Shift": (),
    }
    canvas = read_roster(CANVAS)
    assert list(canvas.teams) == [f"Team {letter}" for letter in LETTERS]
    assert canvas.teams["Team B"] == ("Family1, Given1 <student1@example.edu>",)
    assert canvas.columns.used == {"team": "group_name", "member": "name", "email": "login_id"}
    assert set(canvas.columns.ignored) == {"canvas_user_id", "user_id", "sections", "canvas_group_id", "group_id"}
    assert teams(MOODLE) == {"Team A": ("Given1 Family1 <one@example.edu>",), "Team B": ("Given2 Family2",)}
    assert teams(GERMAN) == {"Team Ä": ("Jürgen Müller <j@example.de>",), "Team B": ("Ute Groß",)}
    assert teams(EXCEL) == teams(TABS) == {"Team A": ("Ada <a@example.org>",)}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
def test_every_encoding_of_a_spreadsheet_is_read(encoding: str) -> None:
    mark = codecs.BOM_UTF16_BE if encoding == "utf-16-be" else b""
    assert roster_text(mark + GERMAN.encode(encoding)) == GERMAN
    assert roster_text(GERMAN.encode(encoding)) == GERMAN


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp932", "グループ,氏名\n赤,山田太郎\n"),
        ("gb18030", "小组;姓名\nA;张三\n"),
        ("big5", "組,姓名\nA,張三\n"),
        ("cp949", "조,이름\nA,김철수\n"),
        ("cp1251", "Список группы\nкоманда,студент\nA,Иванов\n"),
        ("cp1253", "ομάδα,όνομα\nA,Γιώργος\n"),
        ("cp1250", "tým,příjmení\nA,Řehoř\n"),
        ("cp1254", "takım,ad soyad\nA,Işık Şahin\n"),
        ("mac_roman", "Équipe,Prénom\nA,René\n"),
        ("cp1252", "Équipe,Prénom\nA,René\n"),
        ("cp1252", "team;name\n½ Team®;Weiß, Jörg…\nNº 5;Peña O’Hara\n«Æ»;Þór Ðuro\n5 €;Créée ÜÖÄ – Žižek Sjöö\n"),
    ],
)
def test_columns_names_say_which_encoding_it_is(encoding: str, text: str) -> None:
    assert roster_text(text.encode(encoding)) == text


@pytest.mark.parametrize(
    ("encoding", "name", "shown"),
    [
        ("mac_roman", "André Müller", "'AndrŽ MŸller'"),
        ("mac_roman", "Groß", "'Gro§'"),
        ("gb18030", "张三", "'ÕÅÈý'"),
        ("big5", "張三豐", "as cp1252 it would say"),
        ("cp949", "김철수", "as cp1252 it would say"),
        ("cp1251", "Иванов", "'Èâàíîâ'"),
        ("cp1250", "Łukasz", "'£ukasz'"),
        ("cp932", "山田太郎", "save it as CSV"),
        ("cp850", "Röte", "'R”te'"),
    ],
)
def test_names_in_an_encoding_that_nothing_tells_are_refused(encoding: str, name: str, shown: str) -> None:
    with pytest.raises(ConfigError, match=shown):
        roster_text(f"team,member\nA,{name}\n".encode(encoding))


@pytest.mark.parametrize(
    ("encoding", "name", "shown"),
    [
        ("cp1250", "Jiří Řehoř", "'Jiøí Øehoø', which would be 'Jiří Řehoř' in cp1250;"),
        ("cp1250", "Michał", "'Micha3', which would be 'Michał' in cp1250;"),
        ("cp1252", "Peña", "'Peña', which would be 'Peńa' in cp1250;"),
        ("cp1254", "Işık", "'Iþýk', which would be 'Iţýk' in cp1250 and 'Işık' in cp1254;"),
    ],
)
def test_names_that_two_encodings_may_mean_are_read_and_shown_in_both(encoding: str, name: str, shown: str) -> None:
    content = f"team,member\nA,Ada\nB,{name}\n".encode(encoding)
    roster = read_roster(*text_and_doubt(content))
    assert roster.teams["B"] == (shown.split("'")[1],)
    [said] = Enrolled(roster, (), {}).remarks
    assert said.startswith(f"the list was read as cp1252, with the name {shown}")
    assert said.endswith("if that is right, save it as CSV (UTF-8)")


@pytest.mark.parametrize("name", ["Jiří Šťastný", "Ťapka", "Marek Źrebiec"])
def test_names_that_only_cp1250_can_read_are_read_and_shown(name: str) -> None:
    content = f"team,member\nA,Ada\nB,{name}\n".encode("cp1250")
    with pytest.raises(UnicodeDecodeError):
        content.decode("cp1252")
    roster = read_roster(*text_and_doubt(content))
    assert roster.teams["B"] == (name,)
    [said] = Enrolled(roster, (), {}).remarks
    shown = name[name.index(next(word for word in name.split() if not word.isascii())) :]
    assert said == f"the list was read as cp1250, with the name {shown!r}; if that is not right, save it as CSV (UTF-8)"


@pytest.mark.parametrize(("encoding", "name"), [("mac_roman", "Hélène"), ("cp932", "高橋"), ("cp1251", "Ђорђе")])
def test_other_names_that_cp1252_cannot_read_are_no_cp1250_and_the_way_out_is_told(encoding: str, name: str) -> None:
    with pytest.raises(ConfigError, match=r"not text in UTF-8, UTF-16 or cp1252; save it as CSV \(UTF-8\)"):
        roster_text(f"team,member\nA,{name}\n".encode(encoding))


def test_names_that_spanish_spells_otherwise_are_doubted_among_others() -> None:
    """All their letters are Spanish as cp1252, and of no one language as cp1250."""
    said = text_and_doubt("team,member\nA,Kamiński\nB,Novák\n".encode("cp1250"))[1]
    assert said.startswith("the list was read as cp1252, with the name 'Kamiñski', which would be 'Kamiński' in cp1250")
    assert text_and_doubt("team,member\nA,Muñoz Ñíguez\nB,Ibáñez\n".encode("cp1252"))[1] == ""


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1252", "team,member\nA,Jürgen Groß\nB,José\n"),  # the same in both
        ("cp1252", "team,member\nA,Peña\nB,Nuÿs\n"),  # no letter in the other
        ("cp1252", "team,member\nNº 5,Peña\n"),
        ("cp1252", "team,member\nA,Hélène Garçon\nB,Zoë Léger\n"),  # French, and nothing as cp1250
        ("cp1252", "team,member\nA,Begoña Núñez\nB,García\n"),  # Spanish
        ("cp1252", "Équipe,Prénom\nA,Hélène\n"),  # its columns tell
        ("cp1250", "tým,příjmení\nA,Řehoř\n"),
        ("utf-8", "team,member\nA,Peña\n"),
        ("utf-16", "team,member\nA,Řehoř\n"),
    ],
)
def test_a_list_that_one_encoding_alone_may_mean_is_read_without_a_word(encoding: str, text: str) -> None:
    assert text_and_doubt(text.encode(encoding)) == (text, "")


@pytest.mark.parametrize("name", ["Jörg", "Müller", "André", "Groß", "Åsa"])
def test_a_line_of_cp1252_in_a_list_of_utf_8_is_told(name: str) -> None:
    other = "team,member\nB,Peña\n".encode("cp1252")
    with pytest.raises(ConfigError, match="as cp1252 it would say"):
        roster_text(f"team,member\nA,{name}\n".encode() + other)


@pytest.mark.parametrize("content", [b"PK\x03\x04 a workbook", b"\xd0\xcf\x11\xe0", b"team\n\0\0", b"\x81\x8d"])
def test_what_is_no_text_is_refused(content: bytes) -> None:
    with pytest.raises(ConfigError, match="save it as CSV"):
        roster_text(content)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names no team"),
        ("team,member\n", "names no team"),
        ("Blue\u202eHerons,x", "line 1"),
        ("Blue\u200bHerons,x", "line 1"),
        ("paypal,x\nрaypal", "line 2 of the roster: team 'рaypal' looks like 'paypal', which line 1 names"),
        ("ok\nNight Shift,x", "looks like 'Night Shlft', which is there already"),
        ('"open', "not CSV"),
        ('Name,Groups\nAda,"Team A, Team B"', "line 2 of the roster: 'Team A, Team B' names 2 teams; leave the one"),
        ("Ada,x\nTeam;Name\nRed;Ada\nBlue;Ben\nBlue,Red;Cy", "line 5 of the roster: 'Blue,Red' names 2 teams"),
        ("a,b\n" * 2002, "more than 2000"),
        ("Squad;Pupil;Mail\nRed;Ada;a@x.org", "names no column of teams among 'Squad', 'Pupil', 'Mail'"),
        ("Squad;Pupil;Post\nRed;Ada;a@x.org", "seems to name columns, 'Squad', 'Pupil', 'Post'"),
        ("Ada,ada@x.org,Red\nBen,ben@x.org,Red", "does not say which of its 3 columns"),
        ("Ada Lovelace,ada@x.org\nBen Nevis,ben@x.org", "does not say which of its 2 columns"),
        ("a@x.org,Red", "does not say which"),
        ("Ada Lovelace\nBen Nevis", "line 1 of the roster names no column, so its lines may be people"),
        ('team,members\nRed,"Ada, Ben"', "line 2 of the roster: 'Ada, Ben' may be one member or several"),
        ("team,member,email\nRed,Ada;Ben,a@x.org", "line 2 of the roster names 2 members, but its addresses are 1"),
        ("1,Ada,7,Red,9", "names none of its 5 columns"),
        ("Doe,John,doe@x.edu\nRoe,Jane,roe@x.edu\nDoe,Al,al@x.edu\nPoe,Ed,\nLee,Bo,", "may hold people's names"),
        ("Doe;John\nRoe;Jane", "may hold people's names"),
        ("Team A: Ann Doe, Bob Roe\nTeam B: Cy Poe, Di Lee", "may hold people's names"),
        ("Team A - Ann Doe, Bob Roe\nTeam B - Cy Poe, Di Lee", "may hold people's names"),
        ("Team A;Doe, Ann\nTeam B,Roe; Bob", "has several signs between its cells"),
        ("Doe, John", "may hold people's names"),
        ("Eftirnafn;Nafn\nJónsson;Ari\nEinarsson;Ari", "may hold people's names"),
        ("Soyadı;Adı\nKaya;Can", "names no column of teams among 'Soyadı', 'Adı'"),
        ("Class list,,\nName,Email,ID\nAda,a@x.org,1", "line 2 of the roster names no column of teams"),
        ('"Group Code","Title","Description"\n"gc_1","Owls",""', "seems to name columns, 'Group Code', 'Title'"),
        ("team,member\nRed,Ada\nBlue,Doe, John", "line 3 of the roster has 3 cells, but line 1 names 2 columns"),
        ("Blue Herons,Doe, John\nBlue Herons,Cy,", "line 1 of the roster has 'John' where an address is"),
        ("team,member,member\nRed,Ada,Cy", "line 1 of the roster names 2 columns 'member'"),
        ("Group,Name,Group\nSpring,Ada,Red", "line 1 of the roster names 2 columns 'Group'"),
        ("%PDF-1.4\n1 0 obj", "not a table"),
        ("<!DOCTYPE html>\n<table>", "not a table"),
        ("<table><tr><td>Team A", "not a table"),
        ('[{"team": "A"}]', "not a table"),
        ('{"teams": []}', "not a table"),
    ],
)
def test_a_roster_that_would_mislead_is_refused(text: str, said: str) -> None:
    """Above all where people's names would become names of teams, which are public."""
    with pytest.raises(ConfigError, match=said):
        planned(read_roster(text))


def test_columns_are_known_in_many_languages_and_under_a_title() -> None:
    assert teams("Фамилия;Имя;Команда\nИванов;Иван;Альфа\n") == {"Альфа": ("Иван Иванов",)}
    assert teams("姓名,组\n王伟,第一组\n") == {"第一组": ("王伟",)}
    assert teams("氏名,グループ,メール\n山田,青,a@x.org\n") == {"青": ("山田 <a@x.org>",)}
    for title in ("Course CS-101, spring\n\n", "Class list 2026,,\n", "Groups,,\n2026,,\n"):
        found = read_roster(f"{title}Team,Name,Email\nOwls,Ada,ada@x.org\nCrows,Cy,\n")
        assert found.teams == {"Owls": ("Ada <ada@x.org>",), "Crows": ("Cy",)}
    assert teams("Team 1,Ada\nTeam 2,Cy\n") == {"Team 1": ("Ada",), "Team 2": ("Cy",)}  # nobody's name


def test_numbered_columns_are_further_members_of_the_row_s_team() -> None:
    text = "Team,Member 1,Email 1,Member2,Room 2,Name\nOwls,Ada,ada@x.org,Ben,7,Cy\nCrows,,,Dee,,\n"
    found = read_roster(text)
    assert found.teams == {"Owls": ("Cy", "Ada <ada@x.org>", "Ben"), "Crows": ("Dee",)}
    assert found.columns.ignored == ("Room 2",)
    assert found.columns.used == {"team": "Team", "member": "Name"} | {
        "member 1": "Member 1",
        "email 1": "Email 1",
        "member 2": "Member2",
    }
    assert teams("Team 1,Student 1\nTeam 1,Student 2\n") == {"Team 1": ("Student 1", "Student 2")}
    assert teams('team,member\n"Rock, Paper",Ada\n') == {"Rock, Paper": ("Ada",)}


@pytest.mark.parametrize("sign", [";", "\t", "|"])
def test_the_sign_that_stands_first_in_the_lines_parts_team_and_member(sign: str) -> None:
    """Else a team would be called `Team A;Doe`, by its member's name."""
    assert teams(f"Team A{sign}Doe, Ann\nTeam B{sign}Roe, Bob\n") == {"Team A": ("Doe, Ann",), "Team B": ("Roe, Bob",)}
    assert teams("Team A,Ann; Bob\nTeam B,Cy\n") == {"Team A": ("Ann", "Bob"), "Team B": ("Cy",)}


def test_members_of_a_row_are_found_under_the_names_that_forms_give_their_columns() -> None:
    two = {"Owls": ("Ada Doe", "Ben Roe"), "Crows": ("Cy Poe",)}
    assert teams("Team,Member A,Member B\nOwls,Ada Doe,Ben Roe\nCrows,Cy Poe,\n") == two
    parts = "Team,First name 1,Last name 1,First name 2,Last name 2\nOwls,Ada,Doe,Ben,Roe\nCrows,Cy,Poe,,\n"
    assert teams(parts) == two
    assert teams("Team,Name of member 1,Name of member 2\nOwls,Ada Doe,Ben Roe\nCrows,Cy Poe,\n") == two
    form = read_roster(
        "Timestamp,Email address,Team name,Member 1 name,Member 1 email,Member 2 name,Member 2 email\n"
        "1/1,a@x.org,Owls,Ada,a@x.org,Ben,b@x.org\n"
    )
    assert form.teams == {"Owls": ("Ada <a@x.org>", "Ben <b@x.org>")}  # who sent the form is one of them
    assert form.columns.ignored == ("Timestamp",)


def test_a_cell_that_a_spreadsheet_is_to_take_as_text_is_what_it_says() -> None:
    assert teams('Group,Member\n="007",="Ann Doe"\n="008",Bob\n') == {"007": ("Ann Doe",), "008": ("Bob",)}
    assert teams('Group,Member\n"=""007""",Ann\n') == {"007": ("Ann",)}


def test_lists_that_were_joined_name_their_columns_more_than_once() -> None:
    assert teams("team,member\nOwls,Ada\nteam,member\nCrows,Cy\n") == {"Owls": ("Ada",), "Crows": ("Cy",)}


def test_members_of_one_cell_are_each_a_member() -> None:
    assert teams('Groups;Group members\nRed;"Ada; Ben"\nBlue;Cy\n') == {"Red": ("Ada", "Ben"), "Blue": ("Cy",)}
    assert teams('Team,Members\nRed,"Ada Lovelace\n Ben  Nevis"\n') == {"Red": ("Ada Lovelace", "Ben Nevis")}
    assert teams('team,member,email\nRed,Ada;Ben,"a@x.org; b@x.org"\n') == {"Red": ("Ada <a@x.org>", "Ben <b@x.org>")}
    assert teams('team,email\nRed,"a@x.org;b@x.org"\n') == {"Red": ("a@x.org", "b@x.org")}
    assert teams('team,member\n"Rock\nPaper","Lovelace, Ada"\n') == {"Rock Paper": ("Lovelace, Ada",)}


def test_a_team_spelled_with_other_case_spaces_or_dashes_is_the_same() -> None:
    found = read_roster("team,member\nteam a,Ada\nTeam\u2009A,Ben\nLab–1 1,Cy\nLab 11,Dee\n")
    assert found.teams == {"team a": ("Ada", "Ben"), "Lab–1 1": ("Cy",), "Lab 11": ("Dee",)}
    plans = plan_teams({"team a": ("Ada", "Ben"), "Red—Hats": ("Cy",)}, {"Team A": ("Ada",), "Red-Hats": ()})
    assert [(plan.name, plan.new, plan.added) for plan in plans] == [
        ("Team A", False, ("Ben",)),
        ("Red-Hats", False, ("Cy",)),
    ]


@given(st.text(max_size=200))
@settings(max_examples=60, deadline=None)
def test_a_roster_of_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    said = ""
    try:
        found = teams(text)
    except ConfigError as error:
        found, said = {}, str(error)
    assert found or said
    assert "\n" not in said


def planned(found: Roster) -> None:
    plan_teams(found.teams, {"Night Shlft": ()}, found.lines)


def roster(**members: tuple[str, ...]) -> Roster:
    text = "".join(f"{team},{member}\n" for team, own in members.items() for member in (own or ("",)))
    return read_roster("team,member\n" + text)


def test_a_list_that_has_grown_adds_and_never_fails(tmp_path: Path) -> None:
    with closing(Parts(f"sqlite:///{tmp_path / 'arena.db'}", tmp_path)) as parts:
        store = parts.store
        first = add_roster(store, read_roster(CANVAS), "tests")
        assert len(first.tokens) == len(LETTERS)
        again = add_roster(store, read_roster(CANVAS), "tests")
        assert again.tokens == {}
        assert again.summary == "0 new teams with 0 members; 13 teams unchanged"
        grown = CANVAS.replace("Team A", "Team  A") + (
            '"New, One",90,s,NEW@example.edu,CS-1,Team A,1,\r\n'
            '"Given1, Family1",1,s,STUDENT1@example.edu,CS-1,Team B,1,\r\n'  # another spelling of a name
            '"Moved, On",91,s,student1@example.edu,CS-1,Team C,1,\r\n'
            '"Nobody, Yet",92,s,late@example.edu,CS-1,,,\r\n'
            '"New, Two",93,s,two@example.edu,CS-1,Team Z,1,\r\n'
        )
        planned = plan_roster(store, read_roster(grown))
        assert planned.summary == (
            "1 new team with 1 member; 2 new members of 2 teams that are there; 11 teams unchanged"
        )
        assert planned.remarks == [
            "Moved, On <student1@example.edu> of Team C is in Team B too",
            "left out, for they name no team: line 18",
        ]
        assert store.teams.count() == len(LETTERS)  # nothing was changed
        assert list(add_roster(store, read_roster(grown), "tests").tokens) == ["Team Z"]
        there = {team.name: team.members for team in store.teams.all()}
        assert there["Team A"] == ("Family0, Given0 <student0@example.edu>", "New, One <NEW@example.edu>")
        assert there["Team B"] == ("Family1, Given1 <student1@example.edu>",)


def test_teams_are_renamed_changed_and_removed_and_the_log_says_so(tmp_path: Path) -> None:
    with closing(Parts(f"sqlite:///{tmp_path / 'arena.db'}", tmp_path)) as parts:
        store, enrolment = parts.store, parts.store.teams
        tokens = add_roster(store, roster(Herons=("Ada", "Ben"), Owls=("Cy",)), "tests").tokens
        ids = {team.name: team.id for team in store.teams.all()}
        changed = enrolment.change(ids["Herons"], "tests", now(), "Blue Herons", ["Dee <d@x.org>", "ada"], ["ben"])
        assert (changed.name, changed.members) == ("Blue Herons", ("Ada", "Dee <d@x.org>"))
        assert enrolment.change(ids["Herons"], "tests", now(), remove=["d@x.org"]).members == ("Ada",)
        assert enrolment.change(ids["Herons"], "tests", now(), "BLUE HERONS").name == "BLUE HERONS"
        for wrong in ("0wls", "\u200b", "Owls"):
            with pytest.raises(ConfigError):
                enrolment.change(ids["Herons"], "tests", now(), wrong, add=["Eve"])
        with pytest.raises(NotThere, match="'Zoe' is no member"):
            enrolment.change(ids["Herons"], "tests", now(), "Other", remove=["Zoe"])
        team = next(team for team in store.teams.all() if team.id == ids["Herons"])
        assert (team.name, team.members) == ("BLUE HERONS", ("Ada",))  # all or nothing
        entry = parts.hand_in(ids["Herons"], "score")
        with pytest.raises(ConfigError, match="has handed in 1 bundle; erase them first"):
            remove_team(store, parts.objects, ids["Herons"], "tests")
        assert len(remove_team(store, parts.objects, ids["Herons"], "tests", entries=True)) == 1
        remove_team(store, parts.objects, ids["Owls"], "tests")
        assert store.teams.all() == []
        assert [store.tokens.identify(token, now()) for token in tokens.values()] == [None, None]
        with pytest.raises(NotThere):
            store.submissions.one(entry)
        said = [(line.action, line.subject) for line in store.audit.lines()]
        for line in [("rename team", "Blue Herons"), ("change members", "Blue Herons"), ("remove team", "Owls")]:
            assert line in said
        assert not any(name in str(store.audit.lines()) for name in ("Ada", "Ben", "Dee"))


@pytest.mark.parametrize("last", ["Total;;", "Total: 2;;", "Summe;2;", "Gesamt;2;100 %"])
def test_a_line_that_adds_others_up_becomes_no_team(last: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"line 3 of the roster, '{last.split(';')[0]}', seems to add others up; take it out"
    ):
        read_roster(f"team;member;points\nA;Ada;3\n{last}\n")


def test_a_team_may_be_called_as_a_total_is() -> None:
    assert set(read_roster("team;member\nTotal;Ada\nSum of Squares;Ben\n").teams) == {"Total", "Sum of Squares"}
    assert set(read_roster("team\nMean Girls\nTotal Eclipse\n").teams) == {"Mean Girls", "Total Eclipse"}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("| Team | Member |\n|------|:------:|\n| Owls | Ada |\n", "line 2 of the roster, '|------|:------:|'"),
        ("Team | Member\n--- | ---\nOwls | Ada\n", "line 2 of the roster, '--- | ---'"),
        ("+------+-----+\n| Team | Who |\n+======+=====+\n| Owls | Ada |\n", "line 1 of the roster, '+------+-----+'"),
    ],
)
def test_a_table_of_markdown_is_called_one(text: str, line: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"{line}, is of a Markdown table; save the table as CSV")):
        read_roster(text)


def test_bars_and_dashes_of_a_class_list_are_no_markdown() -> None:
    assert set(read_roster("team|member\nOwls|Ada\n--Owls--|Bo\n").teams) == {"Owls", "--Owls--"}
