"""Tiny datasets of IDX files."""

from __future__ import annotations

import gzip
import hashlib
import struct

import numpy as np
import pytest

from latentarena.data.catalog import FILES, CatalogEntry

Files = dict[str, bytes]


def idx(array: np.ndarray) -> bytes:
    """The IDX file of a uint8 array."""
    return struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def tiny_files(train: int = 12, test: int = 6) -> Files:
    """Random images of 8x9 pixels and their labels, as four IDX files."""
    draw = np.random.default_rng(0).integers
    shapes = ((train, 8, 9), (train,), (test, 8, 9), (test,))
    arrays = (draw(0, 256 if len(shape) == 3 else 10, shape, np.uint8) for shape in shapes)
    return dict(zip(FILES, map(idx, arrays), strict=True))


def tiny_entry(files: Files, hashed: bool = True) -> CatalogEntry:
    """A catalogue entry that knows these files by their content, or else by their packing only."""
    return CatalogEntry(
        mirrors=(),
        content=tuple(hashlib.sha256(content).hexdigest() for content in files.values()) if hashed else (),
        packed=tuple(f"md5:{hashlib.md5(packed(content)).hexdigest()}" for content in files.values()),
        classes=tuple("0123456789"),
    )


def packed(content: bytes, level: int = 9) -> bytes:
    return gzip.compress(content, level, mtime=0)


def refused(error: pytest.ExceptionInfo[Exception], *fragments: object) -> bool:
    """One line that holds all fragments."""
    text = str(error.value)
    return "\n" not in text and all(str(fragment) in text for fragment in fragments)
