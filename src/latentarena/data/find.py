"""Finding an IDX dataset: the given folder, `LATENTARENA_DATA`, the cache, a download; then checking it."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
from pathlib import Path

import pooch
from torch import Tensor

from latentarena.data.catalog import CATALOG, FILES, TORCHVISION, CatalogEntry
from latentarena.data.idx import parse_idx, read_maybe_gzipped
from latentarena.data.images import Dataset, Images
from latentarena.data.near_miss import near_miss
from latentarena.errors import DataError, DataMissing, OutputError
from latentarena.files import cache_folder, digest, expanded, make_folder

log = logging.getLogger(__name__)
AGAIN = "delete it to have it fetched again"
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
SECONDS = 30  # of silence from a mirror before the next one is tried


def load_idx(name: str, root: Path | None = None) -> Dataset:
    """Load MNIST or a drop-in replacement.

    Args:
        name: a key of `CATALOG`.
        root: a folder that must hold the dataset, as `<root>/<name>/<file>[.gz]` or `<root>/<file>[.gz]`;
            without it `LATENTARENA_DATA`, the cache and the mirrors are tried in this order.

    Raises:
        DataError: a file is damaged or is not the known content.
        DataMissing: the files are nowhere and no mirror answered.
    """
    entry = CATALOG[name]
    folder = where(name, root)
    broken_off = folder == cache_folder() / "data" / name and not all(_forms(folder, file) for file in FILES)
    if folder is None or (root is None and broken_off):
        if root is not None:
            raise DataMissing(
                f"{name}: {FILES[0]}[.gz] is neither in {root} nor in {root / name}{near_miss(root, name)}"
            )
        folder = _download(name, entry)
    tensors = [_checked(_path(folder, name, file), entry, i) for i, file in enumerate(FILES)]
    train, test = _split(name, tensors[0], tensors[1]), _split(name, tensors[2], tensors[3])
    return Dataset.of(name, train, test, entry.classes)


def where(name: str, root: Path | None = None) -> Path | None:
    """The folder that holds the first file of a dataset of `CATALOG`, or None: what `arena doctor` shows."""
    roots = [root] if root else [*_given(), cache_folder() / "data"]
    # a bare folder holds files of one dataset, and they are MNIST unless it says otherwise
    bare = ("", "raw") if root or name == "mnist" else ()
    folders = [base / inside for base in roots for inside in (name, f"{TORCHVISION.get(name, name)}/raw", *bare)]
    return next((f for f in folders if _forms(f, FILES[0])), None)


def _given() -> list[Path]:
    """The folder of `LATENTARENA_DATA`, if it is set."""
    given = os.environ.get("LATENTARENA_DATA")
    return [expanded(given, "LATENTARENA_DATA = ")] if given else []


def _forms(folder: Path, file: str) -> list[Path]:
    """The file, plain before gzipped, in as many forms as the folder holds it; Kaggle's names have a dot."""
    names = (file, file.replace("-idx", ".idx"))
    return [path for name in names for end in ("", ".gz") if (path := folder / (name + end)).is_file()]


def _path(folder: Path, name: str, file: str) -> Path:
    for path in _forms(folder, file):
        return path
    raise DataError(
        f"{folder} holds no {file}[.gz]; put it there or name another folder{near_miss(folder, name, file)}"
    )


def _checked(path: Path, entry: CatalogEntry, index: int) -> Tensor:
    """The file's tensor, once its content is known to be the published one."""
    content = read_maybe_gzipped(path)
    tensor = parse_idx(content, str(path))  # first, so that a truncated file is told apart from an altered one
    packed = entry.packed[index] if not entry.content and path.suffix == ".gz" else None
    known = entry.content or packed
    good = digest(content) == entry.content[index] if entry.content else packed and _is_packed(path, packed)
    told = "" if good else _told(path, content)
    if (known and not good) or told:
        own = path.is_relative_to(cache_folder())
        raise DataError(
            f"{path} is an IDX file of shape {tuple(tensor.shape)} but not the known content (wrong hash)"
            f"{told}; {AGAIN if own else 'put the published file there or name another folder'}"
        )
    if not known:
        log.warning("%s: only its structure could be checked; the .gz file as published is checked whole", path)
    return tensor


def _is_packed(path: Path, known: str) -> bool:
    algorithm, expected = known.split(":")
    return hashlib.new(algorithm, path.read_bytes()).hexdigest() == expected


def _told(path: Path, content: bytes) -> str:
    """Which known file it is instead, if any."""
    hashed = digest(content)
    for name, entry in CATALOG.items():
        for index, file in enumerate(FILES):
            known = hashed == entry.content[index] if entry.content else _is_packed(path, entry.packed[index])
            if known:
                return f": it is {file} of {name}, which is data.name={name}"
    return ""


def _split(name: str, pixels: Tensor, labels: Tensor) -> Images:
    if pixels.ndim != 3 or labels.ndim != 1 or len(pixels) != len(labels):
        raise DataError(f"{name}: images {tuple(pixels.shape)} and labels {tuple(labels.shape)} do not match")
    return Images(pixels[:, None], labels.long())


def _download(name: str, entry: CatalogEntry) -> Path:
    """Fetch the four files into the cache; `LATENTARENA_MIRROR` (`<address>/<name>/`) is tried first."""
    folder = make_folder(cache_folder() / "data" / name)
    own = os.environ.get("LATENTARENA_MIRROR")
    mirrors = [*([f"{own.rstrip('/')}/{name}/"] if own else []), *entry.mirrors]
    pooch.get_logger().setLevel(logging.WARNING)
    for index, file in enumerate(FILES):
        reasons = []
        for mirror in mirrors:
            try:
                pooch.retrieve(
                    f"{mirror}{file}.gz",
                    # a mirror may have packed the file anew, so content is checked where it is known
                    known_hash=None if entry.content else entry.packed[index],
                    fname=f"{file}.gz",
                    path=folder,
                    downloader=pooch.HTTPDownloader(progressbar=True, timeout=SECONDS),
                )
                if entry.content:
                    _checked(folder / f"{file}.gz", entry, index)
                break
            except (OSError, ValueError, DataError) as error:  # no route, wrong hash, damaged
                if isinstance(error, OSError) and error.errno in NO_ROOM:
                    raise OutputError(f"cannot write {folder}: {error.strerror}; free some space") from None
                (folder / f"{file}.gz").unlink(missing_ok=True)
                reasons.append(f"{mirror}: {type(error).__name__}")
        else:
            raise DataMissing(
                f"{name} was not found and could not be downloaded ({'; '.join(reasons)}); "
                "put its files into a folder and name it with --data or LATENTARENA_DATA"
                f"{''.join(near_miss(root, name) for root in _given())}"
            )
    return folder
