"""One function per gate: whatever the bytes, an honest reading of them or a GateError, and nothing else."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable

import numpy as np
from safetensors.numpy import load

from corpus import archive_cases, graph_cases, tensor_cases
from latentarena.errors import GateError
from latentarena.gates import check_card, check_graph, check_tensors, open_archive

__all__ = ["GATES", "HONEST", "accepted"]

MOST_STORED = 1 << 24  # numbers


def archive(content: bytes) -> None:
    """What passes is what zipfile reads, too."""
    found = open_archive(content)
    with zipfile.ZipFile(io.BytesIO(content)) as other:
        names = {name.rsplit("/", 1)[-1]: name for name in other.namelist() if not name.startswith("__MACOSX")}
        assert found == {name: other.read(names[name]) for name in found}


def tensors(content: bytes) -> None:
    """What passes is what safetensors reads, too."""
    found, other = check_tensors(content), load(content)
    assert found.keys() == other.keys()
    for name, one in found.items():
        assert one.shape == other[name].shape
        assert content[one.start : one.end] == other[name].tobytes()
        assert np.isfinite(other[name]).all()


def graph(content: bytes) -> None:
    """What passes has the ports asked for, and counts are those of what is there."""
    facts = check_graph(content, graph_cases.INPUTS, graph_cases.OUTPUT, "decode.onnx")
    assert facts.nodes == sum(facts.operators.values())
    assert 0 <= facts.parameters <= MOST_STORED


def card(content: bytes) -> None:
    """What passes is text that can be shown."""
    check_card(content)
    assert "\u202e" not in content.decode()


GATES: dict[str, Callable[[bytes], None]] = {"archive": archive, "tensors": tensors, "graph": graph, "card": card}
HONEST: dict[str, bytes] = {
    "archive": archive_cases.HONEST,
    "tensors": tensor_cases.honest(),
    "graph": graph_cases.honest().SerializeToString(),
    "card": b'{"format": 1, "name": "a \\u00e9", "latent": [6], "classes": ["0"], "guidance": 1.5, "pixels": null}',
}


def accepted(gate: str, content: bytes) -> bool:
    """Whether the gate lets the bytes through; any error but its own refusal is a finding."""
    try:
        GATES[gate](content)
    except GateError as error:
        refusal = error
    else:
        return True
    assert refusal.reason
    assert str(refusal).isprintable()
    return False
