"""Writing files so that a reader never sees half of one, naming content by its hash, and reading tables."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, overload

from latentarena.errors import ConfigError, OutputError
from latentarena.text import nearest

log = logging.getLogger(__name__)
ADDRESS = re.compile(r"(https?|ftp|s3|gs|hf):/+", re.IGNORECASE)
PARTIAL = re.compile(r"\..+\.\d+\.part", re.DOTALL)


def digest(*parts: bytes | memoryview) -> str:
    """SHA-256 of the parts in order, as 64 hexadecimal digits."""
    sha = hashlib.sha256()
    for part in parts:
        sha.update(part)
    return sha.hexdigest()


def digest_json(value: Any) -> str:
    """SHA-256 of a JSON value in canonical form (sorted keys, no spaces)."""
    return digest(json.dumps(value, sort_keys=True, separators=(",", ":")).encode())


def source_of(folder: Path) -> str:
    """SHA-256 of a folder's Python files, names included."""
    parts: list[bytes | memoryview] = []
    for path in sorted(folder.rglob("*.py")):
        parts += [str(path.relative_to(folder)).encode(), path.read_bytes()]
    return digest(*parts)


def cache_folder() -> Path:
    """Where downloads, encoded latents and judges trained on the fly are kept between runs.

    `LATENTARENA_CACHE` overrides the platform's cache folder.
    """
    chosen = os.environ.get("LATENTARENA_CACHE")
    if chosen:
        return expanded(chosen, "LATENTARENA_CACHE = ")
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else expanded("~", "LATENTARENA_CACHE is not set, and ") / ".cache") / "latentarena"


def expanded(path: str, what: str = "") -> Path:
    """A path with `~` or `~user` replaced by that home folder.

    Raises:
        ConfigError: there is no such user, or nobody knows this user's home; `what` begins the message.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise ConfigError(
            f"{what}{path}: nobody knows whose home folder ~ is here; write the folder's path in full"
        ) from None


@overload
def named_path(path: None, what: str = ...) -> None: ...
@overload
def named_path(path: str | os.PathLike[str], what: str = ...) -> Path: ...
@overload
def named_path(path: str | os.PathLike[str] | None, what: str = ...) -> Path | None: ...
def named_path(path: str | os.PathLike[str] | None, what: str = "folder") -> Path | None:
    """A path that somebody gave under a name; None where they gave none.

    Raises:
        ConfigError: it is empty, which would stand for the folder that the program runs in.
    """
    if path is None:
        return None
    if not os.fspath(path):
        raise ConfigError(f"{what} = '': give a path; '.' is the current folder")
    return Path(path)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn an OSError of writing to `path` into an OutputError that names the reason and the way out."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        reason = {
            errno.ENOSPC: "the disk is full",
            errno.EDQUOT: "the disk quota is used up",
            errno.EFBIG: "the file is larger than this user may write, or than the disk can hold",
            errno.ENAMETOOLONG: "the name is too long",
            errno.EROFS: "the file system is read-only",
            errno.EACCES: "permission denied",
            errno.EPERM: "permission denied",
            errno.EEXIST: "it is a file, not a folder",
            errno.ENOTDIR: "part of it is a file, not a folder",
        }.get(error.errno or 0, error.strerror or str(error))
        way_out = "free some space or choose another folder" if full else "choose another folder"
        raise OutputError(f"cannot write {path}: {reason}; {way_out}") from error


def refuse_address(path: Path) -> None:
    """Refuse a web address where a file or a folder is wanted.

    Raises:
        ConfigError: it is one, shown with both slashes, of which a path keeps one.
    """
    if found := ADDRESS.match(str(path)):
        address = f"{found[1]}://{str(path)[found.end() :][:200]}"
        raise ConfigError(f"{address} is an address, and nothing is fetched from the network: download it first")


def misspelt(path: Path) -> str:
    """`did you mean 'PATH'? ` for a path that is not there, beside one whose name is nearly the same; else empty."""
    missing = next((part for part in reversed((path, *path.parents)) if not part.exists()), None)
    if missing is None or not missing.parent.is_dir():
        return ""
    try:
        near = nearest(missing.name, [one.name for one in missing.parent.iterdir()])
    except OSError:
        return ""
    return f"did you mean '{missing.parent / near / path.relative_to(missing)}'? " if near else ""


def make_folder(path: Path) -> Path:
    """Make a folder (and its parents) and prove that it can be written to.

    Raises:
        OutputError: naming the folder and the reason.
        ConfigError: it begins with `~`, which a shell left as it is, or holds bytes that are no text.
    """
    if str(path).startswith("~"):
        raise ConfigError(f"{path}: ~ stands for no folder here; write the folder's path in full")
    try:
        str(path).encode()  # no pattern: compiling one takes memory, which may be what is to be told of in this folder
    except UnicodeEncodeError:
        raise ConfigError(f"{str(path)!a}: a folder's name holds bytes that are no UTF-8; choose another one") from None
    with explained(path):
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".probe-{os.getpid()}"
        try:
            probe.write_bytes(b"\0" * 4096)
        finally:
            probe.unlink(missing_ok=True)
    return path


@contextmanager
def scratch(prefix: str) -> Iterator[Path]:
    """A temporary folder for as long as this process lives; those that killed processes left are removed on the way.

    Args:
        prefix: of its name and theirs. Each is locked by the process that uses it, and the lock dies with that.
    """
    for left in Path(tempfile.gettempdir()).glob(f"{prefix}{'?' * 8}"):
        with suppress(OSError, ImportError), _locked(left):
            shutil.rmtree(left, ignore_errors=True)
    with ExitStack() as held:
        made = _locked_folder(prefix, held)
        held.callback(shutil.rmtree, made, ignore_errors=True)
        yield made


def _locked_folder(prefix: str, held: ExitStack) -> Path:
    while True:
        made = Path(tempfile.mkdtemp(prefix=prefix))
        try:
            held.enter_context(_locked(made))
        except (BlockingIOError, FileNotFoundError):  # another process took it for an abandoned one
            continue
        except (OSError, ImportError):  # a system without locks, where nobody removes it either
            return made
        if made.exists():
            return made


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder of one's own.

    Raises:
        OSError, ImportError: another process has it, the folder is somebody else's, or there are no locks here.
    """
    import fcntl  # not on every system

    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if os.fstat(descriptor).st_uid != os.geteuid():
            raise PermissionError(f"{folder} belongs to somebody else")
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: temporary sibling, fsync, rename.

    Raises:
        OutputError: naming the file and the reason; a file already there is left as it was.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    with explained(path):
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def is_partial(name: str) -> bool:
    """Whether a file of this name is what `write_atomically` left where its process was killed."""
    return PARTIAL.fullmatch(name) is not None


def keep_cached(path: Path, content: bytes, keep: int, what: str) -> None:
    """Write a file of the cache, of whose folder the latest `keep` stay; where it cannot be written, go on without it.

    Args:
        what: is cached, for the warning, with its verb, such as `the encoded latents are`.
    """
    try:
        make_folder(path.parent)
        write_atomically(path, content)
        prune(path.parent, keep)
    except OutputError as error:
        log.warning("%s not cached: %s", what, error)


def prune(folder: Path, keep: int) -> None:
    """Remove all but the `keep` most recently written files of a cache folder."""
    ages = []
    for path in folder.iterdir():
        with suppress(FileNotFoundError):  # another process may be pruning too
            if not path.name.startswith("."):
                ages.append((path.stat().st_mtime, path))
    for _, path in sorted(ages, reverse=True)[keep:]:
        with suppress(PermissionError):  # Windows keeps what a process has mapped
            path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """`write_atomically` for UTF-8 text."""
    write_atomically(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """`write_atomically` for a JSON value, indented; NaN and infinities are refused."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")
