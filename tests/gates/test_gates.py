"""The gates: each hostile file is refused for what it is, at once and without a trace; each honest one passes."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnxruntime  # noqa: F401  # before any file that is opened is noticed
import pytest

from corpus import archive_cases, card_cases, folder_cases, graph_cases, tensor_cases
from corpus.archive_cases import ArchiveCase
from corpus.card_cases import CardCase
from corpus.case import cases
from corpus.folder_cases import FolderCase, filled
from corpus.graph_cases import INPUTS, OUTPUT, GraphCase
from corpus.tensor_cases import TensorCase
from corpus.watch import watched
from latentarena.errors import GateError
from latentarena.gates import (
    BUNDLE,
    SUBMISSION,
    check_card,
    check_graph,
    check_in_box,
    check_tensors,
    open_archive,
    open_files,
)

MOST_SECONDS = 5.0  # of the processor, whose cache others may be using
MOST_MEMORY = 64 << 20


def refused(reason: str, gate: Callable[..., object], *arguments: Any) -> str:
    """The gate refuses these for this reason, in a line that can be shown, and touches nothing."""
    with watched() as seen, pytest.raises(GateError) as caught:
        gate(*arguments)
    message = str(caught.value)
    assert caught.value.reason == reason, message
    assert message.isprintable(), "one line, and nothing in it that cannot be seen"
    assert len(message) < 500
    assert not seen.events
    assert seen.peak < MOST_MEMORY
    assert seen.seconds < MOST_SECONDS
    return message


@cases(graph_cases.REFUSED)
def test_graphs_are_refused(case: GraphCase) -> None:
    assert refused(case.reason, check_graph, case.make(), INPUTS, OUTPUT, "decode.onnx").startswith("decode.onnx")


@cases(graph_cases.CHECKED)
def test_graphs_are_refused_in_the_box(case: GraphCase) -> None:
    content = case.make()
    check_graph(content, INPUTS, OUTPUT, "decode.onnx")
    refused(case.reason, check_in_box, content, INPUTS, OUTPUT, "decode.onnx")


@cases([*archive_cases.REFUSED, *archive_cases.BOMBS])
def test_archives_are_refused(case: ArchiveCase) -> None:
    refused(case.reason, open_archive, case.make())


@pytest.mark.parametrize("content", [b"", archive_cases.zipped([])], ids=["no bytes", "no entries"])
def test_an_empty_archive_is_called_empty_with_what_belongs_in_it(content: bytes) -> None:
    for allowed in (BUNDLE, SUBMISSION):
        with pytest.raises(GateError, match=f"is empty; {allowed.hint}"):
            open_archive(content, allowed)


LAYERS = [("model.py", b"pass"), ("weights.safetensors", b"")]


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([("/".join("a" * 20_000) + "/model.py", b"pass")], "lies too deep; pack the folder"),
        ([("a/b/" + name, content) for name, content in LAYERS], "lies too deep; pack the folder"),
        ([*LAYERS, ("\x1b[2J.py", b"pass")], "is no name that is taken; name it in letters"),
        ([*LAYERS, ("run.sh", b"")], "is no part of a submission; a submission of the 2025 form holds"),
        ([*LAYERS, ("other.py", b"pass")], "holds model.py and other.py"),
    ],
)
def test_a_command_that_takes_programs_refuses_no_archive_for_holding_one(
    entries: list[tuple[str, bytes]], said: str
) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in entries:
            archive.writestr(name, content)
    with pytest.raises(GateError) as caught:
        open_archive(packed.getvalue(), SUBMISSION)
    message = str(caught.value)
    assert said in message
    assert message.isprintable()
    assert len(message) < 400
    with pytest.raises(GateError, match=r"is a program and no zip file; name it \.py"):
        open_archive(b"import torch\n" * 9, SUBMISSION)


@cases(tensor_cases.REFUSED)
def test_tensors_are_refused(case: TensorCase) -> None:
    assert refused(case.reason, check_tensors, case.make(), "weights.safetensors").startswith("weights.safetensors")


@cases(card_cases.REFUSED)
def test_cards_are_refused(case: CardCase) -> None:
    assert refused(case.reason, check_card, case.make(), "card.json").startswith("card.json")


@cases(folder_cases.REFUSED)
def test_folders_are_refused(case: FolderCase, tmp_path: Path) -> None:
    folder = filled(tmp_path / "bundle")
    case.spoil(folder)
    with watched() as seen, pytest.raises(GateError) as caught:
        open_files(folder)
    assert caught.value.reason == case.reason, caught.value
    assert str(caught.value).isprintable()
    assert {name for name, _ in seen.events} <= {"open", "os.scandir"}
    opened = [arguments for name, arguments in seen.events if name == "open"]
    assert all(flags & os.O_ACCMODE == os.O_RDONLY for _, _, flags in opened)
    assert seen.peak < 1 << 20
