"""The ONNX gate's walk over tensors and nodes of a graph: each is seen once, and what is stored is counted."""

from __future__ import annotations

from collections import Counter
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import AttributeProto, GraphProto, NodeProto, TensorProto

from latentarena.errors import GateError
from latentarena.gates.node import Node, Settings, read_node
from latentarena.gates.operators import (
    DOMAINS,
    OPERATORS,
    RANDOM,
    SPEAKING,
    SUBGRAPHS,
    refuse_sizes,
    refuse_type,
    refuse_window,
    spelled,
    to_float32,
)
from latentarena.gates.size import key_of

MOST_NODES = 40_000  # fifty steps of a network of some hundred layers, each with its arithmetic
MOST_EDGES = 400_000
MOST_TENSORS = 20_000
MOST_INTEGERS = 65_536  # stored numbers that are no weights: shapes, axes, indices
MOST_LISTED = 64  # numbers in an attribute
LONGEST_TEXT = 1_000  # characters of an attribute, such as an equation
WAYS_OUT = {  # by the domain that an operator is of
    "com.microsoft": "give the graph as it was before onnxruntime optimised or quantised it",
    "ai.onnx.ml": "trees and tables are not run, networks and linear maps are",
}
HIGHEST_RANK = 8
LARGEST_SIZE = 1 << 31  # of a dimension, and of an integer that is stored
ENDS = {(1 << 63) - 1, 1 - (1 << 63), -(1 << 63)}  # integers that say "to the end"
WEIGHTS: dict[int, str] = {TensorProto.FLOAT: "<f4", TensorProto.FLOAT16: "<f2"}
INTEGERS: dict[int, str] = {TensorProto.INT64: "<i8", TensorProto.INT32: "<i4", TensorProto.BOOL: "?"}
CONTENTS = {"raw_data", "float_data", "int32_data", "int64_data"}
TENSOR = {"dims", "data_type", "name", "doc_string", "metadata_props", "data_location", *CONTENTS}
TOLD = {"name", "type", "doc_string"}  # of an attribute, beside its value
SHORT: dict[int, str] = {
    AttributeProto.FLOAT: "f",
    AttributeProto.INT: "i",
    AttributeProto.STRING: "s",
    AttributeProto.INTS: "ints",
    AttributeProto.STRINGS: "strings",
}
VALUES: dict[int, str] = SHORT | {AttributeProto.TENSOR: "t", AttributeProto.FLOATS: "floats"}


class Inventory:
    """What a graph holds, as it is found node by node.

    Attributes:
        known: constants by name; empty arrays for the graph's inputs.
        operators: how often each is used.
        stored: the numbers that the file holds, by content and how many they are, and how often they come. All count:
            initialisers, tensors and lists in attributes, whatever a `Constant` is, and each other floating-point
            setting, such as a slope, once.
        kept: these numbers themselves.
        read: the nodes, in the graph's order.
    """

    def __init__(self, what: str) -> None:
        """Start with nothing; `what` is the file's name in messages."""
        self.what = what
        self.known: dict[str, NDArray[Any]] = {}
        self.operators: Counter[str] = Counter()
        self.stored: Counter[tuple[str, int]] = Counter()
        self.kept: dict[tuple[str, int], NDArray[Any]] = {}
        self.read: list[Node] = []
        self._integers = 0
        self._seen: set[tuple[str, tuple[bytes, ...]]] = set()  # short settings by operator: steps repeat themselves

    def tensors(self, graph: GraphProto) -> None:
        """Reject forbidden or damaged initialisers, and declared shapes that are absurd."""
        most = max(len(graph.initializer), len(graph.value_info) // 10)
        if most > MOST_TENSORS:
            raise GateError("onnx-nodes", f"{self.what} has {most:,} tensors or tells of ten times as many values")
        self.known = {port.name: np.zeros(0) for port in graph.input}
        for tensor in graph.initializer:
            name = tensor.name
            if not name or name in self.known:
                fault = f"two tensors or inputs are called {spoken(name)!r}, or one nothing"
                raise GateError("onnx-names", f"{self.what}: {fault}; export it anew")
            self.known[name] = self._held(tensor, self.what)
        for value in graph.value_info:
            dims = value.type.tensor_type.shape.dim
            if len(dims) > HIGHEST_RANK or not all(0 <= dim.dim_value < LARGEST_SIZE for dim in dims):
                fault = f"value {spoken(value.name)!r} is said to have an absurd shape"
                raise GateError("onnx-dims", f"{self.what}: {fault}; clear value_info")

    def nodes(self, graph: GraphProto) -> None:
        """Reject nodes that are not allowed operators or that read values not yet computed."""
        if len(graph.node) > MOST_NODES:
            raise GateError("onnx-nodes", f"{self.what} has {len(graph.node):,} nodes; at most {MOST_NODES:,} are run")
        defined, edges = {"", *self.known}, 0  # "" is an input that is left out
        alike: dict[tuple[bytes, ...], Settings] = {}
        for told in graph.node:
            if told.op_type not in OPERATORS or told.domain not in DOMAINS or told.overload:
                raise self._stranger(told)
            node = read_node(told, alike)
            self.read.append(node)
            if not defined.issuperset(node.input):
                raise GateError("onnx-names", f"{self._named(node)} uses what no node before it gives; export it anew")
            for name in node.output:
                if name in defined and name:
                    raise GateError("onnx-names", f"{self._named(node)} gives a name that is taken; export it anew")
                defined.add(name)
            edges += len(node.input) + len(node.output)
            if node.settings and (node.op_type, node.settings) not in self._seen:
                self._attributes(node)
            if node.op_type in SPEAKING:
                self._inputs(node)
        if edges > MOST_EDGES:
            fault = f"{edges:,} inputs and outputs of nodes; at most {MOST_EDGES:,} are run"
            raise GateError("onnx-nodes", f"{self.what} has {fault}")
        if bytes in set(map(type, defined)):  # which protobuf makes of what is no text
            raise GateError("onnx-text", f"{self.what} holds a name that is no UTF-8 text; export it anew")
        self.operators = Counter(node.op_type for node in self.read)

    def _attributes(self, node: Node) -> None:
        """Refuse a node of which an attribute is anything but a few numbers, a text or a tensor."""
        for attribute in node.attribute:
            self._odd(attribute, node)
            self._attribute(attribute, node)
        if node.op_type != "Constant" and all(attribute.type in SHORT for attribute in node.attribute):
            self._seen.add((node.op_type, node.settings))

    def _attribute(self, attribute: AttributeProto, node: Node) -> None:
        """Count the numbers of an attribute that may be stored."""
        kind, operator = attribute.type, node.op_type
        if kind in SHORT and operator != "Constant":
            self._setting(attribute, node)
            return
        if kind == AttributeProto.TENSOR:
            numbers = self._held(attribute.t, self._named(node))
        elif operator == "Constant" and kind in (AttributeProto.INT, AttributeProto.INTS):
            numbers = self._counted(np.array([attribute.i] if kind == AttributeProto.INT else attribute.ints, np.int64))
        elif kind in (AttributeProto.FLOAT, AttributeProto.FLOATS):
            listed = [attribute.f] if kind == AttributeProto.FLOAT else attribute.floats
            numbers = self._counted(np.array(listed, np.float32))
            _refuse_infinite(numbers, self._named(node))
        else:
            raise GateError("onnx-type", f"{self._named(node)} holds texts, which no model for images needs")
        if operator == "Constant" and len(node.output) == 1:
            self.known[node.output[0]] = numbers

    def _odd(self, attribute: AttributeProto, node: Node) -> None:
        """Refuse an attribute that holds something else than it says, or too much of it."""
        fields = {field.name for field, _ in attribute.ListFields()} - TOLD
        if fields & {"g", "graphs"}:
            raise GateError("onnx-subgraph", f"{self._named(node)} holds a graph; unroll loops and branches at export")
        if fields & {"sparse_tensor", "sparse_tensors"}:
            raise GateError("onnx-sparse", f"{self._named(node)} holds a sparse tensor; store it densely")
        value, name = VALUES.get(attribute.type), spoken(attribute.name)
        if value is None or fields - {value}:
            raise GateError("onnx-attribute", f"{self._named(node)} has an odd attribute {name!r}; export it anew")
        texts = [attribute.s, *attribute.strings]
        long = any(len(text) > LONGEST_TEXT for text in texts) or len(texts) > MOST_LISTED
        if long or (len(attribute.ints) > MOST_LISTED and node.op_type != "Constant"):
            raise GateError("onnx-attribute", f"{self._named(node)} has a long list or text, {name!r}; export it anew")

    def _setting(self, attribute: AttributeProto, node: Node) -> None:
        """Refuse a setting that no inference has; a floating-point one is a number that is stored."""
        name = attribute.name
        if name == "training_mode" and attribute.i:
            raise self._training(node)
        refuse_window(name, attribute.ints, self._named(node))
        refuse_type(node.op_type, name, attribute.i, self._named(node))
        if attribute.type == AttributeProto.FLOAT:
            number = np.array([attribute.f], np.float32)
            _refuse_infinite(number, self._named(node))
            key = key_of(number)
            self.stored[key], self.kept[key] = max(1, self.stored[key]), number

    def _inputs(self, node: Node) -> None:
        """Refuse inputs that are constants out of place."""
        if node.op_type == "Dropout" and len(node.input) > 2 and node.input[2]:
            mode = self.known.get(node.input[2])
            if mode is None or mode.size != 1 or bool(mode.any()):
                raise self._training(node)
        refuse_sizes(node, self.known, self._named(node))

    def _held(self, tensor: TensorProto, where: str) -> NDArray[Any]:
        """The numbers of a tensor that may be stored, once they are counted."""
        return self._counted(_numbers(tensor, f"{where}: tensor {spoken(tensor.name)!r}"))

    def _counted(self, numbers: NDArray[Any]) -> NDArray[Any]:
        # Where there are no numbers, the shape can hold some, which Shape gives.
        held = numbers if numbers.size else np.array([size for size in numbers.shape if size], np.int64)
        key = key_of(held)
        self.stored[key] += 1
        self.kept[key] = held
        if held.dtype.kind != "f":
            self._integers += held.size
            if self._integers > MOST_INTEGERS:
                fault = f"stores more than {MOST_INTEGERS:,} whole numbers; weights are float32 or float16"
                raise GateError("onnx-integers", f"{self.what} {fault}")
            large = numbers[(numbers > LARGEST_SIZE) | (numbers < -LARGEST_SIZE)]
            if not ENDS.issuperset(large.tolist()):
                fault = "stores whole numbers of more than 32 bits, which no shape or index has"
                raise GateError("onnx-packed", f"{self.what} {fault}")
        return numbers

    def _named(self, node: Node | NodeProto) -> str:
        return f"{self.what}: node {spoken(node.name or node.op_type)!r}"

    def _training(self, node: Node) -> GateError:
        fault = f"is a {node.op_type} in training mode; call .eval() before export"
        return GateError("onnx-training", f"{self._named(node)} {fault}")

    def _stranger(self, node: NodeProto) -> GateError:
        """Why an operator is not run."""
        operator, named = spoken(node.op_type), self._named(node)
        if node.domain not in DOMAINS or node.overload:
            domain = spoken(node.domain or node.overload)
            way = WAYS_OUT.get(node.domain, "export it in those")
            return GateError("onnx-domain", f"{named} is of {domain!r}; only ONNX's own operators are run: {way}")
        if operator in SUBGRAPHS:
            return GateError("onnx-subgraph", f"{named} is a {operator}; unroll loops and branches at export")
        if operator in RANDOM:
            return GateError("onnx-random", f"{named} is a {operator} that draws numbers; noise is an input")
        way = "`arena pack` writes it in others" if operator == "Erfc" else "use standard operators of inference"
        fault = f"is a {operator}, which is not run; {way}"
        return GateError("onnx-operator", f"{named} {fault}")


def spoken(text: str) -> str:
    """A name from a file in messages: short, one line, and nothing in it that cannot be seen."""
    return ascii(text)[1:-1][:80]


def _numbers(tensor: TensorProto, named: str) -> NDArray[Any]:
    """The numbers of a tensor in its shape, once they are of a kind that may be stored."""
    told = {field.name: content for field, content in tensor.ListFields()}
    fields = told.keys()
    if tensor.data_location != TensorProto.DEFAULT or "external_data" in fields:
        raise GateError("external-data", f"{named} lies in another file; save the model in one file")
    kind = tensor.data_type
    if kind not in WEIGHTS and kind not in INTEGERS:
        fault = f"is {spelled(kind)}; weights are float32 or float16, shapes int64{to_float32(kind)}"
        raise GateError("onnx-type", f"{named} {fault}")
    if fields - TENSOR or len(fields & CONTENTS) > 1:
        raise GateError("onnx-damaged", f"{named} is damaged: it holds its content twice or in parts; save it anew")
    dims = list(tensor.dims)
    if len(dims) > HIGHEST_RANK or min(dims, default=0) < 0 or prod(filter(None, dims)) >= LARGEST_SIZE:
        raise GateError("onnx-dims", f"{named} has an absurd shape, {str(dims)[:80]}")
    numbers = _content(tensor, told.get("raw_data"))
    if numbers is None or numbers.size != prod(dims):
        held = "no numbers that fit" if numbers is None else f"{numbers.size:,} numbers"
        raise GateError("onnx-damaged", f"{named} is damaged: {held} for shape {dims}; save it anew with onnx.save")
    if kind in WEIGHTS:
        _refuse_infinite(numbers, named)
    return numbers.reshape(dims)


def _content(tensor: TensorProto, raw: bytes | None) -> NDArray[Any] | None:
    """A tensor's numbers in a row, of its bytes if it has any; None where these are not of its type."""
    kind = tensor.data_type
    dtype = np.dtype(WEIGHTS.get(kind) or INTEGERS[kind])
    if raw is not None:
        if len(raw) % dtype.itemsize:
            return None
        return np.frombuffer(raw, np.uint8) != 0 if kind == TensorProto.BOOL else np.frombuffer(raw, dtype)
    fields: dict[int, str] = {TensorProto.FLOAT: "float_data", TensorProto.INT64: "int64_data"}
    field = fields.get(kind, "int32_data")
    if any(len(getattr(tensor, other)) for other in CONTENTS - {field}):
        return None
    numbers: NDArray[Any] = np.array(getattr(tensor, field), np.float32 if kind == TensorProto.FLOAT else np.int64)
    if kind == TensorProto.FLOAT16:  # as the bits of each
        return numbers.astype(np.uint16).view(np.float16) if ((numbers >= 0) & (numbers < 1 << 16)).all() else None
    return numbers.astype(dtype)


def _refuse_infinite(numbers: NDArray[Any], named: str) -> None:
    """Refuse numbers that are not finite; a lone infinity clips, and minus infinity beside nothing positive masks."""
    finite = np.isfinite(numbers)
    if finite.all() or (numbers.size == 1 and not np.isnan(numbers).any()):
        return
    if not (np.isneginf(numbers[~finite]).all() and (numbers[finite] <= 0).all() and finite.any()):
        raise GateError("not-finite", f"{named} holds values that are not finite; train it anew")
