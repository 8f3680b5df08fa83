"""Why onnxruntime does not run a graph, in plain words: its own hold files and functions of its source."""

from __future__ import annotations

import re

from latentarena.errors import GateError
from latentarena.text import plain_line

CODE = re.compile(r"\[ONNXRuntimeError\] : \d+ : \w+ : ")
NODE = re.compile(
    r"Non-zero status code returned while running (?P<kind>\w+) node\. Name:'(?P<name>.*?)' Status Message: "
    r"|Node \((?P<called>.*?)\) Op \((?P<op>\w+)\) (?:\[\w+\] )?"
)
CONDITION = " was false. "  # behind a condition in C++ come words
INNER = re.compile(r"\.(?:cc|cpp|cu|h|hpp):\d|::|\(\)|\[ONNXRuntimeError\]")  # of its source, not of the graph
HUNGRY = re.compile(r"allocate memory|bad.?alloc|would require more than \d+ bytes", re.I)


def run_fault(what: str, error: Exception, rows: int | None = None) -> GateError:
    """The refusal of a graph that onnxruntime does not run: `memory` where that was not enough, else `onnx-run`.

    Args:
        what: the graph's name in messages.
        error: which onnxruntime raised, or numpy.
        rows: of its inputs; None where it was not run but loaded.
    """
    text = str(error)
    if isinstance(error, MemoryError) or HUNGRY.search(text):
        return GateError("memory", f"{what} needs more memory than it can have; make it smaller")
    text = CODE.sub("", text)
    found = NODE.search(text)
    at, said = "", text
    if found:
        name, said = found["name"] or found["called"], text[found.end() :]
        at = f" at its {found['kind'] or found['op']} node" + (f" {plain_line(name, 60)!r}" if name else "")
    said = plain_line(said.rpartition(CONDITION)[2], 200)
    why = "" if INNER.search(said) or not said else f": {said.rstrip('.')}"
    on = "" if rows is None else f" on {rows:,} rows"
    return GateError("onnx-run", f"{what} cannot be run{on}{at}{why}; make it run for all inputs, or export it anew")
