"""Constants that hold several stored numbers in each of theirs, such as three small weights summed at three scales.

One product with such a constant does the work of several, which rounding takes apart afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from numpy.typing import NDArray

from latentarena.gates.dataflow import Dataflow
from latentarena.gates.unpacked import ELEMENTWISE, MOVING

FEW = 1024  # numbers of a constant that may be what a layer makes of a time or a class, and no weights
MOST = 12  # numbers that one number can hold so that products of them come apart: 53 bits, at least four for each
Behind = dict[str, float]  # how many numbers of each stored tensor are behind a constant


def combined(
    flow: Dataflow, known: Mapping[str, NDArray[Any]], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, int]:
    """How many stored numbers are behind each number of a constant, by name, where they are two or more.

    Weights that are scaled, normalised or dequantised have one; parts of a table have those that are taken.

    Args:
        flow, known: of the graph.
        shapes: of values by name.
    """
    found: dict[str, Behind] = {name: {name: float(numbers.size)} for name, numbers in known.items()}
    for node in flow.live:
        if node.op_type == "Constant" or not flow.varying.isdisjoint(node.output):
            continue
        sources = {name: found[name] for name in node.input if name in found}
        for name in node.output:
            if sources and name in shapes:
                size = prod(shapes[name])
                behind = _together(sources, size, node.op_type in MOVING, shapes, known)
                mixed = node.op_type not in ELEMENTWISE and sum(behind.values()) > MOST * size
                found[name] = {name: float(size)} if mixed else behind  # a layer's outcome, such as the time embedded
    sizes = {name: _size(name, shapes, known) for name in found}
    each = {name: int(sum(behind.values()) // sizes[name]) for name, behind in found.items() if sizes[name] > FEW}
    return {name: many for name, many in each.items() if many > 1}


def _together(
    sources: Mapping[str, Behind],
    size: int,
    moved: bool,
    shapes: Mapping[str, tuple[int, ...]],
    known: Mapping[str, NDArray[Any]],
) -> Behind:
    """What is behind numbers made of sources: all that was, or of numbers that are only moved, as many as are taken."""
    behind: Behind = {}
    for one in sources.values():
        for leaf, count in one.items():
            behind[leaf] = max(count, behind.get(leaf, 0.0))
    if not moved:
        return behind
    most = size * max(1.0, *(sum(one.values()) / max(1, _size(name, shapes, known)) for name, one in sources.items()))
    share = min(1.0, most / max(1.0, sum(behind.values())))
    return {leaf: count * share for leaf, count in behind.items()}


def _size(name: str, shapes: Mapping[str, tuple[int, ...]], known: Mapping[str, NDArray[Any]]) -> int:
    return known[name].size if name in known else prod(shapes.get(name, ()))
