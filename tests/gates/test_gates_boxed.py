"""What a gate cannot see before a graph runs: the box's limits stop it, and this process lives on (rows 4 and 5)."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
from onnx import TensorProto

from boxes import BOXED
from corpus.case import cases
from corpus.graph_cases import INPUTS, OUTPUT, GraphCase, floats, inside, ints, looked_at, node, then
from latentarena.bundle.boxed import COUNTED
from latentarena.errors import SandboxError
from latentarena.gates import check_graph
from latentarena.sandbox import Box, Limits
from latentarena.sandbox.answers import Expected, Numbers

LIMITS = Limits(memory=400 << 20, seconds=20)
TOLD = {
    "what": "decode.onnx",
    "inputs": [[one.name, one.dtype, one.row] for one in INPUTS],
    "output": [OUTPUT.name, OUTPUT.dtype, OUTPUT.row],
}


def grown(*nodes: object, size: float) -> Callable[[], bytes]:
    """A shape `s` of two numbers, each `size`, that follows from the latents: no gate knows it."""
    shape = [
        node("ReduceMax", ["latents"], ["m"], keepdims=0),
        node("Mul", ["m", "none"], ["z"]),
        node("Add", ["z", "size"], ["f"]),
        node("Cast", ["f"], ["s"], to=TensorProto.INT64),
    ]
    return then(*shape, *nodes, none=floats(0), size=floats(size, size))


RUN = [
    GraphCase(4, "fill found as it runs", "memory", grown(node("ConstantOfShape", ["s"], ["v"]), size=30_000)),
    GraphCase(4, "expand found as it runs", "memory", grown(node("Expand", ["none", "s"], ["v"]), size=30_000)),
    GraphCase(4, "tile found as it runs", "memory", grown(node("Tile", ["flat", "s"], ["v"]), size=5_000)),
]


def wide(*nodes: object) -> Callable[[], bytes]:
    """Values `left` and `right` of 64 million numbers, each just what the gate takes, and their sum: 768 MB at once."""
    top = node("ReduceMax", ["latents"], ["m"], keepdims=0)
    return then(top, *nodes, node("Add", ["left", "right"], ["v"]), s=ints(8_000, 8_000), times=ints(1, 10_600_000))


WIDE = [
    GraphCase(
        4, "two fills", "memory", wide(node("ConstantOfShape", ["s"], ["left"]), node("Add", ["left", "m"], ["right"]))
    ),
    GraphCase(4, "two expanded", "memory", wide(*(node("Expand", ["m", "s"], [name]) for name in ("left", "right")))),
    GraphCase(
        4, "two tiled", "memory", wide(*(node("Tile", ["latents", "times"], [name]) for name in ("left", "right")))
    ),
]
PARSED = [GraphCase(5, "eight million empty nodes", "memory", lambda: inside(b"\x0a\x00" * (8 << 20)))]


@cases([*RUN, *PARSED])
@BOXED
def test_what_only_running_shows_is_stopped_by_the_box(case: GraphCase) -> None:
    content = case.make()
    if case in RUN:
        content = looked_at(content)
        check_graph(content, INPUTS, OUTPUT, "decode.onnx")
    with pytest.raises(SandboxError) as stopped:
        run(content)
    told = {"memory", "onnx-size"} if case in RUN else {"memory", "onnx-parse"}  # or the library notices
    assert stopped.value.reason in told, stopped.value


@cases(WIDE)
@BOXED
def test_the_box_s_memory_stops_what_the_gate_takes(case: GraphCase) -> None:
    content = looked_at(case.make())
    check_graph(content, INPUTS, OUTPUT, "decode.onnx")
    with pytest.raises(SandboxError) as stopped:
        run(content)
    assert stopped.value.reason == case.reason
    assert "the 400 MiB of memory that it may take; make the model smaller" in str(stopped.value)


def run(content: bytes) -> None:
    """Check the graph and run it, both in a box."""
    with Box("onnx_model", [json.dumps(TOLD)], files={"decode.onnx": content}, limits=LIMITS, least=1) as box:
        box.call("facts", COUNTED)
        expected = Expected({}, {OUTPUT.name: Numbers("float32", 2, OUTPUT.row)})
        box.call("run", expected, {"threads": 1}, {"latents": np.zeros((2, 6), np.float32)})
