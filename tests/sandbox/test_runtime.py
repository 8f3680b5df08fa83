"""What onnxruntime raises is told in plain words, with the graph, the rows and the way out."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import parser

from latentarena.errors import GateError
from latentarena.sandbox.runtime import open_session, run

WAY = "; make it run for all inputs, or export it anew"
MEMORY = "graph.onnx needs more memory than it can have; make it smaller"
FAULTS = {  # of graphs that are loaded and run, by what is at fault
    "a row that is not there": (
        "t = Constant<value_floats=[1.0, 2.0]>() i = Cast<to=7>(x) y = Gather<axis=0>(t, i)",
        "graph.onnx cannot be run on 5 rows at its Gather node: indices element out of data bounds, idx=7 must be "
        f"within the inclusive range [-2,1]{WAY}",
    ),
    "a shape that does not fit": (
        "s = Constant<value_ints=[-1, 3]>() y = Reshape(x, s)",
        "graph.onnx cannot be run on 5 rows at its Reshape node: The input tensor cannot be reshaped to the requested "
        f"shape. Input shape:{{5,4}}, requested shape:{{-1,3}}{WAY}",
    ),
    "only words of C++": ("y = MatMul(x, x)", f"graph.onnx cannot be run on 5 rows at its MatMul node{WAY}"),
    "shapes that are told": (
        "s = Constant<value_ints=[2]>() y = Tile(x, s)",
        "graph.onnx cannot be run at its Tile node: 'Repeats' input has incorrect number of values. The number of "
        f"values in 'repeats' must be equal to the number of input dimensions{WAY}",
    ),
    "memory": ("s = Constant<value_ints=[90000000000]>() z = ConstantOfShape(s) y = ReduceMean(z)", MEMORY),
    "memory, by size": ("s = Constant<value_ints=[1, 900000000]>() z = Tile(x, s) y = ReduceMean(z)", MEMORY),
}


def run_once(content: bytes) -> None:
    run(open_session(content, 1, "graph.onnx"), {"x": np.full((5, 4), 7, np.float32)}, (4,), "graph.onnx")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_graph_that_cannot_be_run_is_refused_without_words_of_c(fault: str) -> None:
    body, words = FAULTS[fault]
    text = f'<ir_version: 10, opset_import: ["": 20]> g (float[n, 4] x) => (float[m, k] y) {{ {body} }}'
    with pytest.raises(GateError) as refusal:
        run_once(parser.parse_model(text).SerializeToString())
    assert str(refusal.value) == words
    assert refusal.value.reason == ("memory" if words == MEMORY else "onnx-run")
