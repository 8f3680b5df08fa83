"""How much memory all the processes of a box hold together, where no control group counts it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

__all__ = ["resident"]


def resident(root: int) -> int:
    """Bytes resident in a process and all that descend from it. Pages that two of them share count twice."""
    parents: dict[int, int] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError, ValueError, IndexError):
                parents[int(name)] = int(Path("/proc", name, "stat").read_text().rpartition(")")[2].split()[1])
    family = {root}
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    total, page = 0, os.sysconf("SC_PAGE_SIZE")
    for pid in family:
        with suppress(OSError, ValueError, IndexError):
            total += int(Path("/proc", str(pid), "statm").read_text().split()[1]) * page
    return total
