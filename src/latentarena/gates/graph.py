"""The ONNX gate: a walk over the parsed file that refuses all but a plain function of its inputs. Nothing is run.

`check_graph` is the walk. What may follow it, ONNX's own checker and its inference of shapes, is C++ that a file of a
few KB can keep busy for ever; `check_in_box` does both and belongs where time and memory are limited.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

from latentarena.errors import GateError
from latentarena.gates.count import multiply_adds, stored
from latentarena.gates.operators import DOMAINS, OPERATORS, OPSETS, RANDOM, SUBGRAPHS, refuse_sizes

__all__ = ["GraphFacts", "Port", "check_graph", "check_in_box", "parse", "refuse_ports"]

LARGEST_FILE = 64 << 20  # bytes
MOST_NODES = 40_000  # fifty steps of a network of some hundred layers, each with its arithmetic
MOST_EDGES = 400_000
MOST_TENSORS = 20_000
MOST_INTEGERS = 65_536  # stored numbers that are no weights: shapes, axes, indices
MOST_LISTED = 64  # numbers in an attribute
LONGEST_TEXT = 1_000  # characters of an attribute, such as an equation
SMALL = 64  # numbers of a tensor that may be a shape
HIGHEST_RANK = 8
LARGEST_SIZE = 1 << 31  # of a dimension, and of an integer that is stored
WHOLE = 1 << 62  # from here on an integer says "to the end"
WEIGHTS: dict[int, str] = {TensorProto.FLOAT: "<f4", TensorProto.FLOAT16: "<f2"}
INTEGERS: dict[int, str] = {TensorProto.INT64: "<i8", TensorProto.INT32: "<i4", TensorProto.BOOL: "?"}
CONTENTS = {"raw_data", "float_data", "int32_data", "int64_data"}
TENSOR = {"dims", "data_type", "name", "doc_string", "metadata_props", "data_location", *CONTENTS}
TOLD = {"name", "type", "doc_string"}  # of an attribute, beside its value
VALUES: dict[int, str] = {
    AttributeProto.FLOAT: "f",
    AttributeProto.INT: "i",
    AttributeProto.STRING: "s",
    AttributeProto.TENSOR: "t",
    AttributeProto.FLOATS: "floats",
    AttributeProto.INTS: "ints",
    AttributeProto.STRINGS: "strings",
}
Known = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Port:
    """An input or output of a graph: its name, the type of its numbers and the shape of one row of any n."""

    name: str
    dtype: Literal["float32", "int64"]
    row: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.dtype} [{', '.join(['n', *map(str, self.row)])}]"


@dataclass(frozen=True)
class GraphFacts:
    """What a gate has found out about a graph.

    Attributes:
        opset: version of the operators.
        nodes, operators: how many nodes, in all and by operator.
        stored: the numbers held, by content and size, and how often each: see `stored`.
        multiply_adds: of one row; None where it was not asked for or does not follow from the graph.
    """

    opset: int
    nodes: int
    operators: dict[str, int]
    stored: Counter[tuple[str, int]]
    multiply_adds: int | None = None

    @property
    def parameters(self) -> int:
        """Stored numbers in all."""
        return sum(size * times for (_, size), times in self.stored.items())


def check_graph(content: bytes, inputs: Sequence[Port], output: Port, what: str) -> GraphFacts:
    """Refuse an ONNX file that is anything but a plain, deterministic function of just these inputs.

    Args:
        content: of the file.
        inputs, output: what it must take and give, in this order.
        what: its name in messages.

    Raises:
        GateError: it is not; whatever it holds is named.
    """
    model = parse(content, what)
    try:
        _refuse_model(model, len(content), what)
        refuse_ports(model, inputs, output, what)
        known = _refuse_tensors(model.graph, what)
        _refuse_values(model.graph, what)
        operators = _refuse_nodes(model.graph, known, what)
        found = stored(model)
    except UnicodeDecodeError:
        raise GateError(
            "onnx-text", f"{what} holds a name that is no UTF-8 text; save it anew with onnx.save"
        ) from None
    return GraphFacts(model.opset_import[0].version, operators.total(), dict(operators), found)


def check_in_box(content: bytes, inputs: Sequence[Port], output: Port, what: str) -> GraphFacts:
    """`check_graph`, then ONNX's own checker and the multiply-adds: only where time and memory are limited.

    Raises:
        GateError: either refuses it.
    """
    facts = check_graph(content, inputs, output, what)
    model = parse(content, what)
    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # its exceptions have no common base
        reason = " ".join(str(error).split())[:300]
        raise GateError("onnx-checker", f"{what} is not valid ONNX: {reason}; export it anew") from None
    return replace(facts, multiply_adds=multiply_adds(model))


def parse(content: bytes, what: str) -> ModelProto:
    """The ONNX model in a file's content; weights in files beside it are not looked for.

    Raises:
        GateError: it is none, with `what` as the file's name.
    """
    if len(content) > LARGEST_FILE:
        fault = f"has {len(content):,} bytes, but at most {LARGEST_FILE:,} are read"
        raise GateError("too-large", f"{what} {fault}; make the model smaller")
    try:
        model = onnx.load_model_from_string(content)
    except Exception:  # protobuf has errors of its own
        fault = f"its {len(content):,} bytes cannot be parsed"
        raise GateError("onnx-parse", f"{what} is no ONNX file: {fault}; export it anew") from None
    if not model.graph.node and not model.graph.output:
        raise GateError("onnx-parse", f"{what} is no ONNX file: there is no graph in it; export it anew")
    return model


def refuse_ports(model: ModelProto, inputs: Iterable[Port], output: Port, what: str) -> None:
    """Raise a GateError where inputs and output are not these by name, type and shape, for any number of rows."""
    for side, found, expected in (("takes", model.graph.input, inputs), ("gives", model.graph.output, [output])):
        here, there = (", ".join(map(str, ports)) for ports in (map(_described, found), expected))
        if here != there:
            raise GateError(
                "onnx-ports", f"{what} {side} {here or 'nothing'}, expected {there}, n being any number of rows"
            )


def _described(port: ValueInfoProto) -> str:
    """As a `Port` puts it; a question mark for whatever is not said."""
    tensor = port.type.tensor_type
    known = tensor.elem_type in TensorProto.DataType.values()
    kind = TensorProto.DataType.Name(tensor.elem_type).lower() if tensor.elem_type and known else "of no type"
    dtype = {"float": "float32"}.get(kind, kind)
    sizes = [str(dim.dim_value) if dim.HasField("dim_value") else "?" for dim in tensor.shape.dim[:10]]
    rows = ["n" if size == "?" else size for size in sizes[:1]]
    return f"{port.name[:80]} {dtype} [{', '.join(rows + sizes[1:])}]"


def _refuse_model(model: ModelProto, size: int, what: str) -> None:
    """Raise where the file holds more than one graph of one version of the standard operators."""
    graph = model.graph
    if model.functions:
        raise GateError("onnx-functions", f"{what} defines {len(model.functions)} functions; inline them at export")
    if model.training_info:
        raise GateError("onnx-training", f"{what} holds instructions for training; export it for inference")
    if graph.sparse_initializer:
        raise GateError("onnx-sparse", f"{what} holds sparse tensors; store them densely")
    if graph.quantization_annotation or model.configuration:
        raise GateError("onnx-unexpected", f"{what} is made for quantised or distributed running; export it plainly")
    domains = [opset.domain for opset in model.opset_import if opset.domain not in DOMAINS]
    if domains:
        raise GateError("onnx-domain", f"{what} uses operators of {domains[0][:80]!r}; only ONNX's own are run")
    versions = [opset.version for opset in model.opset_import]
    if len(versions) != 1 or versions[0] not in OPSETS or not 3 <= model.ir_version <= onnx.IR_VERSION:
        wanted = f"one from {OPSETS[0]} to {OPSETS[-1]}"
        raise GateError(
            "onnx-opset", f"{what} is made for opset {versions} of IR {model.ir_version}, expected {wanted}"
        )
    keys = [entry.key for entry in model.metadata_props]
    if len(keys) > SMALL or len(set(keys)) != len(keys):
        raise GateError(
            "onnx-metadata", f"{what} has {len(keys)} entries of metadata, too many or some twice; clear it"
        )
    told = model.ByteSize()
    model.DiscardUnknownFields()
    if model.ByteSize() != told or told != size:
        fault = f"{size - min(told, model.ByteSize()):,} bytes that are no part of the model"
        raise GateError("onnx-trailing", f"{what} holds {fault}; save it anew with onnx.save")


def _refuse_tensors(graph: GraphProto, what: str) -> Known:
    """Raise where a stored tensor is not what a graph may hold; those that may be shapes come back."""
    if len(graph.initializer) > MOST_TENSORS:
        raise GateError(
            "onnx-nodes", f"{what} has {len(graph.initializer):,} tensors; at most {MOST_TENSORS:,} are read"
        )
    known: Known = {port.name: np.zeros(0) for port in graph.input}
    integers = 0
    for tensor in graph.initializer:
        name = tensor.name
        if not name or name in known:
            raise GateError("onnx-names", f"{what}: two tensors or inputs are called {name[:80]!r}; export it anew")
        numbers = _numbers(tensor, what)
        integers += numbers.size * (tensor.data_type in INTEGERS)
        known[name] = numbers
    if integers > MOST_INTEGERS:
        limit = f"at most {MOST_INTEGERS:,} whole numbers"
        raise GateError("onnx-integers", f"{what} stores {integers:,} whole numbers, but {limit}; weights are float32")
    return known


def _numbers(tensor: TensorProto, what: str) -> NDArray[Any]:
    """The numbers of a stored tensor, once they are of a kind that may be stored."""
    named = f"{what}: tensor {tensor.name[:80]!r}"
    fields = {field.name for field, _ in tensor.ListFields()}
    if tensor.data_location != TensorProto.DEFAULT or "external_data" in fields:
        raise GateError("external-data", f"{named} lies in another file; save the model in one file")
    kind = tensor.data_type
    if kind not in WEIGHTS and kind not in INTEGERS:
        said = TensorProto.DataType.Name(kind).lower() if kind in TensorProto.DataType.values() else f"of type {kind}"
        raise GateError("onnx-type", f"{named} is {said}; weights are float32 or float16, shapes int64")
    if fields - TENSOR or len(fields & CONTENTS) > 1:
        raise GateError("onnx-damaged", f"{named} is damaged: it holds its content twice or in parts; save it anew")
    dims = list(tensor.dims)
    if len(dims) > HIGHEST_RANK or not all(0 <= size < LARGEST_SIZE for size in dims):
        raise GateError("onnx-dims", f"{named} has an absurd shape, {str(dims)[:80]}")
    numbers = _content(tensor)
    if numbers is None or numbers.size != prod(dims):
        held = "no numbers that fit" if numbers is None else f"{numbers.size:,} numbers"
        raise GateError("onnx-damaged", f"{named} is damaged: {held} for shape {dims}; save it anew with onnx.save")
    if kind in WEIGHTS:
        wrong = np.isnan(numbers) if numbers.size == 1 else ~np.isfinite(numbers)  # a lone infinity masks or clips
        if wrong.any():
            raise GateError("not-finite", f"{named} holds values that are not finite; train it anew")
    elif ((sizes := np.abs(numbers.astype(float))) >= LARGEST_SIZE)[sizes < WHOLE].any():
        raise GateError("onnx-packed", f"{named} holds whole numbers beyond 32 bits, which no shape or index has")
    return numbers.reshape(dims)


def _content(tensor: TensorProto) -> NDArray[Any] | None:
    """A tensor's numbers in a row; None where its bytes are not of its type."""
    kind = tensor.data_type
    dtype = np.dtype(WEIGHTS.get(kind) or INTEGERS[kind])
    if tensor.HasField("raw_data"):
        raw = tensor.raw_data
        if len(raw) % dtype.itemsize:
            return None
        return np.frombuffer(raw, np.uint8) != 0 if kind == TensorProto.BOOL else np.frombuffer(raw, dtype)
    if kind == TensorProto.FLOAT:
        listed, others = tensor.float_data, (tensor.int32_data, tensor.int64_data)
    elif kind == TensorProto.INT64:
        listed, others = tensor.int64_data, (tensor.int32_data, tensor.float_data)
    else:
        listed, others = tensor.int32_data, (tensor.int64_data, tensor.float_data)
    if any(len(other) for other in others):
        return None
    numbers: NDArray[Any] = np.array(listed, np.float32 if kind == TensorProto.FLOAT else np.int64)
    if kind == TensorProto.FLOAT16:
        return numbers.astype(np.uint16).view(np.float16) if ((numbers >= 0) & (numbers < 1 << 16)).all() else None
    return numbers


def _refuse_values(graph: GraphProto, what: str) -> None:
    """Raise where the shapes that a graph tells of itself are absurd."""
    if len(graph.value_info) > MOST_EDGES:
        raise GateError("onnx-nodes", f"{what} tells of {len(graph.value_info):,} values; clear value_info")
    for value in graph.value_info:
        dims = value.type.tensor_type.shape.dim
        if len(dims) > HIGHEST_RANK or not all(0 <= dim.dim_value < LARGEST_SIZE for dim in dims):
            raise GateError("onnx-dims", f"{what}: value {value.name[:80]!r} is said to have an absurd shape")


def _refuse_nodes(graph: GraphProto, known: Known, what: str) -> Counter[str]:
    """Raise where a node is no plain function, or not of what stands before it; the operators come back, counted."""
    if len(graph.node) > MOST_NODES:
        raise GateError("onnx-nodes", f"{what} has {len(graph.node):,} nodes; at most {MOST_NODES:,} are run")
    operators: Counter[str] = Counter()
    defined, edges = set(known), 0
    defined.add("")  # an input that is left out
    for node in graph.node:
        operator = node.op_type
        named = f"{what}: node {node.name[:80] or operator[:80]!r}"
        if node.domain not in DOMAINS or node.overload or operator not in OPERATORS:
            raise _no_operator(node, named)
        operators[operator] += 1
        edges += len(node.input) + len(node.output)
        if not defined.issuperset(node.input):
            raise GateError("onnx-names", f"{named} uses what no node before it gives; export it anew")
        for attribute in node.attribute:
            _refuse_attribute(attribute, operator, known, node, named)
        given = [name for name in node.output if name]
        if not defined.isdisjoint(given) or len(set(given)) != len(given):
            raise GateError("onnx-names", f"{named} gives a name that is taken; export it anew")
        defined.update(given)
        _refuse_training(node, known, named)
        refuse_sizes(node, known, named)
    if edges > MOST_EDGES:
        raise GateError(
            "onnx-nodes", f"{what} has {edges:,} inputs and outputs of nodes; at most {MOST_EDGES:,} are run"
        )
    return operators


def _no_operator(node: NodeProto, named: str) -> GateError:
    operator = node.op_type[:80]
    if node.domain not in DOMAINS:
        return GateError("onnx-domain", f"{named} is of {node.domain[:80]!r}; only ONNX's own operators are run")
    if operator in SUBGRAPHS:
        return GateError("onnx-subgraph", f"{named} is a {operator}; unroll loops and branches at export")
    if operator in RANDOM:
        return GateError("onnx-random", f"{named} is a {operator} that draws numbers; noise is an input")
    return GateError("onnx-operator", f"{named} is a {operator}, which is not run; use standard operators of inference")


def _refuse_attribute(attribute: AttributeProto, operator: str, known: Known, node: NodeProto, named: str) -> None:
    """Raise where an attribute is anything but a few numbers, a text or a tensor of a constant."""
    fields = {field.name for field, _ in attribute.ListFields()} - TOLD
    if fields & {"g", "graphs"}:
        raise GateError("onnx-subgraph", f"{named} holds a graph; unroll loops and branches at export")
    if fields & {"sparse_tensor", "sparse_tensors"}:
        raise GateError("onnx-sparse", f"{named} holds a sparse tensor; store it densely")
    value = VALUES.get(attribute.type)
    if value is None or fields - {value}:
        raise GateError("onnx-attribute", f"{named} has an odd attribute {attribute.name[:80]!r}; export it anew")
    texts = [attribute.s] if value == "s" else attribute.strings
    if any(len(text) > LONGEST_TEXT for text in texts) or len(attribute.strings) > MOST_LISTED:
        raise GateError("onnx-attribute", f"{named} has a text of no use in {attribute.name[:80]!r}; export it anew")
    if operator != "Constant" and max(len(attribute.ints), len(attribute.floats)) > MOST_LISTED:
        raise GateError("onnx-attribute", f"{named} has a long list in {attribute.name[:80]!r}; export it anew")
    if value == "t":
        numbers = _numbers(attribute.t, named)
        if operator == "Constant" and len(node.output) == 1:
            known[node.output[0]] = numbers


def _refuse_training(node: NodeProto, known: Known, named: str) -> None:
    """Raise where a layer runs as in training."""
    mode = node.op_type == "Dropout" and len(node.input) > 2 and node.input[2]
    if (mode and (mode not in known or known[mode].size != 1 or bool(known[mode].any()))) or any(
        attribute.name == "training_mode" and attribute.i for attribute in node.attribute
    ):
        raise GateError("onnx-training", f"{named} is a {node.op_type} in training mode; call .eval() before export")
