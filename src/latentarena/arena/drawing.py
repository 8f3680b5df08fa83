"""Another process that draws with entries: it may be slow, die or be killed, and costs one drawing then."""

from __future__ import annotations

import base64
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from latentarena.arena.evaluation import PASSED_ON
from latentarena.arena.objects import Objects
from latentarena.errors import ConfigError, StoreBusy, StoreError
from latentarena.files import scratch

PROGRAM = (sys.executable, "-m", "latentarena.use.playground")
SECONDS = 30.0  # that a drawing may take
START = 60.0  # more for the first drawing of a process, which imports and loads
LARGEST = 8 << 20  # bytes of an answer
KEPT = 16  # bundles on disk


@dataclass(frozen=True)
class Drawing:
    """A picture and what belongs to it; `kind` is its media type, empty where there is none."""

    kind: str = ""
    content: bytes = b""
    facts: Mapping[str, Any] = field(default_factory=dict)


class DrawingProcess:
    """One drawing process, started when it is first asked, and again after it died. For one thread at a time."""

    def __init__(self, objects: Objects, program: tuple[str, ...] = PROGRAM, seconds: float = SECONDS) -> None:
        """Keep where bundles are.

        Args:
            program: the command that draws; seconds: that a drawing may take.
        """
        self._objects, self._program, self._seconds = objects, program, seconds
        self._scratch = ExitStack()
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def draw(self, digest: str, asked: Mapping[str, Any]) -> Drawing:
        """Have something drawn with a bundle.

        Args:
            digest: of its zip.
            asked: `verb` and its arguments, see `study.playground`.

        Raises:
            ConfigError: it cannot be asked of this model.
            StoreBusy: the drawing took too long.
            StoreError: the process died over it, or there is no such bundle.
        """
        answer = self._answer({"bundle": str(self._file(digest)), "asked": dict(asked)})
        if "refused" in answer:
            raise ConfigError(str(answer["refused"]))
        content = base64.b64decode(answer.get("content", ""))
        return Drawing(str(answer.get("kind", "")), content, answer.get("facts", {}))

    def interrupt(self) -> None:
        """Kill the process, from any thread: what it draws fails."""
        process = self._process
        if process is not None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    def close(self) -> None:
        """End the process and forget the bundles."""
        self._kill()
        self._scratch.close()
        self._folder = None

    def forget(self, digest: str) -> None:
        """Take a bundle's file away."""
        if self._folder is not None:
            (self._folder / f"{digest}.zip").unlink(missing_ok=True)

    def _file(self, digest: str) -> Path:
        """The bundle as a file; the oldest makes room."""
        if self._folder is None:
            self._folder = self._scratch.enter_context(scratch("arena-playground-"))
        path = self._folder / f"{digest}.zip"
        if not path.exists():
            for old in sorted(self._folder.iterdir(), key=lambda one: one.stat().st_mtime)[: -KEPT + 1]:
                old.unlink(missing_ok=True)
            path.write_bytes(self._objects.read(digest))
        return path

    def _answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        fresh = self._process is None or self._process.poll() is not None
        process = self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
            answer: dict[str, Any] = json.loads(self._line(process.stdout.fileno(), self._seconds + START * fresh))
        except TimeoutError:
            self._kill()
            raise StoreBusy(f"the drawing took more than {self._seconds:g} s; ask for fewer steps") from None
        except (OSError, ValueError):
            self._kill()
            raise StoreError("the drawing process died over this; it is started again for the next drawing") from None
        return answer

    def _line(self, pipe: int, seconds: float) -> bytes:
        until, taken = time.monotonic() + seconds, bytearray()
        while not taken.endswith(b"\n"):
            left = until - time.monotonic()
            if left <= 0 or not select.select([pipe], [], [], left)[0]:
                raise TimeoutError
            piece = os.read(pipe, 1 << 16)
            taken += piece
            if not piece or len(taken) > LARGEST:
                raise ValueError
        return bytes(taken)

    def _running(self) -> subprocess.Popen[bytes]:
        """The process; it ends with this one, for then its stdin does. (A death signal would follow the thread.)"""
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                self._program,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={name: os.environ[name] for name in PASSED_ON if name in os.environ},
                start_new_session=True,
            )
        return self._process

    def _kill(self) -> None:
        self.interrupt()
        if self._process is not None:
            self._process.communicate()
            self._process = None
