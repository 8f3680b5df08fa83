"""What not every operating system has: signals that ask a program to stop, children that end with it, limits."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")  # Ctrl-C, kill, a terminal that closes, the same on Windows
STOPPING = tuple(getattr(signal, name) for name in NAMES if hasattr(signal, name))
SHARE, LEAST = 0.75, 2 << 10  # of the machine's memory for one process, and MiB that it needs in any case
SPARE = 64  # MiB beyond a process's limit, in which it says that it has reached it
WORDS = (  # of torch, the linker, C++, Python's own C code and zlib without memory
    "allocate memory",
    "[enforce fail a",  # the same of torch's allocator, cut where there was no memory for the rest of the sentence
    "could not create a primitive",  # of its library for convolutions
    "failed to map segment",
    "std::bad_alloc",
    "error return without exception set",
    "Error -4 while",
)
UNREAD = "could not get source code"  # of inspect, to which linecache gives no lines where memory has run out
GROUPS = Path("/sys/fs/cgroup")
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None  # loaded before any fork
Handler = Callable[[int, FrameType | None], None]


@contextmanager
def noted_signals() -> Iterator[list[int]]:
    """The numbers of the stopping signals that arrive, for the caller to act on; the second of a kind acts as before.

    A block that comes to its end in spite of them has overlooked them: then they arrive once more, and act as before.
    What is ignored stays ignored, as `nohup` wants it. Outside the main thread nothing is noted.
    """
    noted: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        noted.append(number)
        signal.signal(number, before[number])

    before = {one: signal.getsignal(one) for one in STOPPING if signal.getsignal(one) is not signal.SIG_IGN}
    with _handled(note, tuple(before)):
        yield noted
    for number in noted:
        signal.raise_signal(number)


@contextmanager
def stopping_as_ctrl_c() -> Iterator[list[int]]:
    """Every stopping signal raises KeyboardInterrupt, so that a program that is killed can still say a word.

    The numbers of those that came are listed for the caller. Where nobody has caught the KeyboardInterrupt by the end
    of the block, the signal arrives once more and acts as before: the program dies of it, and of nothing else.
    """
    came: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        came.append(number)
        raise KeyboardInterrupt

    try:
        with _handled(interrupt, tuple(one for one in STOPPING if signal.getsignal(one) is signal.SIG_DFL)):
            yield came
    except KeyboardInterrupt:
        for number in came[:1]:
            signal.raise_signal(number)
        raise


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


def end_with_parent(how: signal.Signals = signal.SIGTERM) -> None:
    """On Linux: have this process get a signal when the thread that started it dies, however it dies."""
    if LIBC is not None:
        LIBC.prctl(PR_SET_PDEATHSIG, how)


def affordable(mebibytes: int) -> int:
    """MiB that a process may take where this machine, or the container that this runs in, may have less than it wants.

    A process that is held to less than there is runs into its own limit, of which it can tell, before the kernel kills
    it for want of memory.
    """
    there = min(_memories(), default=None)
    return mebibytes if there is None else min(mebibytes, max(LEAST, int(SHARE * there) >> 20))


def starved(error: BaseException) -> bool:
    """Whether an error is how Python, a library or the system says that memory has run out."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM or str(error) == UNREAD
    kinds = RuntimeError | ImportError | SystemError | zlib.error
    return isinstance(error, MemoryError) or (isinstance(error, kinds) and any(words in str(error) for words in WORDS))


def _memories() -> Iterator[int]:
    """Bytes of memory that there are: of the machine, and of every control group that this process is in."""
    with suppress(ValueError, OSError, AttributeError):
        yield os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, kind, path = line.split(":", 2)
            folder = GROUPS / (kind and "memory") / path.lstrip("/")
            if kind not in ("", "memory"):
                continue
            for group in (folder, *folder.parents):
                if group.is_relative_to(GROUPS):
                    yield from _limits(group)


def _limits(group: Path) -> Iterator[int]:
    for name in ("memory.max", "memory.limit_in_bytes"):
        with suppress(OSError, ValueError):  # it is not there, or says "max"
            yield int((group / name).read_text())


def limit_memory(mebibytes: int) -> None:
    """No more memory than this for this process, and no core dumps; nothing where the system has no such limits."""
    try:
        import resource
    except ImportError:
        return
    for what, most in ((resource.RLIMIT_DATA, mebibytes << 20), (resource.RLIMIT_CORE, 0)):
        _, hard = resource.getrlimit(what)
        resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
