"""Folders that are no honest bundle (rows 2, 13 and 15): links, pipes and files of other kinds."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from corpus.archive_cases import FILES
from corpus.case import Case

__all__ = ["REFUSED", "FolderCase", "filled"]


@dataclass(frozen=True)
class FolderCase(Case):
    """What is done to the folder of an honest bundle, and the slug of its refusal."""

    reason: str
    spoil: Callable[[Path], object]


def filled(folder: Path) -> Path:
    """The folder of an honest bundle beside a secret."""
    folder.mkdir()
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    (folder.parent / "secret").write_bytes(b"{}")
    return folder


def instead(make: Callable[[Path], object]) -> Callable[[Path], object]:
    """The card taken away, and something made in its place."""

    def spoil(folder: Path) -> None:
        (folder / "card.json").unlink()
        make(folder / "card.json")

    return spoil


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(path.parent)  # a socket's path has at most 107 letters
        try:
            server.bind(path.name)
        finally:
            os.chdir(here)


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


def more(name: str, content: bytes = b"x") -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


def crowded(folder: Path) -> None:
    for i in range(100):
        (folder / f"{i}.json").touch()


def linked_weights(folder: Path) -> None:
    (folder / "weights.safetensors").unlink()
    (folder / "weights.safetensors").symlink_to("card.json")


CASES: dict[tuple[int, str], tuple[str, Callable[[Path], object]]] = {
    (2, "link to a sibling"): ("special-file", linked_weights),
    (2, "link out"): ("special-file", instead(lambda path: path.symlink_to("../secret"))),
    (2, "absolute link"): ("special-file", instead(lambda path: path.symlink_to("/etc/passwd"))),
    (2, "link to a device"): ("special-file", instead(lambda path: path.symlink_to("/dev/zero"))),
    (2, "link to nothing"): ("special-file", instead(lambda path: path.symlink_to("nowhere"))),
    (2, "link to itself"): ("special-file", instead(lambda path: path.symlink_to("card.json"))),
    (2, "hard link"): ("special-file", instead(lambda path: path.hardlink_to(path.parent.parent / "secret"))),
    (2, "hard link to a sibling"): ("special-file", lambda f: (f / "twin").hardlink_to(f / "weights.safetensors")),
    (13, "pipe"): ("special-file", instead(os.mkfifo)),
    (13, "socket"): ("unreadable", instead(listening)),
    (13, "folder as card"): ("unreadable", instead(Path.mkdir)),
    (13, "1 TB of nothing"): ("too-large", instead(sparse)),
    (13, "folder inside"): ("folder-name", lambda folder: (folder / "inner").mkdir()),
    (13, "100 files"): ("folder-name", crowded),
    (13, "unknown file"): ("folder-name", more("README.md")),
    (13, "card in capitals too"): ("folder-duplicate", more("CARD.json")),
    (13, "no card"): ("incomplete", lambda folder: (folder / "card.json").unlink()),
    (13, "no folder"): ("unreadable", lambda folder: folder.rename(folder.parent / "elsewhere")),
    (15, "model.pt"): ("pickle", more("model.pt")),
    (15, "model.joblib"): ("pickle", more("model.joblib")),
    (15, "optimizer.pkl"): ("pickle", more("optimizer.pkl")),
    (15, "last.ckpt"): ("pickle", more("last.ckpt")),
    (15, "pytorch_model.bin"): ("pickle", more("pytorch_model.bin")),
    (15, "latents.npz"): ("arrays", more("latents.npz")),
    (15, "decoder.h5"): ("keras", more("decoder.h5")),
    (15, "saved_model.pb"): ("keras", more("saved_model.pb")),
    (15, "MODEL.PY"): ("code", more("MODEL.PY")),
    (15, "train.ipynb"): ("code", more("train.ipynb")),
    (15, "custom_op.so"): ("code", more("custom_op.so")),
    (15, "old.tar.gz"): ("packed", more("old.tar.gz")),
}
REFUSED = [FolderCase(row, name, *told) for (row, name), told in CASES.items()]
