"""Images that are stored as arrays: IDX files under any name, Keras' `.npz`, Kaggle's CSV."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import isfinite, isqrt
from pathlib import Path

import numpy as np
import torch
from natsort import natsorted
from PIL import Image

from latentarena.data.held_out import HELD_OUT, NONE_HELD_OUT, held_out
from latentarena.data.idx import parse_idx, read_maybe_gzipped
from latentarena.data.images import Dataset, Images
from latentarena.data.layout import TEST, TRAIN, VALIDATION
from latentarena.data.listing import LeftOut, warn_left_out
from latentarena.data.named_arrays import Split, splits_in
from latentarena.data.picture import DIM, LARGEST_SIDE, Fit
from latentarena.data.pixel_table import UNLABELLED, read_pixels
from latentarena.errors import DataError
from latentarena.files import digest

BESIDE = "beside the arrays"
IDX = re.compile(
    r"(?P<set>.*?)(?P<split>train|t10k|test)[-_.]?(?P<what>images|labels)[-.](?:idx\d[-.])?ubyte(?:\.gz)?", re.I
)
WORD = re.compile(r"(?<![a-z])(train(?:ing)?|test(?:ing)?|t10k|val(?:id|idation)?)(?:set|data|images)?(?![a-z])")
UPPER, LOWER = string.ascii_uppercase, string.ascii_lowercase
EMNIST = {  # the labels of its parts, in order
    "digits": string.digits,
    "mnist": string.digits,
    "letters": f"-{UPPER}",
    "balanced": string.digits + UPPER + "abdefghnqrt",
    "bymerge": string.digits + UPPER + "abdefghnqrt",
    "byclass": string.digits + UPPER + LOWER,
}


def split_in_name(name: str) -> str:
    """The split that a file's name speaks of in a word of its own, or nothing."""
    found = WORD.search(name.lower())
    return {"tr": TRAIN, "va": VALIDATION}.get(found[1][:2], TEST) if found else ""


def array_files(source: Path) -> list[Path]:
    """The files of arrays that a path stands for: itself, or those in the folder, or in `raw` or `gzip` in it."""
    if source.is_file():
        return [source] if _is_array(source) else []
    for pattern in ("*", "raw/*", "gzip/*"):  # as torchvision and EMNIST's publisher name it
        found = [path for path in sorted(source.glob(pattern)) if path.is_file() and _is_array(path)]
        if found:
            return found
    return [path for path in sorted(source.glob("*/raw/*")) if path.is_file() and is_idx(path)]


def _is_array(path: Path) -> bool:
    return path.suffix.lower() in (".npz", ".csv") or is_idx(path)


def is_idx(path: Path) -> bool:
    """Whether it is named like an IDX file, as `emnist-letters-train-images-idx3-ubyte.gz`."""
    return bool(IDX.fullmatch(path.name))


def array_images(source: Path, fit: Fit) -> Dataset:
    """The dataset of a file of arrays, or of a folder of them.

    Raises:
        DataError: it cannot be read, holds several datasets, or its arrays are no images with labels.
    """
    files = array_files(source)
    idx = [path for path in files if is_idx(path)]
    try:
        splits, about, names, left = _idx(source, idx) if idx else _tables(files)
        if source.is_dir():
            left += [LeftOut(str(path.relative_to(source)), BESIDE) for path in _beside(source, idx or files)]
        data = _dataset(source, splits, about, names, fit, left)
        warn_left_out(source, left)
        return replace(data, left_out=tuple(left))
    except DataError as error:
        raise DataError(f"folder:{source}: {error}") from None


def _beside(folder: Path, used: Sequence[Path]) -> Iterator[Path]:
    """Files and whole folders in a folder that are not used; hidden ones are passed over."""
    for path in sorted(folder.iterdir()):
        if any(path in one.parents for one in used):
            yield from _beside(path, used)
        elif path not in used and not path.name.startswith("."):
            yield path


Found = tuple[dict[str, Split], str, Mapping[int, str], list[LeftOut]]


def _idx(source: Path, files: Sequence[Path]) -> Found:
    """Four IDX files of one prefix; EMNIST's are stored with rows and columns exchanged."""
    if source.is_file():  # with its three siblings
        files = [path for path in sorted(source.parent.iterdir()) if _prefix(path) == _prefix(source)]
    parts: dict[tuple[Path, str], dict[tuple[str, str], Path]] = {}
    for path in files:
        found = IDX.fullmatch(path.name)
        if found:
            split = TRAIN if found["split"].lower() == TRAIN else TEST
            parts.setdefault((path.parent, found["set"]), {})[split, found["what"].lower()] = path
    if len(parts) > 1:
        one = next(iter(parts.values())).popitem()[1]
        held = natsorted(part.strip("-_ ") or str(folder.relative_to(source)) for folder, part in parts)
        raise DataError(f"holds the datasets {', '.join(held)}; name a file of one, such as folder:{one}")
    ((_, prefix), members), splits = next(iter(parts.items())), {}
    turned = "emnist" in prefix.lower()
    for split in (TRAIN, TEST):
        if (split, "images") in members:
            missing = members[split, "images"].name.replace("images", "labels").replace("idx3", "idx1")
            if (split, "labels") not in members:
                raise DataError(f"the labels {missing} are missing beside {members[split, 'images'].name}")
            pixels, labels = (
                parse_idx(read_maybe_gzipped(members[split, what]), members[split, what].name).numpy()
                for what in ("images", "labels")
            )
            splits[split] = Split(pixels.swapaxes(1, 2) if turned and pixels.ndim == 3 else pixels, labels)
    names = EMNIST.get(prefix.strip("-_ ").lower().rpartition("emnist")[2].strip("-_ "), "") if turned else ""
    words = "IDX files" + (" of EMNIST, whose rows and columns are exchanged: turned upright" if turned else "")
    return splits, words, dict(enumerate(names)), []


def _prefix(path: Path) -> str | None:
    found = IDX.fullmatch(path.name)
    return found["set"] if found else None


def _tables(files: Sequence[Path]) -> Found:
    """One `.npz`, or CSV files of the splits."""
    archives = [path for path in files if path.suffix.lower() == ".npz"]
    if len(archives) == 1 and len(files) == 1:
        splits, left = splits_in(archives[0])
        return splits, "arrays of an .npz file", {}, left
    if archives:
        raise DataError(f"holds {', '.join(path.name for path in files)}; name one of them")
    splits, left = {}, []
    for path in files:
        split = (split_in_name(path.name) or TRAIN) if len(files) > 1 else ""
        read = read_pixels(path)
        if isinstance(read, str):
            left.append(LeftOut(path.name, read))
        elif split in splits:
            raise DataError(f"{path.name} is another {split} split; name one of the files")
        else:
            splits[split] = Split(*read)
    if not splits:
        said = "; ".join(f"{one.path} is no table of images: {one.reason}" for one in left)
        way = "; call the column of the classes `label`" if UNLABELLED in {one.reason for one in left} else ""
        raise DataError(said + way)
    words = "CSV of a label and pixels"
    if any("emnist" in path.name.lower() for path in files):
        splits = {s: Split(one.pixels.swapaxes(1, 2), one.labels) for s, one in splits.items()}
        words += "; rows and columns of EMNIST are exchanged: turned upright"
    return splits, words, {}, left


def _dataset(
    source: Path, splits: dict[str, Split], about: str, names: Mapping[int, str], fit: Fit, left: list[LeftOut]
) -> Dataset:
    kinds = {split: one.pixels.dtype for split, one in splits.items()}
    if len({"i" if kind.kind == "u" else kind.kind for kind in kinds.values()}) > 1:
        told = ", ".join(f"those of the {split} split {kind}" for split, kind in kinds.items())
        raise DataError(f"images are numbers of different types, {told}; save all of them as uint8, 0 to 255")
    floats = {
        split: one.pixels.max() <= 1
        for split, one in splits.items()
        if one.pixels.size and one.pixels.dtype.kind == "f"
    }
    if len(set(floats.values())) > 1:
        unit = ", ".join(split for split in floats if floats[split])
        raise DataError(
            f"images of the {unit} split have values of 0 to 1 and those of the others values beyond; save all of them "
            "as uint8, 0 to 255"
        )
    widths = {split: one.labels.shape[1] for split, one in splits.items() if one.labels.ndim > 1}
    if len(set(widths.values())) > 1:
        shown = ", ".join(f"{width} in the {split} split" for split, width in widths.items())
        raise DataError(f"labels have as many columns as {shown}; save them with the same classes in the same order")
    read = {split: (pixels_of(one.pixels, split), _labels(one, split)) for split, one in splits.items()}
    notes = [about]
    if VALIDATION in read and TEST in read:
        unused = f"the {VALIDATION} split's {len(read.pop(VALIDATION)[0])} images"
        left.append(LeftOut(unused, "not used, for there is a test split"))
    elif VALIDATION in read:
        read[TEST] = read.pop(VALIDATION)
    if TEST not in read:
        pixels, labels = next(iter(read.values()))
        notes.append(f"no test split: about one image in {HELD_OUT} is held out")
        test = np.array(held_out(labels.tolist(), [digest(one.tobytes()) for one in pixels]))
        if not test.any():
            raise DataError(f"it has {NONE_HELD_OUT}")
        read = {TRAIN: (pixels[~test], labels[~test]), TEST: (pixels[test], labels[test])}
    if TRAIN not in read:
        raise DataError("there is no train split")
    if len({labels.dtype.kind == "U" for _, labels in read.values()}) > 1:
        raise DataError("labels of one split are numbers and those of another words; save the same for both")
    values = natsorted({*read[TRAIN][1].tolist()})
    unknown = sorted(set(read[TEST][1].tolist()) - set(values))
    if unknown:
        raise DataError(f"class {unknown[0]} has images in the test split and none in the train split")
    rank = {value: index for index, value in enumerate(values)}
    made = []
    for split in (TRAIN, TEST):
        pixels, labels = read[split]
        made.append(Images(fitted(pixels, fit), torch.tensor([rank[value] for value in labels.tolist()]).long()))
    classes = tuple(names.get(value, str(value)) for value in values)
    return Dataset.of(f"folder:{source.name}", made[0], made[1], classes, tuple(notes))


def _labels(split: Split, title: str) -> np.ndarray:
    labels = split.labels.reshape(len(split.labels), -1)
    if _marks_classes(labels):
        labels = labels.argmax(1)[:, None]
    if labels.shape[1] != 1 or labels.dtype.kind not in "iuU" or len(labels) != len(split.pixels):
        raise DataError(
            f"labels of the {title} split are {split.labels.dtype} {list(split.labels.shape)} for "
            f"{len(split.pixels)} images; one whole number or word for each is expected{_numbered(labels)}"
        )
    return labels[:, 0]


def _marks_classes(labels: np.ndarray) -> bool:
    """Whether each row (N, classes) is 1 for its class and 0 for all others (one-hot)."""
    if labels.dtype.kind not in "biuf" or labels.shape[1] < 2:
        return False
    return bool(((labels == 0) | (labels == 1)).all() and (labels.sum(1) == 1).all())


def _numbered(labels: np.ndarray) -> str:
    """How labels of other forms become numbers, as the end of a sentence."""
    if labels.shape[1:] != (1,):
        return ": of rows that mark the class (one-hot), save labels.argmax(1)"
    return ": save labels.astype(int)" if labels.dtype.kind == "f" else ""


def pixels_of(pixels: np.ndarray, title: str) -> np.ndarray:
    """Images as uint8 (N, C, H, W); values of 0..1 are scaled, others must be whole numbers of 0..255."""
    what = f"images{f' of the {title} split' if title else ''} are {pixels.dtype} {list(pixels.shape)}"
    if pixels.ndim == 3:
        pixels = pixels[:, None]
    elif pixels.ndim == 4 and pixels.shape[-1] in (1, 3):
        pixels = np.moveaxis(pixels, -1, 1)
    if pixels.ndim != 4 or pixels.shape[1] not in (1, 3) or not len(pixels) or pixels.dtype.kind not in "iufb":
        side = isqrt(pixels.shape[1]) if pixels.ndim == 2 else 0
        way = f": images.reshape(-1, {side}, {side})" if side and side * side == pixels.shape[1] else ""
        raise DataError(f"{what}; expected are N x height x width, or that x 1 or 3 channels{way}")
    low, high = float(pixels.min()), float(pixels.max())
    if not isfinite(low + high):
        raise DataError(f"{what} with NaN or infinite values; find out where they come from")
    if not (low >= 0 and high <= 255):
        way = ", such as (images + 1) * 127.5 if -1 is black" if -1 <= low < 0 and high <= 1 else ""
        way = ", such as images.clip(0, 1) * 255 if 0 is black and 1 is white" if low > -0.2 and high < 1.2 else way
        raise DataError(f"{what} with values of {low:g} to {high:g}; save them as uint8, 0 to 255{way}")
    unit = pixels.dtype.kind in "fb" and high <= 1
    white = 1 if unit else 255
    if high * 255 < DIM * white:
        raise DataError(
            f"{what} with values up to {high:g}, which would be read as nearly black; save them as uint8, 0 to 255"
            + (f", such as images * (255 / {high:g}) if {high:g} is white" if high else "")
        )
    if pixels.dtype == np.uint8:
        return np.ascontiguousarray(pixels)
    return np.ascontiguousarray((pixels * (255.0 if unit else 1.0)).round().astype(np.uint8))


def fitted(pixels: np.ndarray, fit: Fit) -> torch.Tensor:
    height, width = pixels.shape[2:]
    if fit.size and height != width and not (fit.crop or fit.resize):
        raise DataError(f"images are {width}x{height}, no squares; add data.crop=center or data.resize=stretch")
    if max(fit.of((width, height))) > LARGEST_SIDE:
        raise DataError(f"images are {width}x{height}, of at most {LARGEST_SIDE} pixels; give data.size=64")
    if not (fit.size or fit.crop):
        return torch.from_numpy(pixels)
    grey = pixels.shape[1] == 1
    images = pixels[:, 0] if grey else np.moveaxis(pixels, 1, -1)
    rows = [np.asarray(fit.apply(Image.fromarray(one))) for one in images]
    stacked = np.stack(rows)
    return torch.from_numpy(
        np.ascontiguousarray(stacked[:, None] if stacked.ndim == 3 else np.moveaxis(stacked, -1, 1))
    )
