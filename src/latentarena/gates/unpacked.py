"""Parameters that a graph computes from stored ones before it uses them, such as several unpacked from one number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from numpy.typing import NDArray

from latentarena.gates.dataflow import Dataflow
from latentarena.gates.operators import ACTIVATIONS, ARITHMETIC

ELEMENTWISE = {*ARITHMETIC.split(), *ACTIVATIONS.split()} - {"CumSum"}
MOVING = {
    *("Cast", "CastLike", "CenterCropPad", "Compress", "Concat", "ConcatFromSequence", "DepthToSpace", "Expand"),
    *("Flatten", "Gather", "GatherElements", "GatherND", "Identity", "Pad", "Reshape", "ReverseSequence", "Scatter"),
    *("ScatterElements", "ScatterND", "SequenceAt", "SequenceConstruct", "Slice", "SpaceToDepth", "Split"),
    *("SplitToSequence", "Squeeze", "Tile", "Transpose", "Trilu", "Unsqueeze", "Where"),
}
FEW = 64  # numbers of a tensor that is a setting, such as the frequencies of a sinusoid


@dataclass(frozen=True)
class Origin:
    """Where a constant comes from.

    Attributes:
        leaves: what elementwise arithmetic began with: stored tensors, parts of them, or products of several.
        made: whether there was any such arithmetic on stored numbers.
        stored: whether more than `FEW` stored numbers are behind it.
    """

    leaves: frozenset[str]
    made: bool
    stored: bool


def made_constants(
    flow: Dataflow, known: Mapping[str, NDArray[Any]], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, Origin]:
    """Constants that come of elementwise arithmetic on stored numbers and meet the data, by name.

    Of several inputs of an operator the largest one, by `shapes`, is what its outcome comes from; where shapes are not
    known yet, the names are the same and the leaves are not.
    """
    found = {name: Origin(frozenset([name]), False, numbers.size > FEW) for name, numbers in known.items()}
    for node in flow.live:
        if not flow.varying.isdisjoint(node.output):
            continue
        sources = [found[name] for name in node.input if name in found]
        stored = any(source.stored for source in sources)
        made = [source for source in sources if source.made]
        for name in node.output:
            found[name] = Origin(frozenset([name]), False, stored)
            if node.op_type in ELEMENTWISE and stored:
                main = max(sources, key=lambda source: (source.stored, _numbers(source.leaves, shapes)))
                found[name] = Origin(main.leaves, True, True)
            elif node.op_type in MOVING and made:
                found[name] = Origin(frozenset().union(*(source.leaves for source in made)), True, True)
    used = dict.fromkeys(name for node in flow.work for name in node.input)
    return {name: found[name] for name in used if name in found and found[name].made}


def unpacked(
    made: Mapping[str, Origin], shapes: Mapping[str, tuple[int, ...]], contents: Mapping[str, str] | None = None
) -> int:
    """How many more numbers meet the data than there are in what they come from.

    A constant that is computed twice counts once. One number from one is none more, as with weights that are scaled or
    normalised; three from one are two.

    Args:
        made: the constants.
        shapes: of values by name.
        contents: by name, the same text for the same numbers; without them there may be less.
    """
    family: dict[str, str] = {}  # leaves that anything comes from together, as a forest
    for origin in made.values():
        first, *others = sorted(_root(leaf, family) for leaf in origin.leaves)
        family.update(dict.fromkeys(others, first))
    numbers = Counter[str]()
    seen = set[tuple[str, str]]()
    for name, origin in made.items():
        one = _root(next(iter(origin.leaves)), family), name if contents is None else contents[name]
        if one not in seen:
            seen.add(one)
            numbers[one[0]] += prod(shapes[name])
    for leaf in {leaf for origin in made.values() for leaf in origin.leaves}:
        numbers[_root(leaf, family)] -= prod(shapes[leaf])
    return sum(count for count in numbers.values() if count > 0)


def _root(leaf: str, family: Mapping[str, str]) -> str:
    while family.get(leaf, leaf) != leaf:
        leaf = family[leaf]
    return leaf


def _numbers(leaves: frozenset[str], shapes: Mapping[str, tuple[int, ...]]) -> int:
    return sum(prod(shapes.get(leaf, ())) for leaf in leaves)
