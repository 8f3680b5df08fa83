"""A load generator for one server on this machine: HTTP/1.1 over kept-alive connections, as lean as Python allows.

It runs as a process of its own and shares the cores with the server that it measures: what it finds is a lower bound.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

LONGEST = 120.0  # seconds that a load may take


@dataclass(frozen=True)
class Load:
    """What was found.

    Attributes:
        requests: answered as asked; failed: those that were not, by status or by a broken connection.
        seconds: from the first to the last.
        p50, p99, slowest: milliseconds from when a request was sent (at a rate: was due) until all of its answer came.
        bytes: of one answer's body.
    """

    requests: int
    failed: int
    seconds: float
    p50: float
    p99: float
    slowest: float
    bytes: int

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


@dataclass
class Line:
    """Requests that wait for a connection, with the time at which each was due (None: whenever one is free)."""

    waiting: deque[tuple[bytes, float | None]]
    left: int
    ended: asyncio.Future[None]
    idle: list[Caller] = field(default_factory=list)

    def due(self, request: bytes, since: float) -> None:
        """A request comes: a connection that is free takes it, else it stands in line."""
        if self.idle:
            self.idle.pop().send(request, since)
        else:
            self.waiting.append((request, since))

    def done(self, many: int = 1) -> None:
        """So many requests will not be heard of again."""
        self.left -= many
        if self.left <= 0 and not self.ended.done():
            self.ended.set_result(None)


class Caller(asyncio.Protocol):
    """One connection that takes the next request in line when the answer to the last one is here."""

    def __init__(self, line: Line, expected: bytes) -> None:
        self.line, self.expected = line, expected
        self.taken: list[float] = []
        self.failed = 0
        self.size = 0
        self._buffer = bytearray()
        self._began: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._next()

    def send(self, request: bytes, since: float | None) -> None:
        """Send it; its time runs since it was due."""
        self._began = time.perf_counter() if since is None else since
        self.transport.write(request)

    def _next(self) -> None:
        if self.line.waiting:
            self.send(*self.line.waiting.popleft())
        else:
            self._began = None
            self.line.idle.append(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head = self._buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        lower = bytes(self._buffer[:head]).lower()
        at = lower.find(b"content-length: ")
        length = int(lower[at + 16 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self._buffer) < head + 4 + length:
            return
        assert self._began is not None
        self.taken.append(time.perf_counter() - self._began)
        self.failed += not self._buffer.startswith(b"HTTP/1.1 " + self.expected)
        self.size = length
        self._buffer.clear()
        self._next()
        self.line.done()

    def connection_lost(self, error: Exception | None) -> None:
        if self in self.line.idle:
            self.line.idle.remove(self)
        if self._began is not None:
            self.failed += 1
            self.line.done()


async def load(url: str, requests: list[bytes], connections: int, expected: str, rate: float | None = None) -> Load:
    """Send every request once over so many connections.

    Args:
        rate: requests a second that come whether or not the last ones are answered (an open loop; a request that finds
            no free connection waits, and its time runs); each connection sends its next one at once unless given.
    """
    target, loop = urlsplit(url), asyncio.get_running_loop()
    line = Line(deque() if rate else deque((one, None) for one in requests), len(requests), loop.create_future())
    began = time.perf_counter()
    callers = []
    for _ in range(connections):
        caller = Caller(line, expected.encode())
        await loop.create_connection(lambda caller=caller: caller, target.hostname, target.port)
        callers.append(caller)
    if rate:
        began = time.perf_counter()
        for i, request in enumerate(requests):
            await asyncio.sleep(max(0.0, began + i / rate - time.perf_counter()))
            line.due(request, began + i / rate)
    await asyncio.wait_for(line.ended, LONGEST)
    seconds = time.perf_counter() - began
    taken = sorted(1000 * one for caller in callers for one in caller.taken)
    failed = sum(caller.failed for caller in callers)
    share = lambda part: taken[min(len(taken) - 1, int(part * len(taken)))]  # noqa: E731
    size = next(caller.size for caller in callers if caller.taken)
    for caller in callers:
        caller.transport.close()
    return Load(len(requests) - failed, failed, seconds, share(0.5), share(0.99), taken[-1], size)


def get(url: str, headers: dict[str, str]) -> bytes:
    """The bytes of a GET."""
    target = urlsplit(url)
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"GET {target.path or '/'} HTTP/1.1\r\nHost: {target.netloc}\r\n{lines}\r\n".encode()


def post(url: str, headers: dict[str, str], body: bytes) -> bytes:
    """The bytes of a POST."""
    return get(url, {**headers, "Content-Length": str(len(body))}).replace(b"GET", b"POST", 1) + body


def main() -> None:
    """GET or POST as often as asked, and print what was found as JSON; the token is in ARENA_TOKEN."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("url")
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--expect", default="200", help="status")
    parser.add_argument("--rate", type=float, help="requests a second; as many as it bears unless given")
    parser.add_argument("--files", type=Path, help="folder of files to POST, each once; GET unless given")
    asked = parser.parse_args()
    token = os.environ.get("ARENA_TOKEN")
    headers = {"Accept-Encoding": "gzip"} | ({"Authorization": f"Bearer {token}"} if token else {})
    if asked.files:
        paths = sorted(asked.files.iterdir())
        typed = {**headers, "Content-Type": "application/zip"}
        requests = [post(asked.url, typed, path.read_bytes()) for path in paths]
    else:
        requests = [get(asked.url, headers)] * asked.requests
    found = asyncio.run(load(asked.url, requests, asked.connections, asked.expect, asked.rate))
    json.dump({**asdict(found), "rate": found.rate}, sys.stdout)


if __name__ == "__main__":
    main()
