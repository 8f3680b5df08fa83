"""What a sample costs: shapes as ONNX infers them, and the multiply-adds of matrix products and convolutions."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import onnx
from onnx import ModelProto, NodeProto

__all__ = ["Shapes", "inferred", "multiply_adds"]

Shapes = dict[str, tuple[int, ...]]
UNCOUNTED = {
    "Attention",
    "ConvInteger",
    "DeformConv",
    "Einsum",
    "GRU",
    "LSTM",
    "MatMulInteger",
    "QLinearConv",
    "QLinearMatMul",
    "RNN",
}


def inferred(model: ModelProto) -> Shapes | None:
    """Shapes of all values for a single row, 0 where a size is not known; None where they contradict each other."""
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
    return shapes


def multiply_adds(model: ModelProto, shapes: Shapes | None) -> int | None:
    """Multiply-adds of a single row, of matrix products and convolutions; None where they do not follow from shapes."""
    if shapes is None or any(node.op_type in UNCOUNTED for node in model.graph.node):
        return None
    total = 0
    for node in model.graph.node:
        if node.op_type in COSTS:
            if not all(0 not in shapes.get(name, (0,)) for name in (*node.input[:2], *node.output)):
                return None
            try:
                total += COSTS[node.op_type](node, shapes)
            except IndexError:  # of too few dimensions, or inputs: no runtime takes it
                return None
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
