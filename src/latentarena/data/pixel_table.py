"""A CSV of pixels, a row for each image, as Kaggle gives: which column is the label, and where each pixel belongs."""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt
from pathlib import Path

import numpy as np

from latentarena.data.images import SMALLEST
from latentarena.data.pasted import python_command
from latentarena.errors import DataError
from latentarena.text import plain_line

LABEL_COLUMNS = ("label", "labels", "class", "target", "y")
INDEX = re.compile(r"index|level_0|(unnamed: \d+(\.\d+)*)?")
"""What pandas calls the column of the rows' numbers: nothing as it writes them, `Unnamed: 0` once that is read, with
`.1` and so on behind it where it is written and read again, `index` and `level_0` as a column that was made of them."""
NUMBERINGS = re.compile(rf"id|imageid|image_id|{INDEX.pattern}")
"""Columns that may number the rows, as Kaggle's and pandas' do."""
UNLABELLED = f"no column is called {', '.join(LABEL_COLUMNS)}"
PIXELLESS = "beside the label it has too few columns for an image"
DELIMITERS = ",;\t"
WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
MOST_CLASSES = 100  # of a table without header
UNPACK = (  # a table that has all pixels of an image in one cell
    "import csv, numpy as np; rows = list(csv.reader(open({{path}}, encoding='{encoding}'), delimiter='{sign}'))[1:]; "
    "s = {{{{n: [r for r in rows if ({told}) == (n == 'train')] for n in ('train', 'test')}}}}; "
    "x = {{{{'x_' + n: np.array([r[{pixels}].split() for r in s[n]], 'uint8') for n in s if s[n]}}}}; "
    "np.savez('images.npz', **{{{{k: v.reshape(-1, {side}, {side}) for k, v in x.items()}}}}, "
    "**{{{{'y_' + n: np.array([r[{label}] for r in s[n]]) for n in s if s[n]}}}})"
)
UNLABELLED_ARRAYS = (
    "import numpy as np; x = np.loadtxt({{path}}, encoding='{encoding}', delimiter='{sign}'); "
    "np.savez('images.npz', x_train=x.reshape(-1, {side}, {side}){kind})"
)
PIXEL = re.compile(r"(?P<word>\D*)(?P<first>\d+)(?:\D+(?P<second>\d+))?")
"""Such as `pixel12`, `28x28` or `p_3_4`."""


def read_pixels(path: Path) -> tuple[np.ndarray, np.ndarray] | str:
    """The images (N, side, side) and labels (N,) of a table with a header or without; else why it is none.

    Labels are numbers, or words as text. Pixels are in the order that their columns' names say, which need not be that
    of the columns.

    Raises:
        DataError: it has a label, and its rows are not read: the message says why.
    """
    head = _head(path)
    _refuse_packed(path, head)
    label = head.label if head.named else 0
    if label is None:
        return UNLABELLED
    if head.named and len(head.cells) <= SMALLEST:
        return PIXELLESS
    return _read(path, head, label)


def read_unlabelled(path: Path) -> np.ndarray | None:
    """The images (N, side, side) of a table whose header names pixels and no label; None where it is none.

    Raises:
        DataError: it is one, and its rows are not read: the message says why.
    """
    head = _head(path)
    if not head.named or head.label is not None or len(head.cells) <= SMALLEST:
        return None
    return _read(path, head, None)[0] if _kind(head.beside(head.numberings)) else None


def _read(path: Path, head: _Head, label: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels, zeros where no column is one; see `read_pixels`."""
    told = [*head.numberings, *([] if label is None else [label])]
    order = _order(path, head.beside(told)) if head.named else None
    table, words = _table(path, head, label)
    if not head.named:
        _refuse_open(path, head, table)
    odd = [i for i in head.numberings if not _numbers_rows(table[:, i], placed=order is not None)]
    if odd:
        raise _neither(path, [head.cells[i] for i in odd])
    others = [i for i in range(table.shape[1]) if i not in told]
    side = isqrt(len(others))
    if side * side != len(others) or not side:
        raise DataError(f"{path.name} has {len(others)} columns of pixels, which are no square such as 28 x 28")
    pixels = table[:, others if order is None else [others[i] for i in order]]
    labels = np.zeros(len(table), np.uint8) if label is None else _whole(table[:, label])
    return _whole(pixels).reshape(-1, side, side), np.array(words)[labels] if words else labels


def _refuse_open(path: Path, head: _Head, table: np.ndarray) -> None:
    """Refuse a table without header that has no label, or of which nobody knows which column that is."""
    columns, naming = table.shape[1], "write a first line that names the columns"
    side = isqrt(columns)
    if columns > SMALLEST and side * side == columns:
        program = UNLABELLED_ARRAYS.format(
            encoding=head.encoding,
            sign=head.delimiter.replace("\t", r"\t"),
            side=side,
            kind=".astype('uint8')" if _whole(table).dtype == np.uint8 else "",
        )
        command = python_command(program, path=path)
        way = "save them as arrays, an .npz file" + (f", with {command} and name folder:images.npz" if command else "")
        raise DataError(
            f"{path.name} has no header and {columns} columns, the pixels of {side} x {side} and no label; {naming}, "
            f"and one called `label`, or, to have images without classes, {way}"
        )
    if columns > SMALLEST and isqrt(columns - 1) ** 2 != columns - 1:
        raise DataError(
            f"{path.name} has no header and {columns} columns, which are no label and a square of pixels such as 28 x "
            f"28; {naming}: `label`, pixel0, pixel1, ..., and `id` for one that numbers the rows"
        )
    if columns > 1 and not (_like_labels(table[:, 0]) and not _like_labels(table[:, -1])):
        raise DataError(
            f"{path.name} has no header and can be read in two ways: its first column as the label, or its last; "
            f"{naming}, with `label` for the one that is"
        )


def _table(path: Path, head: _Head, label: int | None) -> tuple[np.ndarray, list[str]]:
    """The numbers of a table (N, columns), and the words that the numbers in the label's column stand for, if any."""
    words: dict[str, int] = {}

    def number(cell: str) -> int:
        return words.setdefault(cell.strip(), len(words))

    try:
        table = np.loadtxt(
            path,
            delimiter=head.delimiter,
            skiprows=int(head.named),
            ndmin=2,
            encoding=head.encoding,
            quotechar='"',
            converters={label: number} if label is not None and head.worded(label) else None,
        )
    except (ValueError, OSError) as error:
        raise DataError(f"{path.name} is no table of numbers, a label and pixels: {error}") from None
    return table, list(words)


@dataclass(frozen=True)
class _Head:
    """The first two lines of a table.

    Attributes:
        cells: of the first, in small letters; named: whether they name the columns.
        below: the cells of the second.
        delimiter: the sign between cells; encoding: of the file.
    """

    cells: list[str]
    named: bool
    below: list[str]
    delimiter: str
    encoding: str

    @property
    def label(self) -> int | None:
        """The column that is named as the label."""
        return next((self.cells.index(name) for name in LABEL_COLUMNS if name in self.cells), None)

    @property
    def numberings(self) -> list[int]:
        """The columns that are named as ones that number the rows, where they begin with a number."""
        found = [i for i, name in enumerate(self.cells) if NUMBERINGS.fullmatch(name) and not self.worded(i)]
        return found if self.named else []

    def beside(self, told: Sequence[int | None]) -> list[str]:
        """The names of the other columns."""
        return [name for i, name in enumerate(self.cells) if i not in told]

    def worded(self, column: int) -> bool:
        """Whether a column that is named begins with a word."""
        return self.named and column < len(self.below) and not _is_number(self.below[column])


def _head(path: Path) -> _Head:
    with path.open("rb") as file:
        encoding = "utf-16" if file.read(2) in WIDE else "utf-8-sig"
    with path.open(encoding=encoding, errors="replace") as file:
        lines = file.readline(), file.readline()
    delimiter = max(DELIMITERS, key=lines[0].count)
    cells, below = ([cell.strip().strip('"') for cell in line.split(delimiter)] for line in lines)
    cells = [cell.lower() for cell in cells]
    counted = len(cells) > SMALLEST and cells == [str(i) for i in range(len(cells))]  # names of a table without any
    return _Head(cells, counted or any(not _is_number(cell) for cell in cells), below, delimiter, encoding)


def _refuse_packed(path: Path, head: _Head) -> None:
    """Refuse a table that has all pixels of an image in one cell, as FER-2013, with the command that converts it."""
    if not head.named or "pixels" not in head.cells or len(head.below) != len(head.cells):
        return
    place = head.cells.index("pixels")
    said = f"{path.name} has all pixels of an image in one cell; save them as arrays"
    size = len(head.below[place].split())
    label = next((head.cells.index(name) for name in (*LABEL_COLUMNS, "emotion") if name in head.cells), None)
    if isqrt(size) ** 2 != size or size < SMALLEST or label is None:
        raise DataError(f"{said}, an .npz file")
    told = f"r[{head.cells.index('usage')}].startswith('Train')" if "usage" in head.cells else "True"
    sign = head.delimiter.replace("\t", r"\t")
    program = UNPACK.format(encoding=head.encoding, sign=sign, told=told, pixels=place, label=label, side=isqrt(size))
    command = python_command(program, path=path)
    raise DataError(f"{said} with {command} and name folder:images.npz" if command else f"{said}, an .npz file")


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


def _kind(names: Sequence[str]) -> tuple[str, bool] | None:
    """What most names of columns have beside a number, and whether there is but one; None where they are no places."""
    found = [PIXEL.fullmatch(name) for name in names]
    kinds = Counter((one["word"], one["second"] is None) for one in found if one)
    return kinds.most_common(1)[0][0] if kinds and 2 * kinds.most_common(1)[0][1] >= len(names) else None


def _neither(path: Path, names: Sequence[str]) -> DataError:
    told = [f"a column {plain_line(name, 40)!r}" if name else "a column without a name" for name in names[:5]]
    listed = " and ".join(told) + (f" and {len(names) - len(told)} more" if len(names) > len(told) else "")
    one, several = "is neither the label nor a pixel; take it out", "are neither the label nor pixels; take them out"
    return DataError(f"{path.name} has {listed}, which {several if names[1:] else one}")


def _numbers_rows(column: np.ndarray, placed: bool) -> bool:
    """Whether numbers are 0 to N - 1 or 1 to N, in any order; where pixels are `placed` by name, no two the same."""
    ranks = np.sort(column) - np.arange(len(column))
    return bool((ranks == 0).all() or (ranks == 1).all() or (placed and len(np.unique(column)) == len(column)))


def _order(path: Path, others: Sequence[str]) -> list[int] | None:
    """By the place in an image, which of these columns it is; None where their names are no places.

    Raises:
        DataError: a column is neither, or one is missing: the image would be another one.
    """
    kind = _kind(others)
    if kind is None:
        return None
    found = [PIXEL.fullmatch(name) for name in others]
    pixels = [one for one in found if one and (one["word"], one["second"] is None) == kind]
    if len(pixels) < len(others):
        raise _neither(path, [name for name, one in zip(others, found, strict=True) if one not in pixels])
    places = [(int(one["first"]), int(one["second"] or 0)) for one in pixels]
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
