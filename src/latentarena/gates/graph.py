"""The ONNX gate: a walk over the parsed file that refuses all but a plain function of its inputs. Nothing is run.

`check_graph` is the walk. What may follow it, ONNX's own checker and its inference of shapes, is C++ that a file of a
few KB can keep busy for ever; `check_in_box` does both and belongs where time and memory are limited.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from math import prod
from typing import Literal

import onnx
from onnx import ModelProto, TensorProto, ValueInfoProto

from latentarena.errors import GateError
from latentarena.files import digest
from latentarena.gates.combined import combined
from latentarena.gates.confirm import confirmed
from latentarena.gates.cost import PRODUCTS, Cost, cost_of
from latentarena.gates.dataflow import Dataflow, dataflow, refuse_varying_sizes
from latentarena.gates.disguised import unmasked
from latentarena.gates.operators import DOMAINS, LARGEST_VALUE, OPSETS, spelled, to_float32
from latentarena.gates.shapes import Shape, Told, computed, inferred, measured, types_of
from latentarena.gates.size import Held, held
from latentarena.gates.unpacked import SETTINGS, constants, unpacked
from latentarena.gates.walk import Inventory, spoken
from latentarena.text import plain_line

LARGEST_FILE = 64 << 20  # bytes
MOST_METADATA = 64  # entries
ROOM = {"double": 2, "int16": 2, "uint16": 2, "int32": 4, "uint32": 4, "int64": 8, "uint64": 8}
"""For how many small numbers one of a type has room, so that one product is several; the 24 bits of a float are one."""


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
        stored: the numbers held, by content and size, and how often each: see `Inventory.stored`.
        cost, held: what one row takes and what the graph holds; None where it was not run.
    """

    opset: int
    nodes: int
    operators: dict[str, int]
    stored: Counter[tuple[str, int]]
    cost: Cost | None = None
    held: Held | None = None

    @property
    def parameters(self) -> int:
        """Stored numbers in all."""
        return sum(size * times for (_, size), times in self.stored.items())

    @property
    def multiply_adds(self) -> int | None:
        """Of one row; None where it was not run."""
        return None if self.cost is None else self.cost.multiply_adds


def check_graph(content: bytes, inputs: Sequence[Port], output: Port, what: str) -> GraphFacts:
    """Refuse an ONNX file that is anything but a plain, deterministic function of just these inputs.

    Args:
        content: of the file.
        inputs, output: what it must take and give, in this order.
        what: its name in messages.

    Raises:
        GateError: it is not; whatever it holds is named.
    """
    model, walk = _walked(content, inputs, output, what)
    return _facts(model, walk)


def check_in_box(content: bytes, inputs: Sequence[Port], output: Port, what: str) -> GraphFacts:
    """`check_graph`, then ONNX's own checker, and a run of one row that measures it: only where time and memory are
    limited.

    Raises:
        GateError: either refuses it, it cannot be run, or gives something else.
    """
    model, walk = _walked(content, inputs, output, what)
    told = _checked(model, model if _say_rank(model, [*inputs, output]) else content, what)
    _refuse_large({name: shape for name, (_, shape) in told.items()}, what)
    flow = dataflow(model, walk.read, walk.known)
    refuse_varying_sizes(walk.read, flow, what)
    cost, more = _measured(model, walk, flow, told, inputs, output)
    return replace(_facts(model, walk), cost=cost, held=held(walk.read, walk.known, walk.kept, more))


def _checked(model: ModelProto, content: ModelProto | bytes, what: str) -> Told:
    """Types and shapes of the values for one row as ONNX infers them, once its checker finds no fault in `content`."""
    try:
        onnx.checker.check_model(content)
        with suppress(onnx.shape_inference.InferenceError):
            return inferred(model)
        onnx.checker.check_model(content, full_check=True)  # what is wrong for one row only is seen when it runs
    except Exception as error:  # its exceptions have no common base
        reason = plain_line(str(error), 300)
        raise GateError("onnx-checker", f"{what} is not valid ONNX: {reason}; export it anew") from None
    return {}


def _say_rank(model: ModelProto, ports: Iterable[Port]) -> bool:
    """Say how many sizes a port has where the file does not, as ONNX's checker wants; whether any was said."""
    said = False
    for found, port in zip((*model.graph.input, *model.graph.output), ports, strict=True):
        shape = found.type.tensor_type.shape
        if not found.type.tensor_type.HasField("shape"):
            said = True
            for place in range(1 + len(port.row)):
                shape.dim.add().dim_param = f"{port.name} {place}"
    return said


def _measured(
    model: ModelProto, walk: Inventory, flow: Dataflow, told: Told, inputs: Sequence[Port], output: Port
) -> tuple[Cost, int]:
    """What one row costs by the true shapes of its values, and how many parameters are unpacked on the way."""
    what = walk.what
    shapes = confirmed(model, flow, walk.known, inputs, told) or _run(model, walk, flow, inputs, output)
    if shapes[output.name] != (1, *output.row):
        given = f"{output.name} {list(shapes[output.name])} for one row"
        raise GateError("onnx-ports", f"{what} gives {given}, expected {[1, *output.row]}")
    several = combined(flow, walk.known, shapes) | _wide(model, walk, flow, inputs, told)
    try:
        cost = cost_of(flow.work, shapes, flow.uniform, several)
    except ValueError as error:
        raise GateError("onnx-checker", f"{what} holds {error}; export it anew") from None
    more, bare = _unpacked(model, walk, flow, shapes, inputs), unmasked(model, flow, shapes, inputs, what)
    hidden = more if bare is flow else _unpacked(model, walk, bare, shapes, inputs)
    return cost, hidden if hidden > more + SETTINGS else more  # a value or two may stand still by themselves


def _unpacked(
    model: ModelProto, walk: Inventory, flow: Dataflow, shapes: dict[str, Shape], inputs: Sequence[Port]
) -> int:
    """How many parameters are unpacked from others, by what is constant in a dataflow."""
    found = constants(flow, walk.known, shapes)
    if not unpacked(found, walk.known, shapes):
        return 0
    made = [name for name, origin in found.items() if origin.made]
    contents = {name: digest(numbers.tobytes()) for name, numbers in computed(model, inputs, made, walk.what).items()}
    return unpacked(found, walk.known, shapes, contents)


def _wide(model: ModelProto, walk: Inventory, flow: Dataflow, inputs: Sequence[Port], told: Told) -> dict[str, int]:
    """Factors of products that depend on the inputs and have room for several numbers in one, and for how many."""
    factors = {name for node in flow.work if node.op_type in PRODUCTS for name in node.input if name}
    asked = {name for name in factors & flow.varying if name not in told and name not in {port.name for port in inputs}}
    kinds = {name: TensorProto.DataType.Name(told[name][0]).lower() for name in factors & flow.varying if name in told}
    kinds |= types_of(model, sorted(asked), walk.what) if asked else {}
    return {name: ROOM[kind] for name, kind in kinds.items() if kind in ROOM}


def _run(model: ModelProto, walk: Inventory, flow: Dataflow, inputs: Sequence[Port], output: Port) -> dict[str, Shape]:
    """Shapes by a run of the whole, where inference leaves any open or is wrong."""
    given = {name for node in flow.live for name in node.output}
    names = sorted((given | {output.name}) - walk.known.keys() - flow.sequences - {""})
    shapes = measured(model, inputs, names, walk.what)
    _refuse_large(shapes, walk.what)
    shapes = {name: numbers.shape for name, numbers in walk.known.items()} | shapes
    return shapes | {port.name: (1, *port.row) for port in inputs}


def _refuse_large(shapes: Mapping[str, tuple[int, ...]], what: str) -> None:
    for name, shape in shapes.items():
        if prod(shape) > LARGEST_VALUE:
            fault = f"value {spoken(name)} of one row would hold {prod(shape):.3g} numbers, more than {LARGEST_VALUE:,}"
            raise GateError("onnx-absurd", f"{what}: {fault}; make it smaller")


def _walked(content: bytes, inputs: Sequence[Port], output: Port, what: str) -> tuple[ModelProto, Inventory]:
    model = parse(content, what)
    walk = Inventory(what)
    _refuse_model(model, len(content), what)
    refuse_ports(model, inputs, output, what)
    walk.tensors(model.graph)
    walk.nodes(model.graph)
    return model, walk


def _facts(model: ModelProto, walk: Inventory) -> GraphFacts:
    (opset,) = _versions(model)
    return GraphFacts(opset, walk.operators.total(), dict(walk.operators), walk.stored)


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
    """Raise a GateError where inputs and output are not these by name, type and shape, for any number of rows.

    A size that the file leaves open is no fault: it is seen when the graph is run.
    """
    for side, found, expected in (("takes", model.graph.input, inputs), ("gives", model.graph.output, [output])):
        ports = list(expected)
        if len(found) != len(ports) or not all(map(_fits, found, ports)):
            here, there = (", ".join(map(str, both)) for both in (map(_described, found), ports))
            ways = "".join(dict.fromkeys(ways_out(port, side) for port in found[: len(ports)]))
            fault = f"{what} {side} {here or 'nothing'}, expected {there}, n being any number of rows{ways}"
            raise GateError("onnx-ports", fault)


def ways_out(port: ValueInfoProto, side: str) -> str:
    """How to export a graph that takes or gives what is not taken here, to end a message with; empty if all is well.

    Args:
        side: `takes` or `gives`.
    """
    tensor, takes = port.type.tensor_type, side == "takes"
    if tensor.elem_type == TensorProto.UINT8:
        scaled = "takes images in [0, 1] and hands on (255 * images).to(torch.uint8)" if takes else "gives images / 255"
        return f"; export a module that {scaled}"
    if port.name == "images" and tensor.HasField("shape") and len(tensor.shape.dim) == len("NHW"):
        return f"; export a module that {'hands on images[:, 0]' if takes else 'gives images[:, None]'}"
    if port.name == "images" and channels_last([dim.dim_value for dim in tensor.shape.dim][1:]):
        turned = "hands on images.permute(0, 2, 3, 1)" if takes else "gives images.permute(0, 3, 1, 2)"
        return f"; these have their channels last; export a module that {turned}"
    return to_float32(tensor.elem_type)


def channels_last(shape: Sequence[int]) -> bool:
    """Whether the sizes of an image look like height, width and channels."""
    return len(shape) == len("HWC") and shape[-1] in (1, 3) and shape[0] > shape[-1]


def _fits(found: ValueInfoProto, port: Port) -> bool:
    """Whether an input or output is what it must be, as far as the file says what it is."""
    tensor, wanted = found.type.tensor_type, (None, *port.row)
    dtype = TensorProto.FLOAT if port.dtype == "float32" else TensorProto.INT64
    if found.name != port.name or found.type.WhichOneof("value") != "tensor_type" or tensor.elem_type != dtype:
        return False
    if not tensor.HasField("shape"):
        return True
    sizes = [dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim]
    same = [size is None or size == other for size, other in zip(sizes, wanted, strict=False)]
    return len(sizes) == len(wanted) and all(same)


def _described(port: ValueInfoProto) -> str:
    """As a `Port` puts it; a question mark for whatever is not said."""
    tensor = port.type.tensor_type
    sizes = [str(dim.dim_value) if dim.HasField("dim_value") else "?" for dim in tensor.shape.dim[:10]]
    rows = ["n" if size == "?" else size for size in sizes[:1]]
    return f"{spoken(port.name)} {spelled(tensor.elem_type)} [{', '.join(rows + sizes[1:])}]"


def _refuse_model(model: ModelProto, size: int, what: str) -> None:
    """Raise where the file holds more than one graph of one version of the standard operators."""
    told = model.ByteSize()
    model.DiscardUnknownFields()
    if model.ByteSize() != told or told != size:
        fault = f"{size - min(told, model.ByteSize()):,} bytes that are no part of the model"
        raise GateError("onnx-trailing", f"{what} holds {fault}; save it anew with onnx.save")
    graph = model.graph
    if model.functions:
        fault = f"{what} defines {len(model.functions)} functions"
        raise GateError("onnx-functions", f"{fault}; `arena pack` writes it anew without, or inline them at export")
    if model.training_info:
        raise GateError("onnx-training", f"{what} holds instructions for training; export it for inference")
    if graph.sparse_initializer:
        raise GateError("onnx-sparse", f"{what} holds sparse tensors; store them densely")
    if graph.quantization_annotation or model.configuration:
        raise GateError("onnx-unexpected", f"{what} is made for quantised or distributed running; export it plainly")
    versions = _versions(model)
    if len(versions) != 1 or versions[0] not in OPSETS or not 3 <= model.ir_version <= onnx.IR_VERSION:
        found = f"{what} is made for opset {versions} of IR {model.ir_version}"
        wanted = f"one opset from {OPSETS[0]} to {OPSETS[-1]} of IR 3 to {onnx.IR_VERSION}"
        raise GateError("onnx-opset", f"{found}, expected {wanted}; name the opset when you export it")
    keys = [entry.key for entry in model.metadata_props]
    if len(keys) > MOST_METADATA or len(set(keys)) != len(keys):
        raise GateError(
            "onnx-metadata", f"{what} has {len(keys)} entries of metadata, too many or some twice; clear it"
        )


def _versions(model: ModelProto) -> list[int]:
    """Of ONNX's own operators; exporters name other domains too, which do no harm as long as no node is of one."""
    return [opset.version for opset in model.opset_import if opset.domain in DOMAINS]
