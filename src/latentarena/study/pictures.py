"""Images to look at: grids, animations and arrays."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from latentarena.errors import ConfigError
from latentarena.files import write_atomically

__all__ = ["FORMATS", "grid", "png", "refuse_suffix", "save_animation", "save_images"]

FORMATS = (".png", ".gif", ".npz")
GAP = 1  # pixels between images
ZOOM = 2


def grid(images: Tensor, columns: int | None = None, zoom: int = ZOOM) -> Image.Image:
    """Images (N, C, H, W) in [0, 1], C = 1 or 3, as one picture, row by row."""
    n, channels, height, width = images.shape
    columns = columns or math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    values = images.clamp(0, 1).mul(255).round().byte()
    values = torch.nn.functional.pad(values, (GAP, 0, GAP, 0), value=64)
    blank = torch.full((rows * columns - n, *values.shape[1:]), 64, dtype=torch.uint8)
    cells = torch.cat([values, blank]).reshape(rows, columns, channels, height + GAP, width + GAP)
    sheet = cells.permute(0, 3, 1, 4, 2).reshape(rows * (height + GAP), columns * (width + GAP), channels)
    picture = Image.fromarray(sheet.squeeze(-1).numpy() if channels == 1 else sheet.numpy())
    return picture.resize((picture.width * zoom, picture.height * zoom), Image.Resampling.NEAREST)


def png(picture: Image.Image) -> bytes:
    """The picture as PNG bytes."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def refuse_suffix(path: Path, *known: str) -> None:
    """Raise a ConfigError where an `--out` does not end in one of the known suffixes."""
    if path.suffix.lower() not in known:
        raise ConfigError(f"--out {path}: {path.suffix or 'no suffix'} is not {' or '.join(known)}")


def save_images(path: Path, images: Tensor, labels: Tensor | None) -> None:
    """Write generated images: a PNG grid, else an NPZ with `images` float32 (n, C, H, W) in [0, 1] and `labels`.

    Raises:
        OutputError: the file cannot be written.
    """
    if path.suffix.lower() == ".png":
        write_atomically(path, png(grid(images)))
        return
    buffer = io.BytesIO()
    arrays = {"images": images.float().numpy()} | ({} if labels is None else {"labels": labels.numpy()})
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    write_atomically(path, buffer.getvalue())


def save_animation(path: Path, frames: Sequence[Tensor], seconds: float = 3.0) -> None:
    """Write a GIF whose frames are grids of images (N, C, H, W); the last one rests.

    Raises:
        OutputError: the file cannot be written.
    """
    pictures = [grid(frame) for frame in frames]
    rest = 1500  # milliseconds
    durations = [max(20, round(1000 * seconds / len(pictures)))] * (len(pictures) - 1) + [rest]
    buffer = io.BytesIO()
    pictures[0].save(buffer, "GIF", save_all=True, append_images=pictures[1:], duration=durations, loop=0)
    write_atomically(path, buffer.getvalue())
