"""What an ONNX graph computes from what: nodes that its output needs, and values that depend on the inputs' numbers.

A runtime computes everything else once, when it loads the graph: constants are folded and equal nodes are merged. So a
sample costs the nodes of `Dataflow.work`, whichever exporter wrote the graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray
from onnx import ModelProto
from onnx.numpy_helper import to_array

from latentarena.errors import GateError
from latentarena.gates.node import Node
from latentarena.gates.operators import SIZING
from latentarena.gates.walk import spoken

MEASURING = {"SequenceLength", "Shape", "Size"}  # give a size, which does not depend on the numbers
SEQUENCES = {"SequenceConstruct", "SplitToSequence"}
SPREADING = {"Expand", "Identity", "Reshape", "Squeeze", "Tile", "Transpose", "Unsqueeze"}
SMALL = 64  # numbers of a constant that is known by its content; a larger one is known by its name


@dataclass(frozen=True)
class Dataflow:
    """The order of computation of a graph.

    Attributes:
        live: nodes that the output needs.
        varying: names of values that depend on the numbers of the inputs.
        work: live nodes that depend on them, each calculation once.
        constant: live nodes that depend on none of them, but for plain constants.
        sequences: names of values that are sequences of tensors.
        uniform: constants whose numbers are all the same, with that number, by name.
    """

    live: tuple[Node, ...]
    varying: frozenset[str]
    work: tuple[Node, ...]
    constant: tuple[Node, ...]
    sequences: frozenset[str]
    uniform: Mapping[str, float]


def dataflow(model: ModelProto, nodes: Sequence[Node], known: Mapping[str, NDArray[Any]]) -> Dataflow:
    """Follow values from inputs to output; `nodes` are those of the model, `known` its constants by name."""
    needed, live = {port.name for port in model.graph.output}, list[Node]()
    for node in reversed(nodes):
        if not needed.isdisjoint(node.output):
            live.append(node)
            needed.update(node.input)
    live.reverse()
    varying, sequences = {port.name for port in model.graph.input}, set[str]()
    for node in nodes:
        if node.op_type not in MEASURING and not varying.isdisjoint(node.input):
            varying.update(node.output)
        if node.op_type in SEQUENCES or (node.op_type == "Identity" and not sequences.isdisjoint(node.input)):
            sequences.update(node.output)
    varying.discard("")
    work = tuple(node for node in _distinct(live, known) if not varying.isdisjoint(node.output))
    constant = tuple(node for node in live if node.op_type != "Constant" and varying.isdisjoint(node.output))
    return Dataflow(tuple(live), frozenset(varying), work, constant, frozenset(sequences), _uniform(constant, known))


def _uniform(constant: Sequence[Node], known: Mapping[str, NDArray[Any]]) -> dict[str, float]:
    """Constants that hold one number only, however often, and what that is."""
    found = {name: float(numbers.flat[0]) for name, numbers in known.items() if numbers.size and _alike(numbers)}
    for node in constant:
        if node.op_type in SPREADING and node.input[0] in found:
            found[node.output[0]] = found[node.input[0]]
        elif node.op_type == "Mul" and 0.0 in {found.get(name) for name in node.input}:
            found[node.output[0]] = 0.0
        elif node.op_type == "ConstantOfShape":
            filled = [to_array(one.t) for one in node.attribute if one.name == "value"]
            found[node.output[0]] = float(filled[0].flat[0]) if filled and filled[0].size else 0.0
    return found


def _alike(numbers: NDArray[Any]) -> bool:
    return bool(numbers.flat[0] == numbers.flat[-1]) and bool((numbers == numbers.flat[0]).all())


def _distinct(live: list[Node], known: Mapping[str, NDArray[Any]]) -> list[Node]:
    """The nodes without those that repeat a calculation: the same operator on the same values."""
    contents: dict[tuple[str, tuple[int, ...], bytes], str] = {}  # the first constant of each content stands for all
    same = {
        name: contents.setdefault((numbers.dtype.str, numbers.shape, numbers.tobytes()), name)
        for name, numbers in known.items()
        if 0 < numbers.size <= SMALL
    }
    first: dict[Any, Node] = {}
    for node in live:
        key = node.op_type, node.settings, tuple([same.get(name, name) for name in node.input]), len(node.output)
        before = first.setdefault(key, node)
        if before is not node:
            same.update((name, same.get(other, other)) for name, other in zip(node.output, before.output, strict=True))
    return list(first.values())


def sizing_inputs(node: Node) -> list[str]:
    """Names of the inputs whose numbers decide how large a node's outputs are."""
    places = SIZING.get(node.op_type, ())
    return [node.input[place] for place in places if place < len(node.input)]


def refuse_varying_sizes(nodes: Sequence[Node], flow: Dataflow, what: str) -> None:
    """Raise a GateError where the size of a value depends on the numbers of an input, so that no row stands for all."""
    for node in nodes:
        if node.op_type in SIZING and not flow.varying.isdisjoint(sizing_inputs(node)):
            named = f"node {spoken(node.name or node.op_type)!r} ({node.op_type})"
            fault = f"{named} gives as many numbers as it reads from an input of the graph"
            raise GateError("onnx-size", f"{what}: {fault}; give every value a size that does not depend on the data")
