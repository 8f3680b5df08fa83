"""A table of file names and labels beside images, as Kaggle gives: `labels.csv`, or `train.csv` beside `train/`."""

from __future__ import annotations

import codecs
import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from latentarena.data.arrays import split_in_name
from latentarena.data.layout import Layout, layout_of
from latentarena.data.listing import File, LeftOut, Listing
from latentarena.data.pasted import INERT, python_command
from latentarena.data.picture import is_named_image
from latentarena.data.pixel_table import INDEX, LABEL_COLUMNS
from latentarena.documents import decode_text
from latentarena.errors import DataError
from latentarena.text import shown

SUFFIXES = (".csv", ".tsv")
DELIMITERS = ",;\t"
LABELS = (*LABEL_COLUMNS, "category", "class_name", "label_name")
FEW = 10  # images of which each may have a class of its own
WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
SPLITS = ("split", "set", "subset", "partition", "usage", "fold")
SORT = (
    "import csv, os, shutil; [(os.makedirs(d := os.path.join('sorted', r['{split}'], r['{label}']), "
    "exist_ok=True), shutil.copy(os.path.join({{folder}}, r['{name}'] + '{suffix}'), d)) for r in "
    "csv.DictReader(open({{table}}, encoding='{encoding}'), delimiter='{delimiter}')]"
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
        wide: whether it is in UTF-16.
    """

    file: File
    header: list[str]
    rows: list[list[str]]
    name: int
    images: list[PurePosixPath | None]
    delimiter: str
    wide: bool

    @property
    def found(self) -> bool:
        """Whether at least half of its images are there."""
        return 2 * sum(image is not None for image in self.images) >= len(self.rows)


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
    try:
        read = [table for file in files if (table := _table(file, images, layout))]
        tables = [table for table in read if table.found]
        if read and not tables:
            _refuse_absent(read[0], images)
        if not tables:
            _refuse_nameless(files, images)
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


def _refuse_absent(table: _Table, images: Sequence[PurePosixPath]) -> None:
    missing = next(row[table.name] for row, image in zip(table.rows, table.images, strict=True) if image is None)
    raise DataError(
        f"{table.file.path} names {missing} and others, which are not there; write the names as they are in the "
        f"folder, such as {images[0]}, or take the table away to have images without classes"
    )


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
    """A table with a column of names of images, some of which may not be there; None if it has no such column.

    Raises:
        DataError: it names images and cannot be read whole, or two of its columns name them.
    """
    content = file.read()
    text, fault = _text(content)
    rows, delimiter = _cells(file, text)
    width = max(map(len, rows), default=0)
    if width < 2:
        return None
    split = split_in_name(file.path.name)
    known = _names([p for p, s in zip(images, layout.splits, strict=True) if s == split] or images)
    columns = [[row[i] if i < len(row) else "" for row in rows] for i in range(width)]
    found = [[known.get(_plain(cell)) for cell in column] for column in columns]
    names = _name_columns(columns, found)
    if not names:
        return None
    if fault := fault or _ragged(rows):
        raise DataError(f"{file.path} names the images, but {fault}")
    name = names[0]
    head = int(found[name][0] is None and not is_named_image(PurePosixPath(columns[name][0])))
    header = [cell.strip() for cell in rows[0]] if head else [str(i + 1) for i in range(width)]
    if len(names) > 1:
        first, second = (header[i] or f"number {i + 1}" for i in names[:2])
        raise DataError(
            f"{file.path} can be read in two ways: its column {first} as the names of the images, or its column "
            f"{second}; take one of them out, or write the names with their suffix, as {images[0].name}"
        )
    return _Table(file, header, rows[head:], name, found[name][head:], delimiter, content[:2] in WIDE)


def _refuse_nameless(files: Sequence[File], images: Sequence[PurePosixPath]) -> None:
    """Refuse a table with a label for each of about as many rows as there are images, none of which it names."""
    for file in files:
        rows = _cells(file, _text(file.read())[0])[0]
        label = next((cell.strip() for cell in rows[0] if cell.strip().lower() in LABELS), None) if rows else None
        if label is not None and len(rows[0]) > 1 and 2 * (len(rows) - 1) >= len(images):
            raise DataError(
                f"{file.path} has a column {label} of {len(rows) - 1} rows, and no column of the names of the images; "
                f"write them as they are, such as {images[0]}, or take the table away to have images without classes"
            )


def _cells(file: File, text: str) -> tuple[list[list[str]], str]:
    """The rows that hold something, and the sign between their cells."""
    delimiter = max(DELIMITERS, key=text.partition("\n")[0].count)
    try:
        return [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if any(row)], delimiter
    except csv.Error as error:
        raise DataError(f"{file.path} cannot be read as a table: {error}; mend it or take it away") from None


def _text(content: bytes) -> tuple[str, str]:
    """What a table says, and why that is not sure; the latter is empty where it is."""
    try:
        return decode_text(content), ""
    except ValueError as error:
        return content.decode("utf-8", "replace"), f"it is {error}"


def _ragged(rows: Sequence[Sequence[str]]) -> str:
    """The first row that has more or fewer cells than most, in words; nothing if there is none."""
    usual = Counter(map(len, rows)).most_common(1)[0][0]
    odd = next((i for i, row in enumerate(rows) if len(row) != usual), None)
    if odd is None:
        return ""
    return f"its row {odd + 1} ({rows[odd][0]}) has {len(rows[odd])} cells where others have {usual}; mend it"


def _name_columns(columns: Sequence[Sequence[str]], found: Sequence[Sequence[PurePosixPath | None]]) -> list[int]:
    """The columns that may be the names of the images: those of file names with suffix, else of names without.

    Numbers are found as `7` for `7.png` as well, which may be the rows' index, or digits as labels: a column called a
    label, or one of much fewer images than another, is no name.
    """
    half = len(columns[0]) / 2
    filled = [sum(image is not None for image in column) >= half for column in found]
    written = [i for i, cells in enumerate(columns) if sum(is_named_image(PurePosixPath(c)) for c in cells) >= half]
    if written:
        return [i for i in written if filled[i]] or written[:1]
    distinct = [len({*column} - {None}) for column in found]
    names = [i for i, enough in enumerate(filled) if enough and 2 * distinct[i] >= max(distinct)]
    names = [i for i in names if columns[i][0].strip().lower() not in LABELS] or names
    return [i for i in names if not _is_index(columns[i])] or names


def _is_index(column: Sequence[str]) -> bool:
    """Whether a column with its head is the numbers of rows that pandas writes beside the columns of a table."""
    head, *cells = [cell.strip() for cell in column]
    return INDEX.fullmatch(head.lower()) is not None and cells == [str(i) for i in range(len(cells))]


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
    columns = [[lower[i], *(row[i] for row in table.rows)] for i in range(len(lower))]
    beside = [i for i in range(len(lower)) if i != table.name]
    others = [i for i in beside if not _is_index(columns[i])] or beside
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
    alone = [label for label, n in Counter(labels.values()).items() if n == 1]
    if len(labels) >= FEW and 2 * len(alone) > len(labels):
        raise DataError(
            f"{table.file.path} says of most images in its column {table.header[chosen[0]]} what it says of no other, "
            f"such as {shown(alone[0])}, which are no classes; write a class there that others have too, or take the "
            "table away to have images without classes"
        )
    return labels


def _listed(table: _Table, columns: Sequence[int]) -> str:
    shown = [table.header[i] for i in columns[:5]]
    return f"{'columns' if len(columns) > 1 else 'column'} {', '.join(shown)}" + (", ..." if len(columns) > 5 else "")


def _command(source: Path, table: _Table, split: int, label: int) -> str:
    """How to copy the images into `sorted/SPLIT/CLASS/`: the line to paste, where its names can stand in one."""
    root = source if source.is_dir() else Path()
    i = next(i for i, image in enumerate(table.images) if image is not None)
    cell, image = table.rows[i][table.name], table.images[i]
    suffix = "" if str(image).endswith(cell) else PurePosixPath(str(image)).suffix
    told = {"split": table.header[split], "label": table.header[label], "name": table.header[table.name]}
    told |= {"suffix": suffix, "encoding": "utf-16" if table.wide else "utf-8-sig"}
    command = ""
    if all(INERT.fullmatch(text) for text in told.values()):  # a stranger's file must not write a command
        program = SORT.format(**told, delimiter=table.delimiter.replace("\t", r"\t"))
        folder = root / (f"{image}".removesuffix(cell + suffix) or ".")
        command = python_command(program, folder=folder, table=root / table.file.path)
    if not command:
        return f"into folders sorted/{told['split']}/{told['label']}/ by the rows of {table.file.path}"
    return f"with {command}"


def _refuse_several(tables: Sequence[_Table], layout: Layout) -> None:
    """Refuse tables of which none says a split that is a folder as well."""
    splits = [split_in_name(table.file.path.name) for table in tables]
    if len(tables) > 1 and (len(set(splits)) < len(splits) or not set(splits) <= set(layout.splits)):
        names = ", ".join(str(table.file.path) for table in tables)
        raise DataError(
            f"{names} all name images, which can be read in two ways: as labels of one dataset, or as its splits; put "
            "them into one table, or the images of each into folders train and test"
        )
