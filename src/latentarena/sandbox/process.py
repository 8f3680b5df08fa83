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
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import IO, Self

from latentarena.errors import SandboxError
from latentarena.sandbox import seccomp
from latentarena.sandbox.cgroup import ControlGroup
from latentarena.sandbox.resident import family

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


class ProcessTree:
    """A started program with the pipes to it.

    Args:
        outer: what was started.
        init: the first process of the box, by its number outside; `outer` itself where there is no bubblewrap.
    """

    def __init__(self, outer: subprocess.Popen[bytes], init: int) -> None:
        self.outer, self.init = outer, init
        self.handle = os.pidfd_open(init)
        self._ended = False
        self._status: int | None = None
        _adopt(1)

    @classmethod
    def bare(cls, command: Sequence[str]) -> Self:
        """Start a command that will confine itself."""
        outer = _started(command, ())
        return cls(outer, outer.pid)

    @classmethod
    def boxed(
        cls, walls: Sequence[str], command: Sequence[str], inherited: Sequence[int], group: ControlGroup | None
    ) -> Self:
        """Start a command in a box.

        Args:
            walls: arguments of bubblewrap.
            command: what to run behind them.
            inherited: descriptors that the walls speak of.
            group: where every process of the box counts from the end of this call on. To move a process takes the
                kernel some milliseconds, in which the command may start: it waits for a first request in any case.

        Raises:
            SandboxError: bubblewrap gives up; its own words.
        """
        machine, program = seccomp.architecture(), bwrap()
        assert machine is not None
        assert program is not None
        with ExitStack() as stack:
            told_here, told = _pipe(stack)
            rules = hold(seccomp.program(machine), stack)
            fds = ("--info-fd", str(told.fileno()), "--seccomp", str(rules))
            passed = (told.fileno(), rules, *inherited)
            outer = _started([program, *walls, *fds, "--", *command], passed)
            told.close()
            try:
                init = int(json.loads(_all_of(told_here))["child-pid"])
                process = cls(outer, init)
            except (OSError, ValueError, KeyError):
                outer.kill()
                _, log = outer.communicate()
                words = log.decode(errors="replace").split("\n")[0].strip()
                raise SandboxError("start", f"a box did not start: {words or 'bubblewrap ended at once'}") from None
            try:
                if group:
                    _gather(group, init)
            except OSError as error:
                process.end()
                raise SandboxError("start", f"a box did not start: its control group: {error.strerror}") from None
            return process

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
            the exit status where it ended by itself, as a shell counts it: 128 and a signal's number for that signal.
        """
        if self._ended:
            return self._status
        self._ended = True
        with suppress(subprocess.TimeoutExpired):
            status = self.outer.wait(grace) if grace else self.outer.poll()
            self._status = 128 - status if status is not None and status < 0 else status
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
        _adopt(-1)
        return self._status


def _gather(group: ControlGroup, init: int) -> None:
    """Move a process and its descendants into a control group; later children inherit it."""
    with suppress(ProcessLookupError):  # it has ended, and the first call will say so
        group.add(init)
        for pid in family(init) - group.processes():
            group.add(pid)


def _started(command: Sequence[str], passed: Sequence[int]) -> subprocess.Popen[bytes]:
    """A command with pipes for its three streams, these descriptors and nothing else of this process."""
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        env={},  # bubblewrap's own environment can be read in the box, at /proc/1/environ
        pass_fds=passed,
        start_new_session=True,
    )


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


def _adopt(change: int) -> None:
    """While boxes are open, their orphans come to this process, whether or not the machine's init sees them off."""
    global open_boxes
    with LOCK:
        open_boxes += change
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, int(open_boxes > 0), 0, 0, 0)
