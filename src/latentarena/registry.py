"""A registry is a small, explicit, unique-named mapping whose misses name the choices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

from latentarena.errors import ConfigError

T = TypeVar("T")


class Registry(Mapping[str, T]):
    """A frozen mapping from names to parts of one kind.

    Raises:
        ConfigError: on look-up of an unknown name; the message lists the known ones.
    """

    def __init__(self, kind: str, **parts: T) -> None:
        self.kind = kind
        self._parts = parts

    def __getitem__(self, name: str) -> T:
        if name not in self._parts:
            raise ConfigError(f"{self.kind} {name!r} is unknown; choose from {', '.join(self._parts)}")
        return self._parts[name]

    def __contains__(self, name: object) -> bool:
        return name in self._parts

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)
