"""A table of file names and labels beside images, as Kaggle gives: `labels.csv`, or `train.csv` beside `train/`."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from latentarena.data.arrays import LABEL_COLUMNS, split_in_name
from latentarena.data.layout import Layout, layout_of
from latentarena.data.listing import File, LeftOut, Listing
from latentarena.data.picture import is_named_image
from latentarena.errors import DataError

SUFFIXES = (".csv", ".tsv")
DELIMITERS = ",;\t"
LABELS = (*LABEL_COLUMNS, "category", "class_name", "label_name")
SPLITS = ("split", "set", "subset", "partition", "usage", "fold")
PASTED = re.compile(r"[\w ./-]*")  # what stands in a line for a shell
SORT = (
    """python -c "import csv, os, shutil; [(os.makedirs(d := os.path.join('sorted', r['{split}'], r['{label}']), """
    """exist_ok=True), shutil.copy(os.path.join('{folder}', r['{name}'] + '{suffix}'), d)) for r in """
    """csv.DictReader(open('{table}', encoding='utf-8-sig'), delimiter='{delimiter}')]" """
)


@dataclass(frozen=True)
class _Table:
    """Rows of a CSV file whose column `name` has names of images.

    Attributes:
        file: that it is.
        header: the names of its columns; numbers where it says none.
        rows: cells.
        name: the column of file names.
        images: the image of each row, None where there is no such image.
        delimiter: between cells.
    """

    file: File
    header: list[str]
    rows: list[list[str]]
    name: int
    images: list[PurePosixPath | None]
    delimiter: str


def with_labels(source: Path, listing: Listing) -> Listing:
    """The listing with the classes that tables among its files give to images; as it is where folders are classes.

    Images without a label are left out then, as those of Kaggle's test splits.

    Raises:
        DataError: a table can be read in two ways; the message names the way out.
    """
    images = [file.path for file in listing.files if is_named_image(file.path)]
    files = [file for file in listing.files if file.path.suffix.lower() in SUFFIXES]
    layout = _layout(images) if files else None
    if layout is None or len(set(layout.labels)) > 1:
        return listing
    tables = [table for file in files if (table := _table(file, images, layout))]
    try:
        named = [_labels(source, table) for table in tables]
        _refuse_several(tables, layout)
    except DataError as error:
        raise DataError(f"folder:{source}: {error}") from None
    classes = {path: label for labels in named for path, label in labels.items()}
    return _labelled(listing, tables, classes) if classes else listing


def _layout(images: Sequence[PurePosixPath]) -> Layout | None:
    try:
        return layout_of(images) if images else None
    except DataError:  # which is said where the images are read
        return None


def _labelled(listing: Listing, tables: Sequence[_Table], classes: Mapping[PurePosixPath, str]) -> Listing:
    names = {table.file.path: table for table in tables}
    words = " and ".join(str(path) for path in names)
    unlabelled = [f for f in listing.files if f.path not in classes and is_named_image(f.path)]
    left = [LeftOut(str(file.path), f"without a label in {words}") for file in unlabelled]
    for path, table in names.items():
        left.append(LeftOut(str(path), "the labels of the images"))
        missing = [row[table.name] for row, image in zip(table.rows, table.images, strict=True) if image is None]
        left += [LeftOut(name, f"named in {path}, but not there") for name in missing]
    gone = {*names, *(file.path for file in unlabelled)}
    files = tuple(file for file in listing.files if file.path not in gone)
    return replace(listing, files=files, left_out=(*listing.left_out, *left), classes=classes, table=words)


def _table(file: File, images: Sequence[PurePosixPath], layout: Layout) -> _Table | None:
    """A table whose rows name images, or None."""
    text = file.read().decode("utf-8-sig", "replace")
    delimiter = max(DELIMITERS, key=text.partition("\n")[0].count)
    rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if any(row)]
    width = len(rows[0]) if rows else 0
    if width < 2 or any(len(row) != width for row in rows):
        return None
    split = split_in_name(file.path.name)
    inside = [p for p, s in zip(images, layout.splits, strict=True) if s == split] or images
    known = _names(inside)
    found = [[known.get(_plain(row[column])) for row in rows] for column in range(width)]
    name = max(range(width), key=lambda column: sum(image is not None for image in found[column]))
    if 2 * sum(image is not None for image in found[name]) < len(rows):
        return None
    head = int(found[name][0] is None)
    header = [cell.strip() for cell in rows[0]] if head else [str(i + 1) for i in range(width)]
    return _Table(file, header, rows[head:], name, found[name][head:], delimiter)


def _plain(cell: str) -> str:
    return cell.strip().replace("\\", "/").lstrip("./")


def _names(images: Sequence[PurePosixPath]) -> dict[str, PurePosixPath]:
    """What images may be called, longest first: whole paths, the ends of paths, without suffix; only what is unique."""
    named: dict[str, PurePosixPath | None] = {}
    for path in images:
        for name in {end for whole in (path, path.with_suffix("")) for end in _ends(whole)}:
            named[name] = None if name in named else path
    return {name: path for name, path in named.items() if path is not None}


def _ends(path: PurePosixPath) -> Iterator[str]:
    return ("/".join(path.parts[i:]) for i in range(len(path.parts)))


def _labels(source: Path, table: _Table) -> dict[PurePosixPath, str]:
    """The class of each image that a table gives one."""
    lower = [cell.lower() for cell in table.header]
    others = [i for i in range(len(lower)) if i != table.name]
    chosen = [i for i in others if lower[i] in LABELS] or others
    split = next((i for i in others if lower[i] in SPLITS), None)
    if len(others) == 1 and split is not None:
        return {}
    if split is not None:
        chosen = [i for i in chosen if i != split]
    if len(chosen) != 1:
        raise DataError(
            f"{table.file.path} names the images, and {_listed(table, chosen)} may each be their class; call the one "
            "that is `label` and the others otherwise"
        )
    if split is not None:
        raise DataError(
            f"{table.file.path} says splits in its column {table.header[split]}, which are read from folders only; "
            f"sort the images {_command(source, table, split, chosen[0])} and name folder:sorted"
        )
    labels: dict[PurePosixPath, str] = {}
    for row, image in zip(table.rows, table.images, strict=True):
        label = row[chosen[0]].strip()
        if image is not None and label and labels.setdefault(image, label) != label:
            raise DataError(
                f"{table.file.path} has two labels of {image}, {labels[image]} and {label}; keep one of them"
            )
    return labels


def _listed(table: _Table, columns: Sequence[int]) -> str:
    shown = [table.header[i] for i in columns[:5]]
    return f"{'columns' if len(columns) > 1 else 'column'} {', '.join(shown)}" + (", ..." if len(columns) > 5 else "")


def _command(source: Path, table: _Table, split: int, label: int) -> str:
    """How to copy the images into `sorted/SPLIT/CLASS/`: the line to paste, where nothing in it needs to be quoted."""
    root = source if source.is_dir() else Path()
    i = next(i for i, image in enumerate(table.images) if image is not None)
    cell, image = table.rows[i][table.name], table.images[i]
    suffix = "" if str(image).endswith(cell) else PurePosixPath(str(image)).suffix
    told = {
        "split": table.header[split],
        "label": table.header[label],
        "name": table.header[table.name],
        "suffix": suffix,
        "folder": str(root / (f"{image}".removesuffix(cell + suffix) or ".")),
        "table": str(root / table.file.path),
    }
    if not all(PASTED.fullmatch(text) for text in told.values()):  # a stranger's file must not write a command
        return f"into folders sorted/{told['split']}/{told['label']}/ by the rows of {table.file.path}"
    delimiter = r"\t" if table.delimiter == "\t" else table.delimiter
    return f"with {SORT.format(**told, delimiter=delimiter)}".rstrip()


def _refuse_several(tables: Sequence[_Table], layout: Layout) -> None:
    """Refuse tables of which none says a split that is a folder as well."""
    splits = [split_in_name(table.file.path.name) for table in tables]
    if len(tables) > 1 and (len(set(splits)) < len(splits) or not set(splits) <= set(layout.splits)):
        names = ", ".join(str(table.file.path) for table in tables)
        raise DataError(
            f"{names} all name images, which can be read in two ways: as labels of one dataset, or as its splits; put "
            "them into one table, or the images of each into folders train and test"
        )
