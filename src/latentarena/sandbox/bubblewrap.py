"""The walls of a box: what bubblewrap shows the program, and what it takes away."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path, PurePosixPath

from latentarena import errors

PYTHON = os.path.realpath(sys.executable)
LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64")
HOST = ("/etc/ld.so.cache", "/etc/alternatives", "/sys/devices/system/cpu")  # where libraries are; how many cores
HOME = Path(errors.__file__).resolve().parent


def import_folders() -> list[str]:
    """Where the program's imports come from: this package, and the libraries installed beside it."""
    installed = [path for path in sys.path if path.endswith(("site-packages", "dist-packages")) and os.path.isdir(path)]
    return [str(HOME.parent), *installed]


def walls(user: int | None, scratch: int, readable: Mapping[str, Path], files: Mapping[str, int]) -> list[str]:
    """Arguments of bubblewrap, up to what concerns one start of it.

    Args:
        user: the user id that the program will take (then this process is root), or None to stay what this process is.
        scratch: bytes of /tmp, and of /dev/shm.
        readable: host paths to show read-only, by path in the box.
        files: open descriptors of contents to show read-only, by path in the box.
    """
    inside = [*LIBRARIES, *shown(), *readable, *files]
    return [
        *_apart(user),
        # first, so as not to cover an installation below it
        *("--perms", "1777", "--size", str(scratch), "--tmpfs", "/tmp"),  # noqa: S108 - the box's own
        *_folders(inside),
        *_system(),
        *(word for inside, path in readable.items() for word in ("--ro-bind", str(path), inside)),
        *(word for inside, fd in files.items() for word in ("--perms", "0444", "--file", str(fd), inside)),
        *("--proc", "/proc", "--dev", "/dev"),
        *("--perms", "1777", "--size", str(scratch), "--tmpfs", "/dev/shm"),  # noqa: S108
        *("--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/tmp", "--clearenv"),  # noqa: S108
    ]


def _apart(user: int | None) -> list[str]:
    """Namespaces and capabilities. Root needs no user namespace: the program becomes a user without any capability."""
    always = ["--new-session", "--die-with-parent", "--hostname", "box", "--unshare-uts"]
    if user is None:
        sealed = ["--disable-userns"] if "--disable-userns" in _options() else []  # from 0.8 on; seccomp denies it too
        return [*always, "--unshare-all", "--unshare-user", *sealed, "--cap-drop", "ALL"]
    spaces = ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-cgroup-try"]
    return [*always, *spaces, "--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]


@cache
def _options() -> str:
    """What this bubblewrap says of itself."""
    return subprocess.run(["bwrap", "--help"], capture_output=True, text=True, check=False).stdout


def _folders(inside: Iterable[str]) -> list[str]:
    """Make the folders above these paths, open to the user that the program becomes."""
    parents = {str(folder) for path in inside for folder in PurePosixPath(path).parents} - {"/"}
    return [word for folder in sorted(parents) for word in ("--perms", "0755", "--dir", folder)]


def _system() -> Iterator[str]:
    """The interpreter, its libraries and this package, at the paths that they have outside."""
    for name in LIBRARIES:
        if os.path.islink(name):
            yield from ("--symlink", os.readlink(name), name)
        elif os.path.isdir(name):
            yield from ("--ro-bind", name, name)
    for path in shown():
        yield from ("--ro-bind-try", path, path)


def shown() -> list[str]:
    """The paths that a program needs besides the system's libraries, at the paths that they have outside."""
    home = sys.base_prefix
    folders = [f"{home}/lib", f"{home}/lib64", sysconfig.get_path("stdlib"), *import_folders()[1:], str(HOME)]
    needed = [folder for folder in folders if not folder.startswith((*LIBRARIES, f"{home}/lib/", f"{home}/lib64/"))]
    return [*HOST, PYTHON, *needed]
