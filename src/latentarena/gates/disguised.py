"""Constants in disguise: values that an input is said to decide, and that stand still whatever it is.

Stored numbers to which nothing is added that the noise has decided, such as noise less itself, are no constants by the
look of the graph. They are by their numbers: the graph is run for two rows, and what is the same for both does not hang
on them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper

from latentarena.files import digest
from latentarena.gates.dataflow import Dataflow
from latentarena.gates.operators import ACTIVATIONS
from latentarena.gates.shapes import some_row, values
from latentarena.gates.unpacked import ELEMENTWISE, FEW, MOVING, SPLITTING

if TYPE_CHECKING:
    from latentarena.gates.graph import Port

OTHER = "/of another row"
STILL = 1e-3  # of what the numbers of a value differ by among themselves
ENDS = ("/top", "/bottom", "/up", "/down")  # of a value and of what it moves by


def unmasked(
    model: ModelProto, flow: Dataflow, shapes: Mapping[str, tuple[int, ...]], inputs: Sequence[Port], what: str
) -> Dataflow:
    """The dataflow with what stands still among the constants.

    Args:
        model, flow: the graph and its dataflow; shapes: of its values for one row.
        inputs: of the graph; what: its name in messages.

    Raises:
        GateError: onnxruntime cannot run it.
    """

    def large(names: Iterable[str]) -> list[str]:
        return [name for name in dict.fromkeys(names) if name in flow.varying and prod(shapes.get(name, ())) > FEW]

    takers = [node for node in flow.work if node.op_type in SPLITTING]
    given = [name for node in takers if node.op_type not in ACTIVATIONS.split() for name in node.output]
    still = _still(model, flow, large([*(name for node in takers for name in node.input), *given]), inputs, what)
    if still:
        kinds = ELEMENTWISE | MOVING | SPLITTING
        every = large(name for node in flow.work if node.op_type in kinds for name in node.output)
        still = _still(model, flow, every, inputs, what)
    if not still:
        return flow
    held = {id(node) for node in flow.live if any(node.output) and still.issuperset(filter(None, node.output))}
    constant = {id(node) for node in flow.constant} | held
    return replace(
        flow,
        varying=flow.varying - still,
        work=tuple(node for node in flow.work if id(node) not in held),
        constant=tuple(node for node in flow.live if id(node) in constant),
    )


def _still(model: ModelProto, flow: Dataflow, asked: Sequence[str], inputs: Sequence[Port], what: str) -> set[str]:
    """Those of the values asked for whose numbers are not all one and the same, and no others for another row.

    The rows are drawn by the hash of the file, which no file can hold.
    """
    asked = [name for name in asked if name not in flow.sequences]
    if not asked:
        return set()
    both = ModelProto()
    both.CopyFrom(model)
    varying = (node for node in model.graph.node if not flow.varying.isdisjoint(node.output))
    both.graph.node.extend([_renamed(node, flow.varying) for node in varying])
    both.graph.node.extend(one for name in asked for one in _measures(name))
    for port in list(both.graph.input):
        other = both.graph.input.add()
        other.CopyFrom(port)
        other.name += OTHER
    seed = int(digest(model.SerializeToString())[:8], 16)
    feed = {port.name + suffix: some_row(port, seed + k) for k, suffix in enumerate(("", OTHER)) for port in inputs}
    found = values(both, [name + end for name in asked for end in ENDS], feed, what)
    ends = np.array([float(one) for one in found]).reshape(len(asked), len(ENDS))
    spread, moved = ends[:, 0] - ends[:, 1], np.maximum(ends[:, 2], -ends[:, 3])
    return {name for name, still in zip(asked, (spread > 0) & (moved <= STILL * spread), strict=True) if still}


def _measures(name: str) -> list[NodeProto]:
    """Nodes that give the largest and smallest number of a value, and of what it moves by from one row to the other."""
    one, other, apart = name + "/one", name + "/other", name + "/apart"
    made = [
        helper.make_node("Cast", [name], [one], to=TensorProto.FLOAT),
        helper.make_node("Cast", [name + OTHER], [other], to=TensorProto.FLOAT),
        helper.make_node("Sub", [one, other], [apart]),
    ]
    reduced = zip(("ReduceMax", "ReduceMin") * 2, (one, one, apart, apart), ENDS, strict=True)
    return made + [helper.make_node(kind, [value], [name + end], keepdims=0) for kind, value, end in reduced]


def _renamed(node: NodeProto, names: Collection[str]) -> NodeProto:
    """A node of the other row: what varies has another name there."""
    copy = NodeProto()
    copy.CopyFrom(node)
    for ports in (copy.input, copy.output):
        ports[:] = [name + OTHER if name in names else name for name in ports]
    copy.name = ""
    return copy
