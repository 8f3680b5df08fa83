"""Shapes of the values of an ONNX graph: as ONNX infers them, and as onnxruntime finds them by running one row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, ValueInfoProto, helper

from latentarena.errors import GateError

if TYPE_CHECKING:
    from latentarena.gates.graph import Port

__all__ = ["Measured", "inferred", "measured"]

Shape = tuple[int, ...]
Measured = tuple[dict[str, Shape], dict[str, NDArray[Any]]]
SUFFIX = "/shape of one row"  # of the outputs that are added
QUIET = 4  # onnxruntime's log level: what is wrong comes as an exception


def inferred(model: ModelProto) -> dict[str, Shape]:
    """Shapes of all values for a single row, 0 where a size is not known; none where they contradict each other."""
    one = ModelProto()
    one.CopyFrom(model)
    for port in (*one.graph.input, *one.graph.output):
        if port.type.tensor_type.shape.dim:
            port.type.tensor_type.shape.dim[0].dim_value = 1
    try:
        graph = onnx.shape_inference.infer_shapes(one, data_prop=True).graph
    except (onnx.shape_inference.InferenceError, ValueError):
        return {}
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for port in (*graph.input, *graph.output, *graph.value_info):
        shapes[port.name] = tuple(dim.dim_value for dim in port.type.tensor_type.shape.dim)
    return shapes


def measured(
    model: ModelProto, inputs: Sequence[Port], names: Iterable[str], values: Sequence[str], what: str
) -> Measured:
    """True shapes of the values called `names`, and the numbers of those called `values`, from a run of one row.

    The shapes are outputs of the graph, not the values themselves: what a runtime holds at a time stays as little as
    ever. Inputs are standard normal, labels 0.

    Raises:
        GateError: onnxruntime cannot run it.
    """
    import onnxruntime  # not before there is a graph to run

    names = list(names)
    probe = ModelProto()
    probe.CopyFrom(model)
    probe.graph.ClearField("value_info")
    for name in names:
        probe.graph.node.append(helper.make_node("Shape", [name], [name + SUFFIX]))
    asked = [*(name + SUFFIX for name in names), *values]
    own = {port.name for port in probe.graph.output}
    probe.graph.output.extend(ValueInfoProto(name=name) for name in asked if name not in own)
    options = onnxruntime.SessionOptions()
    options.execution_order = onnxruntime.ExecutionOrder.PRIORITY_BASED  # shapes first, so that values are let go
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = QUIET
    try:
        session = onnxruntime.InferenceSession(probe.SerializeToString(), options, providers=["CPUExecutionProvider"])
        found = session.run(asked, {port.name: _row(port) for port in inputs})
    except Exception as error:  # its exceptions have no common base of their own
        raise GateError("onnx-run", f"{what} cannot be run: {' '.join(str(error).split())[:300]}") from None
    shapes = {name: tuple(shape.tolist()) for name, shape in zip(names, found, strict=False)}
    return shapes, dict(zip(values, found[len(names) :], strict=True))


def _row(port: Port) -> NDArray[Any]:
    if port.dtype == "int64":
        return np.zeros((1, *port.row), np.int64)
    return np.random.default_rng(0).standard_normal((1, *port.row)).astype(np.float32)
