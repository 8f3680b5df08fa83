"""Parameters that a graph computes from stored ones before it uses them, such as several unpacked from one number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain
from math import prod
from typing import Any, NamedTuple

from numpy.typing import NDArray

from latentarena.gates.dataflow import MEASURING, Dataflow
from latentarena.gates.operators import ACTIVATIONS, ARITHMETIC

ELEMENTWISE = {*ARITHMETIC.split(), *ACTIVATIONS.split()} - {"CumSum"}
MOVING = {
    *("Cast", "CastLike", "CenterCropPad", "Compress", "Concat", "ConcatFromSequence", "DepthToSpace", "Expand"),
    *("Flatten", "Gather", "GatherElements", "GatherND", "Identity", "Pad", "Reshape", "Resize", "ReverseSequence"),
    *("Scatter", "ScatterElements", "ScatterND", "SequenceAt", "SequenceConstruct", "Slice", "SpaceToDepth", "Split"),
    *("SplitToSequence", "Squeeze", "Tile", "Transpose", "Trilu", "Unsqueeze", "Where"),
}
SPLITTING = {
    *ACTIVATIONS.split(),
    *("Abs", "Acos", "Asin", "Atan", "Clip", "Cos", "Erf", "Max", "Min", "Sin", "Tan"),
    *("BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Cast", "CastLike", "Ceil", "Equal", "Floor", "Greater"),
    *("GreaterOrEqual", "Less", "LessOrEqual", "Mod", "QuantizeLinear", "Round", "Sign"),
}
"""Take a number apart: of a product of constants, that is no low rank any more, but several in one."""
FEW = 64  # numbers of a tensor that is a setting, such as the frequencies of a sinusoid
SETTINGS = 4 * FEW  # numbers of all such tensors of which more are made


class Origin(NamedTuple):
    """The stored tensors that a constant is computed from.

    Attributes:
        leaves: what it began with: stored tensors, or outcomes of products and reductions.
        made: whether elementwise arithmetic is between these and it.
        stored: whether more than `FEW` stored numbers are behind it, or it was a constant in disguise.
    """

    leaves: frozenset[str]
    made: bool
    stored: bool


def constants(
    flow: Dataflow, known: Mapping[str, NDArray[Any]], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, Origin]:
    """Constants that an operator combines with the data, by name.

    Of several inputs of arithmetic the largest one, by `shapes`, is what its outcome comes from.
    """
    held = {name: numbers.size for name, numbers in known.items()}
    found = {name: Origin(frozenset([name]), False, size > FEW) for name, size in held.items()}
    sizes = {name: prod(shape) for name, shape in shapes.items()}
    factors: dict[str, frozenset[str]] = {}  # of products and reductions, what they were made of
    for node in flow.constant:
        sources = [found[name] for name in node.input if name in found]
        disguised = node.op_type not in MEASURING and not flow.varying.isdisjoint(node.input)
        if disguised:
            held |= {name: sizes.get(name, 1) for name in node.output}  # as if it were stored itself
        outcome = _moved(sources, held) if node.op_type in MOVING and node.input[0] in found else None
        if node.op_type in ELEMENTWISE and sources:
            main = sources[0] if len(sources) == 1 else max(sources, key=partial(_importance, held=held, sizes=sizes))
            outcome = main if main.made else Origin(main.leaves, True, main.stored)
        if outcome is None:
            stored, behind = disguised or any(one.stored for one in sources), _leaves(sources)
            factors.update((name, behind) for name in node.output if sources)
            found.update((name, Origin(frozenset([name]), False, stored)) for name in node.output)
            continue
        if node.op_type in SPLITTING and not factors.keys().isdisjoint(outcome.leaves):
            leaves = frozenset[str]().union(*(factors.get(leaf, {leaf}) for one in sources for leaf in one.leaves))
            outcome = outcome._replace(leaves=leaves)
        found.update(dict.fromkeys(node.output, outcome))
    used = dict.fromkeys(chain.from_iterable(node.input for node in flow.work))
    return {name: found[name] for name in used if name in found and name not in flow.varying}


def _moved(sources: Sequence[Origin], held: Mapping[str, int]) -> Origin | None:
    """Of numbers that are put elsewhere, or beside others; None where none of them are stored."""
    made = [source for source in sources if source.made] or [
        one for one in sources if not held.keys().isdisjoint(one.leaves)
    ]
    leaves = _leaves(made)
    many = sum(held.get(leaf, 0) for leaf in leaves) > FEW
    return Origin(leaves, made[0].made, many or any(source.stored for source in made)) if made else None


def _leaves(sources: Sequence[Origin]) -> frozenset[str]:
    """Those of all together."""
    return sources[0].leaves if len(sources) == 1 else frozenset[str]().union(*(one.leaves for one in sources))


def _importance(source: Origin, held: Mapping[str, int], sizes: Mapping[str, int]) -> tuple[bool, bool, int]:
    """Stored numbers before others, and many before few."""
    numbers = sum([sizes.get(leaf, 1) for leaf in source.leaves])
    return source.stored, not held.keys().isdisjoint(source.leaves), numbers


def unpacked(
    found: Mapping[str, Origin],
    known: Mapping[str, NDArray[Any]],
    shapes: Mapping[str, tuple[int, ...]],
    contents: Mapping[str, str] | None = None,
) -> int:
    """How many more numbers meet the data than there are in what they come from.

    A constant that is computed twice counts once. One number from one is none more, as with weights that are scaled or
    normalised; three from one are two; and one is one more if what it comes from meets the data too. Sinusoids and the
    like, of a few stored numbers, are none.

    Args:
        found: the constants.
        known: what is stored.
        shapes: of values by name.
        contents: of the made ones by name, the same text for the same numbers; without them there may be less.
    """
    made = {name: origin for name, origin in found.items() if origin.made}
    family: dict[str, str] = {}  # leaves that anything comes from together, as a forest
    for origin in made.values():
        first, *others = sorted({_root(leaf, family) for leaf in origin.leaves})
        family.update(dict.fromkeys(others, first))
    numbers, seen, large = Counter[str](), set[tuple[str, str]](), set[str]()
    for name, origin in made.items():
        root = _root(next(iter(origin.leaves)), family)
        if (root, contents[name] if contents else name) not in seen:
            numbers[root] += prod(shapes[name])
        seen.add((root, contents[name] if contents else name))
        large.update([root] if origin.stored else [])
    leaves = {leaf for origin in made.values() for leaf in origin.leaves}
    direct = {leaf for origin in found.values() if not origin.made for leaf in origin.leaves if leaf in known}
    for leaf in leaves - direct:
        numbers[_root(leaf, family)] -= prod(shapes[leaf])
    gaining = {root for root, count in numbers.items() if count > 0}
    few = {leaf for leaf in leaves if (root := _root(leaf, family)) in gaining - large and leaf in known}
    if sum(size for _, size in {(known[leaf].tobytes(), known[leaf].size) for leaf in few}) > SETTINGS:
        large |= {_root(leaf, family) for leaf in few}
    return sum(numbers[root] for root in gaining & large)


def _root(leaf: str, family: Mapping[str, str]) -> str:
    while family.get(leaf, leaf) != leaf:
        leaf = family[leaf]
    return leaf
