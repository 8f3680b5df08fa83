"""Backups: one state of a contest's database and every file it speaks of, in a folder; and back, into an empty site.

The database is copied through SQLAlchemy in one transaction that sees a single state, while the site goes on. The copy
is a SQLite file whatever the site runs on, so a backup also moves a contest from SQLite to PostgreSQL and back. Files
are copied after the rows that name them: they never change and are never removed, so none can be missing.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from sqlalchemy import ColumnElement, Table, func, insert, select, text, update
from sqlalchemy.orm import Session

from latentarena import __version__
from latentarena.arena.objects import Objects
from latentarena.arena.store import Database, Store
from latentarena.arena.store.models import AuditRow, Base, JobRow, SubmissionRow
from latentarena.config import Config, validate
from latentarena.documents import parse_json
from latentarena.errors import ConfigError, NotThere, StoreError
from latentarena.files import explained, make_folder, scratch, write_json

DATABASE, OBJECTS, MANIFEST = "arena.db", "objects", "manifest.json"
ROWS = 500  # copied at a time
PIECE = 1 << 20  # bytes read at a time


class Manifest(Config):
    """What a backup holds; written last, so a backup without it is not whole.

    Attributes:
        version: of this package; made: when, in UTC.
        database: SHA-256 of the database's file; rows: by table.
        objects: SHA-256 of each file, which is its name too.
    """

    format: Literal[1] = 1
    version: str
    made: datetime
    database: str
    rows: dict[str, int]
    objects: tuple[str, ...]


def back_up(database: Database, objects: Objects, out: Path) -> Manifest:
    """Copy a site while it runs.

    Args:
        out: a folder, new or empty; nobody else may read it, for private names are in it.

    Raises:
        ConfigError: the folder holds something.
        StoreError: a file is missing or damaged: then the backup is not whole, and has no manifest.
        OutputError, StorageFull: the folder cannot be written.
    """
    make_folder(out)
    if any(out.iterdir()):
        raise ConfigError(f"{out} is not empty; name a new folder for the backup")
    with explained(out):
        out.chmod(0o700)
    copy = Database(f"sqlite:///{out / DATABASE}")
    try:
        copy.upgrade()
        with database.reading() as source, copy.writing() as target:
            rows = _copy_rows(source, target)
        needed = _needed(copy, objects)
    finally:
        copy.close()
    _copy_objects(objects, Objects(str(out / OBJECTS)), needed)
    with explained(out):
        (out / DATABASE).chmod(0o600)
        manifest = Manifest(
            version=__version__,
            made=datetime.now(UTC),
            database=_digest(out / DATABASE),
            rows=rows,
            objects=tuple(needed),
        )
    write_json(out / MANIFEST, manifest.model_dump(mode="json"))
    return manifest


def restore(folder: Path, database: Database, objects: Objects) -> Manifest:
    """Bring a backup into an empty site: all of its rows, or none.

    Jobs that were being evaluated wait again. What is cut short while files are copied can be begun once more.

    Raises:
        ConfigError: it is no whole backup, or the database is not empty.
        StoreError: a file of the backup is missing or damaged.
    """
    manifest = _read_manifest(folder)
    database.upgrade()
    with database.reading() as session:
        _refuse_rows(session)
    stored = Objects(str(folder / OBJECTS))
    _copy_objects(stored, objects, manifest.objects)
    with scratch("arena-restore-") as room:
        # the backup itself stays as it is, its tables may be those of an older version
        copy = Database(f"sqlite:///{shutil.copy(folder / DATABASE, room / DATABASE)}")
        try:
            copy.upgrade()
            with copy.reading() as source, database.writing() as target:
                _refuse_rows(target)
                _copy_rows(source, target)
                _let_go(target)
                _number_on(target, database.sqlite)
        finally:
            copy.close()
    return manifest


def _copy_rows(source: Session, target: Session) -> dict[str, int]:
    """Every row of every table, parents first; how many by table."""
    counts = {}
    for table in Base.metadata.sorted_tables:
        found = source.execute(select(table).order_by(*_order(table)), execution_options={"yield_per": ROWS})
        counts[table.name] = 0
        for some in found.mappings().partitions(ROWS):
            target.execute(insert(table), [dict(row) for row in some])
            counts[table.name] += len(some)
    return counts


def _order(table: Table) -> list[ColumnElement[object]]:
    """By key, and tokens before the sessions that hang on them."""
    first = [table.c.parent.is_not(None)] if "parent" in table.c else []
    return [*first, *table.primary_key.columns]


def _let_go(target: Session) -> None:
    """Nobody holds a lease of the restored site."""
    held = update(JobRow).where(JobRow.state == "leased")
    target.execute(held.values(state="queued", owner="", leased_until=None))
    target.execute(update(SubmissionRow).where(SubmissionRow.state == "running").values(state="queued"))


def _number_on(target: Session, sqlite: bool) -> None:
    """Number further lines of the audit log after those that were copied; SQLite does so by itself."""
    last = target.scalar(select(func.max(AuditRow.id)))
    if last is not None and not sqlite:
        target.execute(text("SELECT setval(pg_get_serial_sequence('audit', 'id'), :last)"), {"last": last})


def _refuse_rows(target: Session) -> None:
    for table in Base.metadata.sorted_tables:
        if target.scalar(select(func.count()).select_from(table)):
            raise ConfigError(f"the database is not empty: there are rows in {table.name}; restore into a new one")


def _needed(copy: Database, objects: Objects) -> list[str]:
    """The files that the rows speak of, and the judges that were asked for by hash where they are there."""
    with copy.reading() as session:
        judges = set(session.scalars(select(JobRow.judge).where(JobRow.judge != "official").distinct()))
    return sorted(Store(copy).references.all() | {judge for judge in judges if objects.has(judge)})


def _copy_objects(source: Objects, target: Objects, digests: Iterable[str]) -> None:
    for digest in digests:
        if target.has(digest):
            continue
        try:
            opened = source.open(digest)
        except NotThere:
            message = f"there is no such object in {source.root}: {digest[:12]}; is it where the site keeps its files?"
            raise NotThere(message) from None
        with target.incoming() as incoming, opened as file:
            while piece := file.read(PIECE):
                incoming.write(piece)
            if incoming.digest != digest:
                raise StoreError(f"object {digest} is damaged: its content has another hash")
            incoming.keep()


def _read_manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST
    try:
        manifest = validate(Manifest, parse_json(path.read_bytes()), str(path))
        found = _digest(folder / DATABASE)
    except FileNotFoundError as error:
        name = Path(error.filename).name
        raise ConfigError(f"{folder} holds no {name}: it is no backup, or one that was not finished") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from None
    if found != manifest.database:
        raise StoreError(f"{folder / DATABASE} is damaged: its content has another hash than the manifest says")
    return manifest


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
