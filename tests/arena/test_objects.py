"""Files by the hash of their content."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from latentarena.arena.objects import Objects
from latentarena.errors import ConfigError, NotThere, StoreError


@pytest.mark.parametrize("where", ["folder", "memory://objects"])
def test_what_was_put_is_got_by_its_hash(where: str, tmp_path: Path) -> None:
    objects = Objects(str(tmp_path / where) if "://" not in where else where)
    with objects.incoming() as incoming:
        for piece in (b"one", b"two"):
            incoming.write(piece)
        digest = incoming.keep()
    assert digest == hashlib.sha256(b"onetwo").hexdigest()
    assert objects.read(digest) == b"onetwo"
    assert objects.has(digest)
    assert objects.put(b"onetwo") == digest
    assert list(objects.list()) == [digest]


def test_what_was_not_kept_leaves_nothing(tmp_path: Path) -> None:
    objects = Objects(str(tmp_path))
    with objects.incoming() as incoming:
        incoming.write(b"half")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_what_a_dead_process_began_is_swept_once_it_is_old(tmp_path: Path) -> None:
    objects = Objects(str(tmp_path))
    old, new = objects.incoming(), objects.incoming()
    old.write(b"never finished")
    part = next(path for path in (tmp_path / "parts").iterdir() if path.name in old._part)
    old._file.flush()
    os.utime(part, (0, 0))
    assert objects.sweep() == 1
    assert [path.name for path in (tmp_path / "parts").iterdir()] == [new._part.rpartition("/")[2]]
    new.close()


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "a" * 63, "A" * 64, "a" * 64 + "/.."])
def test_only_hashes_are_names(name: str, tmp_path: Path) -> None:
    objects = Objects(str(tmp_path))
    with pytest.raises(NotThere):
        objects.read(name)


def test_damage_is_seen(tmp_path: Path) -> None:
    objects = Objects(str(tmp_path))
    digest = objects.put(b"content")
    Path(objects.path(digest)).write_bytes(b"c0ntent")
    with pytest.raises(StoreError, match="damaged"):
        objects.read(digest)
    with pytest.raises(NotThere):
        objects.read("0" * 64)


def test_an_unknown_kind_of_store_is_refused() -> None:
    with pytest.raises(ConfigError, match="gopher"):
        Objects("gopher://files")
