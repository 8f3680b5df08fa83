"""Shapes of the values of an ONNX graph: as ONNX infers them, and as onnxruntime finds them by running one row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto

from latentarena.gates.run_fault import run_fault

if TYPE_CHECKING:
    from latentarena.gates.graph import Port

Shape = tuple[int, ...]
Type = tuple[int, Shape]  # of a tensor: ONNX's number of what it holds, and the shape
Told = dict[str, Type]
WEIGHTS = (TensorProto.FLOAT, TensorProto.FLOAT16)
MOST_READ = 64  # weights of which ONNX may read how large another value is, such as the scales of a Resize
SUFFIX = "/shape of one row"  # of the outputs that are added
QUIET = 4  # onnxruntime's log level: what is wrong comes as an exception


def inferred(model: ModelProto) -> Told:
    """Types and shapes of values for a single row; those that ONNX cannot tell wholly are left out.

    Raises:
        onnx.shape_inference.InferenceError: they contradict each other.
    """
    one = _without_weights(model)
    for port in (*one.graph.input, *one.graph.output):
        if port.type.tensor_type.shape.dim:
            port.type.tensor_type.shape.dim[0].dim_value = 1
    graph = onnx.shape_inference.infer_shapes(one, check_type=True, strict_mode=True, data_prop=True).graph
    ports = [*graph.input, *graph.output, *graph.value_info]
    kinds = [port.type.SerializeToString() for port in ports]
    whole = {kind: _whole(port) for kind, port in dict(zip(kinds, ports, strict=True)).items()}
    return {port.name: told for port, kind in zip(ports, kinds, strict=True) if (told := whole[kind]) is not None}


def _without_weights(model: ModelProto) -> ModelProto:
    """The model, of whose large tensors of weights only type and shape are left: no shape hangs on what they hold."""
    one = ModelProto()
    one.CopyFrom(model)
    for tensor in one.graph.initializer:
        if tensor.data_type in WEIGHTS and prod(tensor.dims) > MOST_READ:
            tensor.ClearField("raw_data")
    return one


def _whole(port: ValueInfoProto) -> Type | None:
    """Type and shape of a tensor, None where any of it is open."""
    tensor = port.type.tensor_type
    dims = list(tensor.shape.dim)
    if not tensor.HasField("shape") or not all(dim.HasField("dim_value") for dim in dims):
        return None
    return tensor.elem_type, tuple(dim.dim_value for dim in dims)


def measured(model: ModelProto, inputs: Sequence[Port], names: Sequence[str], what: str) -> dict[str, Shape]:
    """True shapes of the values called `names`, from a run of one row.

    Inputs are standard normal, labels 0.

    Raises:
        GateError: onnxruntime cannot run it.
    """
    probe = ModelProto()
    probe.CopyFrom(model)
    try:
        return found_by_running(probe, names, {port.name: some_row(port) for port in inputs})
    except Exception as error:  # its exceptions have no common base of their own
        raise run_fault(what, error) from None


def found_by_running(
    model: ModelProto, names: Sequence[str], feed: Mapping[str, NDArray[Any]], small: bool = False
) -> dict[str, Shape]:
    """The shapes of some values of a model, which is changed for it.

    Unless the values are few and `small`, their shapes are outputs of the graph, not the values themselves: what a
    runtime holds at a time stays as little as ever. To ask for the values takes half as many nodes, and half the time.
    """
    if small:
        values = _session(model, names).run(list(names), dict(feed))
        return {name: numbers.shape for name, numbers in zip(names, values, strict=True)}
    shapes = [name + SUFFIX for name in names]
    measuring = [NodeProto(op_type="Shape", input=[n], output=[s]) for n, s in zip(names, shapes, strict=True)]
    model.graph.node.extend(measuring)
    found = _session(model, shapes).run(shapes, dict(feed))
    return {name: tuple(shape.tolist()) for name, shape in zip(names, found, strict=True)}


def types_of(model: ModelProto, names: Iterable[str], what: str) -> dict[str, str]:
    """What the values called `names` hold, as onnxruntime calls it, such as `float`, `double` or `int64`.

    Raises:
        GateError: onnxruntime cannot run the model.
    """
    probe = ModelProto()
    probe.CopyFrom(model)
    try:
        session = _session(probe, list(names))
    except Exception as error:  # its exceptions have no common base of their own
        raise run_fault(what, error) from None
    return {one.name: one.type.removeprefix("tensor(").removesuffix(")") for one in session.get_outputs()}


def computed(model: ModelProto, inputs: Sequence[Port], names: Iterable[str], what: str) -> dict[str, NDArray[Any]]:
    """Numbers of the values called `names`, from a run of the nodes before them only; inputs as for `measured`.

    Raises:
        GateError: onnxruntime cannot run it.
    """
    asked = list(names)
    needed, kept = set(asked), []
    for node in reversed(model.graph.node):
        if not needed.isdisjoint(node.output):
            kept.append(node)
            needed.update(node.input)
    probe = ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    probe.graph.name = "constants"
    probe.graph.node.extend(reversed(kept))
    probe.graph.initializer.extend(one for one in model.graph.initializer if one.name in needed)
    probe.graph.input.extend(model.graph.input)
    (found,) = several_runs(probe, asked, [{port.name: some_row(port) for port in inputs}], what)
    return dict(zip(asked, found, strict=True))


def several_runs(
    model: ModelProto, asked: Sequence[str], feeds: Iterable[Mapping[str, NDArray[Any]]], what: str
) -> list[list[NDArray[Any]]]:
    """Some values of a model, which is changed for it, from a run for each of its feeds.

    Raises:
        GateError: onnxruntime cannot run it.
    """
    try:
        session = _session(model, asked)
        return [session.run(list(asked), dict(feed)) for feed in feeds]
    except Exception as error:  # its exceptions have no common base of their own
        raise run_fault(what, error) from None


def _session(model: ModelProto, asked: Sequence[str]) -> Any:
    """What runs a model without any optimisation, whose outputs are other values from now on."""
    import onnxruntime  # not before there is a graph to run

    model.graph.ClearField("value_info")
    model.graph.ClearField("output")
    model.graph.output.extend(ValueInfoProto(name=name) for name in asked)
    options = onnxruntime.SessionOptions()
    options.execution_order = onnxruntime.ExecutionOrder.PRIORITY_BASED  # shapes first, so that values are let go
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = QUIET
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def some_row(port: Port, seed: int = 0, label: int = 0) -> NDArray[Any]:
    """What is handed to an input, (1, *row): standard normal numbers, or a label."""
    if port.dtype == "int64":
        return np.full((1, *port.row), label, np.int64)
    return np.random.default_rng(seed).standard_normal((1, *port.row)).astype(np.float32)
