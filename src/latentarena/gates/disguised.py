"""Constants in disguise: values that an input is said to decide, and that stand still whatever it is.

Stored numbers to which nothing is added that the noise has decided, such as noise less itself, are no constants by the
look of the graph. They are by their numbers: the graph is run for two rows, and what is the same for both does not hang
on them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from latentarena.errors import GateError
from latentarena.files import digest
from latentarena.gates.cost import PRODUCTS
from latentarena.gates.dataflow import Dataflow
from latentarena.gates.operators import ACTIVATIONS
from latentarena.gates.shapes import Shape, several_runs, some_row
from latentarena.gates.unpacked import ELEMENTWISE, FEW, MOVING, SETTINGS, SPLITTING

if TYPE_CHECKING:
    from latentarena.gates.graph import Port

REPEATED = 64  # times that a bias is added at least
BEHIND = 8  # times as many numbers as a layer gives that it holds at least
PARTING = {"Gather", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"}
PASSING, MEETING = ELEMENTWISE | PARTING, ELEMENTWISE | MOVING
ROUNDING = 1e-5  # of a number
STILL = 0.95  # of the numbers of a value: the others may have been rounded up in one row and down in the other
AT_ONCE = 1 << 24  # numbers of a row that are held


def unmasked(
    model: ModelProto, flow: Dataflow, shapes: Mapping[str, Shape], inputs: Sequence[Port], what: str
) -> Dataflow:
    """The dataflow with what stands still among the constants, if enough stored numbers meet the data to look for it.

    Args:
        model, flow: the graph and its dataflow; shapes: of its values for one row.
        inputs: of the graph; what: its name in messages.

    Raises:
        GateError: onnxruntime cannot run it.
    """
    if _meeting(flow, shapes) <= SETTINGS:
        return flow

    def large(names: Iterable[str]) -> list[str]:
        asked = dict.fromkeys(name for name in names if name in flow.varying and name not in flow.sequences)
        return [name for name in asked if prod(shapes.get(name, ())) > FEW]

    takers = [node for node in flow.work if node.op_type in SPLITTING]
    given = [name for node in takers if node.op_type not in ACTIVATIONS.split() for name in node.output]
    still = _still(model, large([*(name for node in takers for name in node.input), *given]), shapes, inputs, what)
    if still:
        every = large(name for node in flow.work if node.op_type in MEETING | SPLITTING for name in node.output)
        still = _still(model, every, shapes, inputs, what)
    if not still:
        return flow
    held = {id(node) for node in flow.live if any(node.output) and still.issuperset(filter(None, node.output))}
    constant = {id(node) for node in flow.constant} | held
    return replace(
        flow,
        varying=flow.varying - still,
        work=tuple(node for node in flow.work if id(node) not in held),
        constant=tuple(node for node in flow.live if id(node) in constant),
    )


def _meeting(flow: Dataflow, shapes: Mapping[str, Shape]) -> int:
    """Numbers of constants that meet the data elsewhere than in a product, but for biases and outcomes of layers.

    A bias is added to each of many pixels. A layer's outcome, such as the scales of adaptive normalisation, comes from
    many more numbers, and nothing is packed into it.
    """

    def size(name: str) -> int:
        return prod(shapes.get(name, ()))

    large = {name: many for name, shape in shapes.items() if (many := prod(shape)) > FEW}
    layers = set[str]()
    for node in flow.constant:
        if node.op_type in PRODUCTS:
            passed = max(map(size, node.input)) >= BEHIND * max(map(size, node.output))
        else:
            others = (name for name in node.input if name in large and name not in layers)
            passed = node.op_type in PASSING and not layers.isdisjoint(node.input[:1]) and not any(others)
        layers.update(node.output if passed else ())
    held = large.keys() - flow.varying - layers
    sizes = dict[str, int]()
    for node in flow.work:
        if node.op_type in MEETING and not held.isdisjoint(node.input):
            outcome = max(map(size, node.output))
            sizes |= {name: large[name] for name in node.input if name in held and outcome <= REPEATED * large[name]}
    return sum(sizes.values())


def _still(
    model: ModelProto, asked: Sequence[str], shapes: Mapping[str, Shape], inputs: Sequence[Port], what: str
) -> set[str]:
    """Those of the values asked for whose numbers are the same for another row.

    The rows are drawn by the hash of the file, which no file can hold.
    """
    seed = int(digest(model.SerializeToString())[:8], 16)
    found = set[str]()
    for names in _parts(asked, shapes):
        try:  # a label that another row has is another, where there are two
            runs = _two_rows(model, names, inputs, (seed, 0), (seed + 1, 1), what)
        except GateError:
            runs = _two_rows(model, names, inputs, (seed, 0), (seed + 1, 0), what)
        found |= {name for name, one, other in zip(names, *runs, strict=True) if _same(one, other)}
    return found


def _two_rows(
    model: ModelProto,
    names: Sequence[str],
    inputs: Sequence[Port],
    one: tuple[int, int],
    other: tuple[int, int],
    what: str,
) -> list[list[NDArray[Any]]]:
    """Some values for two rows, each of a seed and a label."""
    probe = ModelProto()
    probe.CopyFrom(model)
    rows = [{port.name: some_row(port, *drawn) for port in inputs} for drawn in (one, other)]
    return several_runs(probe, names, rows, what)


def _same(one: NDArray[Any], other: NDArray[Any]) -> bool:
    """Whether the numbers are the same; the least and the largest say nothing, such as a mask or a ReLU's zeros."""
    told = (one > one.min()) & (one < one.max()) if one.dtype.kind != "b" else np.zeros_like(one)
    if np.count_nonzero(told) <= FEW:
        return False
    first, second = one[told].astype(float), other[told].astype(float)
    return float((np.abs(first - second) <= ROUNDING * np.abs(first)).mean()) >= STILL


def _parts(names: Sequence[str], shapes: Mapping[str, Shape]) -> list[list[str]]:
    """Names in order, in parts of at most so many numbers, or of one value."""
    parts, size = list[list[str]](), AT_ONCE
    for name in names:
        more = prod(shapes[name])
        if size + more > AT_ONCE:
            parts, size = [*parts, []], 0
        parts[-1].append(name)
        size += more
    return parts
