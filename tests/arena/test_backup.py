"""Backups under load, and back, on and between SQLite and PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from arena_parts import Parts, bundle_that, now
from latentarena.arena.backup import back_up, restore
from latentarena.arena.objects import Objects
from latentarena.arena.store import Database, Outcome, Store
from latentarena.arena.store.models import Base
from latentarena.contest.contest import Quotas
from latentarena.errors import ConfigError, StoreError

Url = Callable[[str, Path], str]


@pytest.fixture
def url(request: pytest.FixtureRequest) -> Url:
    def of(kind: str, folder: Path) -> str:
        if kind == "sqlite":
            return f"sqlite:///{folder / 'arena.db'}"
        made: str = request.getfixturevalue("postgres").new_database()
        return made

    return of


def a_site(url: str, folder: Path) -> Parts:
    """A team with a scored entry, one that is being evaluated, and a session."""
    folder.mkdir(exist_ok=True)
    site = Parts(url, folder)
    [token] = site.store.teams.add([("One", ["Ada Privatename"])], "tests", now()).values()
    site.store.tokens.open_session(token, now(), now() - now().replace(year=2000))
    [team] = site.store.teams.all()
    site.hand_in(team.id, "score")
    site.hand_in(team.id, "sleep 1")
    job = site.queue.claim("worker", now())
    assert job is not None
    files = {"samples.png": site.objects.put(b"picture")}
    outcome = Outcome("m", "native", "j" * 64, "s" * 64, "f" * 64, "", site.card.read_text(), "{}", files)
    assert site.queue.finish(job, outcome, now())
    assert site.queue.claim("worker", now()) is not None
    return site


def content(database: Database) -> dict[str, list[object]]:
    with database.reading() as session:
        return {table.name: sorted(map(repr, session.execute(table.select()))) for table in Base.metadata.sorted_tables}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Parts]:
    with closing(a_site(f"sqlite:///{tmp_path / 'arena.db'}", tmp_path)) as made:
        yield made


@pytest.mark.parametrize(("before", "after"), [("sqlite", "sqlite"), ("sqlite", "postgres"), ("postgres", "postgres")])
def test_what_was_saved_comes_back(url: Url, tmp_path: Path, before: str, after: str) -> None:
    with closing(a_site(url(before, tmp_path), tmp_path)) as site:
        manifest = back_up(site.database, site.objects, tmp_path / "backup")
        kept = content(site.database)
        (tmp_path / "new").mkdir()
        with closing(Database(url(after, tmp_path / "new"))) as database:
            objects = Objects(f"memory://{tmp_path.name}")
            assert restore(tmp_path / "backup", database, objects) == manifest
            again = content(database)
            unleased = {"jobs", "submissions"}
            assert {name: rows for name, rows in again.items() if name not in unleased} == {
                name: rows for name, rows in kept.items() if name not in unleased
            }
            store = Store(database)
            [(scored, *_)] = store.rejudging.state().entries
            assert objects.read(scored.digest) == bundle_that("score")
            assert [one.state for one in store.submissions.latest()] == ["queued", "scored"]
            store.tokens.new(None, "organiser", "tests", now())  # the audit log counts on
            assert len(store.audit.lines()) == len(kept["audit"]) + 1


def test_a_backup_under_load_is_one_state(site: Parts, tmp_path: Path) -> None:
    [team] = site.store.teams.all()
    stop, sent = threading.Event(), []

    def load() -> None:
        while not stop.is_set():
            content = bundle_that(str(len(sent)))
            digest = site.objects.put(content)
            sent.append(site.store.submissions.add(team.id, digest, len(content), "official", Quotas(), now())[0].id)

    thread = threading.Thread(target=load)
    thread.start()
    try:
        backups = []
        for i in range(3):
            before = len(sent)
            manifest = back_up(site.database, site.objects, tmp_path / f"backup{i}")
            backups.append((before, manifest, len(sent)))
    finally:
        stop.set()
        thread.join()
    assert backups[-1][0] > backups[0][0], "nothing was sent in between"
    for i, (before, manifest, after) in enumerate(backups):
        assert manifest.rows["submissions"] == manifest.rows["jobs"]  # they are made together
        assert before <= manifest.rows["submissions"] - 2 <= after + 1
        with closing(Database(f"sqlite:///{tmp_path / f'restored{i}.db'}")) as database:
            objects = Objects(str(tmp_path / f"objects{i}"))
            restore(tmp_path / f"backup{i}", database, objects)
            saved = {one.id for one in Store(database).submissions.latest(limit=10**6)}
            assert set(sent[:before]) <= saved
            assert all(objects.has(digest) for digest in Store(database).references.all())


def test_nobody_else_may_read_a_backup(site: Parts, tmp_path: Path) -> None:
    back_up(site.database, site.objects, tmp_path / "backup")
    assert (tmp_path / "backup").stat().st_mode & 0o777 == 0o700
    assert sorted(path.name for path in (tmp_path / "backup").iterdir()) == ["arena.db", "manifest.json", "objects"]


def test_only_a_whole_backup_is_restored_and_only_into_an_empty_database(site: Parts, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    manifest = back_up(site.database, site.objects, backup)
    with pytest.raises(ConfigError, match="not empty"):
        back_up(site.database, site.objects, backup)
    with pytest.raises(ConfigError, match="not empty"):
        restore(backup, site.database, site.objects)
    with closing(Database(f"sqlite:///{tmp_path / 'new.db'}")) as new:
        objects = Objects(str(tmp_path / "new"))
        stored = Objects(str(backup / "objects"))
        path = Path(stored.path(manifest.objects[0]))
        whole = path.read_bytes()
        path.write_bytes(whole + b"x")
        with pytest.raises(StoreError, match="damaged"):
            restore(backup, new, objects)
        path.write_bytes(whole)
        with (backup / "arena.db").open("ab") as file:
            file.write(b"x")
        with pytest.raises(StoreError, match="damaged"):
            restore(backup, new, objects)
        (backup / "manifest.json").unlink()
        with pytest.raises(ConfigError, match=r"no manifest\.json"):
            restore(backup, new, objects)
        assert Store(new).teams.all() == []


def test_a_lost_file_makes_no_backup(site: Parts, tmp_path: Path) -> None:
    Path(site.objects.path(site.store.submissions.latest()[0].digest)).unlink()
    with pytest.raises(StoreError, match="no such object"):
        back_up(site.database, site.objects, tmp_path / "backup")
    assert not (tmp_path / "backup" / "manifest.json").exists()
