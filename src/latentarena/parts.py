"""Parts of users' own: loaded here and nowhere else, found in configurations, named on bundles' cards.

Loading runs their code. So only what the user of this process names is loaded: by a recipe, an option or an argument,
or by having installed it. Nothing that a bundle, a card or a submitted file says reaches `load_parts`.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from importlib.metadata import entry_points
from importlib.util import module_from_spec, spec_from_file_location
from inspect import Signature, getattr_static, signature
from operator import or_
from os import PathLike
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, Field, GetCoreSchemaHandler, TypeAdapter
from pydantic_core import CoreSchema, core_schema

from latentarena.bounds import Label
from latentarena.config import Config
from latentarena.errors import ArenaError, ConfigError
from latentarena.files import digest, expanded
from latentarena.registry import REGISTRIES, PartOrigin, Registry, called_with
from latentarena.text import meant, plain_line, shown

log = logging.getLogger(__name__)
GROUP = "latentarena.parts"  # of entry points
C = TypeVar("C", bound=Config)
_loaded: dict[str, str] = {}  # digests of files by path; entry points by name
_brought: dict[str, str] = {}  # what `load_parts` was told, by the place of the parts that came with it
OF_OWN = "one of your own needs its file: --plugin FILE, in Python parts=[FILE], in a recipe parts: [FILE]"


class ForeignPart(Config):
    """A part that does not come with this package, as a card names it.

    Attributes:
        kind, name: such as `backbone` and `gated`.
        source: name of its file or package; digest: SHA-256 of that.
    """

    kind: Label
    name: Label
    source: Label
    digest: str = Field(pattern="^[0-9a-f]{64}$")

    @property
    def words(self) -> str:
        """Such as `backbone 'gated' of my_parts.py`."""
        return f"{self.kind} {self.name!r} of {self.source}"

    @property
    def loaded(self) -> PartOrigin | None:
        """The origin of the part of this name that is loaded here; None where there is none."""
        known = REGISTRIES.get(self.kind)
        return None if known is None else known.foreign.get(self.name)


class Kinds(Registry[type[C]]):
    """Configurations of one kind of part, told apart by their key `kind`; in a type's annotation it reads them."""

    def __init__(self, kind: str, shipped: Any = None) -> None:
        """Those of a union, or none, which `register` adds others to."""
        kinds = get_args(shipped)
        super().__init__(kind, **{one.model_fields["kind"].default: one for one in kinds})
        self._build = signature(kinds[0].build) if kinds else None
        self._adapter: TypeAdapter[Any] | None = None

    def _add(self, name: str, part: Any, origin: PartOrigin) -> None:
        kind = part.model_fields.get("kind") if isinstance(part, type) and issubclass(part, Config) else None
        if kind is None or kind.default != name or get_args(kind.annotation) != (name,):
            wanted = f"a latentarena.config.Config with kind: Literal[{name!r}] = {name!r}"
            raise ConfigError(f"{self.kind} {name!r} of {origin.name} is none: register {wanted}")
        if self._build is not None:
            _refuse_unbuildable(part, self._build, f"{self.kind} {name!r} of {origin.name}")
        super()._add(name, part, origin)
        self._adapter = None

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        any_kind = core_schema.simple_ser_schema("any")
        return core_schema.no_info_wrap_validator_function(self._read, handler(source), serialization=any_kind)

    def _read(self, raw: Any, _: Callable[[Any], Any]) -> C:
        kind = raw.get("kind") if isinstance(raw, Mapping) else None
        if self and isinstance(kind, str) and kind not in self:
            raise ValueError(f"kind = {shown(kind)}: {meant(kind, self)}choose from {', '.join(self)}; {OF_OWN}")
        if self._adapter is None:
            self._adapter = TypeAdapter(self._union())
        return self._adapter.validate_python(raw)  # type: ignore[no-any-return]

    def _union(self) -> Any:
        """The type of them all.

        Raises:
            ValueError: there are none.
        """
        if not self:
            raise ValueError(f"no {self.kind} is loaded; give a file that registers one with --plugin, or as parts")
        union: Any = reduce(or_, self.values())
        return Annotated[union, Field(discriminator="kind")] if len(self) > 1 else union


def _refuse_unbuildable(part: type, wanted: Signature, what: str) -> None:
    """Refuse a configuration without a `build` that can be called as that of the shipped ones (ConfigError)."""
    takes = list(wanted.parameters.values())
    rows = [one.name for one in takes if one.default is one.empty]
    build, bound = (
        getattr(part, "build", None),
        isinstance(getattr_static(part, "build", None), staticmethod | classmethod),
    )
    more = [one.name for one in takes if one.name not in rows]
    if not callable(build) or not called_with(build, len(rows) - bound, more):
        called = ", ".join(str(one.replace(annotation=one.empty)) for one in takes)
        raise ConfigError(f"{what} cannot be built: give it a method build({called})")


@dataclass(frozen=True)
class Chosen(AfterValidator):
    """The check that a value is one of the names in `known`."""

    known: Iterable[str] = ()


def one_of(known: Iterable[str], *more: str) -> Chosen:
    """The check that a value is a name among the known ones, or one of some more."""

    def check(value: str) -> str:
        names = [*known, *more]
        if value not in names:
            own = f"; {OF_OWN}" if isinstance(known, Registry) else ""
            raise ValueError(f"{meant(value, names)}choose from {', '.join(names)}{own}")
        return value

    return Chosen(check, known)


def foreign_in(config: BaseModel) -> tuple[ForeignPart, ...]:
    """The parts of a configuration that do not come with this package."""
    found = {(one.kind, one.name): one for one in _foreign_in(config)}
    return tuple(found[key] for key in sorted(found))


def _foreign_in(config: BaseModel) -> Iterator[ForeignPart]:
    for key, field in type(config).model_fields.items():
        value = getattr(config, key)
        for known in (one.known for one in field.metadata if isinstance(one, Chosen)):
            if isinstance(known, Registry) and value in known.foreign:
                yield _named(known, value)
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, Config):
                for kinds in REGISTRIES.values():
                    yield from (_named(kinds, name) for name in kinds.foreign if kinds[name] is type(part))
                yield from _foreign_in(part)


def sources_of(parts: Iterable[ForeignPart]) -> set[str]:
    """What `load_parts` was told to load these: files in full, and names of installed parts.

    A part that was registered by other means has none, such as one of the program that runs.
    """
    origins = (part.loaded for part in parts)
    return {_brought[one.place] for one in origins if one is not None and one.place in _brought}


def _named(known: Registry[Any], name: str) -> ForeignPart:
    origin = known.foreign[name]
    return ForeignPart(kind=known.kind, name=name, source=origin.name[:200], digest=origin.digest)


def load_parts(named: Iterable[str | PathLike[str]] = ()) -> None:
    """Import parts of the user's own: those of installed packages, and those named.

    A file that has changed since it was loaded is loaded anew.

    Args:
        named: Python files, or names of entry points in the group `latentarena.parts`.

    Raises:
        ConfigError: there is no such file or package, or it cannot be imported.
    """
    for point in entry_points(group=GROUP):
        if point.name not in _loaded:
            _loaded[point.name] = point.value
            try:
                with _bringing(point.name):
                    point.load()
            except Exception as error:
                log.warning("the parts of the installed package %s are left out: %s", point.value, fault_words(error))
    for one in map(str, named):
        if one.endswith(".py"):
            path = expanded(one, "parts: ").resolve()
            with _bringing(str(path)):
                _load_file(path)
            _brought.setdefault(str(path), str(path))  # one that was imported before, too
        elif not entry_points(group=GROUP, name=one):
            there = ", ".join(sorted(entry_points(group=GROUP).names)) or "none are"
            raise ConfigError(f"parts {one[:200]!r}: give a .py file, or the name of installed parts ({there} here)")


@contextmanager
def _bringing(told: str) -> Iterator[None]:
    """Note what brought the parts that are registered meanwhile, by that itself or by what it imports."""
    before = _places()
    yield
    for place in _places() - before:
        _brought[place] = told


def _places() -> set[str]:
    return {origin.place for known in REGISTRIES.values() for origin in known.foreign.values()}


def _load_file(path: Path) -> None:
    try:
        source = digest(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"parts {path}: {error.strerror}; give the path of a Python file") from None
    if _loaded.get(str(path)) == source:
        return
    name = f"latentarena_parts_{source[:16]}"
    spec = spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except ArenaError as error:
        raise ConfigError(f"parts {path}: {error}") from None
    except SystemExit:
        raise ConfigError(f"parts {path}: it ends the program as it is loaded; leave sys.exit() out") from None
    except Exception as error:
        raise ConfigError(f"parts {path}: {fault_words(error, str(path))}{_beside(error, path)}") from error
    _loaded[str(path)] = source


def _beside(error: Exception, path: Path) -> str:
    """The way out where a file imports another that lies beside it."""
    missing = isinstance(error, ImportError) and ((error.name or "").partition(".")[0] or "a module")
    relative = isinstance(error, ImportError) and "relative import" in str(error)
    if not relative and not any((path.parent / f"{missing}{end}").exists() for end in ("", ".py")):
        return ""
    return "; what lies beside it is not found: put all into one file, make it a package, or set PYTHONPATH"


def fault_in_parts(error: Exception) -> str:
    """Which file of parts of the user's own failed, and how; nothing where the fault lies elsewhere."""
    files = [frame.filename for frame in traceback.extract_tb(error.__traceback__) if frame.filename in _loaded]
    return f"parts {files[-1]}: {fault_words(error, files[-1])}" if files else ""


def fault_words(error: Exception, file: str = "") -> str:
    """What went wrong in somebody's own code, and in which line of the file."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    where = f"line {lines[-1]}: " if lines else ""
    return f"{where}{type(error).__name__}: {plain_line(str(error), 300)}"
