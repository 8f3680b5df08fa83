"""Configuration: plain data in, validated pydantic models out, `key=value` overrides between the two.

Every fault is one `ConfigError` line that names the key, the value and the choices. An override is a value of its key's
type, not a YAML document.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from math import isfinite
from types import NoneType
from typing import Any, ClassVar, Literal, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from latentarena.documents import BOOL, DEEPEST, FLOAT, INTEGER, bounded_integer, parse_yaml
from latentarena.errors import ConfigError
from latentarena.text import SHOWN, meant, printable, shown

Model = TypeVar("Model", bound=BaseModel)
LONGEST_REASON = 600  # characters: a reason may list choices, or quote a long value
LISTS = ("tuple_type", "list_type", "set_type", "frozen_set_type")  # pydantic's names of faults
TIMES = ("timezone_aware", "datetime_parsing", "datetime_from_date_parsing", "datetime_type")
MAPPINGS = ("dict_type", "mapping_type", "model_type", "model_attributes_type")


class Config(BaseModel):
    """A frozen configuration; unknown keys are refused with the known ones named.

    Attributes:
        OTHERWISE: keys by what they may be called elsewhere, of unlike spelling.
    """

    OTHERWISE: ClassVar[Mapping[str, str]] = {}
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, raw: Any) -> Any:
        if isinstance(raw, Mapping):
            fields, numeric, switches = cls.model_fields, _numeric(cls), _switches(cls)
            for key, value in raw.items():
                if key not in fields:
                    near = meant(cls.OTHERWISE.get(str(key), str(key)), fields)
                    known = f"{near}the keys here are {', '.join(fields)}"
                    raise ValueError(f"unknown key {shown(key)}; {known}")
                if key in numeric and _holds_bool(value):
                    raise ValueError(f"{key} = {shown(value)}: a number is wanted, not true or false")
                if key in numeric and _holds_number_as_text(value, numeric[key]):
                    raise ValueError(f"{key} = {shown(value)}: a number is wanted, in digits alone and without quotes")
                if key in switches and isinstance(value, str | int | float) and not isinstance(value, bool):
                    raise ValueError(f"{key} = {shown(value)}: write true or false")
        return raw


@cache
def _numeric(model: type[BaseModel]) -> dict[str, frozenset[Any]]:
    """Fields made of numbers alone, where Python would take true for 1, with the classes that they are made of."""
    kinds = {name: frozenset(_kinds(field.annotation)) for name, field in model.model_fields.items()}
    return {name: leaves for name, leaves in kinds.items() if leaves & {int, float} and bool not in leaves}


@cache
def _switches(model: type[BaseModel]) -> frozenset[str]:
    """Fields that are true or false, for which Python would take 1 and yes too."""
    kinds = {name: set(_kinds(field.annotation)) for name, field in model.model_fields.items()}
    return frozenset(name for name, leaves in kinds.items() if bool in leaves and leaves <= {bool, NoneType})


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


def _holds_number_as_text(value: Any, kinds: frozenset[Any]) -> bool:
    """Whether it is, or holds, a text that pydantic would read as a number of these kinds: 1_000, or '28' in quotes."""
    if isinstance(value, Mapping | list | tuple):
        parts = value.values() if isinstance(value, Mapping) else value
        return any(_holds_number_as_text(part, kinds & {int, float}) for part in parts)
    if not isinstance(value, str) or any(map(_has_parts, kinds)):
        return False
    try:
        number = float(value)
    except ValueError:
        return False
    return float in kinds or not isfinite(number) or number.is_integer()


def _has_parts(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, tuple | list | dict | BaseModel)


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
        value = f" = {shown(fault['input'])}" if spoken else ""
        if fault["type"] in MAPPINGS and isinstance(fault["input"], str) and list(_wanted(model, [key, "name"])):
            reason = f"{reason}; or {key}.name={printable(fault['input'][:SHOWN])} for a name"
        raise ConfigError(f"{source}: {key}{value}: {reason}") from None


def _reason(fault: str, value: Any) -> str:
    """What to write instead, where a list, a mapping, a time or a finite number is wanted; nothing for other faults."""
    if fault in LISTS:
        inside = str(value).strip("[]() ") if isinstance(value, str | int | float) else ""
        return f"a list is wanted: write [{inside if len(inside) < SHOWN else '...'}]"
    if fault == "union_tag_not_found":
        return "its kind is missing: write {kind: NAME}, or set its key kind"
    if fault in TIMES:
        return "a date with time and time zone is wanted, such as 2026-12-01T23:59:00+01:00"
    if isinstance(value, float) and not isfinite(value):
        return "a finite number is wanted"
    return "a mapping is wanted: give its keys one by one, or {key: value}" if fault in MAPPINGS else ""


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
            raise ConfigError(f"{shown(assignment)} is not an override; write key=value, such as seed=1")
        *parents, last = keys = key.split(".")
        if len(keys) > DEEPEST:
            raise ConfigError(f"{key[:SHOWN]}... has {len(keys)} parts; no key has so many")
        refuse_misplaced(keys, model, changed)
        node = changed
        for depth, parent in enumerate(parents, 1):
            node, kinds = node.setdefault(parent, {}), set(_wanted(model, keys[:depth]))
            if not isinstance(node, dict) or (kinds and not any(map(_has_parts, kinds - {tuple, list}))):
                raise ConfigError(f"{key} = {text[:SHOWN]}: {parent!r} holds a value, not keys")
        try:
            node[last] = _value(text, set(_wanted(model, keys)))
        except (yaml.YAMLError, ValueError) as error:
            reason = getattr(error, "problem", None) or error
            unread = "" if INTEGER.fullmatch(text) else "not a list or mapping that can be read: "
            raise ConfigError(f"{key} = {text[:SHOWN]}: {unread}{reason}") from None
    return changed


def refuse_misplaced(keys: Sequence[str], model: type[BaseModel], written: Any) -> None:
    """Refuse a key that is not there, but elsewhere in what is written: `lr`, or `generator.lr` (ConfigError)."""
    misspelt = len(keys) > 1 and not list(_wanted(model, keys[:-1]))  # which `validate` has the word for
    key = ".".join(keys)
    found = [] if misspelt else keys_meant(key, model, written)
    if found and found != [key]:
        raise ConfigError(f"unknown key {shown(key)}; did you mean {' or '.join(found)}?")


def keys_meant(key: str, model: type[BaseModel], written: Any) -> list[str]:
    """The dotted keys that are meant by one: itself where it is there, else those of its last part in `written`."""
    keys = key.split(".")
    return [key] if list(_wanted(model, keys)) else _paths_of(keys[-1], model, written)


def _paths_of(name: str, model: type[BaseModel], written: Any, where: str = "") -> list[str]:
    """The dotted keys that end in a name, inside of what is written."""
    found = [f"{where}{name}"] if name in model.model_fields and where else []
    for key, field in model.model_fields.items():
        below = written.get(key) if isinstance(written, Mapping) else None
        for kind in dict.fromkeys(_kinds(field.annotation)):
            if isinstance(below, Mapping) and isinstance(kind, type) and issubclass(kind, BaseModel):
                found += _paths_of(name, kind, below, f"{where}{key}.")
    return list(dict.fromkeys(found))


def merged(raw: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of nested plain data with values put in: `{"a.b": 1}` and `{"a": {"b": 1}}` change one key and no other.

    A mapping with a `kind` of its own replaces what was there, since the keys of another kind would not fit it.

    Raises:
        ConfigError: a key that reaches into something that is no mapping.
    """
    changed = _copied(raw)
    for key, value in changes.items():
        *parents, last = key.split(".")
        node = changed
        for parent in parents:
            node = node.setdefault(parent, {})
            if not isinstance(node, dict):
                raise ConfigError(f"{key} = {shown(value)}: {parent!r} holds a value, not keys")
        old = node.get(last)
        if isinstance(value, Mapping) and isinstance(old, Mapping) and "kind" not in value:
            node[last] = merged(old, value)
        else:
            node[last] = value
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
        parts = annotation.values() if isinstance(annotation, Mapping) else get_args(annotation)
        for part in parts:  # of a union, of what is annotated, or of a registry in an annotation
            yield from _wanted(part, keys)


def _value(text: str, wanted: set[Any]) -> Any:
    """A text as a value of one of the classes, or the text where it is of none."""
    nested = any(map(_has_parts, wanted))
    if nested and text.lstrip().startswith(("[", "{")):
        return parse_yaml(text)
    if text == "null" and NoneType in wanted:
        return None
    if bool in wanted and BOOL.fullmatch(text):
        return text.lower() == "true"
    if nested or str in wanted:
        return text
    if int in wanted and INTEGER.fullmatch(text):
        return bounded_integer(text)
    if float in wanted and re.fullmatch(rf"{FLOAT.pattern}|[-+]?inf|nan", text):
        return float(re.sub(r"\.(?=[a-zA-Z])", "", text))
    return text


def _copied(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _copied(value) if isinstance(value, Mapping) else value for key, value in raw.items()}
