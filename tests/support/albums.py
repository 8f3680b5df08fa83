"""Folders and zips of made-up images."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    """Random bytes."""
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def encoded(array: np.ndarray | Image.Image, kind: str = "PNG", **how: Any) -> bytes:
    """The image file of an array."""
    buffer = io.BytesIO()
    (Image.fromarray(array) if isinstance(array, np.ndarray) else array).save(buffer, kind, **how)
    return buffer.getvalue()


def store(folder: Path, files: dict[str, bytes]) -> Path:
    """Write files, given by relative name, into a folder."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    """The same as a zip."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def album(n: int = 30) -> dict[str, bytes]:
    """Random grey images of 10x8 pixels in the class folders `cat` and `dog`."""
    return {
        f"{name}/{i:02}.png": encoded(noise(8, 10, seed=100 * len(name) + i))
        for name in ("cat", "doggy")
        for i in range(n)
    }
