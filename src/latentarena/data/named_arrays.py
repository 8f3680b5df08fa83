"""The arrays of an `.npz` file: which are images and labels of which split, by their names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from latentarena.data.layout import TEST, TRAIN, VALIDATION
from latentarena.data.listing import LeftOut
from latentarena.data.npz import arrays_in
from latentarena.data.pasted import INERT, python_command
from latentarena.errors import DataError

UNREAD = "an array that is neither images nor labels by its name"
IMAGE_KEYS = ("x_{}", "X_{}", "{}_images", "{}_x", "x{}", "X{}")
LABEL_KEYS = ("y_{}", "Y_{}", "{}_labels", "{}_y", "y{}", "Y{}")
OF_VALIDATION = re.compile(r"(?<![a-z])val(?:id|idation)?(?![a-z])")
NAMED_LABELS = re.compile(r"label|target|class|^y(?![a-z])", re.I)


@dataclass(frozen=True)
class Split:
    """Images (N, H, W) or (N, H, W, C) of one split, uint8, and their labels (N,)."""

    pixels: np.ndarray
    labels: np.ndarray


def splits_in(path: Path) -> tuple[dict[str, Split], list[LeftOut]]:
    """The splits of an `.npz` file, and its arrays that are part of none.

    Raises:
        DataError: it cannot be read, or the names leave open which arrays are images and which are their labels.
    """
    held, splits = arrays_in(path), {}
    missing, left = {}, dict(held)
    for split, title in ((TRAIN, "train"), (VALIDATION, "val"), (VALIDATION, "valid"), (TEST, "test")):
        image_key, label_key = (
            next((key.format(title) for key in keys if key.format(title) in held), "")
            for keys in (IMAGE_KEYS, LABEL_KEYS)
        )
        if image_key:
            images = left.pop(image_key)
            if not label_key:
                missing[image_key] = f"y_{title}"
            splits[split] = Split(images, left.pop(label_key) if label_key else np.zeros(images.shape[:1] or 1, int))
    if TRAIN not in splits:
        shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in held.items())
        said = f"{path.name} holds {shapes}{' and so no train split' if splits else ''}"
        way = _renaming(path, held)
        raise DataError(f"{said}; images are expected as x_train, y_train, x_test, y_test{way}")
    if missing and (len(missing) < len(splits) or any(_may_be_labels(*one, splits) for one in left.items())):
        image_key, label_key = next(iter(missing.items()))
        raise DataError(
            f"{path.name} holds {', '.join(held)}: there is no {label_key} beside {image_key}; save its labels under "
            "that name, or save the images alone to have them without classes"
        )
    return splits, [LeftOut(f"{path.name}: {name}", UNREAD) for name in left]


def _renaming(path: Path, held: Mapping[str, np.ndarray]) -> str:
    """The command that saves arrays under the names that are read, as the end of a sentence; empty if it is a guess."""
    pairs: list[str] = []
    for split in ("train", "val", "test"):
        named = [name for name in held if _split_of(name) == split]
        images = [name for name in named if held[name].ndim > 2]
        labels = [name for name in named if held[name].ndim <= 2 and name not in images]
        if len(images) > 1 or len(labels) > 1 or (labels and not images) or (split == "train" and not images):
            return ""
        pairs += [f"{axis}_{split}=a['{one}']" for axis, found in (("x", images), ("y", labels)) for one in found]
    if not all(INERT.fullmatch(name) for name in held):
        return ""
    save = f"numpy.savez('images.npz', {', '.join(pairs)})"
    command = python_command(f"import numpy; a = numpy.load({{path}}); {save}", path=path)
    return f"; save them so with {command} and name folder:images.npz" if command else ""


def _split_of(name: str) -> str:
    """The split that an array's name speaks of, as the names that are read say it."""
    return "test" if "test" in name.lower() else "val" if OF_VALIDATION.search(name.lower()) else "train"


def _may_be_labels(name: str, array: np.ndarray, splits: Mapping[str, Split]) -> bool:
    """Whether an array under a name that is not known may be the labels of images."""
    lengths = {len(one.labels) for one in splits.values()}
    return bool(NAMED_LABELS.search(name)) or (0 < array.ndim <= 2 and len(array) in lengths)
