"""A real PostgreSQL for tests: started in a temporary folder, reached through a socket there, and gone afterwards."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg


def programs() -> Path | None:
    """Where `initdb` and `postgres` lie; None where there are none, or no user that may run them."""
    homes = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    homes += [Path(found).resolve().parent for found in [shutil.which("initdb")] if found]
    return next((home for home in homes if (home / "postgres").is_file() and _runner() is not None), None)


def _runner() -> int | None:
    """The user that runs it, which must not be root."""
    if os.getuid() != 0:
        return os.getuid()
    known = {one.pw_name: one.pw_uid for one in pwd.getpwall()}
    return known.get("postgres", known.get("nobody"))


class PostgresServer:
    """One cluster; `kill` ends it as a power cut does, `start` brings it back."""

    def __init__(self, home: Path, within: Path | None = None) -> None:
        """Make the cluster in a folder of its own and start it."""
        self._home, self._user = home, _runner()
        self.folder = Path(tempfile.mkdtemp(prefix="arena-pg-", dir=within))
        os.chown(self.folder, self._user or 0, -1)
        self._data = self.folder / "data"
        options = ["-U", "arena", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "-D", str(self._data)]
        self._run("initdb", *options)
        self.start()

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = f"-k {self.folder} -c listen_addresses='' -c max_connections=60 -c shared_buffers=16MB"
        options += " -c fsync=off"  # what a dead process has written stays: only a dead machine would lose it
        log = str(self.folder / "log")
        self._run("pg_ctl", "-D", str(self._data), "-o", options, "-l", log, "-w", "-t", "60", "start")

    def kill(self) -> None:
        """SIGKILL to the server and all its processes at once."""
        master = int((self._data / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
        processes = (master, *map(int, children))
        for process in processes:
            os.kill(process, signal.SIGKILL)
        while any(Path(f"/proc/{process}").exists() for process in processes):  # they hold its shared memory
            time.sleep(0.01)

    def stop(self) -> None:
        """End it and remove its folder."""
        subprocess.run(
            [self._home / "pg_ctl", "-D", self._data, "-m", "immediate", "-w", "stop"],
            user=self._user,
            cwd="/",
            capture_output=True,
            check=False,
        )
        shutil.rmtree(self.folder)

    def new_database(self) -> str:
        """The URL of a new, empty database."""
        name = f"arena_{secrets.token_hex(4)}"
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self._url(name)

    def _url(self, name: str) -> str:
        return f"postgresql://arena@/{name}?host={self.folder}"

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._home / program), *arguments]
        with (self.folder / "commands").open("ab") as log:  # not a pipe: the server would keep it open
            subprocess.run(command, user=self._user, cwd="/", stdout=log, stderr=log, check=True)
