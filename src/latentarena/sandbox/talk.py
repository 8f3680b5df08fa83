"""One request and its answer over pipes that never block: whatever the other side does, the clock goes on."""

from __future__ import annotations

import os
import selectors
import time
from collections.abc import Callable, Iterable, Iterator
from typing import IO

from latentarena.sandbox.wire import Frame, WireError, parse

CHUNK = 1 << 20
GLANCE = 0.1  # seconds between two looks at what else is to be watched
LOG = 8 << 20  # bytes that a program may write to its log during one call


class Flood(Exception):  # noqa: N818 - it says what is the case
    """The program wrote more to its log than any program should."""


def talk(
    pipes: tuple[IO[bytes], IO[bytes], IO[bytes]],
    request: Iterable[memoryview],
    most: int,
    until: float,
    keep: Callable[[bytes], None],
    look: Callable[[], None],
) -> Frame:
    """Send a request and read the answer.

    Args:
        pipes: requests, answers and log.
        request: the pieces of a frame.
        most: bytes of arrays in the answer.
        until: when it has to be there, by `time.monotonic`.
        keep: gets the log piece by piece.
        look: is called a few times a second; what it raises ends the talk.

    Raises:
        TimeoutError: no answer in time.
        EOFError: the other side has gone.
        WireError: what came is no answer.
        Flood: too much log.
    """
    requests, answers, log = (pipe.fileno() for pipe in pipes)
    sending, reading, logged, looked = _send(requests, request), _receive(answers, most), 0, time.monotonic()
    with selectors.DefaultSelector() as ready:
        ready.register(answers, selectors.EVENT_READ)
        if ready.select(0):
            _said_before(answers)
        ready.register(requests, selectors.EVENT_WRITE)
        ready.register(log, selectors.EVENT_READ)
        while (left := until - time.monotonic()) > 0:
            for key, _ in ready.select(min(left, GLANCE)):
                if key.fd == requests and next(sending, None) is None:
                    ready.unregister(requests)
                elif key.fd == answers and (frame := next(reading)) is not None:
                    drain(log, keep)
                    return frame
                elif key.fd == log:
                    piece = drain(log, keep)
                    logged += piece
                    if logged > LOG:
                        raise Flood
                    if not piece:
                        ready.unregister(log)
            if time.monotonic() - looked > GLANCE:
                look()
                looked = time.monotonic()
    raise TimeoutError


def _send(descriptor: int, pieces: Iterable[memoryview]) -> Iterator[bool]:
    """Write as much as fits, each time it is called; ends when all is written or nobody reads any more."""
    for piece in pieces:
        while piece:
            try:
                piece = piece[os.write(descriptor, piece[:CHUNK]) :]
            except BlockingIOError:
                pass
            except BrokenPipeError:
                return
            yield True


def _receive(descriptor: int, most: int) -> Iterator[Frame | None]:
    """Read as much as is there, each time it is called; the frame once it is whole."""
    parser = parse(most)
    wanted = next(parser)
    while True:
        content = bytearray(wanted)
        rest = memoryview(content)
        while rest:
            read = os.readv(descriptor, [rest])
            if not read:
                raise EOFError
            rest = rest[read:]
            if rest:
                yield None
        try:
            wanted = parser.send(content)
        except StopIteration as done:
            yield done.value
            return
        yield None


def _said_before(answers: int) -> None:
    """There is something to read before anything was asked: the end, or an answer to nothing."""
    if os.read(answers, 1):
        raise WireError("it answered before it was asked")
    raise EOFError


def drain(log: int, keep: Callable[[bytes], None]) -> int:
    """Read what is in the log; how many bytes that was."""
    try:
        piece = os.read(log, CHUNK)
    except BlockingIOError:
        return 0
    keep(piece)
    return len(piece)
