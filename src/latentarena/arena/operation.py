"""What operators run beside the site: workers, backups, and teams from a shell."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from latentarena.arena.backup import Manifest, back_up, restore
from latentarena.arena.class_text import text_and_doubt
from latentarena.arena.enrolment import Enrolled, add_roster, plan_roster
from latentarena.arena.enrolment import remove_team as forget_team
from latentarena.arena.erasing import erase_entry
from latentarena.arena.evaluation import EVALUATE, RETRAIN
from latentarena.arena.logs import log_as_json
from latentarena.arena.objects import Objects
from latentarena.arena.roster import LARGEST, read_roster
from latentarena.arena.store import Certification, Database, Queue, Store, TeamDetails
from latentarena.arena.worker import PATIENCE, Worker
from latentarena.documents import read_at_most
from latentarena.errors import ConfigError, NotThere

ACTOR = "shell"  # in the audit log


def work(
    url: str,
    objects: str,
    once: bool = False,
    program: Sequence[str] = EVALUATE,
    patience: float = PATIENCE,
    threads: int = 0,
    trainer: Sequence[str] = RETRAIN,
) -> int:
    """Evaluate jobs until SIGTERM or SIGINT, or until nothing waits if `once`.

    Args:
        url: of the database, whose tables are brought up to date; objects: folder or URL of the files.
        program, patience, threads, trainer: see `Worker`.

    Returns:
        How many jobs were taken.
    """
    log_as_json()
    database = Database(url)
    try:
        database.upgrade()
        queue = Queue(database)
        store = Store(database)
        worker = Worker(store, queue, _objects_of(store, objects), program, patience, threads, trainer)
        worker.prepare()
        if not database.sqlite:
            from latentarena.arena.delivery import deliver

            return deliver(database, queue, worker, once)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: worker.stop())
        return worker.run(once)
    finally:
        database.close()


def save(url: str, objects: str, out: Path) -> Manifest:
    """`back_up` by addresses.

    Raises:
        ConfigError: there is no database at the address.
    """
    with closing(_existing(url)) as database:
        return back_up(database, Objects(objects), out)


def bring_back(url: str, objects: str, folder: Path) -> Manifest:
    """`restore` by addresses."""
    with closing(Database(url)) as database:
        return restore(folder, database, Objects(objects))


def add_teams(url: str, roster: Path, preview: bool = False) -> Enrolled:
    """Add the teams and members of a roster file that are not there yet; their tokens are in the answer only.

    Args:
        preview: only say what would change.

    Raises:
        ConfigError: there is no such file or site, or one line on what is wrong with it.
    """
    found = read_roster(*_read_roster_file(roster))
    with closing(_existing(url)) as database:
        store = Store(database)
        return plan_roster(store, found) if preview else add_roster(store, found, ACTOR)


def _read_roster_file(path: Path) -> tuple[str, str]:
    """Its text, and a doubt of that."""
    too_large = f"has more than {LARGEST:,} bytes: it is no roster; hand it in in parts"
    content = read_at_most(path, LARGEST, too_large)
    try:
        return text_and_doubt(content)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def change_team(
    url: str, team: str, name: str | None = None, add: Sequence[str] = (), remove: Sequence[str] = ()
) -> TeamDetails:
    """Rename a team, by its name, or change who is in it; the team as it is then. See `Teams.change`."""
    with closing(_existing(url)) as database:
        store = Store(database)
        return store.teams.change(_team_named(store, team), ACTOR, datetime.now(UTC), name, add, remove)


def remove_team(url: str, objects: str, team: str, entries: bool) -> int:
    """Forget a team, by its name, and with `entries` all that it has handed in; how many files are gone."""
    with closing(_existing(url)) as database:
        store = Store(database)
        return len(forget_team(store, _objects_of(store, objects), _team_named(store, team), ACTOR, entries))


def teams(url: str) -> list[TeamDetails]:
    """All teams with their private members, by name."""
    with closing(_existing(url)) as database:
        return Store(database).teams.all()


def new_token(url: str, team: str | None) -> str:
    """A token for a team, by its name, in place of all it had; or one more for an organiser (None).

    Raises:
        NotThere: no such team.
    """
    with closing(_existing(url)) as database:
        store, now = Store(database), datetime.now(UTC)
        if team is None:
            return store.tokens.new(None, ACTOR, ACTOR, now)
        return store.tokens.replace(_team_named(store, team), ACTOR, now)[1]


def trainings(url: str) -> dict[str, Certification]:
    """How far the repeated trainings of entries are, by submission."""
    with closing(_existing(url)) as database:
        return Store(database).certifying.found()


def train_anew(url: str, submissions: Sequence[str]) -> int:
    """Queue the recipes of scored entries to be trained anew; returns how many do not wait already.

    Raises:
        NotThere, ConfigError: there is no such entry, or it has no recipe.
    """
    with closing(_existing(url)) as database:
        return Store(database).certifying.order(submissions, ACTOR, datetime.now(UTC))


def revoke(url: str, team: str | None) -> int:
    """End all tokens and sessions of a team, by its name, or of all organisers (None); how many.

    Raises:
        NotThere: no such team.
    """
    with closing(_existing(url)) as database:
        store = Store(database)
        return store.tokens.revoke(None if team is None else _team_named(store, team), ACTOR, datetime.now(UTC))


def erase(url: str, objects: str, submission: str) -> int:
    """Forget a submission, by its id, with its files; how many files are gone.

    Raises:
        NotThere: no such submission.
    """
    with closing(_existing(url)) as database:
        store = Store(database)
        return len(erase_entry(store, _objects_of(store, objects), submission, ACTOR))


def _team_named(store: Store, name: str) -> str:
    id_ = next((one.id for one in store.teams.all() if one.name == name), None)
    if id_ is None:
        raise NotThere(f"there is no team {name!r}; arena team list shows them")
    return id_


def _objects_of(store: Store, url: str) -> Objects:
    """The objects of a site, once they are known to be its own."""
    found = Objects(url)
    found.refuse_elsewhere(store.references.first())
    return found


def _existing(url: str) -> Database:
    """A database that is there: SQLite would make an empty one of a slip of the pen."""
    database = Database(url)
    if database.file is not None and not database.file.is_file():
        raise ConfigError(f"--db {url}: there is no file {database.file}; arena serve CONTEST makes it")
    return database
