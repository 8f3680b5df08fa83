"""Files by the hash of their content, in a folder or an S3-compatible store; names that strangers gave are not kept.

What `put` has returned is on disk. A file that was not finished has a name of its own, and `sweep` takes it away.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from mmap import ACCESS_READ, mmap
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import fsspec

from latentarena.errors import ConfigError, NotThere, StorageFull, StoreError

HASH = re.compile("[0-9a-f]{64}")
PARTS = "parts"  # the folder of what is being written
STALE = 3600.0  # seconds after which an unfinished file is nobody's any more
PRIVATE = 0o700  # the mode of a folder of objects: bundles are their teams' own
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Objects:
    """A store of files by their SHA-256."""

    def __init__(self, url: str) -> None:
        """Prepare a store.

        Args:
            url: a folder, or an fsspec URL such as `s3://bucket/prefix`.

        Raises:
            ConfigError: the URL's file system is unknown or not installed.
            StoreError: a folder cannot be made.
        """
        try:
            self.files, self.root = fsspec.core.url_to_fs(url)
        except (ValueError, ImportError) as error:
            raise ConfigError(f"--objects {url}: {error}; give a folder, or a URL such as s3://bucket") from None
        self.url, self.root = url, self.root.rstrip("/")
        self.local = "file" in (
            self.files.protocol if isinstance(self.files.protocol, tuple) else [self.files.protocol]
        )
        if self.local:
            with _explained("make"):
                Path(self.root, PARTS).mkdir(parents=True, exist_ok=True)
            with suppress(PermissionError):  # another's, who has decided who may look
                Path(self.root).chmod(PRIVATE)

    def path(self, digest: str) -> str:
        """Where an object lies; two letters of the hash are a folder.

        Raises:
            NotThere: it is no hash.
        """
        if not HASH.fullmatch(digest):
            raise NotThere(f"there is no object {digest[:80]!r}")
        return f"{self.root}/{digest[:2]}/{digest}"

    def incoming(self) -> Incoming:
        """A place to write to while content arrives; see `Incoming`."""
        return Incoming(self)

    def put(self, content: bytes) -> str:
        """Keep a content; returns its hash."""
        with self.incoming() as incoming:
            incoming.write(content)
            return incoming.keep()

    def open(self, digest: str) -> IO[bytes]:
        """An object, to be read.

        Raises:
            NotThere: there is none of this hash.
        """
        with _explained("read"):
            opened: IO[bytes] = self.files.open(self.path(digest), "rb")
            return opened

    def read(self, digest: str) -> bytes:
        """An object whole; its hash is checked.

        Raises:
            NotThere: there is none of this hash.
            StoreError: its content has another hash: the disk has changed it.
        """
        with self.open(digest) as file:
            content = file.read()
        if hashlib.sha256(content).hexdigest() != digest:
            raise StoreError(f"object {digest} is damaged: its content has another hash; restore it from a backup")
        return content

    def remove(self, digest: str) -> None:
        """Take an object away, if it is there; who speaks of it still is for the caller to know."""
        with _explained("remove"), suppress(FileNotFoundError):
            self.files.rm_file(self.path(digest))

    def has(self, digest: str) -> bool:
        """Whether there is an object of this hash."""
        return bool(self.files.exists(self.path(digest)))

    def refuse_elsewhere(self, digests: Iterable[str]) -> None:
        """Raise where there should be objects of some hashes and is none of them: this is another site's store.

        Raises:
            ConfigError: with the way out.
        """
        wanted = [*digests]
        if wanted and not any(map(self.has, wanted)):
            raise ConfigError(
                f"--objects {self.url} holds none of the bundles that the database speaks of; name the folder or URL "
                "where they are, or another --db"
            )

    def list(self) -> Iterable[str]:
        """The hashes of all objects."""
        with suppress(FileNotFoundError):
            for path in self.files.find(self.root):
                name = path.rpartition("/")[2]
                if HASH.fullmatch(name):
                    yield name

    def sweep(self, older: float = STALE) -> int:
        """Take away what was begun and not finished more than so many seconds ago; returns how many files."""
        swept = 0
        if self.local:
            for path in Path(self.root, PARTS).iterdir():
                with suppress(FileNotFoundError):
                    if time.time() - path.stat().st_mtime >= older:
                        path.unlink()
                        swept += 1
        return swept


class Incoming:
    """Content on its way in: written and hashed piece by piece, kept under its hash by `keep`, else forgotten."""

    def __init__(self, objects: Objects) -> None:
        """Begin an empty file."""
        self._objects, self._sha, self.size = objects, hashlib.sha256(), 0
        self._part = f"{objects.root}/{PARTS}/{secrets.token_hex(16)}"
        self._done = False
        with _explained("write"):
            self._file: IO[bytes] = objects.files.open(self._part, "wb")

    def write(self, data: bytes) -> int:
        """Take the next bytes.

        Raises:
            StorageFull: there is no room left; nothing is kept.
        """
        with _explained("write"):
            written = self._file.write(data)
        self._sha.update(data)
        self.size += len(data)
        return written

    @property
    def digest(self) -> str:
        """Hash of what was written so far."""
        return self._sha.hexdigest()

    def settle(self) -> str:
        """Put the content on disk, whole but under no hash yet; returns the hash.

        Raises:
            StorageFull, StoreError: nothing is kept.
        """
        with _explained("write"):
            if self._objects.local and not self._file.closed:
                self._file.flush()
                os.fsync(self._file.fileno())
            self._file.close()
        return self.digest

    @contextmanager
    def look(self) -> Iterator[bytes | mmap]:
        """The content that has settled, to be read in parts; on a disk of this machine it is not loaded whole.

        Raises:
            StoreError: it cannot be read.
        """
        self.settle()
        with _explained("read"), self._objects.files.open(self._part, "rb") as file:
            if not self._objects.local or self.size == 0:
                yield file.read()
            else:
                with mmap(file.fileno(), 0, access=ACCESS_READ) as mapped:
                    yield mapped

    def keep(self) -> str:
        """Put the content under its hash, on disk when this returns.

        Raises:
            StorageFull, StoreError: nothing is kept.
        """
        where = self._objects.path(self.settle())
        with _explained("write"):
            if not self._objects.local:
                self._objects.files.mv(self._part, where)
            else:
                folder = Path(where).parent
                if not folder.is_dir():
                    folder.mkdir(exist_ok=True)
                    _sync(folder.parent)
                os.replace(self._part, where)
                _sync(folder)
        self._done = True
        return self.digest

    def close(self) -> None:
        """Forget what was not kept."""
        if not self._done:
            with suppress(OSError):
                self._file.close()
            with suppress(FileNotFoundError):
                self._objects.files.rm_file(self._part)
            self._done = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _sync(folder: Path) -> None:
    """Put a folder's own entries on disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class _explained:  # noqa: N801 - a context manager
    """Turn an OSError of the object store into an error that says what is the case."""

    def __init__(self, doing: str) -> None:
        self.doing = doing

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, FileNotFoundError) and self.doing == "read":
            raise NotThere("there is no such object") from None
        if isinstance(error, OSError) and error.errno in FULL:
            raise StorageFull("the disk is full; nothing of this was kept, what is there stays") from error
        if isinstance(error, OSError):
            raise StoreError(f"the object store cannot {self.doing}: {error.strerror or error}") from error
