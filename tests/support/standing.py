"""Trainings in other processes that stand still at a moment of their own, so that no strike comes too late."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import psutil

VARIABLE = "STANDS_AT"
LATEST = 120.0  # seconds
STANDING = f"""
import os, random, signal, threading
from latentarena.train import loop
loop.SAVE_EVERY = -1.0  # a checkpoint at every logging point
_save, _moment = loop._Run.save, os.environ.get({VARIABLE!r}, "").split()

def _save_and_stand(run, step, seconds):
    _save(run, step, seconds)
    if _moment and run.key[1] == _moment[0] and step >= int(_moment[1]) and run.fabric.is_global_zero:
        _moment.clear()
        threading.Timer(random.uniform(0, 0.02), os.kill, (os.getpid(), signal.SIGSTOP)).start()

loop._Run.save = _save_and_stand
"""
"""Begins a program: at some moment after a checkpoint of stage and step, as `moment` has them, it stops itself."""


def moment(stage: str, step: float) -> dict[str, str]:
    """The environment of a program that stands still once a step of a stage is done."""
    return {VARIABLE: f"{stage} {round(step)}"}


def stands(pid: int, ended: Callable[[], int | None]) -> None:
    """Return once a program stands still; where it has ended, the strike that follows comes too late, and shows it."""
    deadline = time.monotonic() + LATEST
    while ended() is None and psutil.Process(pid).status() != psutil.STATUS_STOPPED:
        assert time.monotonic() < deadline, "it does not stand still"
        time.sleep(0.01)


def goes_on(pid: int, ended: Callable[[], int | None]) -> None:
    """Let it go on: a signal that came meanwhile strikes where it stood."""
    if ended() is None:
        os.kill(pid, signal.SIGCONT)
