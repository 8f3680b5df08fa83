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
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

SECOND = 1.0


@dataclass(frozen=True)
class Load:
    """What was found.

    Attributes:
        requests: answered as asked; failed: those that were not, by status or by a broken connection.
        seconds: from the first to the last.
        p50, p99, slowest: milliseconds from the last byte handed to the socket until the whole answer was here.
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


class Caller(asyncio.Protocol):
    """One connection that sends the next request when the answer to the last one is here."""

    def __init__(self, requests: list[bytes], expected: bytes, finished: asyncio.Future[None]) -> None:
        self.waiting, self.expected, self.finished = requests, expected, finished
        self.taken: list[float] = []
        self.failed = 0
        self.size = 0
        self._buffer = bytearray()
        self._began = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._next()

    def _next(self) -> None:
        if not self.waiting:
            self.transport.close()
            if not self.finished.done():
                self.finished.set_result(None)
            return
        self._began = time.perf_counter()
        self.transport.write(self.waiting.pop())

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
        self.taken.append(time.perf_counter() - self._began)
        self.failed += not self._buffer.startswith(b"HTTP/1.1 " + self.expected)
        self.size = length
        self._buffer.clear()
        self._next()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.finished.done():
            self.failed += 1
            self.finished.set_result(None)


async def load(url: str, requests: list[bytes], connections: int, expected: str) -> Load:
    """Send every request once over so many connections."""
    target, loop = urlsplit(url), asyncio.get_running_loop()
    waiting, callers, ends = list(reversed(requests)), [], []
    began = time.perf_counter()
    for _ in range(connections):
        end: asyncio.Future[None] = loop.create_future()
        caller = Caller(waiting, expected.encode(), end)
        await loop.create_connection(lambda caller=caller: caller, target.hostname, target.port)
        callers.append(caller)
        ends.append(end)
    await asyncio.gather(*ends)
    seconds = time.perf_counter() - began
    taken = sorted(1000 * one for caller in callers for one in caller.taken)
    failed = sum(caller.failed for caller in callers) + len(waiting)
    share = lambda part: taken[min(len(taken) - 1, int(part * len(taken)))]  # noqa: E731
    return Load(len(taken) - failed, failed, seconds, share(0.5), share(0.99), taken[-1], callers[0].size)


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
    found = asyncio.run(load(asked.url, requests, asked.connections, asked.expect))
    json.dump({**asdict(found), "rate": found.rate}, sys.stdout)


if __name__ == "__main__":
    main()
