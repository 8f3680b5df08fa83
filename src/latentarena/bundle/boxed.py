"""Portable bundles of strangers: each graph is parsed, checked and run in a box of its own; this process never does.

Encoder and decoder have nothing in common but what this process hands from one to the other. What comes out of a box is
not trusted: hashes are taken here, shapes and types are looked at here, and the judge looks at the numbers.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, NoReturn

import torch
from pydantic import Field

from latentarena.bounds import LARGEST_COUNT
from latentarena.bundle.portable import (
    GRAPHS,
    PortableBundle,
    PortableCard,
    bundled,
    declared,
)
from latentarena.errors import GateError
from latentarena.gates import Cost, Files, GraphFacts, Held, Port
from latentarena.sandbox import Box, Limits, SandboxError
from latentarena.sandbox.answers import Amount, Expected, Numbers, Text
from latentarena.sandbox.wire import Array

PROGRAM = "onnx_model"
MOST_OPERATORS = 1000
LEAST = 1  # the tier that ONNX files of strangers need
LIMITS = Limits(memory=1 << 30, seconds=120, scratch=1 << 20, output=64 << 20)
COUNTED = Expected(
    {
        "opset": Amount,
        "nodes": Amount,
        "operators": Annotated[dict[Text, Amount], Field(max_length=MOST_OPERATORS)],
        "multiply_adds": Amount,
        "operations": Amount,
        "settings": Amount,
        "unpacked": Amount,
    },
    {
        "hashes": Numbers("uint8", "n", (32,), 0, 255),
        "sizes": Numbers("int64", "n", (), 0, LARGEST_COUNT),
        "times": Numbers("int64", "n", (), 1, LARGEST_COUNT),
        "bits": Numbers("int64", "n", (), 0, LARGEST_COUNT),
        "weights": Numbers("uint8", "n", (), 0, 1),
    },
)
"""What a box says of its graph."""
FAULTS = ("no-sandbox", "start", "machine", "timeout", "memory", "died", "nonsense", "not-finite", "output", "failed")


def read_boxed(files: Files, folder: Path, limits: Limits = LIMITS, least: int = LEAST) -> PortableBundle:
    """A portable bundle by the content of its files, with its graphs in boxes until it is closed.

    It must be used and closed in the thread that opened it: a box ends with the thread that started it.

    Args:
        files: by name; folder: where messages say that they lie.
        limits: of each box; it may use as many threads as torch has now.
        least: the tier of the sandbox that it takes.

    Raises:
        GateError: a gate refuses it, inside a box or outside.
        SandboxError: there is no such sandbox, or a graph breaks its limits.
        BundleError: the card does not say what the files are.
    """
    card, contents = declared(files, folder)
    with ExitStack() as stack:
        boxes = _Boxes(card)
        for graph in GRAPHS:
            boxes.open(graph, contents[graph], limits, least, stack)
        return replace(bundled(card, boxes, boxes.facts, files, folder), stack=stack.pop_all())


class _Boxes:
    """The graphs, each in its box; see `Graphs`."""

    def __init__(self, card: PortableCard) -> None:
        self.card = card
        self.facts: dict[str, GraphFacts] = {}
        self._open: dict[str, Box] = {}

    def open(self, graph: str, content: bytes, limits: Limits, least: int, stack: ExitStack) -> None:
        """Start the box of a graph, have it checked in there, and leave it to the stack to close it."""
        inputs, output = self.card.ports(graph)
        told = {"what": self.card.called(graph), "inputs": list(map(_told, inputs)), "output": _told(output)}
        threads = torch.get_num_threads()
        room = replace(limits, threads=threads, processes=limits.processes + 2 * threads)
        box = Box(PROGRAM, [json.dumps(told)], files={f"{graph}.onnx": content}, limits=room, least=least)
        try:
            self._open[graph] = stack.enter_context(box)
            self.facts[graph] = _facts(*box.call("facts", COUNTED))
        except SandboxError as error:
            self._explain(graph, error)

    def run(self, graph: str, inputs: Mapping[str, Array], threads: int) -> Array:
        """See `Graphs` in portable.py.

        Raises:
            SandboxError: it breaks a limit, or cannot be run.
            BundleError: it gives something else.
        """
        _, output = self.card.ports(graph)
        expected = Expected({}, {output.name: Numbers("float32", len(next(iter(inputs.values()))), output.row)})
        try:
            _, arrays = self._open[graph].call("run", expected, {"threads": threads}, inputs)
        except SandboxError as error:
            self._explain(graph, error)
        return arrays[output.name]

    def measured(self) -> Mapping[str, GraphFacts]:
        """See `Graphs` in portable.py."""
        return self.facts

    def _explain(self, graph: str, error: SandboxError) -> NoReturn:
        """Raise what happened in a box in the terms of the bundle: a gate's refusal as one, the rest by what it hit."""
        text, what = str(error).removeprefix(f"{PROGRAM}: "), self.card.called(graph)
        text = text if text.startswith(what) else f"{what}: {text}"
        if error.reason in FAULTS:
            raise SandboxError(error.reason, text, error.log) from None
        raise GateError(error.reason, text) from None


def _told(port: Port) -> list[Any]:
    return [port.name, port.dtype, list(port.row)]


def _facts(facts: Mapping[str, Any], arrays: Mapping[str, Array]) -> GraphFacts:
    """What a box says of its graph, as `COUNTED` allows it."""
    columns = (arrays[name].tolist() for name in ("sizes", "times", "bits", "weights"))
    stored, coded = Counter[tuple[str, int]](), dict[tuple[str, int], int]()
    for row, size, many, bits, weight in zip(arrays["hashes"], *columns, strict=True):
        key = row.tobytes().hex(), size
        stored[key] += many
        if weight:
            coded[key] = bits
    cost = Cost(facts["multiply_adds"], facts["operations"])
    held = Held(coded, facts["settings"], facts["unpacked"])
    return GraphFacts(facts["opset"], facts["nodes"], facts["operators"], stored, cost, held)
