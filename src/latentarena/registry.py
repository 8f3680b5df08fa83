"""A registry is an explicit, unique-named mapping whose misses name the choices, and to which users add their own."""

from __future__ import annotations

import inspect
import re
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
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


def function_of(*takes: str) -> Callable[[Any], str]:
    """The check of a registry of functions of so many things: nothing, or what is wanted of a part that is none."""

    def check(part: Any) -> str:
        return "" if callable(part) and called_with(part, len(takes)) else f"a function of {' and '.join(takes)}"

    return check


def called_with(function: Callable[..., Any], rows: int, names: Sequence[str] = ()) -> bool:
    """Whether a function can be called with so many arguments, and some more by name."""
    try:
        inspect.signature(function).bind(*range(rows), **dict.fromkeys(names))
    except TypeError:
        return False
    except ValueError:  # one of C, which does not tell
        return True
    return True


class Registry(Mapping[str, T]):
    """A mapping from names to parts of one kind.

    Args:
        wanted: says what a part has to be where one that is registered is none, and nothing where it is one.

    Attributes:
        kind: what its parts are called.
        foreign: origins, by name, of the parts that `register` added.

    Raises:
        ConfigError: on look-up of an unknown name; the message lists the known ones.
    """

    def __init__(self, kind: str, wanted: Callable[[Any], str] = lambda part: "", **parts: T) -> None:
        self.kind, self._wanted = kind, wanted
        self.foreign: dict[str, PartOrigin] = {}
        self._parts = parts
        REGISTRIES[kind] = self

    def register(self, name: str) -> Callable[[P], P]:
        """Decorator that adds a part of your own, which recipes then name.

        Raises:
            ConfigError: the name is taken by a part from elsewhere, it is no name, or the part is of another kind.
        """
        if not isinstance(name, str):
            raise ConfigError(f"{self.kind} without a name: register it with one, such as @....register('mine')")
        origin = origin_of(sys._getframe(1).f_globals)

        def add(part: P) -> P:
            self._add(name, part, origin)
            return part

        return add

    def _add(self, name: str, part: Any, origin: PartOrigin) -> None:
        if not re.fullmatch("[a-z][a-z0-9_-]{0,39}", name):
            raise ConfigError(f"{self.kind} {name[:80]!r}: a name of small letters, digits, - and _ is wanted")
        other = self.foreign.get(name)
        if other is not None and other.place != origin.place and other.digest == origin.digest:
            return  # the same source once more, as of an installed package and of the file that it was made of
        if name in self and (other is None or other.place != origin.place):
            where = "latentarena" if other is None else other.name if other.name != origin.name else other.place
            raise ConfigError(f"{self.kind} {name!r} of {origin.name}: {where} has one of this name; choose another")
        if wanted := self._wanted(part):
            raise ConfigError(f"{self.kind} {name!r} of {origin.name} is none: register {wanted}")
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


def words_of(kind: str, part: object) -> str:
    """What a part is called in a refusal: `coupling 'turned' of own.py`, or `the coupling` of one without a name."""
    known = REGISTRIES[kind]
    for name, origin in known.foreign.items():
        if known[name] is part:
            return f"{kind} {name!r} of {origin.name}"
    return kind if kind.endswith("s") and not kind.endswith("ss") else f"the {kind}"
