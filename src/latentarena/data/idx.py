"""The IDX format of MNIST and its drop-in replacements, gzipped or plain."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from latentarena.errors import DataError

LARGEST = 1 << 30  # bytes after decompression: refuse to inflate a gzip bomb


def read_maybe_gzipped(path: Path) -> bytes:
    """The file's content, decompressed where it starts with the gzip magic.

    Raises:
        DataError: the file is unreadable, damaged, or inflates beyond 1 GiB.
    """
    try:
        with path.open("rb") as file:
            if file.read(2) != b"\x1f\x8b":
                file.seek(0)
                return file.read()
        with gzip.open(path) as file:
            content = file.read(LARGEST + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"{path} is damaged: {error}; delete it, and put a whole copy there or have it fetched again"
        ) from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from None
    if len(content) > LARGEST:
        raise DataError(f"{path} inflates to more than {LARGEST >> 20} MiB; it is no dataset of this kind")
    return content


def parse_idx(content: bytes, name: str) -> Tensor:
    """Decode IDX bytes: magic `00 00 08 rank`, big-endian sizes, then uint8 values.

    Returns:
        uint8 tensor of the declared shape.

    Raises:
        DataError: wrong magic, or a length that does not match the declared sizes.
    """
    if len(content) < 4 or content[:3] != b"\0\0\x08":
        raise DataError(f"{name} is not an IDX file of bytes (it starts with {content[:4].hex(' ') or 'nothing'})")
    rank = content[3]
    start = 4 + 4 * rank
    if rank == 0 or len(content) < start:
        raise DataError(f"{name} is truncated: it ends inside the IDX header")
    shape = struct.unpack(f">{rank}I", content[4:start])
    if len(content) - start != math.prod(shape):
        raise DataError(f"{name} declares shape {shape} but holds {len(content) - start} of {math.prod(shape)} bytes")
    try:
        return torch.from_numpy(np.frombuffer(content, np.uint8, offset=start).reshape(shape).copy())
    except (ValueError, RuntimeError) as error:  # more dimensions than numpy has, or an empty array of absurd sizes
        raise DataError(f"{name} declares an impossible shape of {rank} dimensions: {error}") from None
