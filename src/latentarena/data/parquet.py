"""Hugging Face's parquet files: a column of image files beside a column of labels."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from latentarena.data.arrays import LABEL_COLUMNS, split_in_name
from latentarena.data.layout import TRAIN
from latentarena.data.listing import HIDDEN, File, LeftOut, Listing, is_litter
from latentarena.errors import DataError, optional

BESIDE = "beside the parquet files"
IMAGE_COLUMNS = ("image", "img")


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
    with optional("parquet", f"folder:{source}", DataError):
        from pyarrow import ArrowException
        from pyarrow import parquet as pq
    found: list[File] = []
    splits = {path: split_in_name(path.name) or split_in_name(path.parent.name) for path in files}
    _refuse_several(source, splits)
    for path in files:
        split = (splits[path] or TRAIN) if len(files) > 1 else TRAIN
        try:
            table = pq.read_table(path)
        except (OSError, ArrowException) as error:
            raise DataError(f"folder:{source}: {path.name} is no parquet file: {str(error).splitlines()[0]}") from None
        for content, label in _rows(source, path, table):
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


def _rows(source: Path, path: Path, table: Any) -> Iterator[tuple[bytes, str]]:
    """The image file and the class of each row."""
    columns = {name.lower(): name for name in table.column_names}
    image = next((columns[name] for name in IMAGE_COLUMNS if name in columns), None)
    labels = [columns[name] for name in columns if name in LABEL_COLUMNS or name.endswith("_label")]
    if image is None or len(labels) != 1:
        fault = "no column image" if image is None else f"{len(labels)} columns of labels"
        raise DataError(
            f"folder:{source}: {path.name} has {fault}: its columns are {', '.join(table.column_names)}; keep image "
            "and label, as with datasets' ds.select_columns(['image', 'label']).to_parquet('train.parquet')"
        )
    names = _class_names(table, labels[0])
    for row, (cell, label) in enumerate(zip(table[image].to_pylist(), table[labels[0]].to_pylist(), strict=True)):
        content = cell.get("bytes") if isinstance(cell, dict) else cell
        if not isinstance(content, bytes) or label is None:
            what = "no label" if isinstance(content, bytes) else "no bytes of an image"
            raise DataError(f"folder:{source}: row {row} of {path.name} has {what}")
        known = isinstance(label, int) and 0 <= label < len(names)
        yield content, str(names[label] if known else label).replace("/", "-").strip(". ") or "-"


def _class_names(table: Any, column: str) -> list[str]:
    """The names of the labels, where the file says them."""
    try:
        said = json.loads((table.schema.metadata or {})[b"huggingface"])
        return [str(name) for name in said["info"]["features"][column]["names"]]
    except (KeyError, TypeError, ValueError):
        return []
