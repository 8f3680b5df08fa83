"""What a process can do to itself where there is no bubblewrap: give up files and calls, with Landlock and seccomp.

It is tier 0: enough for data of the project's own architectures, not for anything that a stranger has programmed.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable
from contextlib import suppress

CREATE, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # system calls, the same everywhere
VERSION, PATH_BENEATH = 1, 1
EXECUTE, READ_FILE, READ_DIR = 1 << 0, 1 << 2, 1 << 3
FILES = {1: 0x1FFF, 2: 0x3FFF, 3: 0x7FFF, 4: 0x7FFF, 5: 0xFFFF}  # all that a version knows to forbid, by version
TCP, SIGNALS_AND_SOCKETS = 0b11, 0b11  # from version 4, from version 6
PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 22, 38
SECCOMP_MODE_FILTER, SIGKILL = 2, 9


def version() -> int:
    """The version of Landlock that the kernel has; 0 where it has none."""
    return max(0, int(ctypes.CDLL(None).syscall(CREATE, None, 0, VERSION)))


def confine(readable: Iterable[str], rules: bytes) -> None:
    """From here on, this process reads what lies under these paths and nothing else, writes nothing, and obeys `rules`.

    It also ends when its parent does.

    Args:
        readable: files and folders; those that are not there are passed over.
        rules: a seccomp filter.

    Raises:
        OSError: the kernel will not.
    """
    system = ctypes.CDLL(None, use_errno=True)
    known = version()
    attributes = struct.pack("<Q", FILES[min(known, 5)])
    attributes += struct.pack("<Q", TCP) if known >= 4 else b""
    attributes += struct.pack("<Q", SIGNALS_AND_SOCKETS) if known >= 6 else b""
    ruleset = _checked(system.syscall(CREATE, attributes, len(attributes), 0))
    for path in readable:
        with suppress(FileNotFoundError):
            place = os.open(path, os.O_PATH | os.O_CLOEXEC)
            allowed = EXECUTE | READ_FILE | (READ_DIR if os.path.isdir(path) else 0)
            _checked(system.syscall(ADD_RULE, ruleset, PATH_BENEATH, struct.pack("<Qi", allowed, place), 0))
            os.close(place)
    _checked(system.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0))
    _checked(system.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _checked(system.syscall(RESTRICT_SELF, ruleset, 0))
    os.close(ruleset)
    held = ctypes.create_string_buffer(rules, len(rules))
    _checked(
        system.prctl(
            PR_SET_SECCOMP, SECCOMP_MODE_FILTER, struct.pack("@HP", len(rules) // 8, ctypes.addressof(held)), 0, 0
        )
    )


def _checked(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return int(result)
