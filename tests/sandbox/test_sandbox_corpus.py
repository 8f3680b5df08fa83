"""Rows 16 to 20 and 22 of the threat matrix: hostile Python in a box is stopped, or ended in time."""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from boxes import BOXED, tried
from corpus.case import Case, cases
from corpus.python_cases import ANSWERED, ENDED, STOPPED, Ended, Stopped
from latentarena import errors
from latentarena.sandbox import Box, Limits, SandboxError

pytestmark = BOXED
SMALL = Limits(memory=512 << 20, processes=32, seconds=10, scratch=8 << 20)
SHORT = Limits(memory=512 << 20, processes=32, seconds=2, scratch=8 << 20)
RUNS = 20
LITTER = {  # what a program leaves behind when it ends
    "an orphan": "os.fork() or __import__('time').sleep(999)",
    "a daemon": "os.fork() or (os.setsid(), os.fork(), __import__('time').sleep(999))\nos._exit(0)",
    "a zombie": "os.fork() or os._exit(0)",
}


def family() -> set[int]:
    """The processes below this one, zombies too."""
    return {process.pid for process in psutil.Process().children(recursive=True)}


def groups() -> Iterator[Path]:
    """The control groups of this process's boxes: one with a process in it cannot be removed, so none is left."""
    return Path("/sys/fs/cgroup").glob(f"**/latentarena-box-{os.getpid()}-*")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What stopped each script of one call; outside are a file, a secret in the environment and a socket."""
    file = tmp_path_factory.mktemp("outside") / "file"
    file.write_text("anybody may read this")
    file.chmod(0o644)
    name = secrets.token_hex(8)
    with socket.socket(socket.AF_UNIX) as listener, pytest.MonkeyPatch.context() as environment:
        environment.setenv("LATENTARENA_TEST_SECRET", "1")
        listener.bind(f"\0{name}")
        listener.listen()
        arguments = [str(file), name, errors.__file__]
        with Box("probe", arguments, files={"given": b"1"}, limits=SMALL, least=1) as box:
            return tried(box, {str(case): case.script for case in STOPPED})


@cases(STOPPED)
def test_the_kernel_stops_it(found: dict[str, str], case: Stopped) -> None:
    assert found[str(case)] in case.by.split("|")


@cases(ENDED)
def test_the_box_is_ended_in_time_and_nothing_is_left(case: Ended) -> None:
    limits, before = SHORT if "timeout" in case.by else SMALL, family()
    with Box("probe", limits=limits, least=1) as box:
        began = time.monotonic()
        try:
            outcome = tried(box, {"it": case.script})["it"] or "answered"
        except SandboxError as error:
            outcome = error.reason
        took = time.monotonic() - began
    assert outcome in case.by.split("|")
    assert took < limits.seconds + 2
    assert family() == before
    assert list(groups()) == []


@cases(ANSWERED)
def test_what_is_printed_is_no_answer(case: Stopped) -> None:
    with Box("probe", limits=SMALL, least=1) as box:
        for _ in range(2):
            assert tried(box, {"it": case.script}) == {"it": ""}


@cases([Case(22, f"{kind} times {RUNS}") for kind in LITTER])
def test_nothing_is_left_of_many_runs(case: Case) -> None:
    script = LITTER[case.name.split(" times ")[0]]
    before = family()
    for _ in range(RUNS):
        with Box("probe", limits=SMALL, least=1) as box, suppress(SandboxError):
            tried(box, {"it": script})
    assert family() == before
    assert list(groups()) == []
