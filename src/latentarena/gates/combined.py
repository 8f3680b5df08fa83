"""Constants that hold several stored numbers in each of theirs, such as three small weights summed at three scales.

One product with such a constant does the work of several, which rounding takes apart afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
        sources = {name: found[name] for name in node.input if name in found}
        for name in node.output:
            if sources and name in shapes:
                size = sizes[name] = prod(shapes[name])
                behind = _together(sources.values())
                if node.op_type in MOVING:
                    parts = (sum(one.values()) / max(1, sizes[source]) for source, one in sources.items())
                    behind = _taken(behind, size * max(1.0, *parts))
                mixed = node.op_type not in ELEMENTWISE and sum(behind.values()) > MOST * size
                found[name] = {name: float(size)} if mixed else behind  # a layer's outcome, such as the time embedded
    each = {name: int(sum(behind.values()) // max(1, sizes[name])) for name, behind in found.items()}
    several = {name: many for name, many in each.items() if many > 1}
    small = {name for name in several if sizes[name] <= FEW}
    matrices = small.intersection(name for node in flow.work if node.op_type in PRODUCTS for name in node.input)
    counted = matrices if sum(sizes[name] for name in matrices) > FEW else set()
    return {name: many for name, many in several.items() if name not in small - counted}


def _together(sources: Iterable[Behind]) -> Behind:
    """What is behind numbers that are computed from several constants."""
    behind: Behind = {}
    for one in sources:
        behind |= {leaf: max(count, behind.get(leaf, 0.0)) for leaf, count in one.items()}
    return behind


def _taken(behind: Behind, most: float) -> Behind:
    """What is behind numbers of which some are taken, no more than `most` in all."""
    share = min(1.0, most / max(1.0, sum(behind.values())))
    return {leaf: count * share for leaf, count in behind.items()}
