"""ONNX files read as data: what goes in and out, how many numbers are stored, what a sample costs. Nothing is run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import prod
from typing import Literal

import onnx
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, numpy_helper

from latentarena.errors import BundleError
from latentarena.files import digest

__all__ = ["Port", "multiply_adds", "nodes", "parse", "refuse_ports", "stored"]

Shapes = dict[str, tuple[int, ...]]
UNCOUNTED = {
    "Attention",
    "ConvInteger",
    "Einsum",
    "GRU",
    "LSTM",
    "MatMulInteger",
    "QLinearConv",
    "QLinearMatMul",
    "RNN",
}


@dataclass(frozen=True)
class Port:
    """An input or output of a graph: its name, the type of its numbers and the shape of one row of any n."""

    name: str
    dtype: Literal["float32", "int64"]
    row: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.dtype} [{', '.join(['n', *map(str, self.row)])}]"


def parse(content: bytes, what: str) -> ModelProto:
    """The ONNX model in a file's content; weights in files beside it are not looked for.

    Raises:
        BundleError: it is none, with `what` as the file's name.
    """
    try:
        model = onnx.load_model_from_string(content)
    except Exception:  # protobuf has errors of its own
        raise BundleError(f"{what} is no ONNX file: its {len(content):,} bytes cannot be parsed") from None
    if not model.graph.node and not model.graph.output:
        raise BundleError(f"{what} is no ONNX file: there is no graph in it")
    for tensor in model.graph.initializer:
        if tensor.data_location == TensorProto.EXTERNAL:
            raise BundleError(f"{what}: tensor {tensor.name!r} lies in another file; save the model in one file")
    return model


def refuse_ports(model: ModelProto, inputs: Iterable[Port], output: Port, what: str) -> None:
    """Raise a BundleError where inputs and output are not these by name, type and shape, for any number of rows."""
    for side, found, expected in (("takes", model.graph.input, inputs), ("gives", model.graph.output, [output])):
        here, there = (", ".join(map(str, ports)) for ports in (map(_described, found), expected))
        if here != there:
            raise BundleError(f"{what} {side} {here or 'nothing'}, expected {there}, n being any number of rows")


def _described(port: ValueInfoProto) -> str:
    """As a `Port` puts it; a question mark for whatever is not said."""
    tensor = port.type.tensor_type
    kind = TensorProto.DataType.Name(tensor.elem_type).lower() if tensor.elem_type else "of no type"
    dtype = {"float": "float32"}.get(kind, kind)
    sizes = [str(dim.dim_value) if dim.HasField("dim_value") else "?" for dim in tensor.shape.dim]
    rows = ["n" if size == "?" else size for size in sizes[:1]]
    return f"{port.name} {dtype} [{', '.join(rows + sizes[1:])}]"


def nodes(model: ModelProto) -> Iterator[NodeProto]:
    """Every node, those of subgraphs and local functions too."""
    yield from _nodes(model.graph.node)
    for function in model.functions:
        yield from _nodes(function.node)


def _nodes(level: Iterable[NodeProto]) -> Iterator[NodeProto]:
    for node in level:
        yield node
        for graph in _subgraphs(node):
            yield from _nodes(graph.node)


def _subgraphs(node: NodeProto) -> Iterator[GraphProto]:
    for attribute in node.attribute:
        yield from [attribute.g] if attribute.HasField("g") else attribute.graphs


def stored(model: ModelProto) -> Counter[tuple[str, int]]:
    """The tensors that a file holds, by content and how many numbers they have.

    All count: initialisers, tensors and floating-point lists in attributes of nodes, and whatever a `Constant` is.

    Raises:
        BundleError: a tensor's content is not what its shape and type ask for.
    """
    found: Counter[tuple[str, int]] = Counter()
    inner = list(nodes(model))
    for graph in [model.graph, *(graph for node in inner for graph in _subgraphs(node))]:
        sparse = [part for one in graph.sparse_initializer for part in (one.values, one.indices)]
        found.update(map(_key, [*graph.initializer, *sparse]))
    for node in inner:
        for attribute in node.attribute:
            found.update(_held(attribute, node.op_type == "Constant"))
    return found


def _held(attribute: AttributeProto, constant: bool) -> Iterator[tuple[str, int]]:
    tensors = [*attribute.tensors, *([attribute.t] if attribute.HasField("t") else [])]
    if attribute.HasField("sparse_tensor"):
        tensors += [attribute.sparse_tensor.values, attribute.sparse_tensor.indices]
    yield from map(_key, tensors)
    lists = [list(attribute.floats)]
    if constant:
        lists += [
            list(attribute.ints),
            [attribute.f] * attribute.HasField("f"),
            [attribute.i] * attribute.HasField("i"),
        ]
    for numbers in filter(None, lists):
        yield digest(repr(numbers).encode()), len(numbers)


def _key(tensor: TensorProto) -> tuple[str, int]:
    try:
        array = numpy_helper.to_array(tensor)
    except Exception as error:  # of whatever kind the wrong length or type of its content leads to
        raise BundleError(f"tensor {tensor.name!r} is damaged: {' '.join(str(error).split())[:100]}") from None
    return digest(str(array.dtype).encode(), array.tobytes()), array.size


def multiply_adds(model: ModelProto) -> int | None:
    """Multiply-adds of a single row, of matrix products and convolutions; None where shapes do not follow."""
    one = ModelProto()
    one.CopyFrom(model)
    for port in (*one.graph.input, *one.graph.output):
        port.type.tensor_type.shape.dim[0].dim_value = 1
    try:
        graph = onnx.shape_inference.infer_shapes(one, data_prop=True).graph
    except (onnx.shape_inference.InferenceError, ValueError):
        return None
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for port in (*graph.input, *graph.output, *graph.value_info):
        shapes[port.name] = tuple(dim.dim_value for dim in port.type.tensor_type.shape.dim)
    total = 0
    for node in nodes(one):
        if node.op_type in UNCOUNTED:
            return None
        if node.op_type in COSTS:
            if not all(0 not in shapes.get(name, (0,)) for name in (*node.input[:2], *node.output)):
                return None
            total += COSTS[node.op_type](node, shapes)
    return total


def _gemm(node: NodeProto, shapes: Shapes) -> int:
    left, transposed = shapes[node.input[0]], any(a.name == "transA" and a.i for a in node.attribute)
    return prod(shapes[node.output[0]]) * left[0 if transposed else 1]


COSTS: dict[str, Callable[[NodeProto, Shapes], int]] = {
    "Gemm": _gemm,
    "MatMul": lambda node, shapes: prod(shapes[node.output[0]]) * shapes[node.input[0]][-1],
    "Conv": lambda node, shapes: prod(shapes[node.output[0]]) * prod(shapes[node.input[1]][1:]),
    "ConvTranspose": lambda node, shapes: prod(shapes[node.input[0]]) * prod(shapes[node.input[1]][1:]),
}
