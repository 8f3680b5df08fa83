"""Any folder or zip of images as a dataset: class folders are labels."""

from __future__ import annotations

import io
import logging
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from latentarena.data.images import Dataset, Images
from latentarena.errors import DataError, OutputError
from latentarena.files import cache_folder, digest, digest_json, make_folder, prune, write_atomically

__all__ = ["image_folder"]

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")
log = logging.getLogger(__name__)
KEPT = 4  # decoded folders in the cache
HELD_OUT = 10  # one image in this many is test data where no split is given
LARGEST_FILE = 64 << 20  # bytes


@dataclass(frozen=True)
class _File:
    path: PurePosixPath  # relative to the root
    content: bytes

    @property
    def split(self) -> str | None:
        first = self.path.parts[0]
        return first if first in ("train", "test") and len(self.path.parts) > 1 else None

    @property
    def label(self) -> str:
        parts = self.path.parts[1:] if self.split else self.path.parts
        return parts[0] if len(parts) > 1 else ""


def image_folder(source: Path, size: int | None = None) -> Dataset:
    """Load a directory or zip of images, greyscale if all of them are, else RGB.

    Layout: `[train|test/]CLASS/image.png`; a single folder around all of it is passed over; images outside
    class folders share the label 0. Without `train` and `test` folders one image in ten, chosen by the hash of
    its content, becomes the test split.

    Args:
        source: the directory or zip file.
        size: height and width to resize to; needed only where the images differ in size.

    Raises:
        DataError: nothing there, no images, an unreadable image, or mixed sizes without `size`.
    """
    if not source.exists():
        raise DataError(f"folder:{source} does not exist")
    files = _unwrapped(sorted(_files(source), key=lambda f: f.path))
    if not files:
        raise DataError(f"folder:{source} holds no images ({', '.join(SUFFIXES)})")
    names = sorted({f.label for f in files})
    splits = _splits(files)
    labels = torch.tensor([names.index(f.label) for f in files])
    pixels = _cached_pixels(files, source, size)
    test = torch.tensor([split == "test" for split in splits])
    return Dataset.of(
        f"folder:{source.name}",
        Images(pixels[~test], labels[~test]),
        Images(pixels[test], labels[test]),
        tuple(name or "image" for name in names),
    )


def _splits(files: list[_File]) -> list[str]:
    """`train` or `test` for each file; where no folder says so, by the hash of its content, at least one `test`."""
    if any(file.split for file in files):
        return [file.split or "train" for file in files]
    hashes = [int(digest(file.content), 16) for file in files]
    chosen = ["test" if value % HELD_OUT == 0 else "train" for value in hashes]
    if "test" not in chosen and len(files) > 1:
        chosen[hashes.index(min(hashes))] = "test"
    return chosen


def _files(source: Path) -> Iterator[_File]:
    if source.is_dir():
        for path in source.rglob("*"):
            inside = PurePosixPath(path.relative_to(source).as_posix())
            if _is_image(inside) and path.is_file():
                try:
                    yield _File(inside, path.read_bytes())
                except OSError as error:
                    raise DataError(f"folder:{source}: cannot read {inside}: {error.strerror}") from None
        return
    try:
        with zipfile.ZipFile(source) as archive:
            for info in archive.infolist():
                inside = PurePosixPath(info.filename)
                if _is_image(inside):
                    yield _File(inside, _member(archive, info, source))
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError) as error:
        raise DataError(f"folder:{source} is neither a directory nor a readable zip: {error}") from None


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, source: Path) -> bytes:
    if info.file_size <= LARGEST_FILE:  # which may be a lie
        with archive.open(info) as file:
            content = file.read(LARGEST_FILE + 1)
        if len(content) <= LARGEST_FILE:
            return content
    raise DataError(f"folder:{source}: {info.filename} inflates to more than {LARGEST_FILE >> 20} MiB")


def _unwrapped(files: list[_File]) -> list[_File]:
    """Without the one folder that holds all class folders, as in `photos.zip` of `photos/cat/1.png`."""
    wrapped = len({file.path.parts[0] for file in files}) == 1 and all(len(file.path.parts) > 2 for file in files)
    if not wrapped or files[0].split:
        return files
    return [_File(PurePosixPath(*file.path.parts[1:]), file.content) for file in files]


def _is_image(path: PurePosixPath) -> bool:
    """By name; hidden files and folders, and what macOS adds beside every file (`__MACOSX`), are none."""
    return path.suffix.lower() in SUFFIXES and not any(p == "__MACOSX" or p.startswith(".") for p in path.parts)


def _cached_pixels(files: list[_File], source: Path, size: int | None) -> Tensor:
    """Decoding 60,000 images takes half a minute, so the tensor is kept under the content's hash."""
    key = digest_json([size, [[str(f.path), digest(f.content)] for f in files]])
    cached = cache_folder() / "images" / f"{key[:32]}.safetensors"
    try:
        return load_file(cached)["pixels"]
    except (OSError, SafetensorError):
        pass
    pixels = _decoded(files, source, size)
    try:
        make_folder(cached.parent)
        write_atomically(cached, save({"pixels": pixels}))
        prune(cached.parent, KEPT)
    except OutputError as error:
        log.warning("the decoded images are not cached: %s", error)
    return pixels


def _eight_bits(image: Image.Image) -> Image.Image:
    """Greyscale or RGB, on white where transparent; Pillow itself would clip 16-bit grey instead of scaling it."""
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        flat = Image.alpha_composite(white, image.convert("RGBA"))
        return flat.convert("L" if image.mode == "LA" else "RGB")
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def _decoded(files: list[_File], source: Path, size: int | None) -> Tensor:
    """All images as uint8 (N, C, H, W); the first one fixes the size where `size` is not given."""
    arrays: list[np.ndarray] = []
    for file in files:
        try:
            with Image.open(io.BytesIO(file.content)) as opened:
                image = _eight_bits(opened)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise DataError(f"folder:{source}: {file.path} is not a readable image: {error}") from None
        if size is not None:
            image = image.resize((size, size), Image.Resampling.LANCZOS)
        array = np.asarray(image)
        if arrays and array.shape[:2] != arrays[0].shape[:2]:
            first, this = arrays[0].shape, array.shape
            raise DataError(
                f"folder:{source} mixes sizes: {files[0].path} is {first[1]}x{first[0]} and {file.path} is "
                f"{this[1]}x{this[0]}; give data.size={max(first[:2])} to resize them all"
            )
        arrays.append(array)
    if any(a.ndim == 3 for a in arrays):
        arrays = [a if a.ndim == 3 else np.repeat(a[..., None], 3, axis=2) for a in arrays]
        return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).contiguous()
    return torch.from_numpy(np.stack(arrays))[:, None]
