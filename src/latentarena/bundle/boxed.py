"""Portable bundles of strangers: each graph is parsed, checked and run in a box of its own; this process never does.

Encoder and decoder have nothing in common but what this process hands from one to the other. What comes out of a box is
not trusted: hashes are taken here, shapes and types are looked at here, and the judge looks at the numbers.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, NoReturn

import numpy as np
import torch
from pydantic import Field

from latentarena.bundle.portable import (
    GRAPHS,
    AnyBundle,
    PortableBundle,
    PortableCard,
    bundled,
    declared,
    load_any,
)
from latentarena.bundle.reading import is_portable, read_card, read_files
from latentarena.config import Config, validate
from latentarena.errors import ConfigError, GateError
from latentarena.gates import Files, GraphFacts, Port, open_bundle
from latentarena.sandbox import Box, Limits, SandboxError, standing
from latentarena.sandbox.runtime import refuse_output
from latentarena.sandbox.wire import Array

__all__ = ["LEAST", "LIMITS", "boxed_of", "load_boxed", "load_guarded"]

PROGRAM = "onnx_model"
LEAST = 1  # the tier that ONNX files of strangers need
LIMITS = Limits(memory=1 << 30, seconds=120, scratch=1 << 20, output=64 << 20)
NONSENSE = "it says of its graph what the program would not"
Count = Annotated[int, Field(strict=True, ge=0, lt=1 << 62)]
FAULTS = ("no-sandbox", "start", "timeout", "memory", "died", "nonsense", "output", "failed")


@contextmanager
def load_boxed(path: Path, limits: Limits = LIMITS, least: int = LEAST) -> Iterator[PortableBundle]:
    """A portable bundle from its folder or zip file, with its graphs in boxes for the length of a `with` block.

    The block must stay in the thread that entered it: a box ends with the thread that started it.

    Args:
        path: of the bundle.
        limits: of each box; it may use as many threads as torch has now.
        least: the tier of the sandbox that it takes.

    Raises:
        GateError: a gate refuses it, inside a box or outside.
        SandboxError: there is no such sandbox, or a graph breaks its limits.
        BundleError: the card does not say what the files are.
    """
    with boxed_of(open_bundle(path), path, limits, least) as bundle:
        yield bundle


@contextmanager
def load_guarded(path: Path) -> Iterator[AnyBundle]:
    """A bundle of either form: a portable one in boxes where this machine can, else in this process after the gates.

    Raises:
        BundleError: naming the file and what is wrong with it.
    """
    if standing().tier >= LEAST and is_portable(read_card(read_files(path), path)):
        with load_boxed(path) as bundle:
            yield bundle
    else:
        yield load_any(path)


@contextmanager
def boxed_of(files: Files, folder: Path, limits: Limits = LIMITS, least: int = LEAST) -> Iterator[PortableBundle]:
    """`load_boxed` for the content of files; `folder` is what messages call the place they lie in."""
    card, contents = declared(files, folder)
    with ExitStack() as stack:
        boxes = _Boxes(card)
        for graph in GRAPHS:
            boxes.open(graph, contents[graph], limits, least, stack)
        yield bundled(card, boxes, boxes.facts, files, folder)


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
            self.facts[graph] = _facts(*box.call("facts"))
        except SandboxError as error:
            self._explain(graph, error)

    def run(self, graph: str, inputs: Mapping[str, Array], threads: int) -> Array:
        """See `Graphs`.

        Raises:
            SandboxError: it breaks a limit, or cannot be run.
            BundleError: it gives something else.
        """
        _, output = self.card.ports(graph)
        try:
            _, arrays = self._open[graph].call("run", {"threads": threads}, inputs)
        except SandboxError as error:
            self._explain(graph, error)
        rows = len(next(iter(inputs.values())))
        refuse_output(arrays.get(output.name), (rows, *output.row), self.card.called(graph))
        return arrays[output.name]

    def multiply_adds(self) -> int | None:
        """See `Graphs`."""
        return self.facts["generate"].multiply_adds

    def _explain(self, graph: str, error: SandboxError) -> NoReturn:
        """Raise what happened in a box in the terms of the bundle: a gate's refusal as one, the rest by what it hit."""
        text, what = str(error).removeprefix(f"{PROGRAM}: "), self.card.called(graph)
        text = text if text.startswith(what) else f"{what}: {text}"
        if error.reason in FAULTS:
            raise SandboxError(error.reason, text, error.log) from None
        raise GateError(error.reason, text) from None


class _Counted(Config):
    opset: Count
    nodes: Count
    operators: dict[str, Count]
    multiply_adds: Count | None


def _told(port: Port) -> list[Any]:
    return [port.name, port.dtype, list(port.row)]


def _facts(facts: Mapping[str, Any], arrays: Mapping[str, Array]) -> GraphFacts:
    """What a box says of its graph.

    Raises:
        SandboxError: it is not what the program would say.
    """
    hashes, sizes, times = (arrays.get(name, np.empty(0)) for name in ("hashes", "sizes", "times"))
    n = len(hashes) if hashes.ndim else 0
    told = [(hashes, np.uint8, (n, 32)), (sizes, np.int64, (n,)), (times, np.int64, (n,))]
    try:
        counted = validate(_Counted, facts, PROGRAM)
    except ConfigError:
        raise SandboxError("nonsense", NONSENSE) from None
    if any(array.dtype != dtype or array.shape != shape for array, dtype, shape in told) or (sizes < 0).any():
        raise SandboxError("nonsense", NONSENSE)
    stored = Counter[tuple[str, int]]()
    for row, size, many in zip(hashes, sizes.tolist(), times.tolist(), strict=True):
        stored[row.tobytes().hex(), size] = many
    return GraphFacts(counted.opset, counted.nodes, counted.operators, stored, counted.multiply_adds)
