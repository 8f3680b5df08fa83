"""Connections: transactions that are durable when they return, and faults in the arena's own terms."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session
from sqlalchemy.pool import QueuePool

from latentarena.errors import ConfigError, StorageFull, StoreBusy, StoreError, optional
from latentarena.text import plain_line

PATIENCE = 5.0  # seconds that a transaction waits for another one
POOL = 8  # connections
PRIVATE = 0o600  # the mode of SQLite's files
WRITES = "writes"  # execution option: whether a transaction takes SQLite's only write lock at once
FULL = ("SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_FSYNC", "SQLITE_IOERR_SHMSIZE")
BUSY = ("55P03", "57014", "40001", "40P01", "53300", "57P03")  # PostgreSQL's codes: no lock in time, and the like
UPGRADE_LOCK = 0x6C617465  # any number: PostgreSQL's advisory lock around migrations


class Database:
    """SQLite (in WAL, every commit on disk) or PostgreSQL, by its URL."""

    def __init__(self, url: str) -> None:
        """Prepare to connect.

        Args:
            url: `sqlite:///FILE` or `postgresql://USER@HOST/NAME`.

        Raises:
            ConfigError: it is neither, or its driver is not installed.
        """
        self.url = url
        try:
            parsed = make_url(url)
            if parsed.drivername == "postgresql":
                parsed = parsed.set(drivername="postgresql+psycopg")
            if parsed.get_backend_name() not in ("sqlite", "postgresql"):
                raise ConfigError(f"--db {parsed.drivername}: choose sqlite:///FILE or postgresql://HOST/NAME")
            self.sqlite = parsed.get_backend_name() == "sqlite"
            if self.sqlite and not parsed.database:
                raise ConfigError("--db sqlite: name a file, as in sqlite:///arena.db")
            self.file = Path(parsed.database or "") if self.sqlite else None
            self.conninfo = parsed.set(drivername="postgresql").render_as_string(hide_password=False)
            with optional("site", "--db"):
                self.engine: Engine = create_engine(
                    parsed,
                    poolclass=QueuePool,
                    pool_size=POOL,
                    max_overflow=0,
                    pool_timeout=PATIENCE,
                    pool_pre_ping=not self.sqlite,
                    connect_args={"timeout": PATIENCE} if self.sqlite else _limits(),
                )
        except (ArgumentError, NoSuchModuleError):
            raise ConfigError("--db is no database URL; give sqlite:///FILE or postgresql://HOST/NAME") from None
        if self.file is not None:
            event.listen(self.engine, "do_connect", partial(_keep_private, self.file))
            event.listen(self.engine, "connect", _configure_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A transaction that sees one state of everything."""
        with self._session(writes=False) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A transaction that is on disk when it ends, or never was.

        Raises:
            StoreBusy, StorageFull, StoreError: see there; nothing was changed.
        """
        with self._session(writes=True) as session:
            yield session

    def upgrade(self, revision: str = "head") -> None:
        """Bring the tables to this version's form; what is in them is kept. Two processes may try at once."""
        with _explained(), self.engine.connect() as connection:
            connection = connection.execution_options(**{WRITES: True})
            with connection.begin():
                if not self.sqlite:  # another process may be at it, and it may take its time
                    connection.execute(text("SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0"))
                    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": UPGRADE_LOCK})
                _migrate(connection, "upgrade", revision)

    def downgrade(self, revision: str) -> None:
        """Go back to an older form, for tests and rescues."""
        with _explained(), self.engine.connect() as connection:
            connection = connection.execution_options(**{WRITES: True})
            with connection.begin():
                _migrate(connection, "downgrade", revision)

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    @contextmanager
    def _session(self, writes: bool) -> Iterator[Session]:
        with _explained(), self.engine.connect() as connection:
            options: dict[str, Any] = {WRITES: writes}
            if not self.sqlite and not writes:  # SQLite's readers see one state anyhow
                options["isolation_level"] = "REPEATABLE READ"
            connection = connection.execution_options(**options)
            with Session(connection, expire_on_commit=False) as session, session.begin():
                yield session


class StorePart:
    """A part of a contest's store: each of its public methods is one transaction."""

    def __init__(self, database: Database) -> None:
        """Keep the database; `Database.upgrade` has made its tables."""
        self._database = database


def _migrate(connection: Any, direction: Literal["upgrade", "downgrade"], revision: str) -> None:
    from alembic import command  # loaded here, for it takes long and only a start needs it
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(files("latentarena.arena.store") / "migrations"))
    config.attributes["connection"] = connection
    getattr(command, direction)(config, revision)


def _limits() -> dict[str, Any]:
    """How long PostgreSQL may take to connect, for a lock, and for a statement."""
    milliseconds = round(1000 * PATIENCE)
    options = f"-c lock_timeout={milliseconds} -c statement_timeout={6 * milliseconds}"
    return {"connect_timeout": max(1, round(PATIENCE)), "options": options}


def _keep_private(file: Path, *_: Any) -> None:
    """Make the database its owner's alone before it is opened: private names and hashes of secrets are in it.

    SQLite gives its log and index the database's own mode; those that are there were made before.
    """
    with suppress(OSError):  # it is there already; or SQLite says why it cannot be made
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, PRIVATE))
    for path in (file, *(file.with_name(f"{file.name}{end}") for end in ("-wal", "-shm"))):
        with suppress(OSError):  # it is not there, or another's
            path.chmod(PRIVATE)


def _configure_sqlite(connection: Any, record: Any) -> None:
    connection.isolation_level = None  # transactions are begun below, not by the driver's guesses
    until = time.monotonic() + PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            break
        except sqlite3.OperationalError:  # another process is at it, for which SQLite itself does not wait
            if time.monotonic() > until:
                raise
            time.sleep(0.01)
    for pragma in ("synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Any) -> None:
    """Writers take the lock at once: a transaction that began by reading could not wait for it later."""
    writes = connection.get_execution_options().get(WRITES, True)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        raise _translated(error) from error
    except SQLAlchemyError as error:
        if type(error).__name__ == "TimeoutError":
            raise StoreBusy("the database is busy: no connection was free in time; try again soon") from error
        raise StoreError(f"the database failed: {plain_line(str(error), 300)}") from error


def _translated(error: DBAPIError) -> StoreError:
    original = error.orig
    name = getattr(original, "sqlite_errorname", "")
    state = getattr(original, "sqlstate", None) or ""
    if name.startswith(FULL) or state in ("53100", "53200"):
        return StorageFull("the database's disk is full; free some space, what is there is kept")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")) or state in BUSY:
        return StoreBusy("the database is busy; try again soon")
    lost = isinstance(error, OperationalError) and not isinstance(original, sqlite3.Error)
    if error.connection_invalidated or lost:
        return StoreBusy("the database does not answer; try again soon")
    return StoreError(f"the database failed: {plain_line(str(original), 300)}")
