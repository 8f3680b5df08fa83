"""Progress of long work: told where the work is done, heard by whoever listens, as with logging."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Progress:
    """How far a piece of work has come: `done` of `total` parts."""

    what: str
    done: int
    total: int


_listener: ContextVar[Callable[[Progress], None] | None] = ContextVar("listener", default=None)
_whole: ContextVar[str] = ContextVar("whole", default="")


@contextmanager
def listening(listener: Callable[[Progress], None]) -> Iterator[None]:
    """Have a function hear of all progress inside of a block."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


@contextmanager
def within(whole: str) -> Iterator[None]:
    """Name what the work inside of a block is for; the name stands before those of its pieces."""
    token = _whole.set(whole)
    try:
        yield
    finally:
        _whole.reset(token)


def counted(parts: Sequence[T], what: str) -> Iterator[T]:
    """The parts of a piece of work in turn; whoever listens hears before the first and after each."""
    listener, whole = _listener.get(), _whole.get()
    name = f"{whole}: {what}" if whole else what
    if listener is not None:
        listener(Progress(name, 0, len(parts)))
    for done, part in enumerate(parts, 1):
        yield part
        if listener is not None:
            listener(Progress(name, done, len(parts)))
