"""Runs given Python: the sandbox's own escape attempts, and those of its tests. Nothing else may be given to it."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Mapping, Sequence
from typing import Any

from latentarena.sandbox import seccomp
from latentarena.sandbox.programs import Answers
from latentarena.sandbox.wire import Array


def prepare(arguments: Sequence[str]) -> Answers:
    """Verb `try`: run each script of the facts `scripts` (by name), and tell what became of it."""

    def run(facts: dict[str, Any], _: Mapping[str, Array]) -> tuple[dict[str, Any], Mapping[str, Array]]:
        return {name: attempt(script, arguments) for name, script in facts["scripts"].items()}, {}

    return {"try": run}


def attempt(script: str, arguments: Sequence[str]) -> str:
    """What stopped the script: the name of an errno, or what it asserts. Empty where nothing did: it got through."""
    try:
        exec(script, {"arguments": arguments, "call": system_call, "os": os})  # noqa: S102 - this is inside a box
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, "OSError")
    except AssertionError as error:
        return str(error)
    return ""


def system_call(name: str, *arguments: int | bytes) -> int:
    """Make a system call by its name, past the C library.

    Raises:
        OSError: it failed.
    """
    machine = seccomp.architecture()
    assert machine is not None
    result = ctypes.CDLL(None, use_errno=True).syscall(machine.calls[name], *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), name)
    return int(result)
