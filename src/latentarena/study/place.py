"""Where the runs of a study are made: in processes of this machine, or on a cluster.

Machines of a cluster share a file system with this one: a run's folder, the recipes and the data are found by the same
paths everywhere. A run that is started again goes on from its newest checkpoint, wherever that is.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Protocol

from latentarena.errors import ConfigError
from latentarena.system import end_with_parent

ARENA = (sys.executable, "-m", "latentarena")
END = 120.0  # seconds in which a run that is stopped must have saved
SHARED = ("LATENTARENA_", "XDG_CACHE_HOME")  # what variables begin with that mean the same on every machine


class StartedRun(Protocol):
    """A run that was started."""

    def status(self) -> int | None:
        """Its exit status; None as long as it runs."""

    def stop(self) -> None:
        """Have it save and end; returns at once."""

    def wait(self) -> None:
        """Return when it has ended, or has had its time to."""


class Place(Protocol):
    """Something that makes runs."""

    def start(self, arguments: Sequence[str], log: Path) -> StartedRun:
        """Start `arena` with these arguments; what it says is added to the log."""


def start_process(
    arguments: Sequence[str], threads: int, log: Path, dying: signal.Signals = signal.SIGTERM
) -> subprocess.Popen[bytes]:
    """A process of `arena` with these arguments, which gets the signal `dying` when the thread that starts it dies."""
    with log.open("ab") as file:
        return subprocess.Popen(
            [*ARENA, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env=os.environ | {"OMP_NUM_THREADS": str(threads)},
            start_new_session=True,  # Ctrl-C reaches it through this process alone
            preexec_fn=partial(end_with_parent, dying) if os.name == "posix" else None,
        )


class _Process:
    """A run in a process of this machine."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def status(self) -> int | None:
        return self._process.poll()

    def stop(self) -> None:
        self._process.terminate()

    def wait(self) -> None:
        try:
            self._process.wait(END)
        except subprocess.TimeoutExpired:
            self._process.kill()


def make_whole(arguments: Sequence[str], threads: int, log: Path, settings: dict[str, str]) -> int:
    """`arena` with these arguments, to its end, on a machine of a cluster; its exit status.

    It is killed with the process that calls this: then another machine goes on with it, and no two may write to a
    folder. Where that process is only told to stop, it saves first.

    Args:
        settings: environment variables of the machine that asked for it.
    """
    os.environ.update(settings)
    process = start_process(arguments, threads, log, signal.SIGKILL)
    run = _Process(process)
    try:
        return process.wait()
    finally:
        run.stop()
        run.wait()


def shared_settings() -> dict[str, str]:
    """The environment variables that a run needs wherever it is made."""
    return {name: value for name, value in os.environ.items() if name.startswith(SHARED)}


class Here:
    """This machine: each run in a process that dies with this one, on its share of the cores."""

    def __init__(self, threads: int) -> None:
        self._threads = threads

    def start(self, arguments: Sequence[str], log: Path) -> StartedRun:
        """Start a process."""
        return _Process(start_process(arguments, self._threads, log))


@contextmanager
def place_of(on: str | None, folder: Path, jobs: int, threads: int | None) -> Iterator[Place]:
    """The place that an address names, for as long as it is used.

    Args:
        on: None for this machine; `ray`, `ray://HOST:PORT`, `slurm` or `slurm://PARTITION?KEY=VALUE`.
        folder: of the study, for what a cluster writes down.
        jobs: that will run at a time.
        threads: of each run: an even share of this machine's cores unless given, and one on a cluster.

    Raises:
        ConfigError: an address that means nothing, or a cluster that does not answer.
    """
    if on is None:
        yield Here(threads or max(1, (os.cpu_count() or 1) // jobs))
        return
    kind = on.partition("://")[0]
    if kind == "ray":
        from latentarena.study.on_ray import on_ray as cluster
    elif kind == "slurm":
        from latentarena.study.on_slurm import on_slurm as cluster
    else:
        raise ConfigError(
            f"--on {on!r} is unknown; choose ray, ray://HOST:PORT, slurm or slurm://PARTITION?time=MINUTES"
        )
    with cluster(on, folder, threads or 1) as place:
        yield place
