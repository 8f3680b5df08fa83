"""One process tree in a box: started behind its walls, and ended so that nothing of it is left."""

from __future__ import annotations

import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import IO

from latentarena.errors import SandboxError
from latentarena.sandbox import seccomp
from latentarena.sandbox.cgroup import Group

__all__ = ["Process", "bwrap", "hold"]

PATIENCE = 10.0  # seconds that a start or an end may take before it counts as failed
PR_SET_CHILD_SUBREAPER = 36


def bwrap() -> str | None:
    """Where bubblewrap is, or None."""
    return shutil.which("bwrap")


def hold(content: bytes, stack: ExitStack) -> int:
    """A descriptor to read the content from: memory that no path leads to, until the stack closes."""
    file = stack.enter_context(os.fdopen(os.memfd_create("box"), "wb", buffering=0))
    file.write(content)
    file.seek(0)
    return file.fileno()


class Process:
    """A started box, with the pipes to its first program.

    Args:
        walls: arguments of bubblewrap; `command`: what to run behind them.
        inherited: descriptors that the walls speak of.
        group: where every process of the box is counted, put there before the command has run a single instruction.

    Raises:
        SandboxError: bubblewrap gives up; its own words.
    """

    def __init__(self, walls: Sequence[str], command: Sequence[str], inherited: Sequence[int], group: Group | None):
        machine, program = seccomp.architecture(), bwrap()
        assert machine is not None
        assert program is not None
        self.group = group
        self._ended = False
        self._status: int | None = None
        self._stack = ExitStack()
        with ExitStack() as stack:
            told_here, told = _pipe(stack)
            gate, gate_here = _pipe(stack)
            rules = hold(seccomp.program(machine), stack)
            fds = ("--info-fd", str(told.fileno()), "--block-fd", str(gate.fileno()), "--seccomp", str(rules))
            self._stack.enter_context(_adopting())
            self.outer = subprocess.Popen(
                [program, *walls, *fds, "--", *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                env={},  # bubblewrap's own environment can be read in the box, at /proc/1/environ
                pass_fds=(told.fileno(), gate.fileno(), rules, *inherited),
                start_new_session=True,
            )
            told.close()
            try:
                self.init = int(json.loads(_all_of(told_here))["child-pid"])
                self.handle = os.pidfd_open(self.init)
                if group:
                    group.add(self.init)
                gate_here.write(b"1")
            except (OSError, ValueError, KeyError):
                self.outer.kill()
                _, log = self.outer.communicate()
                self._stack.close()
                words = log.decode(errors="replace").split("\n")[0].strip()
                raise SandboxError(f"a box did not start: {words or 'bubblewrap ended at once'}", "start") from None

    @property
    def pipes(self) -> tuple[IO[bytes], IO[bytes], IO[bytes]]:
        """Requests (to write), answers and log (to read)."""
        requests, answers, log = self.outer.stdin, self.outer.stdout, self.outer.stderr
        assert requests is not None
        assert answers is not None
        assert log is not None
        return requests, answers, log

    def end(self, grace: float = 0.0) -> int | None:
        """Kill what is left of it after so many seconds, and wait until all is gone. May be called again.

        The first process inside is killed first: with it the kernel kills its whole pid namespace, and bubblewrap
        outside sees it off. A bubblewrap that has died before leaves it to this process.

        Returns:
            bubblewrap's exit status where it ended by itself, else None.
        """
        if self._ended:
            return self._status
        self._ended = True
        with suppress(subprocess.TimeoutExpired):
            self._status = self.outer.wait(grace) if grace else self.outer.poll()
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.handle, signal.SIGKILL)
        _exited(self.handle)
        try:
            self.outer.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.outer.kill()
            self.outer.wait()
        with suppress(ChildProcessError):
            os.waitpid(self.init, 0)
        for pipe in self.pipes:
            pipe.close()
        os.close(self.handle)
        self._stack.close()
        return self._status


def _pipe(stack: ExitStack) -> tuple[IO[bytes], IO[bytes]]:
    """Read end and write end."""
    ends = os.pipe()
    reading = stack.enter_context(os.fdopen(ends[0], "rb", buffering=0))
    return reading, stack.enter_context(os.fdopen(ends[1], "wb", buffering=0))


def _all_of(pipe: IO[bytes]) -> bytes:
    """What comes until the other end is closed, or patience is at an end."""
    content, until = b"", time.monotonic() + PATIENCE
    while select.select([pipe], [], [], max(0.0, until - time.monotonic()))[0]:
        more = pipe.read(4096)
        if not more:
            break
        content += more
    return content


def _exited(handle: int) -> None:
    """Wait until the process of a pid descriptor has exited."""
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    poll.poll(PATIENCE * 1000)


LOCK = threading.Lock()
open_boxes = 0


@contextmanager
def _adopting() -> Iterator[None]:
    """While boxes are open, their orphans come to this process, whether or not the machine's init sees them off."""
    _count(1)
    try:
        yield
    finally:
        _count(-1)


def _count(change: int) -> None:
    global open_boxes
    with LOCK:
        open_boxes += change
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, int(open_boxes > 0), 0, 0, 0)
