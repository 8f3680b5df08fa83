"""A registry is an explicit, unique-named mapping whose misses name the choices, and to which users add their own."""

from __future__ import annotations

import re
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from latentarena.errors import ConfigError
from latentarena.files import digest, source_of
from latentarena.text import meant

T = TypeVar("T")
P = TypeVar("P")


@dataclass(frozen=True)
class PartOrigin:
    """The source of a part that does not come with this package.

    Attributes:
        name: of the file, or of the package.
        place: where it lies on this machine.
        digest: SHA-256 of its Python source. What has no file, such as a notebook's cell, gets a random one, so that
            nothing trained with it is taken from the cache.
    """

    name: str
    place: str
    digest: str


def origin_of(module: Mapping[str, Any]) -> PartOrigin:
    """The origin of what a module with these globals defines."""
    file, package = module.get("__file__"), sys.modules.get(str(module.get("__name__")).partition(".")[0])
    if file is None:
        return PartOrigin("an interactive session", "", secrets.token_hex(32))
    for folder in getattr(package, "__path__", ()):
        return PartOrigin(Path(folder).name, folder, source_of(Path(folder)))
    return PartOrigin(Path(file).name, file, digest(Path(file).read_bytes()))


def source_behind(part: type) -> str:
    """SHA-256 of the source that a class is defined in; nothing for one of this package."""
    if part.__module__.partition(".")[0] == __name__.partition(".")[0]:
        return ""
    return origin_of(vars(sys.modules[part.__module__])).digest


class Registry(Mapping[str, T]):
    """A mapping from names to parts of one kind.

    Attributes:
        kind: what its parts are called.
        foreign: origins, by name, of the parts that `register` added.

    Raises:
        ConfigError: on look-up of an unknown name; the message lists the known ones.
    """

    def __init__(self, kind: str, **parts: T) -> None:
        self.kind = kind
        self.foreign: dict[str, PartOrigin] = {}
        self._parts = parts
        REGISTRIES[kind] = self

    def register(self, name: str) -> Callable[[P], P]:
        """Decorator that adds a part of your own, which recipes then name.

        Raises:
            ConfigError: the name is taken by a part from elsewhere, or it is no name.
        """
        origin = origin_of(sys._getframe(1).f_globals)

        def add(part: P) -> P:
            self._add(name, part, origin)
            return part

        return add

    def _add(self, name: str, part: Any, origin: PartOrigin) -> None:
        if not re.fullmatch("[a-z][a-z0-9_-]{0,39}", name):
            raise ConfigError(f"{self.kind} {name[:80]!r}: a name of small letters, digits, - and _ is wanted")
        if name in self and (name not in self.foreign or self.foreign[name].place != origin.place):
            where = self.foreign[name].name if name in self.foreign else "latentarena"
            raise ConfigError(f"{self.kind} {name!r} of {origin.name}: {where} has one of this name; choose another")
        self._parts[name], self.foreign[name] = part, origin

    def __getitem__(self, name: str) -> T:
        if name not in self._parts:
            choices = f"{meant(str(name), self)}choose from {', '.join(self._parts)}"
            raise ConfigError(f"{self.kind} {name!r} is unknown; {choices}")
        return self._parts[name]

    def __contains__(self, name: object) -> bool:
        return name in self._parts

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)

    __eq__, __hash__ = object.__eq__, object.__hash__  # annotations hold registries, and are hashed


REGISTRIES: dict[str, Registry[Any]] = {}
"""Those of the modules that are imported, by the kind of their parts."""
