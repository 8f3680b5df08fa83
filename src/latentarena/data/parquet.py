"""Hugging Face's parquet files: a column of image files beside a column of labels."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from latentarena.data.arrays import split_in_name
from latentarena.data.layout import TRAIN
from latentarena.data.listing import HIDDEN, File, LeftOut, Listing, is_litter
from latentarena.data.pixel_table import LABEL_COLUMNS
from latentarena.errors import DataError, optional

BESIDE = "beside the parquet files"
IMAGE_COLUMNS = ("image", "img")
SHARD = re.compile(r"(?P<name>.*)-(?P<number>\d+)-of-(?P<all>\d+)")


def parquet_files(source: Path) -> list[Path]:
    """The parquet files that a path stands for: itself, or all below the folder; none if it is none."""
    if source.is_file():
        return [source] if source.suffix.lower() == ".parquet" else []
    return sorted(path for path in source.rglob("*.parquet") if path.is_file())


def list_parquet(source: Path, files: Sequence[Path]) -> Listing:
    """Their rows as files `SPLIT/CLASS/NUMBER.png`, whatever the images' format; the split is in the files' names.

    Raises:
        DataError: pyarrow is not installed, or a file has no column of images or of labels.
    """
    found: list[File] = []
    splits = {path: split_in_name(path.name) or split_in_name(path.parent.name) for path in files}
    _refuse_several(source, splits)
    if source.is_dir():
        _refuse_missing(source, files)
    classes = _Classes(source)
    for path in files:
        classes.learn(*_schema(source, path))
    for path in files:
        split = (splits[path] or TRAIN) if len(files) > 1 else TRAIN
        for content, label in _rows(source, path, classes):
            inside = PurePosixPath(split, label, f"{len(found):07}.png")
            found.append(File(inside, len(content), lambda content=content: content))  # type: ignore[misc]
    beside = (path.relative_to(source) for path in sorted(source.rglob("*")) if path.is_file() and path not in splits)
    left = tuple(LeftOut(str(path), HIDDEN if any(map(is_litter, path.parts)) else BESIDE) for path in beside)
    return Listing(tuple(sorted(found, key=lambda file: file.path)), (), left)


def _refuse_several(source: Path, splits: Mapping[Path, str]) -> None:
    """Refuse files of several folders, which may be datasets or their configurations, and one of no split among some.

    Args:
        splits: by file, the split that its name or its folder's speaks of, or nothing.
    """
    homes = {path.parent.parent if split_in_name(path.parent.name) else path.parent: path for path in splits}
    if len(homes) > 1:
        named = ", ".join(str(home.relative_to(source)) for home in homes)
        raise DataError(
            f"folder:{source} holds parquet files in {named}, which may be several datasets; name the folder of one, "
            f"such as folder:{next(iter(homes))}"
        )
    unsaid = next((path for path, split in splits.items() if not split), None)
    if unsaid and any(splits.values()):
        raise DataError(
            f"folder:{source}: {unsaid.name} says no split in its name, as the others do; rename it, such as "
            f"train-{unsaid.name}, or take it away"
        )


def _refuse_missing(source: Path, files: Sequence[Path]) -> None:
    """Refuse a part of a dataset, whose files say how many they are: `train-00000-of-00003.parquet`."""
    there: dict[tuple[str, int], set[int]] = {}
    for path in files:
        if told := SHARD.fullmatch(path.stem):
            there.setdefault((str(path.parent / told["name"]), int(told["all"])), set()).add(int(told["number"]))
    for (_, many), found in there.items():
        if len(found) < many:
            lost = next(number for number in range(many) if number not in found)
            raise DataError(
                f"folder:{source} holds {len(found)} of {many} parquet files that belong together: the one of number "
                f"{lost} is missing; get it too, or rename the others, without `-of-`, to do without"
            )


@contextmanager
def _reader(source: Path, path: Path) -> Iterator[Any]:
    """What reads parquet files, for one of them."""
    with optional("parquet", f"folder:{source}", DataError):
        from pyarrow import ArrowException, parquet
    try:
        yield parquet
    except (OSError, ArrowException) as error:
        raise DataError(f"folder:{source}: {path.name} is no parquet file: {str(error).splitlines()[0]}") from None


def _schema(source: Path, path: Path) -> tuple[Any, str]:
    """What a file says of itself, and its column of labels."""
    with _reader(source, path) as parquet:
        schema = parquet.read_schema(path)
    return schema, _columns(source, path, schema.names)[1]


def _columns(source: Path, path: Path, names: Sequence[str]) -> tuple[str, str]:
    """The columns of images and of labels."""
    columns = {name.lower(): name for name in names}
    image = next((columns[name] for name in IMAGE_COLUMNS if name in columns), None)
    labels = [columns[name] for name in columns if name in LABEL_COLUMNS or name.endswith("_label")]
    if image is None or len(labels) != 1:
        fault = "no column image" if image is None else f"{len(labels)} columns of labels"
        raise DataError(
            f"folder:{source}: {path.name} has {fault}: its columns are {', '.join(names)}; keep image "
            "and label, as with datasets' ds.select_columns(['image', 'label']).to_parquet('train.parquet')"
        )
    return image, labels[0]


def _rows(source: Path, path: Path, classes: _Classes) -> Iterator[tuple[bytes, str]]:
    """The image file and the class folder of each row."""
    with _reader(source, path) as parquet:
        table = parquet.read_table(path)
    image, label = _columns(source, path, table.column_names)
    for row, (cell, value) in enumerate(zip(table[image].to_pylist(), table[label].to_pylist(), strict=True)):
        content = cell.get("bytes") if isinstance(cell, dict) else cell
        if not isinstance(content, bytes) or value is None:
            what = "no label" if isinstance(content, bytes) else "no bytes of an image"
            raise DataError(f"folder:{source}: row {row} of {path.name} has {what}")
        yield content, classes.folder(value, f"row {row} of {path.name}")


class _Classes:
    """The names of the labels, which may be said in some of the files only, and folders of those names."""

    def __init__(self, source: Path) -> None:
        self._source = source
        self._names: list[str] = []
        self._folders: dict[str, str] = {}

    def learn(self, schema: Any, column: str) -> None:
        """Take the names that a file says.

        Raises:
            DataError: another file says others.
        """
        names = _class_names(schema, column)
        if names and self._names and names != self._names:
            other = next(((a, b) for a, b in zip(self._names, names, strict=False) if a != b), ("fewer", "more"))
            raise DataError(
                f"folder:{self._source}: its parquet files say different names of the same labels, {other[0]} and "
                f"{other[1]}; name one of them, or write them anew with the same ones"
            )
        self._names = names or self._names

    def folder(self, value: Any, where: str) -> str:
        """The folder of a label.

        Raises:
            DataError: it is none of those that have names, or another label has this folder.
        """
        if self._names and isinstance(value, int):
            if not 0 <= value < len(self._names):
                raise DataError(
                    f"folder:{self._source}: {where} has the label {value}, which is none of {len(self._names)} "
                    "classes, as where labels are not told; take such rows or their file away"
                )
            value = self._names[value]
        label = str(value)
        folder = label.replace("/", "-").strip(". ") or "-"
        other = self._folders.setdefault(folder, label)
        if other != label:
            raise DataError(
                f"folder:{self._source}: {where} is of class {label!r}, others are of {other!r}, which would both be "
                f"called {folder}; rename one"
            )
        return folder


def _class_names(schema: Any, column: str) -> list[str]:
    """The names of the labels, where the file says them."""
    try:
        said = json.loads((schema.metadata or {})[b"huggingface"])
        return [str(name) for name in said["info"]["features"][column]["names"]]
    except (KeyError, TypeError, ValueError):
        return []
