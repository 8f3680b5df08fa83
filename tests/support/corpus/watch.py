"""What a call does outside of itself: what it opens and starts, the memory and the processor's time it takes."""

from __future__ import annotations

import sys
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Watched", "watched"]

SPOKEN = ("open", "os.", "shutil.", "socket.", "subprocess.", "ctypes.dlopen", "tempfile.", "exec", "compile")


@dataclass
class Watched:
    """Events that Python audits, each as its name and arguments; peak bytes of memory; seconds."""

    events: list[tuple[str, Any]] = field(default_factory=list)
    peak: int = 0
    seconds: float = 0.0


NOW: list[Watched] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if NOW and event.startswith(SPOKEN):
        NOW[-1].events.append((event, arguments))


sys.addaudithook(_hook)


@contextmanager
def watched() -> Iterator[Watched]:
    """Watch what happens inside; audit hooks stay for the life of the process, so this one sleeps in between."""
    found = Watched()
    tracemalloc.start()
    started = time.process_time()
    NOW.append(found)
    try:
        yield found
    finally:
        NOW.pop()
        found.seconds = time.process_time() - started
        found.peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
