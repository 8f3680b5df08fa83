"""The extra fields of a zip file's entries: those that hold sizes of eight bytes, and those that may not be there."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from latentarena.errors import GateError
from latentarena.gates.zip_end import PLAIN

ZIP64 = 0x0001  # holds sizes of eight bytes
LEFT = 0xFFFFFFFF  # stands in the place of a size that this field holds
TELLING = {ZIP64: "zip64", 0x0017: "encrypted", 0x7075: "name", 0x9901: "encrypted"}  # that change more
Fields = list[tuple[int, bytes]]


def extra_fields(extra: bytes, entry: str) -> Fields:
    """The extra fields of an entry, by kind; `entry` is its name, for the message.

    Raises:
        GateError: they do not end where the last one does.
    """
    fields = []
    while extra:
        kind, size = struct.unpack("<2H", extra[:4]) if len(extra) >= 4 else (0, len(extra))
        if 4 + size > len(extra):
            raise GateError("zip-format", f"{entry} has a damaged extra field; {PLAIN}")
        fields.append((kind, extra[4 : 4 + size]))
        extra = extra[4 + size :]
    return fields


def refuse_telling(fields: Fields, entry: str) -> None:
    """Raise `GateError` where an extra field says more of an entry than its times and owner."""
    for kind, _ in fields:
        if kind in TELLING:
            reason = {"name": "zip-slip"}.get(TELLING[kind], TELLING[kind].replace("encrypted", "zip-encrypted"))
            raise GateError(reason, f"{entry} has an extra field ({TELLING[kind]}); {PLAIN}")


def widened(told: Sequence[int], fields: Fields) -> tuple[list[int], Fields]:
    """Size, packed size and place as the directory tells them: by a field of eight bytes for each that is left to it.

    Returns:
        The three, and the other fields; as they were where the field does not hold just those that are left.
    """
    wide = [content for kind, content in fields if kind == ZIP64]
    left = told.count(LEFT)
    if not left or [len(content) for content in wide] != [8 * left]:
        return list(told), fields
    held = iter(struct.unpack(f"<{left}Q", wide[0]))
    others = [field for field in fields if field[0] != ZIP64]
    return [next(held) if one == LEFT else one for one in told], others


def without_sizes(fields: Fields, size: int, packed: int, streamed: bool) -> tuple[Fields, bool]:
    """Fields before an entry's data but for its sizes of eight bytes, and whether these are there and right.

    A writer that streams may leave them open.
    """
    right, left_open = struct.pack("<2Q", size, packed), bytes(16)
    wide = [content for kind, content in fields if kind == ZIP64]
    if wide != [right] and not (streamed and wide == [left_open]):
        return fields, False
    return [field for field in fields if field[0] != ZIP64], wide == [right]
