"""Cards that the card's gate must refuse (row 14): what no schema gets to see."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from corpus.case import Case

__all__ = ["REFUSED", "CardCase"]


@dataclass(frozen=True)
class CardCase(Case):
    """A file by the function that makes it, and the slug of its refusal."""

    reason: str
    make: Callable[[], bytes]


def named(name: str) -> Callable[[], bytes]:
    return lambda: json.dumps({"name": name}).encode()


def keyed(name: str) -> Callable[[], bytes]:
    return lambda: json.dumps({"provenance": {name: 1}}).encode()


def text(content: str, encoding: str = "utf-8") -> Callable[[], bytes]:
    return lambda: content.encode(encoding)


CASES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "empty": ("card-json", lambda: b""),
    "not JSON": ("card-json", lambda: b"name: x"),
    "YAML with an object": ("card-json", lambda: b"!!python/object/apply:os.system [id]"),
    "pickle": ("card-json", lambda: b"\x80\x04\x95" + bytes(99)),
    "half": ("card-json", lambda: b'{"name": "a'),
    "more after it": ("card-json", lambda: b'{"name": "a"} {}'),
    "NUL after it": ("card-json", lambda: b'{"name": "a"}\0'),
    "comment": ("card-json", lambda: b'{"name": "a"} // hello'),
    "trailing comma": ("card-json", lambda: b'{"name": "a",}'),
    "key twice": ("card-json", lambda: b'{"name": "a", "name": "b"}'),
    "key twice by escape": ("card-json", lambda: b'{"name": "a", "n\\u0061me": "b"}'),
    "inner key twice": ("card-json", lambda: b'{"hashes": {"a": 1, "a": 2}}'),
    "NaN": ("card-json", lambda: b'{"guidance": NaN}'),
    "infinity": ("card-json", lambda: b'{"guidance": -Infinity}'),
    "10^400": ("card-json", lambda: b'{"guidance": 1e400}'),
    "10^5000 in digits": ("card-json", lambda: b'{"format": 1' + b"0" * 5000 + b"}"),
    "deep lists": ("card-json", lambda: b"[" * 100_000),
    "deep lists, closed": ("card-json", lambda: b"[" * 100_000 + b"]" * 100_000),
    "65 levels": ("card-json", lambda: b'{"a":' * 66 + b"1" + b"}" * 66),
    "900 levels": ("card-json", lambda: b'{"a":' * 900 + b"1" + b"}" * 900),
    "UTF-16": ("card-json", text('{"name": "a"}', "utf-16")),
    "UTF-32": ("card-json", text('{"name": "a"}', "utf-32")),
    "byte order mark": ("card-json", text('{"name": "a"}', "utf-8-sig")),
    "Latin-1": ("card-json", text('{"name": "é"}', "latin-1")),
    "overlong": ("card-json", lambda: b'{"name": "\xc0\xaf"}'),
    "bytes of a surrogate": ("card-json", lambda: b'{"name": "\xed\xa0\x80"}'),
    "half a surrogate": ("card-json", lambda: b'{"name": "\\ud800"}'),
    "surrogates the wrong way round": ("card-json", lambda: b'{"name": "\\udc00\\ud800"}'),
    "raw control character": ("card-json", lambda: b'{"name": "a\nb"}'),
    "2 MB of spaces": ("too-large", lambda: b" " * (2 << 20)),
    "2 MB of name": ("too-large", named("a" * (2 << 20))),
    "500 KB of name": ("card-text", named("a" * 500_000)),
    "100,000 values": ("card-many", lambda: json.dumps({"a": [0] * 100_000}).encode()),
    "100,000 keys": ("card-many", lambda: json.dumps({f"{i:x}": 0 for i in range(90_000)}).encode()),
    "line break": ("card-text", named("a\nb")),
    "NUL": ("card-text", named("a\0b")),
    "escape sequence": ("card-text", named("\x1b]0;owned\x07")),
    "C1 control": ("card-text", named("a\x9bb")),
    "right to left": ("card-text", named("model\u202egnp.exe")),
    "isolate": ("card-text", named("\u2066a\u2069")),
    "zero width": ("card-text", named("ad\u200bmin")),
    "joiner": ("card-text", named("ad\u200dmin")),
    "byte order mark inside": ("card-text", named("a\ufeffb")),
    "line separator": ("card-text", named("a\u2028b")),
    "soft hyphen": ("card-text", named("a\u00adb")),
    "tag characters": ("card-text", named("a\U000e0041b")),
    "private use": ("card-text", named("a\ue000b")),
    "not assigned": ("card-text", named("a\U0010ffffb")),
    "hidden in a key": ("card-text", keyed("ad\u200bmin")),
}
REFUSED = [CardCase(14, name, *told) for name, told in CASES.items()]
