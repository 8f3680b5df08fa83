"""A CSV of pixels, a row for each image, as Kaggle gives: which column is the label, and where each pixel belongs."""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Sequence
from math import isqrt
from pathlib import Path

import numpy as np

from latentarena.data.images import SMALLEST
from latentarena.errors import DataError
from latentarena.text import plain_line

LABEL_COLUMNS = ("label", "labels", "class", "target", "y")
UNLABELLED = f"no column is called {', '.join(LABEL_COLUMNS)}"
PIXELLESS = "beside the label it has too few columns for an image"
DELIMITERS = ",;\t"
WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
MOST_CLASSES = 100  # of a table without header
PIXEL = re.compile(r"(?P<word>\D*)(?P<first>\d+)(?:\D+(?P<second>\d+))?")
"""Such as `pixel12`, `28x28` or `p_3_4`."""


def read_pixels(path: Path) -> tuple[np.ndarray, np.ndarray] | str:
    """The images (N, side, side) and labels (N,) of a table with a header or without; else why it is none.

    Pixels are in the order that their columns' names say, which need not be that of the columns.

    Raises:
        DataError: it has a label, and its rows are not read: the message says why.
    """
    names, named, delimiter, encoding = _first_line(path)
    label = next((names.index(name) for name in LABEL_COLUMNS if name in names), None) if named else 0
    if label is None:
        return UNLABELLED
    if named and len(names) <= SMALLEST:
        return PIXELLESS
    order = _order(path, names, label) if named else None
    try:
        table = np.loadtxt(path, delimiter=delimiter, skiprows=int(named), ndmin=2, encoding=encoding, quotechar='"')
    except (ValueError, OSError) as error:
        raise DataError(f"{path.name} is no table of numbers, a label and pixels: {error}") from None
    if not named and table.shape[1] > 1 and not (_like_labels(table[:, 0]) and not _like_labels(table[:, -1])):
        raise DataError(
            f"{path.name} has no header and can be read in two ways: its first column as the label, or its last; write "
            "a first line that names the columns, with `label` for the one that is"
        )
    others = [i for i in range(table.shape[1]) if i != label]
    side = isqrt(len(others))
    if side * side != len(others) or not side:
        raise DataError(f"{path.name} has {len(others)} columns of pixels, which are no square such as 28 x 28")
    pixels = table[:, others if order is None else [others[i] for i in order]]
    return _whole(pixels).reshape(-1, side, side), _whole(table[:, label])


def _first_line(path: Path) -> tuple[list[str], bool, str, str]:
    """The cells of the first line, whether they name the columns, the sign between them, and the encoding."""
    with path.open("rb") as file:
        encoding = "utf-16" if file.read(2) in WIDE else "utf-8-sig"
    with path.open(encoding=encoding, errors="replace") as file:
        line = file.readline()
    delimiter = max(DELIMITERS, key=line.count)
    cells = [cell.strip().strip('"').lower() for cell in line.split(delimiter)]
    counted = len(cells) > SMALLEST and cells == [str(i) for i in range(len(cells))]  # names of a table without any
    return cells, counted or any(not _is_number(cell) for cell in cells), delimiter, encoding


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _whole(numbers: np.ndarray) -> np.ndarray:
    """The numbers as integers, where they are: of a byte each, if they fit."""
    if numbers.size and (numbers % 1).any():
        return numbers
    small = numbers.size and numbers.min() >= 0 and numbers.max() <= 255
    return numbers.astype(np.uint8 if small else np.int64)


def _order(path: Path, names: Sequence[str], label: int) -> list[int] | None:
    """By the place in an image, which column beside the label it is; None where their names are no places.

    Raises:
        DataError: a column is neither, or one is missing: the image would be another one.
    """
    others = [name for i, name in enumerate(names) if i != label]
    found = [PIXEL.fullmatch(name) for name in others]
    kinds = Counter((one["word"], one["second"] is None) for one in found if one)
    if not kinds or 2 * kinds.most_common(1)[0][1] < len(others):
        return None
    kind = kinds.most_common(1)[0][0]
    places = []
    for name, one in zip(others, found, strict=True):
        if one is None or (one["word"], one["second"] is None) != kind:
            told = f"a column {plain_line(name, 40)!r}" if name else "a column without a name, as of row numbers"
            raise DataError(f"{path.name} has {told}, which is neither the label nor a pixel; take it out")
        places.append((int(one["first"]), int(one["second"] or 0)))
    rows, columns = (max(p[i] for p in places) - min(p[i] for p in places) + 1 for i in (0, 1))
    if rows * columns != len(places) or len(set(places)) < len(places):
        raise DataError(
            f"{path.name} names {len(places)} pixels, but of {others[0]} to {others[-1]} some are missing or come "
            "twice; without them nobody knows where a pixel belongs"
        )
    return sorted(range(len(places)), key=places.__getitem__)


def _like_labels(column: np.ndarray) -> bool:
    """Whether numbers may be labels: few different ones, none of them much rarer than others."""
    values, counts = np.unique(column, return_counts=True)
    return 2 <= len(values) <= min(MOST_CLASSES, len(column) / 2) and bool(20 * counts.min() >= counts.mean())
