"""Every file of a folder or zip: to be read, or left out with the reason."""

from __future__ import annotations

import logging
import os
import stat
import unicodedata
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from latentarena.data.picture import is_named_image
from latentarena.errors import DataError

log = logging.getLogger(__name__)
LARGEST_FILE = 64 << 20  # bytes
MOST_FILES = 2_000_000
DEEPEST = 64  # folders inside each other
LONGEST = 4096  # characters of a path, which is what systems take
SHOWN = 60  # of them in a message
HELD = 1 << 30  # bytes of files that are kept in memory between two readings
HIDDEN = "hidden, or made by the operating system"
HIDDEN_IMAGES = "in a hidden folder: rename it, without the dot, if it is a class"
NO_IMAGES = "a folder without images"
BROKEN_LINK = "a link that leads nowhere"
ZIP_LINK = "a link, of which a zip holds the name only"
ELSEWHERE = "in iCloud only, not on this disk"
LOST = {
    BROKEN_LINK: "mend it or take it away",
    ZIP_LINK: "pack the zip anew with what it leads to (`zip -r` without `-y`)",
    ELSEWHERE: "download it, by `brctl download` or in the Finder",
}
"""What may stand for images that are not there, with the way out."""
LITTER = ("__macosx", "thumbs.db", "desktop.ini", "ehthumbs.db", "@eadir", "$recycle.bin")
ZIP_FAULTS = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError, ValueError)


@dataclass(frozen=True)
class File:
    """One file: its path inside the folder or zip (NFC, `/` between parts), its size in bytes, and how it is read."""

    path: PurePosixPath
    size: int
    read: Callable[[], bytes]


@dataclass(frozen=True)
class LeftOut:
    """A file or folder, or some images of a split, that are no part of the dataset, and why."""

    path: str
    reason: str


Found = File | LeftOut | PurePosixPath  # the last is a folder


@dataclass(frozen=True)
class Listing:
    """The files of a folder or zip in the order of their paths, its folders, and what was left out.

    Attributes:
        classes: of images, where a table gives them instead of folders.
        table: that file's path.
    """

    files: tuple[File, ...]
    folders: tuple[PurePosixPath, ...]
    left_out: tuple[LeftOut, ...]
    classes: Mapping[PurePosixPath, str] | None = None
    table: str = ""

    def lost(self) -> list[str]:
        """Links and the like of which nobody knows whether images are behind them."""
        return [one.path for one in self.left_out if one.reason in LOST]

    def without_images(self, images: list[PurePosixPath]) -> list[LeftOut]:
        """The outermost folders that hold none of these images."""
        filled = {PurePosixPath(), *(parent for path in images for parent in path.parents)}
        return [LeftOut(f"{f}/", NO_IMAGES) for f in self.folders if f not in filled and f.parent in filled]


def list_files(source: Path) -> Listing:
    """List a directory, its links followed, or a zip file.

    Raises:
        DataError: it does not exist or cannot be read, or holds more files or deeper folders than any dataset.
    """
    if not source.exists():
        gone = f"is {BROKEN_LINK}" if source.is_symlink() else "does not exist"
        raise DataError(f"folder:{source} {gone}")
    found: list[Found] = []
    for one in _walk(source, source, PurePosixPath(), ()) if source.is_dir() else _in_zip(source):
        found.append(one)
        if len(found) > MOST_FILES:
            raise DataError(f"folder:{source} holds more than {MOST_FILES:,} files; name a folder of images only")
    found = [_bounded(one, source) for one in found]
    files = sorted((one for one in found if isinstance(one, File)), key=lambda file: file.path)
    if sum(file.size for file in files) <= HELD:
        files = [_held(file) for file in files]
    folders = sorted({one for one in found if isinstance(one, PurePosixPath)})
    return Listing(tuple(files), tuple(folders), tuple(one for one in found if isinstance(one, LeftOut)))


def _bounded(one: Found, source: Path) -> Found:
    """The same, but a file that is too large is left out; an image refuses the whole."""
    if not isinstance(one, File) or one.size <= LARGEST_FILE:
        return one
    size = f"{'has' if source.is_dir() else 'inflates to'} more than {LARGEST_FILE >> 20} MiB"
    if is_named_image(one.path):
        raise DataError(f"folder:{source}: {one.path} {size}; make it smaller")
    return LeftOut(str(one.path), size)


def _held(file: File) -> File:
    content = file.read()
    return File(file.path, file.size, lambda: content)


def _plain(name: str) -> str:
    """The name in composed Unicode (NFC), so that one name is one name; bytes that are no UTF-8 are replaced."""
    return name if name.isascii() else unicodedata.normalize("NFC", os.fsencode(name).decode("utf-8", "replace"))


def _refuse_deep(path: str, folders: int, source: Path) -> None:
    """Raise where a path is longer or deeper than any of a dataset: every folder around every file is listed."""
    shown = path if len(path) <= SHOWN else f"{path[:SHOWN]}..."
    way = "name the folder of images itself"
    if folders > DEEPEST:
        raise DataError(f"folder:{source}: {shown} is {folders:,} folders deep, more than {DEEPEST}; {way}")
    if len(path) > LONGEST:
        raise DataError(f"folder:{source}: {shown} has {len(path):,} characters, more than {LONGEST:,}; {way}")


def is_litter(name: str) -> bool:
    return name.startswith(".") or name.lower() in LITTER


def _stands_for(name: str) -> str:
    """The name of what macOS has moved to iCloud and left `.NAME.icloud` of; empty for other files."""
    return name[1:-7] if name.startswith(".") and name.lower().endswith(".icloud") else ""


def _is_elsewhere(name: str) -> bool:
    """Whether a file's name says that an image, or a folder, is not on this disk."""
    inside = PurePosixPath(_stands_for(name))
    return bool(inside.name) and (is_named_image(inside) or not inside.suffix)


def _made(parts: Sequence[str]) -> bool:
    """Whether one of these folders is made by the operating system."""
    return any(part.lower() in LITTER for part in parts)


def _hides_images(folder: Path) -> bool:
    """Whether a hidden folder, which nobody's system made, holds images."""
    return not _made([folder.name]) and any(
        is_named_image(PurePosixPath(path)) and not is_litter(path.name) for path in folder.rglob("*")
    )


def _walk(source: Path, folder: Path, inside: PurePosixPath, above: tuple[str, ...]) -> Iterator[Found]:
    here = os.path.realpath(folder)
    if here in above:
        yield LeftOut(f"{inside}/", "a link to a folder around it")
        return
    _refuse_deep(str(inside), len(above), source)
    yield inside
    try:
        with os.scandir(folder) as listed:
            entries = sorted(listed, key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"folder:{source}: cannot read {inside}: {error.strerror}") from None
    for entry in entries:
        path = inside / _plain(entry.name)
        if _is_elsewhere(entry.name):
            yield LeftOut(str(inside / _stands_for(path.name)), ELSEWHERE)
        elif is_litter(entry.name):
            yield LeftOut(str(path), HIDDEN_IMAGES if _hides_images(Path(entry.path)) else HIDDEN)
        elif entry.is_dir():
            yield from _walk(source, Path(entry.path), path, (*above, here))
        elif entry.is_file():
            yield File(path, entry.stat().st_size, _reader(source, Path(entry.path), path))
        else:
            yield LeftOut(str(path), BROKEN_LINK if entry.is_symlink() else "no plain file")


def _reader(source: Path, path: Path, inside: PurePosixPath) -> Callable[[], bytes]:
    def read() -> bytes:
        try:
            with path.open("rb") as file:
                return file.read(LARGEST_FILE + 1)
        except OSError as error:
            raise DataError(f"folder:{source}: cannot read {inside}: {error.strerror}") from None

    return read


def _in_zip(source: Path) -> Iterator[Found]:
    try:
        archive = zipfile.ZipFile(source)
    except ZIP_FAULTS as error:
        raise _unreadable(source, error) from None
    names = Counter(info.filename for info in archive.infolist())
    told = set[tuple[str, ...]]()  # folders that were yielded, with those around them
    for info in archive.infolist():
        path = _inside(info.filename, source)
        if names[info.filename] > 1:
            raise DataError(f"folder:{source} holds {path} twice; pack it anew")
        if any(map(is_litter, path.parts)):
            hides = is_named_image(path) and not is_litter(path.name) and not _made(path.parts)
            yield LeftOut(str(path), HIDDEN_IMAGES if hides else HIDDEN)
            continue
        if path.parts[:-1] not in told:
            told.add(path.parts[:-1])
            yield from path.parents
        if info.filename.endswith(("/", "\\")):
            yield path
        elif stat.S_ISLNK(info.external_attr >> 16):
            yield LeftOut(str(path), ZIP_LINK)
        else:
            yield File(path, info.file_size, _zip_reader(archive, info, source))


def _inside(name: str, source: Path) -> PurePosixPath:
    r"""The member's path; PowerShell writes `cat\1.png`."""
    name = name.replace("\\", "/").lstrip("/")
    _refuse_deep(name, name.rstrip("/").count("/"), source)
    path = PurePosixPath(_plain(name))
    if ".." in path.parts:
        raise DataError(f"folder:{source}: {name} leads out of the zip; pack it anew")
    return path


def _zip_reader(archive: zipfile.ZipFile, info: zipfile.ZipInfo, source: Path) -> Callable[[], bytes]:
    def read() -> bytes:
        try:
            with archive.open(info) as file:
                return file.read(LARGEST_FILE + 1)  # the declared size may be a lie
        except ZIP_FAULTS as error:
            raise _unreadable(source, error) from None

    return read


def _unreadable(source: Path, error: Exception) -> DataError:
    return DataError(f"folder:{source} is neither a directory nor a readable zip: {error}")


def warn_left_out(source: Path, left_out: Sequence[LeftOut]) -> None:
    """Say what is left out, but for what nobody put there."""
    missed: dict[str, list[str]] = {}
    for one in left_out:
        if one.reason != HIDDEN:
            missed.setdefault(one.reason, []).append(one.path)
    if missed:
        reasons = "; ".join(
            f"{paths[0]}{f' and {len(paths) - 1} more' if len(paths) > 1 else ''} ({reason})"
            for reason, paths in missed.items()
        )
        log.warning("folder:%s: left out: %s; `arena data %s` lists them", source, reasons, source)
