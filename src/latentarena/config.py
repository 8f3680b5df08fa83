"""Configuration: YAML in, validated pydantic models out, `key=value` overrides between the two.

Every fault is one `ConfigError` line that names the key, the value and the choices.
"""

from __future__ import annotations

import difflib
import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from math import isfinite
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from latentarena.errors import ConfigError

__all__ = ["Config", "invisible", "override", "parse_json", "read_yaml", "validate"]

Model = TypeVar("Model", bound=BaseModel)
DEEPEST = 64  # levels of JSON
UNSEEN = {"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"}  # categories of characters


class Config(BaseModel):
    """A frozen configuration; unknown keys are refused with the known ones named."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, raw: Any) -> Any:
        if isinstance(raw, Mapping):
            for key in raw:
                if key not in cls.model_fields:
                    near = difflib.get_close_matches(str(key), cls.model_fields, n=1)
                    hint = f"did you mean {near[0]!r}? " if near else ""
                    known = ", ".join(cls.model_fields)
                    raise ValueError(f"unknown key {key!r}; {hint}the keys here are {known}")
        return raw


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
        reason = str(fault.get("ctx", {}).get("error") or fault["msg"])
        if not key:
            raise ConfigError(f"{source}: {reason}") from None
        spoken = fault["type"] != "missing" and not isinstance(fault["input"], Mapping)
        value = f" = {fault['input']!r}" if spoken else ""
        raise ConfigError(f"{source}: {key}{value}: {reason}") from None


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
        spoken.append(str(part))
    return spoken


class _UniqueKeys(yaml.SafeLoader):
    """A safe loader that refuses a key given twice, of which YAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key.value!r} is there twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping.

    Raises:
        ConfigError: naming the file, and the line where it is not YAML.
    """
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeys)  # noqa: S506 - a safe loader
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{path}{where}: not YAML: {getattr(error, 'problem', error)}") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: a recipe is a mapping of keys, not {type(raw).__name__}")
    return raw


def parse_json(content: bytes) -> Any:
    """Strict JSON as plain data: UTF-8, no key twice, no NaN or infinity, whole surrogate pairs, `DEEPEST` levels.

    Raises:
        ValueError, RecursionError: it is not; the message says why.
    """
    text = content.decode("utf-8")
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


def invisible(text: str) -> str:
    """The first character that cannot be seen, such as `U+202E`: control, zero-width, turning the line, unassigned.

    Nothing where all can be seen. A text that passes has one line, and looks like what it is.
    """
    for letter in text:
        if letter != " " and unicodedata.category(letter) in UNSEEN:
            return f"U+{ord(letter):04X}"
    return ""


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


def override(raw: Mapping[str, Any], assignments: Iterable[str]) -> dict[str, Any]:
    """A copy of nested plain data with dotted `key=value` assignments applied; values are read as YAML.

    Raises:
        ConfigError: an assignment without `=`, or a key that reaches into something that is no mapping.
    """
    changed: dict[str, Any] = _copied(raw)
    for assignment in assignments:
        key, separator, text = assignment.partition("=")
        if not separator or not key:
            raise ConfigError(f"{assignment!r} is not an override; write key=value, such as seed=1")
        *parents, last = key.split(".")
        node = changed
        for parent in parents:
            node = node.setdefault(parent, {})
            if not isinstance(node, dict):
                raise ConfigError(f"{key} = {text}: {parent!r} holds a value, not keys")
        try:
            node[last] = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError):  # the latter for impossible dates such as 2024-13-45
            raise ConfigError(f"{key} = {text}: the value is not YAML") from None
    return changed


def _copied(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _copied(value) if isinstance(value, Mapping) else value for key, value in raw.items()}
