"""What organisers and operators do from a shell."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from subprocess import CompletedProcess

from arena_parts import Parts, now
from latentarena.arena.store import Database, Store

Arena = Callable[..., "CompletedProcess[str]"]


def test_a_roster_becomes_teams_with_tokens(arena: Arena, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'arena.db'}"
    with closing(Database(url)) as database:
        database.upgrade()
        (tmp_path / "roster.csv").write_text("team,member,email\nAlpha,Ada,a@x.org\n-Beta,Bo,\nAlpha,Al,\n")
        done = arena("team", "add", tmp_path / "roster.csv", "--db", url)
        assert done.returncode == 0, done.stderr
        rows = list(csv.DictReader(io.StringIO(done.stdout)))
        assert [row["team"] for row in rows] == ["Alpha", "'-Beta"]  # no formula
        store = Store(database)
        found = store.tokens.identify(rows[0]["token"], now())
        assert found is not None
        assert found.team is not None
        assert found.team.name == "Alpha"
        listed = arena("team", "list", ARENA_DB=url)
        assert listed.stdout.splitlines() == [
            "-Beta: Bo; 0 handed in",
            "Alpha: Ada <a@x.org>, Al; 0 handed in",
        ]
        again = arena("team", "add", tmp_path / "roster.csv", "--db", url)
        assert (again.returncode, again.stdout) == (0, "team,token\n")
        assert again.stderr == "0 new teams with 0 members; 2 teams unchanged\n"
        nothing = arena("team", "add", "Gamma", "--db", url)
        assert (nothing.returncode, nothing.stderr) == (2, "arena: cannot read Gamma: No such file or directory\n")
        token = arena("team", "token", "Alpha", "--db", url).stdout.strip()
        assert store.tokens.identify(rows[0]["token"], now()) is None
        assert store.tokens.identify(token, now()) is not None
        organiser = store.tokens.identify(arena("team", "token", "--db", url).stdout.strip(), now())
        assert organiser is not None
        assert organiser.role == "organiser"
        assert {line.actor for line in store.audit.lines()} == {"shell"}


def test_a_roster_is_previewed_and_teams_are_changed_from_a_shell(arena: Arena, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'arena.db'}"
    text = 'name,login_id,group_name,id\n"Bär, Ada",a@x.org,Team I,7\n"Cy, Cy",c@x.org,Team L,8\n'
    (tmp_path / "roster.csv").write_text(text.replace(",", ";").replace("; ", ", "), encoding="cp1252")
    with closing(Database(url)) as database:
        database.upgrade()
        store = Store(database)
        shown = arena("team", "add", tmp_path / "roster.csv", "--preview", "--db", url)
        assert shown.returncode == 0, shown.stderr
        assert shown.stdout.splitlines()[:4] == [
            "columns: team = group_name, member = name, email = login_id",
            "not read: id",
            "new team   Team I: Bär, Ada <a@x.org>",
            "new team   Team L: Cy, Cy <c@x.org>",
        ]
        assert store.teams.all() == []
        assert arena("team", "add", tmp_path / "roster.csv", "--db", url).returncode == 0
        renamed = arena("team", "rename", "Team I", "Herons", "--db", url)
        assert renamed.stdout == "Team I is called Herons now\n"
        members = arena("team", "members", "Herons", "--remove", "a@x.org", "--add", "Ben <b@x.org>", "--db", url)
        assert members.stdout == "Ben <b@x.org>\n"
        places = ("--db", url, "--objects", tmp_path / "objects")
        assert arena("team", "remove", "Team L", *places).returncode == 0
        assert [(team.name, team.members) for team in store.teams.all()] == [("Herons", ("Ben <b@x.org>",))]
        refused = arena("team", "members", "Herons", "--db", url)
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)


def test_a_site_is_saved_and_brought_back_from_a_shell(arena: Arena, tmp_path: Path) -> None:
    with closing(Parts(f"sqlite:///{tmp_path / 'arena.db'}", tmp_path)) as parts:
        parts.hand_in(parts.team(), "score")
        places = ("--db", parts.url, "--objects", tmp_path / "objects")
        done = arena("backup", tmp_path / "saved", *places)
        assert done.returncode == 0, done.stderr
        again = arena("restore", tmp_path / "saved", *places)
        assert again.returncode == 2
        assert again.stderr.startswith("arena: the database is not empty")
        places = ("--db", f"sqlite:///{tmp_path / 'new.db'}", "--objects", tmp_path / "new")
        assert arena("restore", tmp_path / "saved", *places).returncode == 0
    with closing(Database(f"sqlite:///{tmp_path / 'new.db'}")) as database:
        assert [one.state for one in Store(database).submissions.latest()] == ["queued"]


def test_a_database_that_is_not_there_is_named(arena: Arena, tmp_path: Path) -> None:
    done = arena("backup", tmp_path / "out", "--db", f"sqlite:///{tmp_path / 'nowhere.db'}")
    assert done.returncode == 2
    assert f"there is no file {tmp_path / 'nowhere.db'}; arena serve CONTEST makes it" in done.stderr
    assert not (tmp_path / "nowhere.db").exists()
