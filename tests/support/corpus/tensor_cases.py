"""Weights that the safetensors gate must refuse (row 11), made from an honest file."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from safetensors.numpy import save

from corpus.case import Case

__all__ = ["REFUSED", "TensorCase", "framed", "honest"]


@dataclass(frozen=True)
class TensorCase(Case):
    """A file by the function that makes it, and the slug of its refusal."""

    reason: str
    make: Callable[[], bytes]


def honest() -> bytes:
    """Three tensors: float32, float16 and one that holds a single number."""
    draw = np.random.default_rng(0).normal
    tensors = {"a.weight": draw(size=(4, 8)), "a.bias": draw(size=4), "scale": draw()}
    kinds = (np.float32, np.float16, np.float32)
    return save({name: np.asarray(one, kind) for (name, one), kind in zip(tensors.items(), kinds, strict=True)})


def framed(header: bytes, data: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header + data


def told(header: dict[str, Any], data: bytes = b"") -> bytes:
    return framed(json.dumps(header).encode(), data)


def one(
    dtype: Any = "F32", shape: Any = (2,), offsets: Any = (0, 8), data: int = 8, name: str = "a", **more: Any
) -> bytes:
    return told({name: {"dtype": dtype, "shape": shape, "data_offsets": offsets, **more}}, bytes(data))


def two(first: tuple[int, int], second: tuple[int, int], data: int, sizes: tuple[int, int] = (2, 2)) -> bytes:
    header = {
        name: {"dtype": "F32", "shape": [size], "data_offsets": at}
        for name, size, at in zip("ab", sizes, (first, second), strict=True)
    }
    return told(header, bytes(data))


def number(value: float, kind: type) -> bytes:
    return save({"a": np.array([1, value], kind)})


def renamed(name: str) -> Callable[[], bytes]:
    return lambda: one(name=name)


def typed(dtype: Any, width: int) -> Callable[[], bytes]:
    return lambda: one(dtype=dtype, offsets=(0, 2 * width), data=2 * width)


ENTRY = b'{"dtype":"F32","shape":[2],"data_offsets":[0,8]}'
HEADER = b'{"a":' + ENTRY + b"}"
CASES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "empty": ("tensors-truncated", lambda: b""),
    "seven bytes": ("tensors-truncated", lambda: bytes(7)),
    "only a length": ("tensors-header", lambda: bytes(8)),
    "garbage": ("tensors-truncated", lambda: b"\xff" * 999),
    "pickle": ("tensors-truncated", lambda: b"\x80\x02}q\0X" + bytes(99)),
    "zip": ("tensors-truncated", lambda: b"PK\3\4\x14\0\0\0" + bytes(99)),
    "half": ("tensors-truncated", lambda: honest()[: len(honest()) // 2]),
    "without its last byte": ("tensors-truncated", lambda: honest()[:-1]),
    "header of 2^64": ("tensors-truncated", lambda: struct.pack("<Q", 2**64 - 1) + honest()[8:]),
    "header past the end": ("tensors-truncated", lambda: struct.pack("<Q", len(honest())) + honest()[8:]),
    "header of 3 MB": ("tensors-header", lambda: framed(HEADER + b" " * (3 << 20), bytes(8))),
    "header is a list": ("tensors-header", lambda: framed(b"[]")),
    "header is text": ("tensors-header", lambda: framed(b'"a"')),
    "header is cut": ("tensors-header", lambda: framed(HEADER[:-1], bytes(8))),
    "header has more": ("tensors-header", lambda: framed(HEADER + b"{}", bytes(8))),
    "header starts with a space": ("tensors-header", lambda: framed(b" " + HEADER, bytes(8))),
    "header is UTF-16": ("tensors-header", lambda: framed(HEADER.decode().encode("utf-16"), bytes(8))),
    "header is no text": ("tensors-header", lambda: framed(HEADER.replace(b"a", b"\xff", 1), bytes(8))),
    "header starts with a mark": ("tensors-header", lambda: framed(b"\xef\xbb\xbf" + HEADER, bytes(8))),
    "header is deep": ("tensors-header", lambda: framed(b'{"a":' * 100_000, bytes(8))),
    "header is deep but closed": ("tensors-header", lambda: framed(b'{"a":' * 500 + b"1" + b"}" * 500)),
    "header has NaN": ("tensors-header", lambda: framed(HEADER.replace(b"[2]", b"[NaN]"), bytes(8))),
    "header has 10^400": ("tensors-header", lambda: framed(HEADER.replace(b"[2]", b"[1e400]"), bytes(8))),
    "name twice": ("tensors-header", lambda: framed(b'{"a":' + ENTRY + b',"a":' + ENTRY + b"}", bytes(8))),
    "name twice by escape": (
        "tensors-header",
        lambda: framed(b'{"a":' + ENTRY + b',"\\u0061":' + ENTRY + b"}", bytes(8)),
    ),
    "key twice": ("tensors-header", lambda: framed(HEADER.replace(b"[2]", b'[2],"shape":[3]'), bytes(8))),
    "metadata is a list": ("tensors-header", lambda: told({"__metadata__": []})),
    "metadata is nested": ("tensors-header", lambda: told({"__metadata__": {"a": {}}})),
    "extra field": ("tensors-header", lambda: one(more=1)),
    "no shape": ("tensors-header", lambda: told({"a": {"dtype": "F32", "data_offsets": [0, 8]}}, bytes(8))),
    "tensor is a list": ("tensors-header", lambda: told({"a": []})),
    "offset is a float": ("tensors-header", lambda: one(offsets=(0.0, 8.0))),
    "offset is a bool": ("tensors-header", lambda: one(offsets=(False, 8))),
    "offset is text": ("tensors-header", lambda: one(offsets=("0", "8"))),
    "offset is negative": ("tensors-header", lambda: one(offsets=(-8, 0))),
    "one offset": ("tensors-header", lambda: one(offsets=(0,))),
    "three offsets": ("tensors-header", lambda: one(offsets=(0, 8, 8))),
    "size is a float": ("tensors-header", lambda: one(shape=[2.0])),
    "size is a bool": ("tensors-header", lambda: one(shape=[True, 2])),
    "size is negative": ("tensors-header", lambda: one(shape=[-1, -2])),
    "shape is a number": ("tensors-header", lambda: one(shape=2)),
    "shape is nothing": ("tensors-header", lambda: one(shape=None)),
    "backwards": ("tensors-size", lambda: one(offsets=(8, 0))),
    "past the end": ("tensors-truncated", lambda: one(shape=[4], offsets=(0, 16))),
    "far past the end": ("tensors-truncated", lambda: one(shape=[1 << 30, 1 << 20], offsets=(0, 1 << 52))),
    "shape lies": ("tensors-size", lambda: one(shape=[3])),
    "shape overflows": ("tensors-size", lambda: one(shape=[1 << 31, 1 << 31, 4], offsets=(0, 8))),
    "size of 2^62": ("tensors-shape", lambda: one(shape=[1 << 62])),
    "size of 10^4000": ("tensors-header", lambda: one(shape=[10**4000])),
    "rank 9": ("tensors-shape", lambda: one(shape=[2, *[1] * 8])),
    "rank 100000": ("tensors-shape", lambda: one(shape=[1] * 100_000, offsets=(0, 4))),
    "overlap": ("tensors-overlap", lambda: two((0, 8), (4, 12), 12)),
    "the same bytes twice": ("tensors-overlap", lambda: two((0, 8), (0, 8), 8)),
    "one inside another": ("tensors-overlap", lambda: two((0, 16), (4, 12), 16, (4, 2))),
    "hole": ("tensors-gap", lambda: two((0, 8), (12, 20), 20)),
    "hole at the start": ("tensors-gap", lambda: one(offsets=(4, 12), data=12)),
    "trailing": ("tensors-trailing", lambda: honest() + b"\0"),
    "program at the end": ("tensors-trailing", lambda: honest() + b"\x7fELF" + bytes(999)),
    "zip at the end": ("tensors-trailing", lambda: honest() + b"PK\5\6" + bytes(18)),
    "data without tensors": ("tensors-trailing", lambda: told({}, bytes(99))),
    "20,000 tensors": (
        "tensors-many",
        lambda: told(
            {f"t{i}": {"dtype": "F32", "shape": [], "data_offsets": [4 * i, 4 * i + 4]} for i in range(20_000)}
        ),
    ),
    "400,000 tensors": (
        "tensors-header",
        lambda: framed(b"{" + b",".join(b'"%d":0' % i for i in range(400_000)) + b"}"),
    ),
    "float64": ("tensors-type", typed("F64", 8)),
    "bfloat16": ("tensors-type", typed("BF16", 2)),
    "float8": ("tensors-type", typed("F8_E4M3", 1)),
    "int64": ("tensors-type", typed("I64", 8)),
    "uint8": ("tensors-type", typed("U8", 1)),
    "bool": ("tensors-type", typed("BOOL", 1)),
    "complex": ("tensors-type", typed("C64", 8)),
    "lower case": ("tensors-type", typed("f32", 4)),
    "type is a number": ("tensors-type", typed(32, 4)),
    "type is nothing": ("tensors-type", typed(None, 4)),
    "type is a list": ("tensors-type", typed(["F32"], 4)),
    "no name": ("tensors-name", renamed("")),
    "path as name": ("tensors-name", renamed("../../etc/passwd")),
    "line break in a name": ("tensors-name", renamed("a\nb")),
    "NUL in a name": ("tensors-name", renamed("a\0b")),
    "right to left": ("tensors-name", renamed("a\u202eb")),
    "zero width": ("tensors-name", renamed("a\u200bb")),
    "look-alike": ("tensors-name", renamed("wеight")),
    "escape sequence": ("tensors-name", renamed("\x1b[31m")),
    "long name": ("tensors-name", renamed("a" * 1000)),
    "half a surrogate": ("tensors-header", lambda: framed(HEADER.replace(b'"a"', b'"\\ud800"'), bytes(8))),
    "NaN": ("not-finite", lambda: number(np.nan, np.float32)),
    "infinity": ("not-finite", lambda: number(np.inf, np.float32)),
    "minus infinity": ("not-finite", lambda: number(-np.inf, np.float32)),
    "NaN in half": ("not-finite", lambda: number(np.nan, np.float16)),
    "infinity in half": ("not-finite", lambda: number(np.inf, np.float16)),
}
REFUSED = [TensorCase(11, name, *told_) for name, told_ in CASES.items()]
