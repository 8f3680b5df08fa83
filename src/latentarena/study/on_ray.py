"""A Ray cluster as the place of a study's runs: where a machine dies, Ray starts its runs on another one."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from latentarena.errors import ConfigError, TrainingError, optional
from latentarena.study.place import END, Place, StartedRun, make_whole, shared_settings
from latentarena.text import plain_line

TRIES = 3
PORT = 10001  # of a cluster's server for clients, unless the address says another
ANSWER = 10.0  # seconds that a machine may take to answer at all
AGAIN = -1  # times that Ray starts a run again whose machine is gone: always


@contextmanager
def on_ray(on: str, folder: Path, threads: int) -> Iterator[Place]:
    """The cluster at an address, `ray` for the one that this machine is part of; see `place_of`."""
    with optional("cluster", f"--on {on}"):
        import ray
    _refuse_silent(on)
    _enter(ray, on, TRIES)
    try:
        yield _Ray(ray, threads)
    finally:
        ray.shutdown()


def _refuse_silent(on: str) -> None:
    """Raise a ConfigError where nobody listens at an address, for which Ray itself waits half a minute."""
    address = urlsplit(on)
    try:
        if address.hostname:
            socket.create_connection((address.hostname, address.port or PORT), ANSWER).close()
    except (OSError, ValueError) as error:  # a port may be no number
        raise _silent(on, error) from None


def _enter(ray: Any, on: str, tries: int) -> None:
    """Connect to a cluster; it is asked again where it is too busy to start its server for us in half a minute."""
    try:
        ray.init("auto" if on == "ray" else on, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError) as error:
        ray.shutdown()
        if "Initialization failure" in str(error) and tries > 1:
            return _enter(ray, on, tries - 1)
        raise _silent(on, error) from None


def _silent(on: str, error: Exception) -> ConfigError:
    return ConfigError(f"--on {on}: no Ray cluster answers ({plain_line(str(error))}); `ray start --head` starts one")


class _Ray:
    def __init__(self, ray: Any, threads: int) -> None:
        self._ray, self._threads = ray, threads
        self._make = ray.remote(num_cpus=threads, max_retries=AGAIN)(make_whole)

    def start(self, arguments: Sequence[str], log: Path) -> StartedRun:
        return _Task(self._ray, self._make.remote(list(arguments), self._threads, log, shared_settings()), log)


class _Task:
    """A run that the cluster was asked for."""

    def __init__(self, ray: Any, reference: Any, log: Path) -> None:
        self._ray, self._reference, self._log = ray, reference, log

    def status(self) -> int | None:
        try:
            if not self._ray.wait([self._reference], timeout=0)[0]:
                return None
            return int(self._ray.get(self._reference))
        except self._ray.exceptions.RayError as error:
            with self._log.open("a") as log:
                log.write(f"{type(error).__name__}: {plain_line(str(error), 400)}\n")
            return 1
        except ConnectionError as error:
            raise TrainingError(
                f"the Ray cluster is gone ({error}); the same command goes on when it is back"
            ) from None

    def stop(self) -> None:
        if self._ray.is_initialized():  # as long as the cluster is there
            self._ray.cancel(self._reference)

    def wait(self) -> None:
        if self._ray.is_initialized():
            self._ray.wait([self._reference], timeout=END)
