"""Strict reading of a bundle: a zip file or a folder in, the content of its few files out. Nothing is written.

Only the plainest kind of zip file passes: entries that follow each other without gap or overlap, then the directory,
then its end, and nothing before, between or after but a comment of plain text. Each entry is described twice, and the
two must agree. So there is one way to read it, and it is the way that every other program reads it too.
"""

from __future__ import annotations

import stat
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from mmap import mmap
from pathlib import Path

from latentarena.errors import GateError
from latentarena.gates.file_set import (
    BUNDLE,
    MOST_BYTES,
    MOST_ENTRIES,
    Files,
    FileSet,
    known_name,
    named_alone,
    no_part,
    read_plain,
    too_large,
)
from latentarena.gates.kinds import LOOK, added_by_system, no_archive, wrong_kind
from latentarena.gates.zip_end import END, PLAIN, find_directory
from latentarena.gates.zip_fields import LEFT, extra_fields, refuse_telling, widened, without_sizes

ENTRY, LOCAL, DESCRIPTOR = b"PK\x01\x02", b"PK\x03\x04", b"PK\x07\x08"
STORED, DEFLATED = 0, 8
ENCRYPTED = 1 | 1 << 6 | 1 << 13  # flags
STREAMED = 1 << 3  # sizes follow the data
UTF8 = 1 << 11
UNDERSTOOD = 1 << 1 | 1 << 2 | STREAMED | UTF8  # the first two say how hard it was deflated
NEWEST = 45  # version of the format times ten
UNIX = (3, 19)  # systems whose entries have a mode
WINDOWS = (0, 10, 11, 14)  # systems whose programs may write backslashes between the parts of a name
Extent = tuple[int, int]


@dataclass(frozen=True)
class Member:
    """What the directory says of an entry; `raw` is the name as it is spelled, `name` has slashes between its parts."""

    raw: bytes
    name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    mode: int
    folder: bool
    start: int

    @property
    def shown(self) -> str:
        """The name, safe to print."""
        return _shown(self.name)


def _shown(name: bytes) -> str:
    """The name of an entry, safe to print."""
    return ascii(name.decode("utf-8", "backslashreplace"))[:100]


def open_archive(source: Path | bytes, allowed: FileSet = BUNDLE) -> Files:
    """The files of a zipped bundle, by name; they may lie in one folder, whose name does not matter.

    Args:
        source: the zip file, or its content.
        allowed: what it may hold; a bundle unless given.

    Raises:
        GateError: it is no zip file of a bundle and nothing else, or is larger than MOST_BYTES.
    """
    what = "the archive" if isinstance(source, bytes) else str(source)
    if wrong := None if isinstance(source, bytes) else named_alone(source, allowed):
        raise wrong
    content = source if isinstance(source, bytes) else read_plain(source, MOST_BYTES, follow=True)
    if len(content) > MOST_BYTES:
        raise too_large(what, len(content), MOST_BYTES)
    entries, start = directory(content, what, allowed)
    kept = _named(entries, what, allowed)
    total = sum(entry.size for entry in kept.values())
    if total > MOST_BYTES:
        raise GateError("zip-bomb", f"{what} unpacks to {total:,} bytes; at most {MOST_BYTES:,} are read")
    _refuse_gaps([_extent(content, entry, what) for entry in entries], start, what)
    files = {name: _unpacked(content, entry, f"{what}: {name}") for name, entry in kept.items()}
    return allowed.complete(files, what)


def glance(content: bytes | mmap, allowed: Sequence[FileSet], what: str = "the file") -> None:
    """Refuse at once what no closer look would let through: no zip file, or one of other files.

    Only the directory of a zip file is read, so that this takes no time worth speaking of, whatever the file's size.

    Args:
        content: of the file; allowed: what it may hold.

    Raises:
        GateError: with the reason of the first set, or with that of the one which the files are closer to.
    """
    refused: dict[bool, GateError] = {}
    for one in allowed:
        coded = False
        try:
            entries, _ = directory(content, what, one)
            coded = any(entry.name.endswith((b".py", b".ipynb")) for entry in entries)
            one.complete(dict.fromkeys(_named(entries, what, one), b""), what)
        except GateError as error:
            refused.setdefault(coded and one.programs, error)
        else:
            return
    raise refused.get(True) or refused[False]


def file_in(content: bytes | mmap, name: str, most: int, allowed: FileSet = BUNDLE, what: str = "the file") -> bytes:
    """One file of an archive, of which nothing else is unpacked.

    Args:
        content: of the archive; name: of the file; most: bytes that it may have; allowed: what the archive may hold.

    Raises:
        GateError: the archive or the file is not what it says, is not there, or is too large.
    """
    entry = _named(directory(content, what, allowed)[0], what, allowed).get(name)
    if entry is None:
        raise GateError("incomplete", f"{what} lacks {name}; {allowed.hint}")
    if entry.size > most:
        raise too_large(f"{what}: {name}", entry.size, most)
    _extent(content, entry, what)
    return _unpacked(content, entry, f"{what}: {name}")


def directory(content: bytes | mmap, what: str, allowed: FileSet) -> tuple[list[Member], int]:
    """The entries in the directory at the archive's end, and where it starts."""
    if content[:4] not in (LOCAL, END):
        wrong = wrong_kind(content=content[:LOOK])
        if wrong:
            bare = wrong[0] == "code" and allowed.programs
            raise GateError(wrong[0], f"{what} is {'a program and no zip file; name it .py' if bare else wrong[1]}")
        zipped = END in content[-66_000:]
        wrong = None if zipped else no_archive(content[:LOOK])
        if wrong:
            raise GateError(wrong[0], f"{what} is {wrong[1]}")
        no_zip = "is no zip file" if content else f"is no zip file, for it is empty; {allowed.hint}"
        raise GateError("zip-format", f"{what} {'has something before its first entry' if zipped else no_zip}; {PLAIN}")
    count, start, end = find_directory(content, what)
    if count > MOST_ENTRIES:
        raise GateError("zip-entries", f"{what} has {count:,} entries; {allowed.hint}")
    entries, at = [], start
    for _ in range(count):
        entry, at = _entry(content, at, end, what)
        entries.append(entry)
    if at != end:
        raise GateError("zip-format", f"{what} has a directory of another length than it says; {PLAIN}")
    return entries, start


def _entry(content: bytes | mmap, at: int, end: int, what: str) -> tuple[Member, int]:
    """The directory's entry at a place, and where the next one is."""
    if at + 46 > end or content[at : at + 4] != ENTRY:
        raise GateError("zip-format", f"{what} has a damaged directory; {PLAIN}")
    told = struct.unpack("<4HI3I5H2I", content[at + 4 : at + 46])
    maker, needed, flags, method, _, crc, packed, size, named, extra, comment, disk, _, attributes, start = told
    raw = content[at + 46 : at + 46 + named]
    name = raw.replace(b"\\", b"/") if maker >> 8 in WINDOWS and b"/" not in raw else raw
    after = at + 46 + named + extra + comment
    if after > end or comment or disk:
        raise GateError("zip-format", f"{what} has a damaged directory, or comments in it; {PLAIN}")
    mode = attributes >> 16 if maker >> 8 in UNIX else 0
    folder = name.endswith(b"/")
    shown = f"{what}: {_shown(name)}"
    (size, packed, start), fields = widened(
        (size, packed, start), extra_fields(content[at + 46 + named : after], shown)
    )
    entry = Member(raw, name, flags, method, crc, packed, size, mode, folder, start)
    _refuse_kind(entry, bool(attributes & 0x10), what)
    _refuse_version(needed, entry, what)
    refuse_telling(fields, shown)
    return entry, after


def _refuse_kind(entry: Member, folder: bool, what: str) -> None:
    """Raise where an entry is anything but a plain file or folder that can be read."""
    kind = stat.S_IFMT(entry.mode)
    expected = stat.S_IFDIR if entry.folder else stat.S_IFREG
    special = entry.mode & (stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX) and not entry.folder
    if kind not in (0, expected) or special or (folder and not entry.folder):
        named = "came through a pipe" if kind == stat.S_IFIFO else "is a link or another special file"
        raise GateError("zip-special", f"{what}: {entry.shown} {named}; put the file itself")
    if entry.flags & ENCRYPTED:
        raise GateError("zip-encrypted", f"{what}: {entry.shown} is encrypted; make it without a password")
    if entry.method not in (STORED, DEFLATED) or entry.flags & ~UNDERSTOOD:
        raise GateError("zip-method", f"{what}: {entry.shown} is packed by method {entry.method}, not deflate; {PLAIN}")
    if LEFT in (entry.packed, entry.size, entry.start):
        raise GateError("zip64", f"{what}: {entry.shown} is a zip64 entry, which no bundle needs; {PLAIN}")


def _refuse_version(needed: int, entry: Member, what: str) -> None:
    if needed & 0xFF > NEWEST:
        fault = f"needs version {needed / 10} of zip, newer than {NEWEST / 10}"
        raise GateError("zip-method", f"{what}: {entry.shown} {fault}; {PLAIN}")


def _named(entries: list[Member], what: str, allowed: FileSet) -> dict[str, Member]:
    """The entries that are files of the set, by name."""
    kept: dict[str, Member] = {}
    folders: set[bytes] = set()
    names = [entry.name.decode("utf-8", "backslashreplace") for entry in entries]
    for entry, path in zip(entries, names, strict=True):
        parts = _parts(entry, what)
        if any(added_by_system(part.decode("utf-8", "backslashreplace")) for part in parts):
            continue  # not even unpacked
        if entry.folder:
            if len(parts) > 1 or entry.size or entry.packed:
                raise no_part("zip-name", what, path, allowed, names)
            folders.add(parts[0])
            continue
        folders.add(parts[0] if len(parts) == 2 else b"")
        named = parts[-1].decode("utf-8", "backslashreplace")
        name = known_name(named, what, kept, "zip", allowed) if len(parts) < 3 else ""
        if not name:
            raise no_part("zip-name", what, path, allowed, names)
        kept[name] = entry
    if len(folders) > 1:
        raise GateError("zip-name", f"{what} holds several folders; put the files of one bundle into one, or into none")
    return kept


def _parts(entry: Member, what: str) -> list[bytes]:
    """The parts of a name, none of which leads anywhere else."""
    if entry.flags & UTF8 and "\ufffd" in entry.name.decode("utf-8", "replace"):
        raise GateError("zip-name", f"{what}: the name {entry.shown} is no UTF-8 text as it says; use plain names")
    parts = entry.name.removesuffix(b"/").split(b"/")
    if b"\\" in entry.name:
        raise GateError(
            "zip-slip", f"{what}: the name {entry.shown} holds backslashes, which may lead anywhere; {PLAIN}"
        )
    unsafe = any(part in (b"", b".", b"..") for part in parts)
    if unsafe or any(sign in entry.name for sign in (b":", b"\0")):
        raise GateError("zip-slip", f"{what}: the name {entry.shown} leads out of the folder; use plain names")
    return parts


def _extent(content: bytes | mmap, entry: Member, what: str) -> Extent:
    """Where an entry starts and ends, once its own header says what the directory says."""
    at = entry.start
    header = content[at : at + 30]
    if len(header) < 30 or header[:4] != LOCAL:
        raise GateError("zip-format", f"{what}: {entry.shown} is not where the directory says; {PLAIN}")
    needed, flags, method, _, crc, packed, size, named, extra = struct.unpack("<3HI3I2H", header[4:])
    streamed = bool(flags & STREAMED)
    data = at + 30 + named + extra
    shown = f"{what}: {entry.shown}"
    held = extra_fields(content[at + 30 + named : data], shown)
    fields, wide = without_sizes(held, entry.size, entry.packed, streamed)
    said = (entry.crc, entry.packed, entry.size)
    left_open = (0, LEFT) if streamed else ()  # by a writer that learns them as it goes
    agrees = all(own in (told, *left_open) for own, told in zip((crc, packed, size), said, strict=True))
    agrees |= wide and (crc, packed, size) == (entry.crc, LEFT, LEFT)
    if (flags, method) != (entry.flags, entry.method) or content[at + 30 : at + 30 + named] != entry.raw or not agrees:
        raise GateError("zip-lie", f"{what}: {entry.shown} is not what the directory says of it; {PLAIN}")
    _refuse_version(needed, entry, what)
    refuse_telling(fields, shown)
    end = data + entry.packed
    if (
        streamed
    ):  # sizes of four bytes each, or of eight where the writer did not know beforehand how many it would need
        tails = struct.pack("<3I", *said), struct.pack("<I2Q", *said)
        marks = [mark + tail for tail in tails for mark in (DESCRIPTOR, b"")]
        found = next((mark for mark in marks if content[end : end + len(mark)] == mark), None)
        if found is None:
            raise GateError("zip-lie", f"{what}: {entry.shown} has other sizes than the directory says; {PLAIN}")
        end += len(found)
    return at, end


def _refuse_gaps(extents: list[Extent], directory: int, what: str) -> None:
    """Raise unless the entries follow each other up to the directory."""
    at = 0
    for start, end in sorted(extents):
        if start < at:
            raise GateError("zip-overlap", f"{what} has entries that lie in each other; {PLAIN}")
        if start > at:
            raise GateError("zip-gap", f"{what} has {start - at:,} bytes that belong to no entry; {PLAIN}")
        at = end
    if at != directory:
        reason = "zip-overlap" if at > directory else "zip-gap"
        raise GateError(reason, f"{what} has a last entry that does not end where the directory starts; {PLAIN}")


def _unpacked(content: bytes | mmap, entry: Member, what: str) -> bytes:
    """The content of an entry of just the size and checksum that the directory says; no more than that is unpacked."""
    data = entry.start + 30 + sum(struct.unpack("<2H", content[entry.start + 26 : entry.start + 30]))
    packed = memoryview(content)[data : data + entry.packed]
    if entry.method == STORED:
        found, whole = bytes(packed), True
    else:
        machine = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            found = machine.decompress(packed, entry.size + 1)
        except zlib.error:
            raise GateError("zip-damaged", f"{what} cannot be unpacked; {PLAIN}") from None
        whole = (machine.eof and not machine.unused_data) or len(found) != entry.size
    if len(found) != entry.size or not whole:
        raise GateError("zip-lie", f"{what} does not have the {entry.size:,} bytes that the directory says; {PLAIN}")
    if zlib.crc32(found) != entry.crc:
        raise GateError("zip-damaged", f"{what} does not have the checksum that the directory says; {PLAIN}")
    return found
