"""Configuration: YAML in, validated pydantic models out, `key=value` overrides between the two.

Every fault is one `ConfigError` line that names the key, the value and the choices.

YAML is read by the rules of version 1.2 (`010` is ten, `1:30`, `yes` and `2024-01-31` are text), without aliases and
anchors' copies, at most `DEEPEST` levels deep. An override is a value of its key's type, not a YAML document.
"""

from __future__ import annotations

import codecs
import difflib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from math import isfinite
from pathlib import Path
from types import NoneType
from typing import Any, Literal, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from latentarena.errors import ConfigError
from latentarena.text import printable

Model = TypeVar("Model", bound=BaseModel)
DEEPEST = 64  # levels of JSON, YAML and dotted keys
LARGEST = 1 << 18  # bytes of a YAML file; recipes and contests have a few thousand
SHOWN = 100  # characters of a value in a message
LONGEST_REASON = 600  # characters: a reason may list choices, or quote a long value
INTEGER = re.compile(r"[-+]?[0-9]+")
FLOAT = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
LISTS = ("tuple_type", "list_type", "set_type", "frozen_set_type")  # pydantic's names of faults
MAPPINGS = ("dict_type", "mapping_type", "model_type", "model_attributes_type")


class Config(BaseModel):
    """A frozen configuration; unknown keys are refused with the known ones named."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, raw: Any) -> Any:
        if isinstance(raw, Mapping):
            fields, numeric = cls.model_fields, _numeric(cls)
            for key, value in raw.items():
                if key not in fields:
                    near = difflib.get_close_matches(str(key), fields, n=1)
                    hint = f"did you mean {near[0]!r}? " if near else ""
                    raise ValueError(f"unknown key {_shown(key)}; {hint}the keys here are {', '.join(fields)}")
                if key in numeric and _holds_bool(value):
                    raise ValueError(f"{key} = {_shown(value)}: a number is wanted, not true or false")
        return raw


@cache
def _numeric(model: type[BaseModel]) -> frozenset[str]:
    """Fields made of numbers alone, where Python would take true for 1."""
    kinds = {name: set(_kinds(field.annotation)) for name, field in model.model_fields.items()}
    return frozenset(name for name, leaves in kinds.items() if leaves & {int, float} and bool not in leaves)


def _kinds(annotation: Any) -> Iterator[Any]:
    """The classes that an annotation is made of, containers and parts alike: of `tuple[int, ...] | None` three."""
    origin = getattr(annotation, "__origin__", annotation)
    parts = get_args(annotation)
    if isinstance(origin, type):
        yield origin
    if origin is Literal:
        yield from map(type, parts)
    for part in parts if origin is not Literal else ():
        yield from _kinds(part)


def _holds_bool(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_holds_bool, value.values()))
    return any(map(_holds_bool, value)) if isinstance(value, list | tuple) else isinstance(value, bool)


def validate(model: type[Model], raw: Any, source: str) -> Model:
    """Build `model` from plain data.

    Raises:
        ConfigError: one line for the first fault, prefixed with `source` (a file or recipe name).
    """
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        key = ".".join(_spoken(fault["loc"], raw, keep_last=fault["type"] == "missing"))
        reason = _reason(fault["type"], fault["input"]) or str(fault.get("ctx", {}).get("error") or fault["msg"])
        reason = printable(reason if len(reason) <= LONGEST_REASON else f"{reason[:LONGEST_REASON]}...")
        if not key:
            raise ConfigError(f"{source}: {reason}") from None
        spoken = fault["type"] != "missing" and not isinstance(fault["input"], Mapping)
        value = f" = {_shown(fault['input'])}" if spoken else ""
        raise ConfigError(f"{source}: {key}{value}: {reason}") from None


def _reason(fault: str, value: Any) -> str:
    """What to write instead, where a list or a mapping is wanted; nothing for other faults."""
    if fault in LISTS:
        inside = str(value).strip("[]() ") if isinstance(value, str | int | float) else ""
        return f"a list is wanted: write [{inside if len(inside) < SHOWN else '...'}]"
    return "a mapping is wanted: give its keys one by one, or {key: value}" if fault in MAPPINGS else ""


def _shown(value: Any) -> str:
    """A value as a message shows it: not longer than a line."""
    try:
        text = repr(value)
    except RecursionError:
        return f"a {type(value).__name__} of very many levels"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _spoken(location: tuple[Any, ...], raw: Any, keep_last: bool) -> list[str]:
    """The part of a pydantic location that a person wrote: union tags drop out, a missing key stays."""
    spoken: list[str] = []
    for index, part in enumerate(location):
        if (isinstance(raw, Mapping) and part in raw) or (
            isinstance(raw, list) and isinstance(part, int) and part < len(raw)
        ):
            raw = raw[part]
        elif not (keep_last and index == len(location) - 1):
            continue
        spoken.append(printable(str(part)[:SHOWN]))
    return spoken


class _NotPlain(yaml.YAMLError):
    """YAML that says more than plain data."""

    def __init__(self, problem: str, event: yaml.Event) -> None:
        super().__init__(problem)
        self.problem, self.problem_mark = problem, event.start_mark


class _Loader(yaml.SafeLoader):
    """Plain data of YAML 1.2 that is no larger than its text: no aliases, no key twice, `DEEPEST` levels."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - those of YAML 1.1 go
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            raise _NotPlain("aliases (*name) are not read here", event)
        self.depth += 1
        if self.depth > DEEPEST:
            raise _NotPlain(f"nested more than {DEEPEST} levels deep", event)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key.value!r} is there twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """Quotes text that either version of YAML would take for something else."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


for _class, _tag, _pattern, _first in (
    (_Loader, "null", re.compile(r"~|null|Null|NULL|"), ["~", "n", "N", ""]),
    (_Loader, "bool", re.compile(r"true|True|TRUE|false|False|FALSE"), list("tTfF")),
    (_Loader, "int", INTEGER, list("-+0123456789")),
    (_Loader, "float", FLOAT, list("-+.0123456789")),
    (_Dumper, "float", FLOAT, list("-+.0123456789")),
):
    _class.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern.pattern})$"), _first)
_Loader.add_constructor("tag:yaml.org,2002:int", lambda _, node: int(node.value))  # 010 is ten


def yaml_text(value: Any) -> str:
    """Plain data as YAML, keys in their order, that `read_yaml` reads as the same."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def decode_text(content: bytes) -> str:
    """Text in UTF-8, or in UTF-16 with a byte order mark as PowerShell's `>` writes it; the mark is taken off.

    Raises:
        ValueError: it is neither; the message says so and what to do.
    """
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("not text in UTF-8; save it as UTF-8") from None
    if "\0" in text:
        raise ValueError("not text, or in an encoding other than UTF-8; save it as UTF-8")
    return text


def read_at_most(path: Path, most: int, too_large: str, way_out: str = "", name: str = "") -> bytes:
    """The content of a file that people give, of a bounded size.

    Args:
        path: of the file.
        most: bytes that it may have; too_large: what is said of one that has more, after its path.
        way_out: what is said where it cannot be read, and name: what it is called there; its path unless given.

    Raises:
        ConfigError: it cannot be read, or has more bytes.
    """
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        hint = f"; {way_out}" if way_out else ""
        raise ConfigError(f"cannot read {name or path}: {error.strerror}{hint}") from None
    if len(content) > most:
        raise ConfigError(f"{path} {too_large}")
    return content


def read_text(path: Path) -> str:
    """What a file that people write says, in the encodings that `decode_text` knows.

    Raises:
        ConfigError: it cannot be read, is larger than `LARGEST`, or no text.
    """
    too_large = f"is larger than {LARGEST >> 10} KiB: it is no recipe and no contest"
    content = read_at_most(path, LARGEST, too_large, name=_shown(str(path)))
    try:
        return decode_text(content)
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from None


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping.

    Raises:
        ConfigError: naming the file, and the line where it is not YAML.
    """
    try:
        raw = _plain(read_text(path))
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{path}{where}: not YAML: {getattr(error, 'problem', error)}") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: a recipe is a mapping of keys, not {type(raw).__name__}")
    return raw


def _plain(text: str) -> Any:
    return yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader


def parse_json(content: bytes) -> Any:
    """Strict JSON as plain data: UTF-8, no key twice, no NaN or infinity, whole surrogate pairs, `DEEPEST` levels.

    Raises:
        ValueError, RecursionError: it is not; the message says why.
    """
    if content.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ValueError("it begins with a byte order mark, or is UTF-16; save it as UTF-8 without a byte order mark")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("it is not text in UTF-8; save it as UTF-8") from None
    value = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite_float, object_pairs_hook=_unique_keys)
    if "\\ud" in text or "\\uD" in text:  # escapes of surrogates, which are text in pairs only
        json.dumps(value, ensure_ascii=False).encode()
    level, depth = [value], 0
    while level:
        if depth > DEEPEST:
            raise ValueError(f"it is nested more than {DEEPEST} levels deep")
        inner = [one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list)]
        level, depth = [part for parts in inner for part in parts], depth + 1
    return value


def read_json(path: Path, largest: int, what: str, way_out: str) -> Any:
    """Strict JSON from a file as plain data; see `parse_json`.

    Args:
        path: of the file.
        largest: bytes that it may have.
        what: it is to be, in messages.
        way_out: where such a file comes from.

    Raises:
        ConfigError: one line that names the file and what is wrong with it.
    """
    content = read_at_most(path, largest, f"is larger than {largest} bytes: it is no {what}", way_out)
    try:
        return parse_json(content)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not JSON: {error}") from None


def _finite_float(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError(f"{text[:40]} is larger than any number that can be held")
    return number


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) < len(pairs):
        key, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"key {key!r} appears twice")
    return unique


def override(raw: Mapping[str, Any], assignments: Iterable[str], model: type[BaseModel]) -> dict[str, Any]:
    """A copy of nested plain data with dotted `key=value` assignments applied.

    A value is read as its key's type in `model` asks: text stays the text it is, a number is decimal, `null` is none
    where a key may be left out, and `[...]` or `{...}` is a list or mapping where one is wanted. What is not of its
    type is left as text, for `validate` to refuse.

    Raises:
        ConfigError: an assignment without `=`, a key that reaches into something that is no mapping, or a list or
            mapping that cannot be read.
    """
    changed: dict[str, Any] = _copied(raw)
    for assignment in assignments:
        key, separator, text = assignment.partition("=")
        if not separator or not key:
            raise ConfigError(f"{_shown(assignment)} is not an override; write key=value, such as seed=1")
        *parents, last = keys = key.split(".")
        if len(keys) > DEEPEST:
            raise ConfigError(f"{key[:SHOWN]}... has {len(keys)} parts; no key has so many")
        node = changed
        for parent in parents:
            node = node.setdefault(parent, {})
            if not isinstance(node, dict):
                raise ConfigError(f"{key} = {text[:SHOWN]}: {parent!r} holds a value, not keys")
        try:
            node[last] = _value(text, set(_wanted(model, keys)))
        except (yaml.YAMLError, ValueError) as error:
            reason = getattr(error, "problem", None) or error
            raise ConfigError(f"{key} = {text[:SHOWN]}: not a list or mapping that can be read: {reason}") from None
    return changed


def _wanted(annotation: Any, keys: Sequence[str]) -> Iterator[Any]:
    """The classes that the value of a dotted key may have; nothing for a key that is not there."""
    if not keys:
        yield from _kinds(annotation)
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        field = annotation.model_fields.get(keys[0])
        yield from _wanted(field.annotation, keys[1:]) if field else ()
    elif getattr(annotation, "__origin__", None) is dict:
        yield from _wanted(get_args(annotation)[1], keys[1:])
    else:
        for part in get_args(annotation):  # a union, or what is annotated
            yield from _wanted(part, keys)


def _value(text: str, wanted: set[Any]) -> Any:
    """A text as a value of one of the classes, or the text where it is of none."""
    nested = any(isinstance(kind, type) and issubclass(kind, tuple | list | dict | BaseModel) for kind in wanted)
    if nested and text.lstrip().startswith(("[", "{")):
        return _plain(text)
    if text == "null" and NoneType in wanted:
        return None
    if text in ("true", "false") and bool in wanted:
        return text == "true"
    if nested or str in wanted:
        return text
    if int in wanted and INTEGER.fullmatch(text) and len(text) < SHOWN:
        return int(text)
    if float in wanted and re.fullmatch(rf"{FLOAT.pattern}|[-+]?inf|nan", text):
        return float(re.sub(r"\.(?=[a-zA-Z])", "", text))
    return text


def _copied(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _copied(value) if isinstance(value, Mapping) else value for key, value in raw.items()}
