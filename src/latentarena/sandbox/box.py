"""Boxes: the one way for a stranger's file to be looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from latentarena.errors import SandboxError
from latentarena.sandbox.answers import Expected
from latentarena.sandbox.room import Limits, Room, short_name
from latentarena.sandbox.tier import standing
from latentarena.sandbox.wire import Array, Frame


class Box:
    """A program in a sandbox, for the length of a `with` block in one thread.

    Args:
        program: its name in `sandbox/programs`, or the module's full name.
        arguments: for its `prepare`.
        readable: files and folders of this machine to show it read-only, by absolute path inside.
        files: a stranger's files, shown read-only under `/in`, by name.
        limits: what it may use.
        least: the tier that this machine must have.

    Raises:
        SandboxError: on entering, where the tier is lower or the sandbox does not start.
    """

    def __init__(
        self,
        program: str,
        arguments: Sequence[str] = (),
        *,
        readable: Mapping[str, Path] | None = None,
        files: Mapping[str, bytes] | None = None,
        limits: Limits,
        least: int,
    ) -> None:
        self.program, self._module = short_name(program), program
        self.arguments, self.limits, self.least = arguments, limits, least
        self.readable, self.files = readable or {}, files or {}
        self._room: Room | None = None

    def __enter__(self) -> Self:
        found = standing()
        if found.tier < self.least:
            need = f"{self.program} needs a sandbox of tier {self.least}, this machine has tier {found.tier}"
            raise SandboxError("no-sandbox", f"{need}: {found.reason}")
        self._room = Room(self._module, self.arguments, self.readable, self.files, self.limits, found.tier == 0)
        if self.least >= 2 and not self._room.counted:
            self._room.close()
            raise SandboxError("no-sandbox", f"{self.program}: no control group could be made for its box")
        return self

    def __exit__(self, *_: object) -> None:
        if self._room:
            self._room.close()

    @property
    def log(self) -> str:
        """The end of what the program printed: a stranger's words, not to be trusted."""
        return self._room.log if self._room else ""

    def call(
        self,
        verb: str,
        expected: Expected,
        facts: dict[str, Any] | None = None,
        arrays: Mapping[str, Array] | None = None,
    ) -> tuple[dict[str, Any], dict[str, Array]]:
        """Ask the program.

        Args:
            verb: one of the program's.
            expected: the only facts and arrays that it may answer; anything else is refused.
            facts: JSON.
            arrays: by name.

        Returns:
            the facts and arrays of its answer, in the form that was expected; whether they are true nobody knows.

        Raises:
            SandboxError: by `reason`. A program that refused can be asked again; one that broke a limit, spoke nonsense
                or died is ended.
        """
        if self._room is None:
            raise SandboxError("died", f"{self.program}: its box is not open")
        reply = self._room.call(Frame(verb, facts or {}, arrays or {}), expected)
        return reply.facts, dict(reply.arrays)
