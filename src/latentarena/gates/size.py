"""How much a graph holds: bits of information by the shortest of a few codes, and parameters however they are stored.

A code here is one that could be decoded, so that nothing is told in fewer bits than it takes. Numbers that are packed
into others gain nothing by it: three of 8 bits in one of 32 are 32 bits, and apart they are 24.
"""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentarena.files import digest
from latentarena.gates.node import Node

Key = tuple[str, int]
FREE_SHARE = 8  # settings and wiring count once they are more than an eighth of the weights
MOST_LEVELS = 1 << 24  # of a step
FREE_BITS, FREE_NUMBERS = 1 << 14, 256  # and more than so many

FEW_WHOLE = 64  # numbers of a shape or a list of axes
UNSIGNED = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


@dataclass(frozen=True)
class Held:
    """The numbers and bits that a graph stores.

    Attributes:
        weights: bits of each stored tensor of numbers that are not all the same, but for a few whole ones, by content
            and size.
        settings: bits of all else: lone numbers, shapes, indices, and which operator reads what.
        unpacked: parameters that are computed from others before they are used; see `unpacked`.
    """

    weights: Mapping[Key, int]
    settings: int
    unpacked: int


@dataclass(frozen=True)
class Size:
    """The numbers and bits that a model stores.

    Attributes:
        parameters: numbers.
        information: bits.
    """

    parameters: int
    information: int


def held(nodes: Iterable[Node], known: Mapping[str, NDArray[Any]], kept: Mapping[Key, NDArray[Any]], more: int) -> Held:
    """Measure a graph.

    Args:
        nodes: of the graph.
        known: constants by name; kept: all that is stored, by content and size.
        more: parameters that are unpacked.
    """
    weights, others = _coded(kept)
    return Held(weights, others + _wiring(nodes, known), more)


def stored(tensors: Iterable[NDArray[Any]]) -> tuple[Counter[Key], Held]:
    """What `size_of` wants to know of tensors that belong to no graph."""
    kept, times = dict[Key, NDArray[Any]](), Counter[Key]()
    for numbers in tensors:
        key = key_of(numbers)
        kept[key] = numbers
        times[key] += 1
    weights, others = _coded(kept)
    return times, Held(weights, others, 0)


def _coded(kept: Mapping[Key, NDArray[Any]]) -> tuple[dict[Key, int], int]:
    """Bits of each tensor of weights, and of all else together."""
    weights = {key: code_length(numbers) for key, numbers in kept.items() if _is_weight(numbers)}
    return weights, sum(code_length(numbers) for key, numbers in kept.items() if key not in weights)


def key_of(numbers: NDArray[Any]) -> Key:
    """What a tensor's numbers are known by, whatever its shape: hash of their type and bytes, and how many they are."""
    return digest(str(numbers.dtype).encode(), np.ascontiguousarray(numbers).data), numbers.size


def size_of(parts: Mapping[str, tuple[Counter[Key], Held]]) -> Size:
    """Of a model of several graphs: what is stored in each and how often, and what it holds.

    Weights that decoder and generator share count once. An exporter's settings and wiring are free as long as they are
    little beside the weights, so that a model costs the same in whatever form it comes; beyond that they count in full.
    """
    stored = {name: counts for name, (counts, _) in parts.items()}
    counted = stored["encode"] + stored["decode"] + (stored["generate"] - stored["decode"])
    weights = {key: bits for _, held in parts.values() for key, bits in held.weights.items()}
    numbers = sum(size * times for (content, size), times in counted.items() if (content, size) in weights)
    numbers += parts["encode"][1].unpacked + max(parts["decode"][1].unpacked, parts["generate"][1].unpacked)
    others = sum(size * times for (content, size), times in counted.items() if (content, size) not in weights)
    bits, settings = sum(weights.values()), sum(held.settings for _, held in parts.values())
    return Size(
        numbers + (others if others > max(FREE_NUMBERS, numbers // FREE_SHARE) else 0),
        bits + (settings if settings > max(FREE_BITS, bits // FREE_SHARE) else 0),
    )


def _is_weight(numbers: NDArray[Any]) -> bool:
    """Numbers that are not all the same; exporters make a table of ones where a layer has no weights.

    A few whole numbers are shapes and axes; a table of them can be converted to weights.
    """
    least = 1 if numbers.dtype.kind == "f" else FEW_WHOLE
    return numbers.dtype.kind != "b" and numbers.size > least and bool((numbers != numbers.flat[0]).any())


def code_length(numbers: NDArray[Any]) -> int:
    """Bits that it takes to tell the numbers of a tensor one after the other.

    The shortest of four codes: as they are; each value by its frequency, after a table of the values; each byte by its
    frequency among the bytes of the same place, after a table of these; whole multiples of a step, as quantised weights
    are.
    """
    width = numbers.dtype.itemsize
    if numbers.size < 2:
        return 8 * width * numbers.size  # which no table tells in less
    bits = np.ascontiguousarray(numbers).reshape(-1).view(UNSIGNED[width])
    ordered, marks = np.sort(bits), np.ones(bits.size + 1, bool)
    np.not_equal(ordered[1:], ordered[:-1], out=marks[1:-1])
    starts = np.flatnonzero(marks)
    different = ordered[starts[:-1]]
    whole = _told(starts[1:] - starts[:-1], bits.size, 8 * width)
    codes = [8 * width * bits.size, ceil(whole), ceil(_told(_planes(bits, ordered), bits.size, 8, width))]
    if numbers.dtype.kind == "f":
        below = int(np.searchsorted(different, bits.dtype.type(1 << (8 * width - 1))))  # the others are negative
        values = np.concatenate([different[below:][::-1], different[:below]]).view(numbers.dtype)
        if np.isfinite(values[0]) and np.isfinite(values[-1]):
            codes += [64 + ceil(bits.size * np.log2(levels)) for levels in _levels(values)]
    return min(codes)


def _planes(bits: NDArray[Any], ordered: NDArray[Any]) -> NDArray[np.int64]:
    """How often each byte comes among the bytes of the same place, for all places; the highest are in order."""
    highest = bits.dtype.itemsize - 1
    ends = np.searchsorted(ordered, np.arange(1, 256, dtype=bits.dtype) << bits.dtype.type(8 * highest))
    columns = bits.view(np.uint8).reshape(bits.size, -1)
    others = [np.bincount(columns[:, place]) for place in range(highest)]
    return np.concatenate([*others, ends[:1], ends[1:] - ends[:-1], [bits.size - ends[-1]]])


def _levels(values: NDArray[Any]) -> list[int]:
    """From how many whole numbers these values, sorted, come by a step of 32 bits; nothing where they do not."""
    largest, gaps = float(max(-values[0], values[-1])), values[1:] - values[:-1]
    smallest = float(gaps.min(initial=np.inf)) or float(gaps[gaps > 0].min(initial=np.inf))  # 0 and -0 are one level
    if smallest == np.inf or len(values) > MOST_LEVELS or largest / MOST_LEVELS > smallest:
        return []
    guess = np.float32(largest / round(largest / smallest))
    for step in (guess, np.nextafter(guess, np.float32(0)), np.nextafter(guess, np.float32(np.inf))):
        counts = np.rint(values / step)
        if np.array_equal((counts.astype(np.float32) * step).astype(values.dtype), values):
            return [int(counts[-1] - counts[0]) + 1]
    return []


def _told(counts: NDArray[np.int64], n: int, width: int, columns: int = 1) -> float:
    """Bits of n symbols by their frequencies, given their counts; a table tells symbols of `width` bits, and counts.

    There may be several columns of n symbols, each with a table.
    """
    often = counts[counts > 1]
    entropy = columns * n * np.log2(n) - (float((often * np.log2(often)).sum()) if often.size else 0.0)
    return max(float(entropy), 0.0) + np.count_nonzero(counts) * (width + float(np.log2(n + 1)))


def _wiring(nodes: Iterable[Node], known: Mapping[str, NDArray[Any]]) -> int:
    """Bits that tell which operators a graph has, with which settings, and what each of them reads; compressed.

    An input is told by how many values before it was given, a constant by its place, so that the steps of an unrolled
    loop look alike.
    """
    places = {name: -2 - place for place, name in enumerate(known)}
    given: dict[str, int] = {}
    operators: dict[bytes, int] = {}
    kinds: dict[tuple[str, tuple[bytes, ...]], int] = {}  # the same, by settings that need not be looked into
    told = list[int]()
    for node in nodes:
        key = node.op_type, node.settings
        if (kind := kinds.get(key)) is None:
            pairs = zip(node.attribute, node.settings, strict=True)
            settings = b"".join(setting for one, setting in pairs if not one.HasField("t"))
            kind = kinds[key] = operators.setdefault(node.op_type.encode() + settings, len(operators))
        count = len(given)
        sources = [count - given[name] if name in given else places.get(name, -1) for name in node.input]
        told += [kind, len(node.output), *sources]
        for place, name in enumerate(node.output):
            if name:
                given[name] = len(given) + place
    return 8 * len(zlib.compress(b"".join(operators) + struct.pack(f"<{len(told)}i", *told), 9))
