"""Decoded images in the cache: written one by one and mapped into memory, so that they may be more than fit into it."""

from __future__ import annotations

import io
import json
import logging
import math
import os
import struct
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from latentarena.data.listing import LeftOut
from latentarena.data.picture import DIM
from latentarena.errors import DataError, OutputError
from latentarena.files import explained, make_folder, prune

log = logging.getLogger(__name__)
KEPT = 4  # decoded folders in the cache
BRIGHT = 223  # a value that all pixels of a dataset stay above only by mistake
SPARE = 1000  # bytes of a file's head for what is known only once all images are decoded
LENGTH = struct.Struct("<Q")  # of a safetensors file's head, which comes first

Pictures = Callable[[], Iterator[np.ndarray]]  # uint8 (H, W) or (H, W, 3), anew at each call


@dataclass(frozen=True)
class Decoded:
    """The images of a folder, and what is said of it.

    Attributes:
        pixels: uint8 (N, C, H, W); mapped from the cache where they are kept there.
        left_out: files that are not among them; notes: on what was read, in sentences.
    """

    pixels: Tensor
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]


def kept(path: Path) -> Decoded | None:
    """What was decoded before; None where it is not there or damaged."""
    try:
        with safe_open(path, "np") as file:
            words = json.loads(file.metadata()["said"])
            shape = file.get_slice("pixels").get_shape()
        left_out = tuple(LeftOut(*one) for one in words["left_out"])
        return Decoded(_mapped(path, shape), left_out, tuple(words["notes"]))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return None


def decode(pictures: Pictures, n: int, left_out: tuple[LeftOut, ...], notes: tuple[str, ...], path: Path) -> Decoded:
    """Decode n pictures into a file of the cache, or into memory where that cannot be written."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with explained(make_folder(path.parent)):
            try:
                with temporary.open("wb") as file:
                    _write(file, pictures, n, left_out, notes)
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)
        found = kept(path)
        prune(path.parent, KEPT)
        if found is not None:
            return found
    except OutputError as error:
        log.warning("the decoded images are not cached: %s", error)
    memory = io.BytesIO()
    shape, said = _write(memory, pictures, n, left_out, notes)
    content = memory.getbuffer()
    (length,) = LENGTH.unpack_from(content)
    pixels = torch.frombuffer(content, dtype=torch.uint8, offset=LENGTH.size + length)
    return Decoded(pixels.reshape(shape), left_out, said)


def _mapped(path: Path, shape: list[int]) -> Tensor:
    """The pixels of a file, which the system reads when they are asked for and may forget again."""
    with path.open("rb") as file:
        (length,) = LENGTH.unpack(file.read(LENGTH.size))
    pixels = np.memmap(path, np.uint8, "r", LENGTH.size + length, tuple(shape))
    with warnings.catch_warnings():  # torch warns of memory that must not be written to
        warnings.simplefilter("ignore", UserWarning)
        return torch.from_numpy(pixels)


def _write(
    file: IO[bytes], pictures: Pictures, n: int, left_out: tuple[LeftOut, ...], notes: tuple[str, ...]
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Write a safetensors file of `pixels`, greyscale if all pictures are; the head comes last, into room kept for it.

    Returns:
        The shape, and the notes with those on the pixels.

    Raises:
        DataError: all is nearly black, or what a picture raises.
    """
    for channels in (1, 3):
        seen, shape, room = _Seen(), (n, channels), 0
        for number, picture in enumerate(pictures()):
            if picture.ndim == 3 and channels == 1:  # the first with colours: begun anew
                break
            if not number:
                shape = (n, channels, *picture.shape[:2])
                room = -(-(len(_head(shape, left_out, notes)) + SPARE) // 8) * 8
                file.seek(LENGTH.size + room)
            planes = np.moveaxis(picture, -1, 0) if picture.ndim == 3 else np.broadcast_to(picture, shape[1:])
            file.write(planes.tobytes())
            seen.add(planes)
        else:
            break
    seen.refuse_dark()
    said = (*notes, *seen.oddities())
    file.seek(0)
    file.write(LENGTH.pack(room) + _head(shape, left_out, said).ljust(room))
    return shape, said


def _head(shape: tuple[int, ...], left_out: tuple[LeftOut, ...], notes: tuple[str, ...]) -> bytes:
    said = json.dumps({"left_out": [[one.path, one.reason] for one in left_out], "notes": notes})
    tensor = {"dtype": "U8", "shape": shape, "data_offsets": [0, math.prod(shape)]}
    return json.dumps({"__metadata__": {"said": said}, "pixels": tensor}).encode()


@dataclass
class _Seen:
    """What is found in the pixels on the way."""

    n: int = 0
    blank: int = 0
    low: int = 255
    high: int = 0
    grey: bool = True

    def add(self, planes: np.ndarray) -> None:
        """Look at an image (C, H, W)."""
        low, high = int(planes.min()), int(planes.max())
        self.n, self.blank = self.n + 1, self.blank + (low == high)
        self.low, self.high = min(self.low, low), max(self.high, high)
        self.grey = self.grey and len(planes) == 3 and bool((planes == planes[:1]).all())

    def refuse_dark(self) -> None:
        """Raise a DataError where all images are nearly black."""
        if self.high < DIM:
            raise DataError(
                f"all images are nearly black: their values are {self.low} to {self.high} of 0 to 255; save them anew "
                f"with white as 255, such as image.point(lambda v: v * {255 // max(1, self.high)}) in Pillow"
            )

    def oddities(self) -> Iterator[str]:
        """What is strange about all images together, in sentences."""
        if self.blank:
            yield f"{self.blank} of {self.n} images have one colour only, such as white where all is transparent"
        if self.low > BRIGHT:
            yield f"all images are nearly white: their values are {self.low} to {self.high} of 0 to 255"
        if self.grey:
            yield "all images are grey, though stored in colour: they have three equal channels"
