"""Control groups: the only limits that hold for all processes of a box together. Version 1 and version 2."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

NAME = "latentarena-box"
COUNTER = itertools.count()
CONTROLLERS = ("memory", "pids")


class NoGroup(Exception):  # noqa: N818 - it says what is the case
    """Why there can be no group with limits."""


@dataclass(frozen=True)
class ControlGroup:
    """A group made for one box: one folder (version 2), or one per controller (version 1)."""

    folders: Sequence[Path]
    version: int

    def limit(self, memory: int, processes: int) -> None:
        """Set the limits; swap counts as memory."""
        home = {name: self.folders[0] if self.version == 2 else self.folders[i] for i, name in enumerate(CONTROLLERS)}
        (home["pids"] / "pids.max").write_text(str(processes))
        if self.version == 2:
            (home["memory"] / "memory.max").write_text(str(memory))
            _write_if_there(home["memory"] / "memory.swap.max", "0")
            _write_if_there(home["memory"] / "memory.oom.group", "1")
        else:
            (home["memory"] / "memory.limit_in_bytes").write_text(str(memory))
            _write_if_there(home["memory"] / "memory.memsw.limit_in_bytes", str(memory))

    def add(self, pid: int) -> None:
        """Put a process into it, and with it what that process will start."""
        for folder in self.folders:
            (folder / "cgroup.procs").write_text(str(pid))

    def processes(self) -> set[int]:
        """What is in it now."""
        with suppress(OSError):
            return {int(pid) for pid in (self.folders[0] / "cgroup.procs").read_text().split()}
        return set()

    def killed(self) -> bool:
        """Whether the kernel killed something in it for want of memory: its own limit's, or the machine's."""
        name = "memory.events" if self.version == 2 else "memory.oom_control"
        return self._count(name, "oom_kill") > 0

    def full(self) -> bool:
        """Whether it has reached its own limit of memory."""
        if self.version == 2:
            return self._count("memory.events", "oom") > 0
        limit, most = (self._count(f"memory.{name}_in_bytes") for name in ("limit", "max_usage"))
        return self._count("memory.failcnt") > 0 or most >= limit > 0  # some kernels count no failure of mapped pages

    def _count(self, name: str, key: str = "") -> int:
        """A counter of the kernel's, of a file that holds one number or several by name; 0 where there is none."""
        with suppress(OSError, ValueError):
            lines = (self.folders[0] / name).read_text().splitlines()
            return int(dict(line.split() for line in lines).get(key, 0) if key else lines[0])
        return 0

    def remove(self) -> None:
        """Remove it; the kernel may need a moment after the last process has gone."""
        for folder in self.folders:
            for _ in range(50):
                try:
                    folder.rmdir()
                except FileNotFoundError:
                    break
                except OSError:
                    time.sleep(0.01)
                else:
                    break


def make_group(memory: int, processes: int) -> ControlGroup:
    """A new group with these limits, below or beside this process's own.

    Raises:
        NoGroup: why not.
    """
    parents, version = _parents()
    name = f"{NAME}-{os.getpid()}-{next(COUNTER)}"
    group = ControlGroup([parent / name for parent in parents], version)
    try:
        for folder in group.folders:
            _sweep(folder.parent)
            folder.mkdir()
        group.limit(memory, processes)
    except OSError as error:
        group.remove()
        raise NoGroup(f"cannot make a control group in {parents[0]}: {error.strerror}") from None
    return group


def _parents() -> tuple[list[Path], int]:
    """Where a group can be made: a folder for each controller (version 1), or one (version 2)."""
    mounts, own = _mounts(), _own_groups()
    ones = {name: _inside(*mounts[name], own[name]) for name in CONTROLLERS if name in mounts and name in own}
    if len(ones) == len(CONTROLLERS):
        return list(ones.values()), 1
    if "" not in mounts or "" not in own:
        raise NoGroup("no cgroup file system with the controllers memory and pids is mounted")
    root, mountpoint = mounts[""]
    folder = _inside(root, mountpoint, own[""])
    above = [parent for parent in [folder, *folder.parents] if parent.is_relative_to(mountpoint)]
    for parent in above:
        if _hands_down(parent):
            return [parent], 2
    if _step_aside(folder) and _hands_down(folder):
        return [folder], 2
    raise NoGroup(
        f"no control group from {folder} up to {mountpoint} may have children with limits of memory and pids: "
        "run under systemd with Delegate=yes, or in a container whose control groups can be written to"
    )


def _hands_down(folder: Path) -> bool:
    """Whether groups made in this folder (version 2) have the controllers; switches them on where it may."""
    control = folder / "cgroup.subtree_control"
    with suppress(OSError):
        if not set(CONTROLLERS) <= set(control.read_text().split()):
            control.write_text(" ".join(f"+{name}" for name in CONTROLLERS))
        return os.access(folder, os.W_OK)
    return False


def _step_aside(folder: Path) -> bool:
    """Move the processes of a group (version 2) into a child of it: only a group without any has children with limits.

    It happens where a container or a unit of systemd has been given a group to itself, and no group above will do.
    """
    with suppress(OSError):
        inner = folder / "latentarena-main"
        inner.mkdir(exist_ok=True)
        for pid in (folder / "cgroup.procs").read_text().split():
            with suppress(ProcessLookupError):
                (inner / "cgroup.procs").write_text(pid)
        return True
    return False


def _mounts() -> dict[str, tuple[str, Path]]:
    """(root, mount point) by controller; version 2 has the empty name."""
    found: dict[str, tuple[str, Path]] = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ")
        place = (before.split(" ")[3], Path(before.split(" ")[4]))
        if kind == "cgroup2":
            found.setdefault("", place)
        elif kind == "cgroup":
            found |= {name: place for name in options.split(",") if name in CONTROLLERS}
    return found


def _own_groups() -> dict[str, str]:
    """The group of this process by controller; version 2 has the empty name."""
    lines = (line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines())
    return {name: path for _, names, path in lines for name in names.split(",")}


def _inside(root: str, mountpoint: Path, group: str) -> Path:
    """The folder of a group below a mount that shows the tree from `root` on."""
    relative = os.path.relpath(group, root)
    return mountpoint if relative.startswith("..") else mountpoint / relative


def _sweep(parent: Path) -> None:
    """Remove what a process that was killed has left behind; a group with processes in it cannot be removed."""
    for folder in parent.glob(f"{NAME}-*"):
        owner = folder.name.removeprefix(f"{NAME}-").split("-")[0]
        if not Path("/proc", owner).exists():
            with suppress(OSError):
                folder.rmdir()


def _write_if_there(path: Path, text: str) -> None:
    if path.exists():
        path.write_text(text)
