"""Files that people write, read strictly: text, YAML and JSON as plain data, of a bounded size and depth.

YAML is read by the rules of version 1.2 (`010` is ten, `1:30`, `yes` and `2024-01-31` are text), without aliases and
anchors' copies, at most `DEEPEST` levels deep.
"""

from __future__ import annotations

import codecs
import json
import re
from collections import Counter
from math import isfinite
from pathlib import Path
from typing import Any

import yaml

from latentarena.errors import ConfigError
from latentarena.text import SHOWN, shown

DEEPEST = 64  # levels of JSON, YAML and dotted keys
DEEP = f"it is nested more than {DEEPEST} levels deep"
LARGEST = 1 << 18  # bytes of a YAML file; recipes and contests have a few thousand
BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
INTEGER = re.compile(r"[-+]?[0-9]+")
FLOAT = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)


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
        if getattr(event, "tag", None):
            raise _NotPlain("tags (!!name) are not read here", event)
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
    (_Loader, "bool", BOOL, list("tTfF")),
    (_Loader, "int", INTEGER, list("-+0123456789")),
    (_Loader, "float", FLOAT, list("-+.0123456789")),
    (_Dumper, "float", FLOAT, list("-+.0123456789")),
):
    _class.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern.pattern})$"), _first)


def bounded_integer(text: str) -> int:
    """A decimal number, of which 010 is ten.

    Raises:
        ValueError: it has more than `SHOWN` digits.
    """
    if len(text) > SHOWN:
        raise ValueError(f"a number of {len(text)} digits is over the limit of {SHOWN}")
    return int(text)


def _integer(_: _Loader, node: yaml.ScalarNode) -> int:
    try:
        return bounded_integer(node.value)
    except ValueError as error:
        raise yaml.constructor.ConstructorError(None, None, str(error), node.start_mark) from None


_Loader.add_constructor("tag:yaml.org,2002:int", _integer)


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
    content = read_at_most(path, LARGEST, too_large, name=shown(str(path)))
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
        raw = parse_yaml(read_text(path))
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{path}{where}: not YAML: {getattr(error, 'problem', error)}") from None
    if not isinstance(raw, dict):
        found = "it is empty" if raw is None else f"it is {'a list' if isinstance(raw, list) else 'a single value'}"
        raise ConfigError(f"{path}: a mapping of keys is wanted, such as name: mine; {found}")
    return raw


def parse_yaml(text: str) -> Any:
    """Plain data from YAML.

    Raises:
        yaml.YAMLError, ValueError: it is not; the message says why.
    """
    value = yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader
    _refuse_halves(value, text)
    return value


def parse_json(content: bytes) -> Any:
    """Strict JSON as plain data: UTF-8, no key twice, no NaN or infinity, whole surrogate pairs, numbers of at most
    `SHOWN` digits, `DEEPEST` levels.

    Raises:
        ValueError: it is not; the message says why.
    """
    if content.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ValueError("it begins with a byte order mark, or is UTF-16; save it as UTF-8 without a byte order mark")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("it is not text in UTF-8; save it as UTF-8") from None
    if "\0" in text:  # UTF-16 without a mark
        raise ValueError("it is not text in UTF-8; save it as UTF-8")
    try:
        value = json.loads(
            text,
            parse_int=bounded_integer,
            parse_float=_finite_float,
            parse_constant=_refuse_constant,
            object_pairs_hook=_unique_keys,
        )
    except RecursionError:
        raise ValueError(DEEP) from None
    level, depth = [value], 0
    while level:
        if depth > DEEPEST:
            raise ValueError(DEEP)
        inner = [one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list)]
        level, depth = [part for parts in inner for part in parts], depth + 1
    _refuse_halves(value, text)
    return value


def _refuse_halves(value: Any, text: str) -> None:
    """Raise a ValueError where escapes in a text wrote half of a surrogate pair into the value."""
    if "\\u" not in text and "\\U" not in text:
        return
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise ValueError(half_a_letter(error)) from None


def half_a_letter(error: UnicodeEncodeError) -> str:
    """What is wrong with a text that cannot be written in UTF-8."""
    half = ascii(error.object[error.start])[1:-1]
    return f"it holds {half}, which is half of a letter and no text by itself; write the whole letter, or leave it out"


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
    except ValueError as error:
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
