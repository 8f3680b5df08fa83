"""One ONNX graph of a portable bundle: `facts` are what the gate, ONNX's checker and the counting find, `run` runs it.

All of it, the parsing too, is C++ that was handed a stranger's file, which is why it is done in here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnxruntime import InferenceSession

from latentarena.gates import GraphFacts, Port, check_in_box
from latentarena.sandbox.programs import INPUTS, Answers
from latentarena.sandbox.runtime import open_session, run
from latentarena.sandbox.wire import Array

Reply = tuple[dict[str, Any], Mapping[str, Array]]


def prepare(arguments: Sequence[str]) -> Answers:
    """Check the graph that is the only input.

    Args:
        arguments: a JSON object: `what` it is called, its `inputs` and its `output`, each as name, dtype and row.

    Raises:
        GateError: it is refused.
    """
    told = json.loads(arguments[0])
    what, inputs, output = told["what"], [_port(one) for one in told["inputs"]], _port(told["output"])
    (path,) = INPUTS.iterdir()
    content = path.read_bytes()
    found = check_in_box(content, inputs, output, what)
    sessions: dict[int, InferenceSession] = {}

    def answer(facts: dict[str, Any], arrays: Mapping[str, Array]) -> Reply:
        threads = facts["threads"]
        if threads not in sessions:
            sessions[threads] = open_session(content, threads, what)
        return {}, {output.name: run(sessions[threads], arrays, output.row, what)}

    return {"facts": lambda facts, arrays: _told(found), "run": answer}


def _port(told: list[Any]) -> Port:
    name, dtype, row = told
    return Port(name, dtype, tuple(row))


def _told(found: GraphFacts) -> Reply:
    """What was found; of stored tensors the hashes (N, 32), sizes, how often each comes, bits and kind (N,)."""
    assert found.cost is not None
    assert found.held is not None
    hashes, coded = b"".join(bytes.fromhex(content) for content, _ in found.stored), found.held.weights
    arrays: dict[str, Array] = {
        "hashes": np.frombuffer(hashes, np.uint8).reshape(-1, 32),
        "sizes": np.array([size for _, size in found.stored], np.int64),
        "times": np.array(list(found.stored.values()), np.int64),
        "bits": np.array([coded.get(key, 0) for key in found.stored], np.int64),
        "weights": np.array([key in coded for key in found.stored], np.uint8),
    }
    facts: dict[str, Any] = {
        "opset": found.opset,
        "nodes": found.nodes,
        "operators": found.operators,
        "multiply_adds": found.cost.multiply_adds,
        "operations": found.cost.operations,
        "settings": found.held.settings,
        "unpacked": found.held.unpacked,
    }
    return facts, arrays
