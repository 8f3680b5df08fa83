"""Images that anything made, to be judged: a file of arrays, or a folder or zip of images, whatever its classes."""

from __future__ import annotations

import zipfile
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from torch import Tensor

from latentarena.data.arrays import array_files, fitted, pixels_of
from latentarena.data.npz import arrays_in
from latentarena.data.parquet import parquet_files
from latentarena.data.picture import Fit, is_named_image
from latentarena.data.pixel_table import read_unlabelled
from latentarena.data.source import load_source
from latentarena.errors import DataError

ARRAYS = (".npy", ".npz")
NAMES = ("images", "samples", "arr_0")  # of the array that holds the images, where there are several
CARD = "card.json"  # of a bundle, which is no folder of images whatever lies beside it


def holds_images(path: Path) -> bool:
    """Whether a path is a file of images, or a folder or zip of them, and no bundle."""
    if path.is_dir():
        if any((path / CARD).exists() or next(path.glob(f"{place}bundle/{CARD}"), None) for place in ("", "*/")):
            return False
        inside = any(is_named_image(PurePosixPath(one)) for one in path.rglob("*"))
        return inside or bool(array_files(path) or parquet_files(path))
    if not path.is_file() or path.suffix.lower() != ".zip":
        return path.is_file() and bool(path.suffix.lower() in ARRAYS or array_files(path) or parquet_files(path))
    try:
        names = [PurePosixPath(name) for name in zipfile.ZipFile(path).namelist()]
    except (OSError, ValueError, zipfile.BadZipFile):
        return False
    return any(map(is_named_image, names)) and all(name.name != CARD for name in names)


def read_images(path: Path, fit: Fit) -> Tensor:
    """All images at a path, of every split and class, float (N, C, H, W) in [0, 1].

    Args:
        path: `.npy`, `.npz` with an array of images by itself or called `images`, a CSV whose header names pixels and
            no label, or what `load_source` reads.
        fit: size, crop and resize.

    Raises:
        DataError: it is of no form that is read, or damaged; the message names the way out.
    """
    table = path.suffix.lower() == ".csv" and path.is_file()
    array = _alone(arrays_in(path)) if path.suffix.lower() in ARRAYS else read_unlabelled(path) if table else None
    if array is None:
        try:
            data = load_source(path, fit)
        except DataError as error:
            way_out = "; of several arrays, the images to be judged are the one called images"
            raise DataError(f"{error}{way_out if path.suffix.lower() in ARRAYS else ''}") from None
        return torch.cat([data.train.images, data.test.images])
    try:
        pixels = fitted(pixels_of(array, ""), fit).float().div(255)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    if array.dtype.kind != "f" or array.max() > 1 or fit != Fit():
        return pixels
    exact = torch.from_numpy(array.astype(np.float32))  # not rounded to 255 steps; in this machine's order of bytes
    return exact.movedim(-1, 1) if exact.ndim == 4 and exact.shape != pixels.shape else exact.reshape(pixels.shape)


def _alone(held: dict[str, np.ndarray]) -> np.ndarray | None:
    """The array of images beside which there is no other; None where the arrays are splits of a dataset."""
    named = [held[name] for name in NAMES if name in held]
    images = list(held.values()) if len(held) == 1 else [one for one in held.values() if one.ndim >= 3]
    return named[0] if named else images[0] if len(images) == 1 else None


def grey_as_such(images: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Images (N, C, H, W) as one channel where their three are alike and one is wanted: grey ones saved as colour."""
    if images.ndim != 4 or (images.shape[1], shape[0]) != (3, 1):
        return images
    alike = torch.equal(images[:, 0], images[:, 1]) and torch.equal(images[:, 0], images[:, 2])
    return images[:, :1] if alike else images
