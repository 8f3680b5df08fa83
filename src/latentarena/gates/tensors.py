"""Strict reading of a safetensors file: every byte of it belongs to the header or to just one tensor of plain numbers.

The format (https://github.com/huggingface/safetensors): the header's length as 8 bytes, little-endian; the header, JSON
that may be filled up with spaces; the numbers.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from latentarena.documents import parse_json
from latentarena.errors import GateError

LARGEST_HEADER = 2 << 20  # bytes
MOST_TENSORS = 10_000
HIGHEST_RANK = 8
LARGEST_SIZE = 1 << 31  # of a dimension
WIDTHS = {"F32": 4, "F16": 2}  # bytes
NUMBERS = {**WIDTHS, "BF16": 2, "F64": 8, "I64": 8}  # what code of one's own may make of its weights
SPELLED = {
    "F64": "float64",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,199}")
METADATA = "__metadata__"


@dataclass(frozen=True)
class StoredTensor:
    """A tensor of a file: `dtype` as the format spells it, `start` and `end` are places in the file's content."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


def check_tensors(
    content: bytes, what: str = "weights.safetensors", widths: Mapping[str, int] = WIDTHS
) -> dict[str, StoredTensor]:
    """The tensors of a safetensors file by name, in the order of their bytes.

    Args:
        content: of the file.
        what: its name in messages.
        widths: bytes of the types that it may hold; float32 and float16 unless given.

    Raises:
        GateError: it is no such file and nothing else, holds another type, or float32 or float16 numbers that are not
            finite.
    """
    tensors, at = {}, 0
    header, start = _header(content, what)
    for name, raw in header.items():
        tensors[name] = _tensor(name, raw, start, what, widths)
    ordered = dict(sorted(tensors.items(), key=lambda item: (item[1].start, item[1].end)))
    at = start
    for name, tensor in ordered.items():
        if tensor.start != at:
            reason, fault = ("overlap", "shares bytes with another") if tensor.start < at else ("gap", "follows a gap")
            raise _no_file(f"tensors-{reason}", what, f"its tensor {name!r} {fault}")
        at = tensor.end
    if at != len(content):
        ends = f"its tensors end at byte {at:,} of {len(content):,}"
        raise _no_file("tensors-truncated" if at > len(content) else "tensors-trailing", what, ends)
    for name, tensor in ordered.items():
        if tensor.dtype not in WIDTHS:
            continue
        dtype = "<f4" if tensor.dtype == "F32" else "<f2"
        numbers = np.frombuffer(content, dtype, prod(tensor.shape), tensor.start)
        if not np.isfinite(numbers).all():
            raise GateError("not-finite", f"{what}: tensor {name!r} holds values that are not finite; train it anew")
    return ordered


def _no_file(reason: str, what: str, fault: str) -> GateError:
    return GateError(reason, f"{what} is no safetensors file: {fault}; save it anew with safetensors")


def _header(content: bytes, what: str) -> tuple[Mapping[str, Any], int]:
    """What the header says of each tensor, and where the numbers start."""
    length = struct.unpack("<Q", content[:8])[0] if len(content) >= 8 else 0
    if len(content) < 8 or length > len(content) - 8:
        raise _no_file("tensors-truncated", what, f"its header does not fit in its {len(content):,} bytes")
    if length > LARGEST_HEADER:
        raise _no_file("tensors-header", what, f"its header has {length:,} bytes, more than {LARGEST_HEADER:,}")
    text = content[8 : 8 + length]
    if not text.startswith(b"{"):
        raise _no_file("tensors-header", what, "its header is not a JSON object")
    try:
        header = parse_json(text)
    except ValueError as error:
        raise _no_file("tensors-header", what, f"its header is not JSON: {error}") from None
    metadata = header.pop(METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise _no_file("tensors-header", what, f"{METADATA} is not a mapping of texts")
    if len(header) > MOST_TENSORS:
        raise GateError("tensors-many", f"{what} has {len(header):,} tensors; at most {MOST_TENSORS:,} are read")
    return header, 8 + length


def _tensor(name: str, raw: Any, start: int, what: str, widths: Mapping[str, int]) -> StoredTensor:
    """What the header says of a tensor, once it can be."""
    if not NAME.fullmatch(name):
        raise GateError("tensors-name", f"{what}: {ascii(name)[:100]} is no tensor's name; use letters, digits, . _ -")
    if not isinstance(raw, dict) or set(raw) != {"dtype", "shape", "data_offsets"}:
        raise _no_file("tensors-header", what, f"{name!r} is not told by dtype, shape and data_offsets alone")
    dtype, shape, offsets = raw["dtype"], raw["shape"], raw["data_offsets"]
    if not _sizes(shape) or not _sizes(offsets) or len(offsets) != 2:
        raise _no_file("tensors-header", what, f"{name!r} has sizes or offsets that are no whole numbers")
    if len(shape) > HIGHEST_RANK or max(shape, default=0) > LARGEST_SIZE:
        raise GateError("tensors-shape", f"{what}: tensor {name!r} has an absurd shape of {len(shape)} dimensions")
    if not isinstance(dtype, str) or dtype not in widths:
        said = SPELLED.get(dtype, ascii(dtype)[:20]) if isinstance(dtype, str) else ascii(dtype)[:20]
        way = "; save tensor.float() in its place" if dtype in ("F64", "BF16") else ""
        raise GateError("tensors-type", f"{what}: tensor {name!r} holds {said}, expected float32 or float16{way}")
    if offsets[1] - offsets[0] != prod(shape) * widths[dtype]:
        held = f"{offsets[1] - offsets[0]:,} bytes for {dtype} {shape}"
        raise _no_file("tensors-size", what, f"its tensor {name!r} has {held}")
    return StoredTensor(dtype, tuple(shape), start + offsets[0], start + offsets[1])


def _sizes(raw: Any) -> bool:
    return isinstance(raw, list) and all(type(size) is int and size >= 0 for size in raw)
