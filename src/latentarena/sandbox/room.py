"""A program in a box and the talk with it: requests in, answers out, all of it within limits."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latentarena.errors import SandboxError
from latentarena.files import scratch
from latentarena.sandbox import boot, landlock, seccomp
from latentarena.sandbox.answers import AnswerError, Expected, Text
from latentarena.sandbox.bubblewrap import LIBRARIES, PYTHON, import_folders, shown, walls
from latentarena.sandbox.cgroup import ControlGroup, NoGroup, make_group
from latentarena.sandbox.process import ProcessTree, hold
from latentarena.sandbox.resident import resident
from latentarena.sandbox.talk import Flood, drain, talk
from latentarena.sandbox.uids import lease_uid
from latentarena.sandbox.wire import Frame, WireError, pack
from latentarena.text import printable

TAIL = 8192  # bytes of a program's log that are kept
GRACE = 1.0  # seconds from the end of the answers to the end of the program
SIGNALLED = 128  # bubblewrap's exit status for a program that a signal has ended: this and the number
OPEN_FILES = 256
MACHINE = ("no-sandbox", "start", "machine")  # reasons of a fault of this machine
DONE, FAILED = "done", "failed"  # verbs of an answer
REFUSAL = Expected({"reason": Text, "text": Text})
WAYS = {
    "timeout": "make the model smaller or its steps fewer",
    "memory": "make the model smaller",
    "died": "export the model anew, or with plainer parts",
    "not-finite": "make it finite for all inputs",
    "output": "print less",
}
"""What the owner of a program can do, by what it hit."""
ASKED = {"facts": "read", "run": "run", "trace": "followed through its layers"}
"""What happened to a program, by the verb of the call; others say what was asked, such as `generate`."""
LIFETIME = 100  # calls' worth of processor time that one process may use: the second belt behind the clock


@dataclass(frozen=True)
class Limits:
    """What a program in a box may use; whatever it starts counts with it.

    `memory`, `scratch` (its /tmp, and its /dev/shm) and `output` (the arrays of one answer) are bytes. `seconds` is for
    one call, the first of which includes the start. `processes` counts threads too; `threads` is how many a library may
    use.
    """

    memory: int = 2 << 30
    processes: int = 64
    seconds: float = 60.0
    scratch: int = 256 << 20
    output: int = 256 << 20
    threads: int = 1

    def rlimits(self) -> dict[str, int]:
        """The second belt, by process: processor time, memory, files; processes by user."""
        return {
            "RLIMIT_CPU": int(LIFETIME * self.seconds * self.threads) + 1,
            "RLIMIT_DATA": self.memory,
            "RLIMIT_FSIZE": self.scratch,
            "RLIMIT_NOFILE": OPEN_FILES,
            "RLIMIT_NPROC": self.processes,  # by user id, in a user namespace by that (since Linux 5.14)
            "RLIMIT_CORE": 0,
            "RLIMIT_MEMLOCK": 0,
            "RLIMIT_MSGQUEUE": 0,
        }


class Room:
    """A started program; `call` talks to it, `close` ends it. Not for more than one thread at a time."""

    def __init__(
        self,
        program: str,
        arguments: Sequence[str],
        readable: Mapping[str, Path],
        files: Mapping[str, bytes],
        limits: Limits,
        bare: bool = False,
    ) -> None:
        self.program, self.limits = short_name(program), limits
        self._module = program if "." in program else f"latentarena.sandbox.programs.{program}"
        self._log, self._booted = b"", False
        self._group: ControlGroup | None = None
        self._over: SandboxError | None = None
        self._stack = ExitStack()
        try:
            self._process = self._bare(arguments, readable, files) if bare else self._boxed(arguments, readable, files)
            self._stack.callback(self._process.end)
        except BaseException:
            self._stack.close()
            raise
        for pipe in self._process.pipes:
            os.set_blocking(pipe.fileno(), False)

    def _boxed(self, arguments: Sequence[str], readable: Mapping[str, Path], files: Mapping[str, bytes]) -> ProcessTree:
        """Start the program in a box, with a user id and a group where that is possible."""
        user = self._stack.enter_context(lease_uid()) if os.geteuid() == 0 else None
        with suppress(NoGroup):
            self._group = make_group(self.limits.memory, self.limits.processes)
            self._stack.callback(self._group.remove)
        with ExitStack() as handed:
            held = {f"/in/{_safe(name)}": hold(content, handed) for name, content in files.items()}
            fence = walls(user, self.limits.scratch, readable, held)
            return ProcessTree.boxed(fence, self._command(arguments, user), list(held.values()), self._group)

    def _bare(self, arguments: Sequence[str], readable: Mapping[str, Path], files: Mapping[str, bytes]) -> ProcessTree:
        """Start the program where there is no bubblewrap: it confines itself (tier 0)."""
        machine = seccomp.architecture()
        if machine is None or not landlock.version():
            raise SandboxError("no-sandbox", f"{self.program}: neither bubblewrap nor Landlock is here: no sandbox")
        folder = str(self._stack.enter_context(scratch("arena-box-")))
        for name, content in files.items():
            path = Path(folder, _safe(name))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        seen = [*LIBRARIES, *shown(), folder, *(str(path) for path in readable.values()), os.devnull]
        rules = seccomp.program(machine, alone=True).hex()
        return ProcessTree.bare(self._command(arguments, None, folder, {"readable": seen, "rules": rules}))

    def _command(
        self, arguments: Sequence[str], user: int | None, inputs: str = "/in", bare: dict[str, Any] | None = None
    ) -> list[str]:
        limits = self.limits.rlimits()
        if bare:
            del limits["RLIMIT_NPROC"]  # it is one process, which writes nothing
            limits |= {"RLIMIT_AS": self.limits.memory, "RLIMIT_FSIZE": 0}
        settings = {
            "inputs": inputs,
            "bare": bare,
            "program": self._module,
            "arguments": list(arguments),
            "user": user,
            "rlimits": limits,
            "imports": import_folders(),
            "threads": self.limits.threads,
        }
        return [PYTHON, "-I", "-S", "-B", "-u", boot.__file__, json.dumps(settings)]

    def call(self, request: Frame, expected: Expected) -> Frame:
        """Ask the program; its answer, which is what was expected in every name, type, shape and bound.

        Raises:
            SandboxError: it refused, and can be asked again; or it broke a limit or the protocol or died, and is ended.
        """
        if self._over:
            raise self._over
        try:
            reply = self._ask(request, expected)
        except SandboxError as error:
            error.log = self.log
            self._over = error
            self.close()
            raise
        if reply.verb == FAILED:
            reason, text = _slug(reply.facts["reason"]), reply.facts["text"]
            raise SandboxError(reason, f"{self.program}: {self._hungry if reason == 'memory' else text}", self.log)
        return reply

    @property
    def counted(self) -> bool:
        """Whether a control group counts the memory of all its processes."""
        return self._group is not None

    @property
    def log(self) -> str:
        """The end of what the program wrote to stdout and stderr, printable; not to be trusted."""
        return "\n".join(_line(line) for line in self._log.decode(errors="replace").splitlines())

    def close(self) -> None:
        """End it, whatever it is doing; afterwards nothing of it runs. May be called again."""
        self._over = self._over or SandboxError("died", f"{self.program}: its box is closed")
        self._stack.close()

    def _ask(self, request: Frame, expected: Expected) -> Frame:
        """Talk, and say what went wrong in the terms of a box."""
        try:
            reply = self._talk(request)
            if reply.verb not in (DONE, FAILED):
                raise WireError(f"it is neither {DONE!r} nor {FAILED!r}")
            return (REFUSAL if reply.verb == FAILED else expected).checked(reply)
        except TimeoutError:
            said = f"no answer within {self.limits.seconds:g} s {_when(request.verb)}"
            raise self._failure("timeout", said) from None
        except WireError as error:
            said = f"its answer {_when(request.verb)} is not one: {printable(str(error))}"
            raise self._failure("nonsense", said) from None
        except AnswerError as error:
            said = f"its answer {_when(request.verb)} is refused: {error}"
            raise self._failure(error.reason, said) from None
        except Flood:
            raise self._failure("output", "it wrote more to its log than any program should") from None
        except EOFError:
            raise self._death(request.verb) from None

    def _talk(self, request: Frame) -> Frame:
        """One request and its answer, over the pipes."""
        until = time.monotonic() + self.limits.seconds
        return talk(self._process.pipes, pack(request), self.limits.output, until, self._keep, self._look)

    def _death(self, verb: str) -> SandboxError:
        """The program has closed its pipe: why?"""
        drain(self._process.pipes[2].fileno(), self._keep)
        status = self._process.end(grace=GRACE)
        if not self._booted and self.log.startswith("bwrap: "):
            return self._failure("start", f"its box did not start: {self.log.splitlines()[0]}")
        if self._group and self._group.killed():
            if not self._group.full():
                return self._failure("machine", "this machine ran out of memory, and the kernel ended it")
            return self._failure("memory")
        if status is not None and status > SIGNALLED:
            number = status - SIGNALLED
            return self._failure("died", f"it was ended by signal {number} ({_signal(number)})")
        return self._failure("died", f"it ended without an answer {_when(verb)} (exit status {status})")

    def _failure(self, reason: str, text: str = "") -> SandboxError:
        way = f"; {WAYS[reason]}" if reason in WAYS else ""
        return SandboxError(reason, f"{self.program}: {self._hungry if reason == 'memory' else text + way}")

    @property
    def _hungry(self) -> str:
        return f"it needed more than the {self.limits.memory >> 20:,} MiB of memory that it may take; {WAYS['memory']}"

    def _keep(self, piece: bytes) -> None:
        if not self._booted and piece.startswith(boot.STARTED):  # from here on the log is the program's
            self._booted, piece = True, piece.removeprefix(boot.STARTED)
        self._log = (self._log + piece)[-TAIL:]

    def _look(self) -> None:
        """Where no control group counts the memory, count it here."""
        if self._group is None and resident(self._process.init) > self.limits.memory:
            raise self._failure("memory")


def _safe(name: str) -> str:
    """The name of a file in the box, as it is given."""
    if not name or "\0" in name or not all(part not in ("", ".", "..") for part in name.split("/")):
        raise SandboxError("start", f"{name[:80]!r} is no name for a file in a box")
    return name


def _when(verb: str) -> str:
    """What a call was to its program, in words for people who never saw the wire."""
    return f"when it was {ASKED.get(verb, f'asked to {verb}')}"


def short_name(program: str) -> str:
    """What messages call a program: the last part of its module's name."""
    return program.rpartition(".")[2]


def _line(text: str) -> str:
    return printable(text[:1000])


def _slug(text: str) -> str:
    """A program's own reason, unless it is none, or one that only this side may give."""
    return text if re.fullmatch("[a-z][a-z0-9-]{0,39}", text) and text not in MACHINE else "failed"


def _signal(number: int) -> str:
    with suppress(ValueError):
        return signal.Signals(number).name
    return "unknown"
