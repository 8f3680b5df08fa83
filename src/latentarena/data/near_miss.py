"""Files that are named much like those of an IDX dataset, for the message where these are not found."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from itertools import islice
from pathlib import Path

from latentarena.data.catalog import CATALOG, FILES, TORCHVISION

DEPTHS = ("*", "*/*", "*/*/*", "*/*/*/*")
MOST = 20_000  # files and folders looked at in each depth
UNFINISHED = (".part", ".crdownload", ".download", ".tmp")
PACKED = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")


def near_miss(root: Path, name: str, file: str = FILES[0]) -> str:
    """A half sentence on what lies below a folder in place of a dataset's file, and what to do; else nothing.

    Args:
        root: the folder; name: of the dataset, a key of `CATALOG`; file: the one of `FILES` that is not found.
    """
    below = [path for path in _below(root, name) if path.is_file()]
    likely = [path for path in below if _is_like(path, file)]
    if likely:
        nearest = max(likely, key=lambda path: SequenceMatcher(None, path.name.lower(), file).ratio())
        return f"; there is {nearest}: {_way_out(nearest, file)}"
    whole = next((path for path in below if _is_whole(path, name)), None)
    if whole is None:
        return ""
    read = f"data.name=folder:{whole} reads it"
    unpacked = f"unpack it into four files such as {file}, and name their folder with --data"
    return f"; there is {whole}: {read if whole.suffix.lower() == '.npz' else unpacked}"


def _below(root: Path, name: str) -> Iterator[Path]:
    """What lies in a folder but for other datasets' folders, the least deep first."""
    others = {*CATALOG, *map(str.lower, TORCHVISION.values())} - {name, TORCHVISION.get(name, name).lower()}
    for path in (path for depth in DEPTHS for path in sorted(islice(root.glob(depth), MOST))):
        if not others & {part.lower() for part in path.relative_to(root).parts[:-1]}:
            yield path


def _is_like(path: Path, file: str) -> bool:
    """Whether a file may be the wanted one: it speaks of bytes, and is none of the other three."""
    plain = path.name.lower().removesuffix(".gz").replace(".idx", "-idx")
    return "ubyte" in plain and plain not in set(FILES) - {file}


def _is_whole(path: Path, name: str) -> bool:
    """Whether a file may hold a whole dataset."""
    named = re.sub(r"[^a-z0-9]", "", path.name.lower()).startswith(re.sub(r"[^a-z0-9]", "", name))
    return named and path.suffix.lower() in (*PACKED, ".npz")


def _way_out(nearest: Path, file: str) -> str:
    if nearest.suffix.lower() in UNFINISHED:
        return f"its download was broken off; fetch {file}.gz anew"
    folder = f"name its folder with --data {nearest.parent}"
    right = nearest.name.removesuffix(".gz").replace(".idx", "-idx") == file
    return folder if right else f"{folder}, and the file {file}, with .gz if it is packed"
