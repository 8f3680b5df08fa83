"""What is counted in an ONNX graph: the numbers that it stores, and the multiply-adds of a sample."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from math import prod

import onnx
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, numpy_helper

from latentarena.errors import GateError
from latentarena.files import digest

__all__ = ["multiply_adds", "nodes", "stored"]

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
        GateError: a tensor's content is not what its shape and type ask for.
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
        raise GateError(
            "onnx-damaged", f"tensor {tensor.name!r} is damaged: {' '.join(str(error).split())[:100]}"
        ) from None
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
