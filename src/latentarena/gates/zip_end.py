"""The end of a zip file, which says where its directory lies: once, or twice alike by a writer that streamed."""

from __future__ import annotations

import struct
from mmap import mmap
from typing import NoReturn

from latentarena.errors import GateError

PLAIN = "make it anew with `zip -r bundle.zip FOLDER`"
END, WIDE_END, LOCATOR = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
END_SIZE, WIDE_SIZE, LOCATOR_SIZE = 22, 56, 20
LONGEST = 0xFFFF  # comment
Directory = tuple[int, int, int]  # entries, where it starts and where it ends


def find_directory(content: bytes | mmap, what: str) -> Directory:
    """How many entries the directory of a zip file has, where it starts and where it ends.

    Raises:
        GateError: something follows the end but a comment of plain text, as `git archive` writes; or the end does not
            fit the directory, or says otherwise than the zip64 end before it.
    """
    at = _end(content, what)
    disk, first, here, count, size, start, _ = struct.unpack("<4H2IH", content[at + 4 : at + END_SIZE])
    stop = at
    if content[max(at - LOCATOR_SIZE, 0) : at][:4] == LOCATOR:
        told = _wide(content, at, what)
        said = (disk, first, here, count, size, start)
        most = (0xFFFF,) * 4 + (0xFFFFFFFF,) * 2
        if any(own not in (wide, left) for own, wide, left in zip(said, told, most, strict=True)):
            _misfit(what)
        disk, first, here, count, size, start = told
        stop = at - LOCATOR_SIZE - WIDE_SIZE
    elif 0xFFFF in (disk, first, here, count) or 0xFFFFFFFF in (size, start):
        raise GateError("zip64", f"{what} says that its end is a zip64 one, which is not there; {PLAIN}")
    if (disk, first) != (0, 0) or here != count or start + size != stop:
        _misfit(what)
    return count, start, stop


def _misfit(what: str) -> NoReturn:
    raise GateError("zip-format", f"{what} has an end that does not fit its directory; {PLAIN}")


def _end(content: bytes | mmap, what: str) -> int:
    """Where the end starts, behind which there is nothing, or a comment that no reader takes for an end."""
    at = len(content) - END_SIZE
    if at < 0 or content[at : at + 4] != END:
        at = content.rfind(END, max(0, at - LONGEST))
    comment = content[at + END_SIZE :] if at >= 0 else b""
    said = content[at + END_SIZE - 2 : at + END_SIZE] if at >= 0 else b""
    if said != struct.pack("<H", len(comment)) or b"PK" in comment or not _is_text(comment):
        raise GateError("zip-format", f"{what} does not end as a zip file does: cut off, or something follows; {PLAIN}")
    return at


def _is_text(comment: bytes) -> bool:
    try:
        return all(line.isprintable() for line in comment.decode().split("\n"))
    except UnicodeDecodeError:
        return False


def _wide(content: bytes | mmap, at: int, what: str) -> tuple[int, ...]:
    """What the zip64 end says, which lies right before the end of 22 bytes, and nothing between."""
    start = at - LOCATOR_SIZE - WIDE_SIZE
    if start < 0 or content[start : start + 4] != WIDE_END:
        _misfit(what)
    length, _, _, *told = struct.unpack("<Q2H2I4Q", content[start + 4 : start + WIDE_SIZE])
    located = struct.unpack("<IQI", content[at - LOCATOR_SIZE + 4 : at])
    if length != WIDE_SIZE - 12 or located != (0, start, 1):
        _misfit(what)
    return tuple(told)
