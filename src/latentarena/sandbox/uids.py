"""One user id per box: what the kernel limits by user is then limited by box."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from latentarena.errors import SandboxError

UIDS = range(60_600, 60_664)  # between the ranges of systemd, Debian and login accounts
LOCKS = Path("/run/latentarena-uids")


@contextmanager
def lease_uid() -> Iterator[int]:
    """A user id that no other box on this machine has, held by a lock that dies with this process. Needs root.

    Raises:
        SandboxError: all are taken, or locks cannot be made.
    """
    try:
        LOCKS.mkdir(mode=0o700, exist_ok=True)
        uid, lock = next(((uid, lock) for uid in UIDS if (lock := _lock(uid)) is not None), (0, None))
    except OSError as error:
        raise SandboxError("no-sandbox", f"no user id for a box: {LOCKS}: {error.strerror}") from None
    except ImportError:
        raise SandboxError(
            "no-sandbox", "a box needs the locks of Linux (fcntl), not here; run this on Linux"
        ) from None
    if lock is None:
        raise SandboxError("no-sandbox", f"all {len(UIDS)} user ids for boxes are in use; wait for a box to end")
    try:
        yield uid
    finally:
        os.close(lock)


def _lock(uid: int) -> int | None:
    """The descriptor that holds the lock of a user id, or None where another has it."""
    import fcntl  # not on every system, and a system without it is told so in words

    lock = os.open(LOCKS / str(uid), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock
