"""How much memory all the processes of a box hold together, where no control group counts it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def resident(root: int) -> int:
    """Bytes in memory of a process and all that descend from it; pages that some of them share count once."""
    return sum(_share(Path("/proc", str(pid))) for pid in family(root))


def family(root: int) -> set[int]:
    """A process and all that descend from it."""
    parents: dict[int, int] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError, ValueError, IndexError):
                parents[int(name)] = int(Path("/proc", name, "stat").read_text().rpartition(")")[2].split()[1])
    found = {root}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def _share(process: Path) -> int:
    """Its proportional set; where that may not be read, all that it has resident, shared or not."""
    with suppress(OSError, ValueError, StopIteration):
        lines = (process / "smaps_rollup").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("Pss:")).split()[1]) << 10
    with suppress(OSError, ValueError, IndexError):
        return int((process / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0
