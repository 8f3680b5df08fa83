"""The first thing that runs in a box: gives up what is left of its rights, then lets a program answer.

Started as `python -I -S -B -u boot.py SETTINGS` with requests on stdin and answers on stdout. Both descriptors are
moved out of the way before anything of a stranger's is looked at, so that what is printed can be no answer.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latentarena.sandbox.programs import Answers

PR_SET_DUMPABLE = 4
STARTED = b"\0"  # the first byte of the log: the box stands, and what follows is the program's
CAPABILITIES = (0x20080522).to_bytes(4, sys.byteorder) + bytes(4)  # version 3, this thread
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def main() -> None:
    import resource  # not on every system

    settings = json.loads(sys.argv[1])
    if settings["user"] is not None:
        _become(settings["user"])
    os.umask(0o077)
    for name, most in settings["rlimits"].items():
        resource.setrlimit(getattr(resource, name), (most, most))
    os.environ.update(HOME="/tmp", TMPDIR="/tmp", USER="box", LANG="C.UTF-8", PYTHONDONTWRITEBYTECODE="1")  # noqa: S108
    os.environ.update(dict.fromkeys(THREADS, str(settings["threads"])))
    os.environ["LATENTARENA_INPUTS"] = settings["inputs"]
    os.write(2, STARTED)
    requests, answers = _take_pipes()
    sys.path += settings["imports"]
    if settings["bare"]:
        _confine_here(**settings["bare"])
    sys.argv = [settings["program"], *settings["arguments"]]
    _serve(settings, requests, answers)


def _become(user: int) -> None:
    """From root with two capabilities to a user with none."""
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    system = ctypes.CDLL(None)
    system.capset(CAPABILITIES, bytes(24))  # the inheritable ones are left, if without a use
    system.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)  # else /proc/self belongs to root, and libraries read it


def _confine_here(readable: list[str], rules: str) -> None:
    """Where there is no bubblewrap, this process builds its own walls."""
    from latentarena.sandbox.landlock import confine

    ctypes.CDLL(None).capset(CAPABILITIES, bytes(24))
    confine(readable, bytes.fromhex(rules))


def _take_pipes() -> tuple[int, int]:
    """The descriptors of requests and answers; stdin becomes empty, stdout the same as stderr."""
    requests, answers = os.dup(0), os.dup(1)  # not inherited over exec
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    os.closerange(max(requests, answers) + 1, 1024)
    return requests, answers


def _serve(settings: dict[str, Any], requests: int, answers: int) -> None:
    """Answer one request after another until there are none left."""
    import importlib

    from latentarena.sandbox.wire import Frame, pack, read

    program: Answers | None = None
    with open(requests, "rb") as incoming:
        while True:
            request = None
            try:
                request = read(incoming.read, sys.maxsize)
                if request is None:
                    return
                if program is None:
                    module = importlib.import_module(settings["program"])
                    program = module.prepare(settings["arguments"])
                pieces = pack(Frame("done", *program[request.verb](request.facts, request.arrays)))
            except Exception as error:
                reason = "memory" if isinstance(error, MemoryError) else str(getattr(error, "reason", "failed"))
                pieces = pack(Frame("failed", {"reason": reason[:40], "text": _line(error)}))
            _write(answers, pieces)
            if request is None:  # it was not read to its end, and so the next one cannot be found
                return


def _line(error: Exception) -> str:
    """What went wrong in one line; a refusal of this package speaks for itself."""
    known = type(error).__module__ == "latentarena.errors" or hasattr(error, "reason")
    text = " ".join(str(error)[:2000].split())[:1000].encode(errors="replace").decode()
    return text if known and text else f"{type(error).__name__}: {text}"[:1000]


def _write(descriptor: int, pieces: list[memoryview]) -> None:
    for piece in pieces:
        while piece:
            piece = piece[os.write(descriptor, piece) :]


if __name__ == "__main__":
    main()
