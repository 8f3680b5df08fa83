"""Archives that are no honest bundle (rows 13 and 15), written byte by byte, since no library writes them."""

from __future__ import annotations

import stat
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from corpus.case import Case

__all__ = ["BOMBS", "FILES", "HONEST", "REFUSED", "ArchiveCase", "Entry", "wide_end", "zipped"]

FILES = {"card.json": b'{"name": "a"}' * 9, "weights.safetensors": bytes(range(256)) * 40}


@dataclass(frozen=True)
class ArchiveCase(Case):
    """An archive by the function that makes it, and the slug of its refusal."""

    reason: str
    make: Callable[[], bytes]


@dataclass(frozen=True)
class Entry:
    """An entry; what is None is what it should be, `lies` are fields of its own header that differ."""

    name: bytes
    content: bytes = b""
    method: int = 8
    flags: int = 0
    mode: int = stat.S_IFREG | 0o644
    system: int = 3
    crc: int | None = None
    size: int | None = None
    packed: bytes | None = None
    length: int | None = None
    extra: bytes = b""
    comment: bytes = b""
    needed: int = 20
    descriptor: bytes | None = None
    lies: tuple[tuple[str, Any], ...] = ()
    at: int | None = None


def deflated(content: bytes) -> bytes:
    machine = zlib.compressobj(9, zlib.DEFLATED, -15)
    return machine.compress(content) + machine.flush()


def parts(entry: Entry) -> dict[str, Any]:
    packed = entry.packed
    if packed is None:
        packed = deflated(entry.content) if entry.method == 8 else entry.content
    return {
        "name": entry.name,
        "needed": entry.needed,
        "flags": entry.flags,
        "method": entry.method,
        "crc": zlib.crc32(entry.content) if entry.crc is None else entry.crc,
        "length": len(packed) if entry.length is None else entry.length,
        "size": len(entry.content) if entry.size is None else entry.size,
        "extra": entry.extra,
        "packed": packed,
    }


def local(entry: Entry) -> bytes:
    told = parts(entry) | dict(entry.lies)
    header = struct.pack(
        "<4s5H3I2H",
        b"PK\3\4",
        told["needed"],
        told["flags"],
        told["method"],
        0,
        33,
        told["crc"],
        told["length"],
        told["size"],
        len(told["name"]),
        len(told["extra"]),
    )
    return header + told["name"] + told["extra"] + told["packed"] + (entry.descriptor or b"")


def central(entry: Entry, at: int) -> bytes:
    told = parts(entry)
    header = struct.pack(
        "<4s6H3I5H2I",
        b"PK\1\2",
        entry.system << 8 | 20,
        told["needed"],
        told["flags"],
        told["method"],
        0,
        33,
        told["crc"],
        told["length"],
        told["size"],
        len(told["name"]),
        len(told["extra"]),
        len(entry.comment),
        0,
        0,
        entry.mode << 16,
        at if entry.at is None else entry.at,
    )
    return header + told["name"] + told["extra"] + entry.comment


def zipped(
    entries: Sequence[Entry],
    before: bytes = b"",
    between: bytes = b"",
    after: bytes = b"",
    comment: bytes = b"",
    count: int | None = None,
    start: int | None = None,
    size: int | None = None,
    disk: int = 0,
) -> bytes:
    """An archive of these entries, with bytes where none belong and an end that may lie."""
    body, ats = before, []
    for entry in entries:
        ats.append(len(body))
        body += local(entry)
    body += between
    directory = b"".join(map(central, entries, ats))
    number = len(entries) if count is None else count
    end = struct.pack(
        "<4s4H2IH",
        b"PK\5\6",
        disk,
        0,
        number,
        number,
        len(directory) if size is None else size,
        len(body) if start is None else start,
        len(comment),
    )
    return body + directory + end + comment + after


CARD, WEIGHTS = (Entry(name.encode(), content) for name, content in FILES.items())


def with_card(**changes: Any) -> Callable[[], bytes]:
    return lambda: zipped([replace(CARD, **changes), WEIGHTS])


def also(*more: Entry) -> Callable[[], bytes]:
    return lambda: zipped([CARD, WEIGHTS, *more])


def whole(**changes: Any) -> Callable[[], bytes]:
    return lambda: zipped([CARD, WEIGHTS], **changes)


def changed(change: Callable[[bytes], bytes]) -> Callable[[], bytes]:
    return lambda: change(zipped([CARD, WEIGHTS]))


def streamed(descriptor: bytes) -> Callable[[], bytes]:
    lies = (("crc", 0), ("length", 0), ("size", 0))
    return with_card(flags=8, lies=lies, descriptor=descriptor)


def zip64(size: int) -> bytes:
    return struct.pack("<2H2Q", 1, 16, size, size)


def wide_end(**lies: int) -> Callable[[], bytes]:
    """An archive with a zip64 end, right or with lies in it."""

    def make() -> bytes:
        body = zipped([CARD, WEIGHTS])
        body, end = body[:-22], body[-22:]
        size, start = struct.unpack("<2I", end[12:20])
        told = {"disk": 0, "here": 2, "count": 2, "size": size, "start": start, "at": len(body), "disks": 1} | lies
        numbers = (told[name] for name in ("here", "count", "size", "start"))
        wide = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, told["disk"], *numbers)
        return body + wide + struct.pack("<4sIQI", b"PK\6\7", 0, told["at"], told["disks"]) + end

    return make


def bomb(size: int, said: int | None = None) -> Callable[[], bytes]:
    def make() -> bytes:
        machine = zlib.compressobj(9, zlib.DEFLATED, -15)
        mebibyte = machine.compress(bytes(1 << 20)) + machine.flush(zlib.Z_FULL_FLUSH)
        packed = mebibyte * (size >> 20) + machine.flush()
        return zipped([CARD, replace(WEIGHTS, packed=packed, crc=0, size=size if said is None else said)])

    return make


def overlapping(count: int) -> bytes:
    """David Fifield's way: many names for one run of bytes."""
    kernel = local(WEIGHTS)
    entries = [replace(WEIGHTS, name=b"weights.safetensors", at=0) for _ in range(count)]
    directory = b"".join(central(entry, 0) for entry in entries)
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, count, count, len(directory), len(kernel), 0)
    return kernel + directory + end


def crowded(count: int) -> bytes:
    names = [Entry(b"%d" % i, method=0) for i in range(count)]
    body = b"".join(map(local, names))
    directory = b"".join(central(entry, 0) for entry in names)
    said = count & 0xFFFF
    return body + directory + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, said, said, len(directory), len(body), 0)


LINK = stat.S_IFLNK | 0o777
ARCHIVES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "empty": ("zip-format", lambda: b""),
    "no entries": ("incomplete", lambda: zipped([])),
    "garbage": ("zip-format", lambda: bytes(range(256)) * 9),
    "truncated": ("zip-format", changed(lambda c: c[:-1])),
    "half": ("zip-format", changed(lambda c: c[: len(c) // 2])),
    "only its end": ("zip-format", changed(lambda c: c[-22:])),
    "a script before": ("code", whole(before=b"#!/bin/sh\nexit\n")),
    "a picture before": ("zip-format", whole(before=b"\x89PNG\r\n\x1a\n" + bytes(99))),
    "another archive before": ("zip-gap", whole(before=zipped([CARD]))),
    "something between": ("zip-gap", whole(between=bytes(99))),
    "something after": ("zip-format", whole(after=b"MZ" + bytes(99))),
    "another archive after": ("zip-format", changed(lambda c: c + c)),
    "comment": ("zip-format", whole(comment=b"PK\5\6" + bytes(18))),
    "comment of an entry": ("zip-format", with_card(comment=b"hello")),
    "end says more entries": ("zip-format", whole(count=3)),
    "end says fewer entries": ("zip-format", whole(count=1)),
    "end says another start": ("zip-format", whole(start=0)),
    "end says another size": ("zip-format", whole(size=9)),
    "second disk": ("zip-format", whole(disk=1)),
    "zip64 end": ("zip64", whole(start=0xFFFFFFFF)),
    "zip64 count": ("zip64", whole(count=0xFFFF)),
    "zip64 sizes": ("zip64", with_card(extra=zip64(117))),
    "zip64 lie of its own header": ("zip64", with_card(lies=(("extra", zip64(118)),))),
    "zip64 size of its own header left open": (
        "zip-lie",
        with_card(lies=(("size", 0xFFFFFFFF), ("length", 0xFFFFFFFF))),
    ),
    "zip64 end of other entries": ("zip-format", wide_end(here=1, count=1)),
    "zip64 end of another start": ("zip-format", wide_end(start=0)),
    "zip64 end of another size": ("zip-format", wide_end(size=9)),
    "zip64 end on another disk": ("zip-format", wide_end(disk=1)),
    "zip64 end elsewhere": ("zip-format", wide_end(at=0)),
    "zip64 end of two disks": ("zip-format", wide_end(disks=2)),
    "comment of bytes": ("zip-format", whole(comment=b"\x7fELF" + bytes(99))),
    "comment that holds an end": ("zip-format", whole(comment=b"hello PK\5\6 hello, this is a longer comment")),
    "comment shorter than what follows": ("zip-format", whole(comment=b"hello", after=b" and more")),
    "zip64 lie": ("zip64", with_card(size=0xFFFFFFFF, extra=zip64(1 << 60))),
    "size lies low": ("zip-lie", with_card(size=50)),
    "size lies high": ("zip-lie", with_card(size=500)),
    "size of nothing": ("zip-lie", with_card(size=0)),
    "own size differs": ("zip-lie", with_card(lies=(("size", 9),))),
    "own length differs": ("zip-lie", with_card(lies=(("length", 9),))),
    "own checksum differs": ("zip-lie", with_card(lies=(("crc", 9),))),
    "own name differs": ("zip-lie", with_card(lies=(("name", b"../../etc"),))),
    "own method differs": ("zip-lie", with_card(lies=(("method", 0),))),
    "own flags differ": ("zip-lie", with_card(lies=(("flags", 2048),))),
    "wrong checksum": ("zip-damaged", with_card(crc=1)),
    "damaged": ("zip-damaged", with_card(packed=b"\xff" * 40)),
    "more after the data": ("zip-lie", with_card(packed=deflated(CARD.content) + b"hidden")),
    "not stored whole": ("zip-lie", with_card(method=0, packed=CARD.content[:-1])),
    "stored lie": ("zip-lie", with_card(method=0, size=9)),
    "length past the end": ("zip-overlap", with_card(length=1 << 20)),
    "length into the next": ("zip-overlap", with_card(length=60, packed=deflated(CARD.content)[:9])),
    "streamed without sizes": ("zip-lie", streamed(b"")),
    "streamed with other sizes": ("zip-lie", streamed(b"PK\7\x08" + bytes(12))),
    "overlapping": ("zip-duplicate", lambda: overlapping(9)),
    "overlapping names": ("zip-lie", with_card(at=len(local(CARD)))),
    "starts past the end": ("zip-format", with_card(at=1 << 30)),
    "parent": ("zip-slip", also(Entry(b"../card.json"))),
    "grandparent": ("zip-slip", also(Entry(b"a/../../card.json"))),
    "absolute": ("zip-slip", also(Entry(b"/etc/cron.d/x"))),
    "drive": ("zip-slip", also(Entry(b"C:\\Windows\\x"))),
    "drive with slashes": ("zip-slip", also(Entry(b"C:/x"))),
    "backslash": ("zip-slip", also(Entry(b"..\\card.json"))),
    "share": ("zip-slip", also(Entry(b"\\\\host\\share"))),
    "stream of a file": ("zip-slip", also(Entry(b"card.json:hidden"))),
    "NUL in a name": ("zip-slip", also(Entry(b"card.json\0.txt"))),
    "no name": ("zip-slip", also(Entry(b""))),
    "a dot": ("zip-slip", also(Entry(b"./card.json"))),
    "two slashes": ("zip-slip", also(Entry(b"a//card.json"))),
    "name in an extra field": ("zip-slip", with_card(extra=struct.pack("<2HBI", 0x7075, 9, 1, 0) + b"evil")),
    "damaged extra field": ("zip-format", with_card(extra=b"\1\2\3\4\5")),
    "symbolic link": ("zip-special", with_card(mode=LINK)),
    "folder link": ("zip-special", lambda: zipped([Entry(b"a", b"/etc", mode=LINK), CARD, WEIGHTS])),
    "device": ("zip-special", with_card(mode=stat.S_IFCHR | 0o666)),
    "pipe": ("zip-special", with_card(mode=stat.S_IFIFO | 0o666)),
    "socket": ("zip-special", with_card(mode=stat.S_IFSOCK | 0o666)),
    "setuid": ("zip-special", with_card(mode=stat.S_IFREG | stat.S_ISUID | 0o755)),
    "folder by its mode": ("zip-special", with_card(mode=stat.S_IFDIR | 0o755)),
    "file with a folder's name": ("zip-special", also(Entry(b"a/", mode=stat.S_IFREG | 0o644))),
    "folder with content": ("zip-name", also(Entry(b"a/", b"hidden", mode=stat.S_IFDIR | 0o755))),
    "twice": ("zip-duplicate", also(CARD)),
    "twice in capitals": ("zip-duplicate", also(Entry(b"CARD.JSON"))),
    "twice in full width": ("zip-duplicate", also(Entry("ｃard.json".encode()))),
    "only in capitals": ("zip-name", lambda: zipped([replace(CARD, name=b"Card.json"), WEIGHTS])),
    "no text as it says": ("zip-name", lambda: zipped([replace(CARD, name=b"\xff\xfe/card.json", flags=2048)])),
    "in two folders": ("zip-name", lambda: zipped([replace(CARD, name=b"a/card.json"), WEIGHTS])),
    "two levels": ("zip-name", lambda: zipped([replace(CARD, name=b"a/b/card.json"), WEIGHTS])),
    "encrypted": ("zip-encrypted", with_card(flags=1)),
    "strongly encrypted": ("zip-encrypted", with_card(flags=65)),
    "AES": ("zip-encrypted", with_card(extra=struct.pack("<2H7B", 0x9901, 7, 2, 0, 65, 69, 3, 8, 0))),
    "masked": ("zip-encrypted", with_card(flags=1 << 13)),
    "patch": ("zip-method", with_card(flags=1 << 5)),
    "reserved flags": ("zip-method", with_card(flags=1 << 14)),
    "bzip2": ("zip-method", with_card(method=12)),
    "LZMA": ("zip-method", with_card(method=14)),
    "zstd": ("zip-method", with_card(method=93)),
    "version of tomorrow": ("zip-method", with_card(needed=64)),
    "own version of tomorrow": ("zip-method", with_card(lies=(("needed", 99),))),
    "JPEG": ("zip-method", with_card(method=96)),
    "65 entries": ("zip-entries", also(*(Entry(f"__MACOSX/{i}".encode()) for i in range(63)))),
    "unknown file": ("zip-name", also(Entry(b"README.md"))),
    "hidden file": ("zip-name", also(Entry(b".bashrc"))),
    "only a card": ("incomplete", lambda: zipped([CARD])),
    "only weights": ("incomplete", lambda: zipped([WEIGHTS])),
    "two graphs": ("incomplete", lambda: zipped([CARD, Entry(b"encode.onnx"), Entry(b"decode.onnx")])),
    "both forms": ("mixed", also(*(Entry(f"{name}.onnx".encode()) for name in ("encode", "decode", "generate")))),
    "65 MB": ("too-large", lambda: bytes(65 << 20)),
}
LARGE: dict[str, tuple[str, Callable[[], bytes]]] = {
    "bomb of 65 MB": ("zip-bomb", bomb(65 << 20)),
    "bomb of 1 GB": ("zip-bomb", bomb(1 << 30)),
    "bomb of 1 GB that says 1 KB": ("zip-lie", bomb(1 << 30, 1024)),
    "bomb of 1 GB that says 3 GB": ("zip-bomb", bomb(1 << 30, 3 << 30)),
    "two halves of a bomb": (
        "zip-bomb",
        lambda: zipped([replace(CARD, size=33 << 20), replace(WEIGHTS, size=33 << 20)]),
    ),
    "65,000 entries": ("zip-entries", lambda: crowded(65_000)),
    "100,000 entries": ("zip-entries", lambda: crowded(100_000)),  # 34,464 as it says, which is what two bytes hold
    "1,000 names for one run of bytes": ("zip-entries", lambda: overlapping(1_000)),
}
OTHER: dict[str, tuple[str, Callable[[], bytes]]] = {  # row 15: files of other kinds, with and without their own names
    "model.pt by its content": ("pickle", lambda: zipped([Entry(b"model/data.pkl", b"\x80\x02}q\0.", 0)])),
    "old .pt by its content": ("pickle", lambda: b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19." + bytes(99)),
    "protocol 5": ("pickle", lambda: b"\x80\x05\x95" + bytes(99)),
    ".npz by its content": ("arrays", lambda: zipped([Entry(b"arr_0.npy", b"\x93NUMPY")])),
    ".npy": ("arrays", lambda: b"\x93NUMPY\x01\0" + bytes(99)),
    ".h5": ("keras", lambda: b"\x89HDF\r\n\x1a\n" + bytes(99)),
    ".keras by its content": ("keras", lambda: zipped([Entry(b"model.weights.h5")])),
    "gzip": ("packed", lambda: b"\x1f\x8b\x08" + bytes(99)),
    "7z": ("packed", lambda: b"7z\xbc\xaf\x27\x1c" + bytes(99)),
    "rar": ("packed", lambda: b"Rar!\x1a\x07" + bytes(99)),
    "program": ("code", lambda: b"\x7fELF" + bytes(99)),
    "script": ("code", lambda: b"#!/usr/bin/python3\nimport os\n"),
    "module": ("code", lambda: b"import torch\nfrom torch import nn\n"),
    "pickle in a bundle": ("pickle", also(Entry(b"weights.pt", b"\x80\x02"))),
    "module in a bundle": ("code", also(Entry(b"model.py", b"import os"))),
    "notebook in a bundle": ("code", also(Entry(b"train.ipynb", b"{}"))),
    "arrays in a bundle": ("arrays", also(Entry(b"latents.npz", b"PK"))),
}
REFUSED = [
    *(ArchiveCase(13, name, *told) for name, told in ARCHIVES.items()),
    *(ArchiveCase(15, name, *told) for name, told in OTHER.items()),
]
BOMBS = [ArchiveCase(13, name, *told) for name, told in LARGE.items()]
HONEST = zipped([CARD, WEIGHTS])
