"""Shapes that ONNX infers, shown to be true at a fraction of a run: each kind of node is run once, on its own.

Inference can be wrong, and be made so: what a file tells of its values is believed, and whole numbers are followed
through conversions that change them. But if every node, given inputs of the shapes inferred, gives outputs of the
shapes inferred, then all are true, from the first node to the last. Nodes that differ in numbers only are one kind, so
that the steps of an unrolled sampler are run once. Numbers matter only where a size is read from them: these are
computed for what they are.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from contextlib import suppress
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper
from onnx.numpy_helper import from_array

from latentarena.gates.dataflow import MEASURING, Dataflow, sizing_inputs
from latentarena.gates.node import Node
from latentarena.gates.operators import SIZING
from latentarena.gates.shapes import Shape, Told, Type, found_by_running

if TYPE_CHECKING:
    from latentarena.gates.graph import Port

PORTS: dict[str, int] = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64}
AT_ONCE = 1 << 20  # numbers of all values together that may be held
DIVIDING = {"Div", "Mod"}  # stop a process that divides a whole number by 0


def confirmed(
    model: ModelProto, flow: Dataflow, known: Mapping[str, NDArray[Any]], inputs: Sequence[Port], told: Told
) -> dict[str, Shape] | None:
    """The shapes of all values that the output needs, for one row; None where any is not told, or not true.

    Args:
        model, flow, known: the graph, its dataflow and its constants.
        inputs: of the graph.
        told: types and shapes by name, from anywhere.
    """
    ports = {port.name: (PORTS[port.dtype], (1, *port.row)) for port in inputs}
    constants = {name: numbers for name, numbers in known.items() if name not in ports}
    types = told | {name: _type(numbers) for name, numbers in constants.items()} | ports
    nodes = [node for node in flow.live if node.op_type != "Constant"]
    asked = set[str]().union(*(node.input for node in nodes), *(node.output for node in nodes)) - {""}
    if flow.sequences or not asked <= types.keys():
        return None
    probe = _Probe(model, constants, types, _read_as_sizes(nodes))
    with suppress(Exception):  # onnxruntime's have no common base; what it cannot run is told by a run of the whole
        if all(probe.add(node) for node in nodes) and probe.holds():
            return {name: shape for name, (_, shape) in types.items()}
    return None


def _type(numbers: NDArray[Any]) -> Type:
    return helper.np_dtype_to_tensor_dtype(numbers.dtype), numbers.shape


def _read_as_sizes(nodes: Sequence[Node]) -> set[str]:
    """Names of the values whose numbers a size depends on."""
    wanted = {name for node in nodes if node.op_type in SIZING for name in sizing_inputs(node)}
    for node in reversed(nodes) if wanted else ():
        if node.op_type not in MEASURING and not wanted.isdisjoint(node.output):
            wanted.update(node.input)
    return wanted


class _Probe:
    """A model of one node of each kind, none of which reads what another gives, but for what sizes are read from.

    Attributes:
        model: what is run; feed: its inputs.
        expected: shapes that its values should have.
    """

    def __init__(self, model: ModelProto, constants: Mapping[str, NDArray[Any]], types: Told, sizes: set[str]) -> None:
        self.model = ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
        self.model.graph.name = "probe"
        self.feed: dict[str, NDArray[Any]] = {}
        self.expected: dict[str, Shape] = {}
        self._constants, self._types, self._sizes = constants, types, sizes
        self._kinds: dict[Hashable, tuple[list[Type], list[str]]] = {}  # what each gives, and what stands for that
        self._held: dict[Hashable, str] = {}  # constants and inputs
        self._stands = {"": ""}  # for values of the graph: values of the probe, of the same numbers where these matter

    def add(self, node: Node) -> bool:
        """Take a node in unless there is one of its kind; whether its outputs are told to have the same shapes."""
        stands = self._stands
        inputs = tuple([stands[name] if name in stands else self._stand_in(name) for name in node.input])
        whole = "" not in node.output
        given = node.output if whole else tuple(filter(None, node.output))
        told = [self._types[name] for name in given]
        exact = not self._sizes.isdisjoint(given)
        left_out = () if whole else tuple([not name for name in node.output])
        kind = node.op_type, node.settings, inputs, exact, len(given), left_out
        found = self._kinds.get(kind)
        if found is None:
            found = self._kinds[kind] = told, self._taken_in(node, inputs, told, exact)
        for name, stand in zip(given, found[1], strict=True):
            stands[name] = stand
        return told == found[0]

    def holds(self) -> bool:
        """Whether a run gives the shapes that are expected."""
        small = sum(map(prod, self.expected.values())) <= AT_ONCE
        return found_by_running(self.model, list(self.expected), self.feed, small) == self.expected

    def _taken_in(self, node: Node, inputs: Sequence[str], told: Sequence[Type], exact: bool) -> list[str]:
        """Put a node into the model; what stands for its outputs."""
        outputs = [f"v{len(self._kinds)}.{place}" if name else "" for place, name in enumerate(node.output)]
        if node.op_type in DIVIDING:
            inputs = [self._not_zero(name) for name in inputs]
        made = NodeProto(op_type=node.op_type, input=inputs, output=outputs, attribute=node.attribute)
        self.model.graph.node.append(made)
        named = [name for name in outputs if name]
        self.expected.update((name, shape) for name, (_, shape) in zip(named, told, strict=True))
        return named if exact else [self._placeholder(*one) for one in told]

    def _stand_in(self, name: str) -> str:
        """A constant or an input of the graph that was not met before."""
        numbers = self._constants.get(name)
        if numbers is not None and (name in self._sizes or numbers.dtype.kind != "f"):
            key = str(numbers.dtype), numbers.shape, numbers.tobytes()
            if key not in self._held:
                self._held[key] = f"c{len(self._held)}"
                self.model.graph.initializer.append(from_array(numbers, self._held[key]))
            self._stands[name] = self._held[key]
        else:
            self._stands[name] = self._placeholder(*self._types[name])
        return self._stands[name]

    def _placeholder(self, elem: int, shape: Shape, fill: int = 0) -> str:
        """An input of the probe of this type and shape."""
        key = elem, shape, fill
        if key not in self._held:
            name = self._held[key] = f"i{len(self._held)}"
            dtype = helper.tensor_dtype_to_np_dtype(elem)
            self.model.graph.input.append(helper.make_tensor_value_info(name, elem, shape))
            self.feed[name] = np.full(shape, fill, dtype) if fill else np.zeros(shape, dtype)  # which takes no memory
        return self._held[key]

    def _not_zero(self, name: str) -> str:
        numbers = self.feed.get(name)
        if numbers is None or numbers.dtype.kind == "f":
            return name
        return self._placeholder(helper.np_dtype_to_tensor_dtype(numbers.dtype), numbers.shape, 1)
