"""Frames: what a box and its host say to each other. Neither side trusts the other; nothing here is pickled.

A frame is an 8-byte prefix (magic, length of the header), a JSON header and the raw bytes of the arrays, in order:

    {"verb": "encode", "facts": {...}, "arrays": [["images", "<f4", [16, 28, 28]], ...]}

Arrays are C-ordered and little-endian. How long a frame is follows from its header alone, before anything is allocated.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
MAGIC = b"LAW1"
PREFIX = struct.Struct("<4sI")
HEADER = 1 << 20  # bytes
DTYPES = ("|b1", "|u1", "|i1", "<i2", "<i4", "<i8", "<f2", "<f4", "<f8")
ARRAYS, DIMENSIONS, NAME = 64, 8, 64


class WireError(ValueError):
    """A frame that is not one; the message says why."""


@dataclass(frozen=True)
class Frame:
    """One message: what is asked or answered, small facts (JSON), and arrays by name."""

    verb: str
    facts: dict[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, Array] = field(default_factory=dict)


def pack(frame: Frame) -> list[memoryview]:
    """The pieces of a frame, in order; arrays are not copied where they are C-ordered already.

    Raises:
        WireError: for what a frame cannot hold, such as an array of objects.
    """
    arrays = {name: np.ascontiguousarray(array).reshape(np.shape(array)) for name, array in frame.arrays.items()}
    arrays = {name: array.astype(array.dtype.newbyteorder("<"), copy=False) for name, array in arrays.items()}
    layout = [[name, array.dtype.str, list(array.shape)] for name, array in arrays.items()]
    try:
        message = {"verb": frame.verb, "facts": frame.facts, "arrays": layout}
        header = json.dumps(message, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise WireError(f"facts are not JSON: {error}") from None
    _layout(layout)
    if len(header) > HEADER:
        raise WireError(f"the header has {len(header):,} bytes, at most {HEADER:,} are allowed")
    contents = [array.reshape(-1).view(np.uint8).data for array in arrays.values() if array.size]
    return [memoryview(PREFIX.pack(MAGIC, len(header)) + header), *contents]


def parse(most: int) -> Generator[int, bytes | bytearray, Frame]:
    """Read one frame of arrays of at most `most` bytes: yields how many bytes come next, is sent just those.

    Raises:
        WireError: for anything but a well-formed frame.
    """
    magic, length = PREFIX.unpack((yield PREFIX.size))
    if magic != MAGIC:
        raise WireError(f"it starts with {bytes(magic)!r} in place of {MAGIC!r}")
    if not 0 < length <= HEADER:
        raise WireError(f"its header claims {length:,} bytes, allowed are 1 to {HEADER:,}")
    verb, facts, layout = _header((yield length))
    sizes = [np.dtype(dtype).itemsize * math.prod(shape) for _, dtype, shape in layout]
    if sum(sizes) > most:
        raise WireError(f"its arrays claim {sum(sizes):,} bytes, at most {most:,} are allowed")
    content = memoryview((yield sum(sizes))) if sum(sizes) else memoryview(b"")
    arrays, start = {}, 0
    for (name, dtype, shape), size in zip(layout, sizes, strict=True):
        arrays[name] = _array(content[start : start + size], dtype, shape, name)
        start += size
    return Frame(verb, facts, arrays)


def read(receive: Callable[[int], bytes], most: int) -> Frame | None:
    """The next frame of a blocking stream, such as `file.read`; None where the stream ends before one begins.

    Raises:
        WireError: it is cut off, or no frame.
    """
    parser = parse(most)
    wanted, started = next(parser), False
    while True:
        got = receive(wanted)
        if not got and not started:
            return None
        if len(got) < wanted:
            raise WireError(f"it ends {wanted - len(got):,} bytes early")
        started = True
        try:
            wanted = parser.send(got)
        except StopIteration as done:
            frame: Frame = done.value
            return frame


def _header(content: bytes | bytearray) -> tuple[str, dict[str, Any], list[tuple[str, str, tuple[int, ...]]]]:
    try:
        header = json.loads(content.decode(), object_pairs_hook=_unique, parse_constant=_no_number)
        json.dumps(header, allow_nan=False, ensure_ascii=False).encode()  # no 1e999 and no half of a surrogate pair
    except (ValueError, RecursionError) as error:
        raise WireError(f"its header is not JSON: {str(error)[:100]}") from None
    if not isinstance(header, dict) or set(header) != {"verb", "facts", "arrays"}:
        raise WireError("its header does not have the keys verb, facts and arrays alone")
    verb, facts = header["verb"], header["facts"]
    if not isinstance(verb, str) or not 0 < len(verb) <= NAME or not isinstance(facts, dict):
        raise WireError("its verb is no short word, or its facts are no object")
    return verb, facts, _layout(header["arrays"])


def _layout(listed: Any) -> list[tuple[str, str, tuple[int, ...]]]:
    """Names, dtypes and shapes, each checked: whole numbers of at most eight dimensions."""
    if not isinstance(listed, list) or len(listed) > ARRAYS:
        raise WireError(f"its arrays are no list of at most {ARRAYS}")
    layout: list[tuple[str, str, tuple[int, ...]]] = []
    for entry in listed:
        if not isinstance(entry, list) or len(entry) != 3:
            raise WireError("an array is not described by name, dtype and shape")
        name, dtype, shape = entry
        if not isinstance(name, str) or not 0 < len(name) <= NAME or name in {known for known, _, _ in layout}:
            raise WireError("the name of an array is empty, too long, no text or there twice")
        if dtype not in DTYPES:
            raise WireError(f"array {name!r} is of dtype {str(dtype)[:20]!r}, allowed are {', '.join(DTYPES)}")
        if not isinstance(shape, list) or len(shape) > DIMENSIONS:
            raise WireError(f"array {name!r} has no shape of at most {DIMENSIONS} dimensions")
        if not all(type(side) is int and 0 <= side < 2**40 for side in shape):
            raise WireError(f"array {name!r} has a side that is no whole number from 0 to 2^40")
        layout.append((name, dtype, tuple(shape)))
    return layout


def _array(content: memoryview, dtype: str, shape: tuple[int, ...], name: str) -> Array:
    try:
        array = (np.frombuffer(content, dtype) if content else np.empty(0, dtype)).reshape(shape)
    except ValueError:  # (0, 2^40, 2^40) has no bytes and is too big all the same
        raise WireError(f"array {name!r} of shape {shape} is not possible") from None
    if dtype == "|b1" and (array.view(np.uint8) > 1).any():  # numpy computes nonsense with any other bytes
        raise WireError(f"array {name!r} of booleans has bytes other than 0 and 1")
    return array


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) < len(pairs):
        raise WireError("its header has a key twice")
    return dict(pairs)


def _no_number(word: str) -> NoReturn:
    raise WireError(f"its header has {word}, which is no JSON number")
