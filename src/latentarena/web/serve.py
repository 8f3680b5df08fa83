"""`arena serve`: one web process and its workers, started and ended together."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from starlette.types import ASGIApp

from latentarena.arena.address import is_loopback
from latentarena.arena.contest_files import kept_contest, load_contest, refuse_own_images
from latentarena.arena.logs import LOGGER, log_as_json
from latentarena.arena.objects import Objects
from latentarena.arena.store import Database, Store
from latentarena.contest.contest import Contest
from latentarena.errors import ConfigError
from latentarena.system import end_with_parent
from latentarena.web.server import serve_app
from latentarena.web.settings import Settings

PAUSE = (1.0, 30.0)  # seconds before a worker that ended is started again: at first, and at most
GRACE = 10.0  # seconds that workers have to end


@dataclass(frozen=True)
class Site:
    """Where a contest is served from; plain data, for it is handed to the serving process.

    Attributes:
        contest: a shipped name or a file; db: address of the database; objects: folder or address of the files.
        take_over: whether teams and entries of another contest in this database may go on as this one's.
    """

    contest: str
    db: str
    objects: str
    settings: Settings = field(default_factory=Settings)
    take_over: bool = False


class _Workers:
    """Worker processes that are started again when they end, and end with this process."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], many: int) -> None:
        self._command, self._environment = list(command), dict(environment)
        self._stopping = threading.Event()
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._threads = [threading.Thread(target=self._keep, args=(i,), daemon=True) for i in range(many)]
        for thread in self._threads:
            thread.start()

    def _keep(self, index: int) -> None:
        pause = PAUSE[0]
        while not self._stopping.is_set():
            began = time.monotonic()
            self._running[index] = child = subprocess.Popen(
                self._command, env=self._environment, preexec_fn=end_with_parent
            )
            status = child.wait()
            if self._stopping.is_set():
                return
            pause = PAUSE[0] if time.monotonic() - began > PAUSE[1] else min(2 * pause, PAUSE[1])
            LOGGER.error("worker ended", extra={"facts": {"status": status, "again_in_seconds": pause}})
            self._stopping.wait(pause)

    def stop(self) -> None:
        """Ask all to end, and end those that do not."""
        self._stopping.set()
        for child in self._running.values():
            child.terminate()
        for child in self._running.values():
            try:
                child.wait(GRACE)
            except subprocess.TimeoutExpired:
                child.kill()


def make_app(site: Site) -> ASGIApp:
    """The app of a site, in the process that serves it, which alone needs to load the pages."""
    from latentarena.web.app import create_app, guarded
    from latentarena.web.desk import Desk

    end_with_parent(signal.SIGKILL)  # it would wait for the last slow upload, and hold the port meanwhile
    log_as_json()
    desk = Desk(Store(Database(site.db)), Objects(site.objects), load_contest(site.contest))
    return guarded(create_app(desk, site.settings))


def serve(site: Site, host: str, port: int, workers: int) -> None:
    """Prepare the store and serve until interrupted.

    Args:
        workers: processes that evaluate, beside the one that serves.

    Raises:
        ConfigError: the contest, the database, the objects or the port cannot be used as given.
    """
    _refuse_taken(host, port)
    _prepare(site)
    # not as arguments: those are seen by everybody on the machine, and the address may hold a password
    places = {"ARENA_DB": site.db, "ARENA_OBJECTS": site.objects}
    share = max(1, (os.cpu_count() or 1) // max(1, workers))  # of the cores, for each
    command = [sys.executable, "-m", "latentarena", "worker", "--threads", str(share)]
    running = _Workers(command, os.environ | places, workers)
    address = site.settings.address
    print(f"serving {site.contest} on http://{host}:{port}; pages tell people to use {address}", flush=True)
    if not (site.settings.https or is_loopback(host)):
        print(f"tokens travel to {address} in clear text: let a proxy speak https, and name it with --url", flush=True)
    try:
        serve_app(partial(make_app, site), host, port)
    finally:
        running.stop()


def _refuse_taken(host: str, port: int) -> None:
    """Raise where nothing can listen there: another server does, or the address is not this machine's."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that have ended are in no way
            probe.bind(address)
    except OSError as error:
        raise ConfigError(f"--host {host} --port {port}: {error.strerror}; choose another one") from error


def _refuse_another(contest: Contest, store: Store) -> None:
    """Raise where the database belongs to another contest, one of another name or dataset, that has teams already."""
    content = store.rules.contest()
    if content is None or store.teams.count() == 0:
        return
    before = kept_contest(content)
    if (before.name, before.dataset) != (contest.name, contest.dataset):
        teams, entries = store.teams.count(), store.submissions.count()
        held = f"{teams} team{'' if teams == 1 else 's'} and {entries} entr{'y' if entries == 1 else 'ies'}"
        raise ConfigError(
            f"the database holds the contest {before.name!r} on {before.dataset} with {held}, not {contest.name!r} on "
            f"{contest.dataset}; start this one with another --db and --objects, or let it have these with --take-over"
        )


def _prepare(site: Site) -> None:
    """Tables, contest and objects; at the first start a token for the organiser, in a file that only they read."""
    contest, objects = load_contest(site.contest), Objects(site.objects)
    refuse_own_images(contest)
    database = Database(site.db)
    try:
        database.upgrade()
        store, now = Store(database), datetime.now(UTC)
        if not site.take_over:
            _refuse_another(contest, store)
        objects.refuse_elsewhere(store.references.first())
        content = store.rules.contest()
        store.rules.put(contest.name, contest.model_dump_json(), now)
        if content is not None and (before := kept_contest(content)).name == contest.name:
            store.rules.key(before, now)  # has been seen if that one has closed
        store.rules.key(contest, now)
        objects.sweep()
        if not store.tokens.has_organiser():
            file = (database.file.parent if database.file else Path.cwd()) / "organiser-token"
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as opened:
                file.chmod(0o600)  # it may have been there
                opened.write(store.tokens.new(None, "organiser", "site", now) + "\n")
            print(f"the organiser's token is in {file}: sign in with it, then delete the file", flush=True)
    finally:
        database.close()
