"""What not every operating system has: signals that ask a program to stop, and limits of a process."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["STOPPING", "limit_memory", "noted_signals", "stopping_as_ctrl_c"]

NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")  # Ctrl-C, kill, a terminal that closes, the same on Windows
STOPPING = tuple(getattr(signal, name) for name in NAMES if hasattr(signal, name))
Handler = Callable[[int, FrameType | None], None]


@contextmanager
def noted_signals() -> Iterator[list[int]]:
    """The numbers of the stopping signals that arrive, for the caller to act on; the second of a kind acts as before.

    What is ignored stays ignored, as `nohup` wants it. Outside the main thread nothing is noted.
    """
    noted: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        noted.append(number)
        signal.signal(number, before[number])

    before = {one: signal.getsignal(one) for one in STOPPING if signal.getsignal(one) is not signal.SIG_IGN}
    with _handled(note, tuple(before)):
        yield noted


@contextmanager
def stopping_as_ctrl_c() -> Iterator[None]:
    """Every stopping signal raises KeyboardInterrupt, so that a program that is killed can still say a word."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    with _handled(interrupt, tuple(one for one in STOPPING if signal.getsignal(one) is signal.SIG_DFL)):
        yield


@contextmanager
def _handled(handler: Handler, numbers: tuple[int, ...]) -> Iterator[None]:
    before = {}
    try:
        for number in numbers:
            before[number] = signal.signal(number, handler)
    except ValueError:  # not the main thread: the caller's business
        before = {}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def limit_memory(mebibytes: int) -> None:
    """No more memory than this for this process, and no core dumps; nothing where the system has no such limits."""
    try:
        import resource
    except ImportError:
        return
    for what, most in ((resource.RLIMIT_DATA, mebibytes << 20), (resource.RLIMIT_CORE, 0)):
        _, hard = resource.getrlimit(what)
        resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
