"""Constants that hold several stored numbers in each of theirs, such as three small weights summed at three scales.

One product with such a constant does the work of several, which rounding takes apart afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from numpy.typing import NDArray

from latentarena.gates.cost import PRODUCTS
from latentarena.gates.dataflow import Dataflow
from latentarena.gates.unpacked import ELEMENTWISE, MOVING

FEW = 1024  # numbers of a constant, or of all small ones of products, that a layer may make of a time or a class
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
    sizes = {name: numbers.size for name, numbers in known.items()}
    found: dict[str, Behind] = {name: {name: float(size)} for name, size in sizes.items()}
    for node in flow.constant:
        sources = [name for name in node.input if name in found]
        if not sources:
            continue
        together, most = _together([found[name] for name in sources]), 1.0
        if node.op_type in MOVING:
            most = max(1.0, *(sum(found[name].values()) / max(1, sizes[name]) for name in sources))
        for name in node.output:
            if name in shapes:
                size = sizes[name] = prod(shapes[name])
                behind = _taken(together, size * most) if node.op_type in MOVING else together
                mixed = node.op_type not in ELEMENTWISE and sum(behind.values()) > MOST * size
                found[name] = {name: float(size)} if mixed else behind  # a layer's outcome, such as the time embedded
    each = {name: sum(found[name].values()) // max(1, sizes[name]) for name in found.keys() - known.keys()}
    several = {name: int(many) for name, many in each.items() if many > 1}
    small = {name for name in several if sizes[name] <= FEW}
    matrices = small.intersection(name for node in flow.work if node.op_type in PRODUCTS for name in node.input)
    counted = matrices if sum(sizes[name] for name in matrices) > FEW else set()
    return {name: many for name, many in several.items() if name not in small - counted}


def _together(sources: Sequence[Behind]) -> Behind:
    """What is behind numbers that are computed from several constants."""
    behind = sources[0]
    for one in sources[1:]:
        behind = behind | {leaf: max(count, behind.get(leaf, 0.0)) for leaf, count in one.items()}
    return behind


def _taken(behind: Behind, most: float) -> Behind:
    """What is behind numbers of which some are taken, no more than `most` in all."""
    share = most / max(1.0, sum(behind.values()))
    return {leaf: count * share for leaf, count in behind.items()} if share < 1 else behind
