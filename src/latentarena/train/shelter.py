"""A run's folder that may vanish while it is written to, such as one on a mounted drive, and what takes its place."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol, TypeVar

from filelock import FileLock, Timeout

from latentarena.errors import ConfigError, OutputError
from latentarena.files import cache_folder, digest, make_folder, write_atomically

log = logging.getLogger(__name__)
T = TypeVar("T")
MOVE = "move it from there once there is room"
BRING = "once there is room, the same command brings it back (arena train: with --resume)"
MOVED = "the same command moves it back (arena train: with --resume)"
HELD = "what was written while it was out of reach is kept in"
PAUSES = (0.2, 0.8, 2.0)  # seconds before a write is tried again
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NAMED = 50  # letters of a folder's name in that of its refuge
LOCK, ROOM = ".lock", ".room"
WRITTEN = 4 << 20  # bytes that are set aside for what a judge finds: card, report and pictures take half of them


class Reach(Protocol):
    """Does something in a folder of a run, or in what stands for that folder at the moment."""

    def __call__(self, folder: Path, action: Callable[[Path], T]) -> T: ...


def plainly(folder: Path, action: Callable[[Path], T]) -> T:
    """Do it in the folder itself: the `Reach` of folders that stay where they are."""
    return action(folder)


class Shelter:
    """The `Reach` of a run: its folder, or a local refuge while the folder cannot be reached.

    What fails in the folder is tried again for a few seconds, then done in the refuge. Once the folder is back, the
    refuge's files are moved there. Where the disk is full, the run has to stop, and the refuge takes what it has still
    to write.

    Args:
        home: the run's folder; made if it is not there.
    """

    def __init__(self, home: Path) -> None:
        make_folder(home)
        self.home, self.refuge, self.away, self.full = home, refuge_of(home), False, False
        self._mount, self._remembered = _mount_of(home), dict[str, bytes]()

    @property
    def folder(self) -> Path:
        """Where the run's files are at the moment."""
        return self.refuge if self.away else self.home

    def reach(self, folder: Path, action: Callable[[Path], T]) -> T:
        """Do it in a folder inside of `home`, or in its counterpart in the refuge.

        Raises:
            OutputError: the disk is full; says where the refuge is that was written to instead, unless that is full
                too. The refuge cannot be written to either.
        """
        try:
            return self._go(folder, action)
        except (OSError, OutputError) as error:
            if _errno(error) not in FULL or self.away:
                raise
            self._stand_in(folder, action, error)
            raise OutputError(f"{error}; what was found is kept in {self.refuge}; {BRING}") from error

    def _go(self, folder: Path, action: Callable[[Path], T]) -> T:
        """`reach` that stops at a full disk."""
        if self.away and not self.full:
            self._come_back()
        if not self.away:
            try:
                return self._insist(folder, action)
            except (OSError, OutputError) as error:
                if _errno(error) in FULL:
                    raise
                self._leave(error)
        return action(self.refuge / folder.relative_to(self.home))

    def _stand_in(self, folder: Path, action: Callable[[Path], object], fault: OSError | OutputError) -> None:
        """Do it in the refuge, where the run writes from now on, or raise the fault for which that has to stand in."""
        there = self.refuge.exists()
        try:
            action(make_folder(self.refuge / folder.relative_to(self.home)))
        except (OSError, OutputError):
            if not there:
                shutil.rmtree(self.refuge, ignore_errors=True)
            raise fault from None
        self.away = self.full = True

    def remember(self, *names: str) -> None:
        """Keep the content of these files of the run, if they are there, so that a refuge has them too."""

        def read(folder: Path) -> dict[str, bytes]:
            return {name: (folder / name).read_bytes() for name in names if (folder / name).is_file()}

        self._remembered |= self.reach(self.home, read)

    @contextmanager
    def set_aside(self) -> Iterator[None]:
        """Hold room on the run's disk for the length of a block, for what that finds.

        Raises:
            OutputError: there is none.
        """
        ballast = os.urandom(WRITTEN)  # which no file system makes smaller
        self._go(self.home, lambda folder: write_atomically(folder / ROOM, ballast))
        try:
            yield
        finally:
            for folder in (self.home, self.refuge):
                with suppress(OSError):
                    (folder / ROOM).unlink()

    def settle(self) -> Path:
        """The folder that holds the run now that it is over, brought home if that can be reached."""
        self.reach(self.home, lambda folder: None)
        if self.away:
            log.warning("%s is out of reach: the run is in %s; %s", self.home, self.refuge, MOVED)
        return self.folder

    def _insist(self, folder: Path, action: Callable[[Path], T]) -> T:
        for pause in PAUSES:
            try:
                self._look()
                return action(folder)
            except (OSError, OutputError) as error:
                if _errno(error) in FULL:
                    raise
                time.sleep(pause)
        self._look()
        return action(folder)

    def _look(self) -> None:
        """Raise an OSError where `home` is not there, or is but the place where its drive was mounted."""
        if not self.home.is_dir() or _mount_of(self.home) != self._mount:
            raise FileNotFoundError(errno.ENOENT, "the folder is gone", str(self.home))

    def _leave(self, error: OSError | OutputError) -> None:
        self.away = True
        for name, content in self._remembered.items():
            make_folder((self.refuge / name).parent)
            write_atomically(self.refuge / name, content)
        cause = error if isinstance(error, OSError) else error.__cause__
        why = (cause.strerror if isinstance(cause, OSError) else None) or str(error)
        log.warning("cannot write to %s (%s): going on in %s until it is back", self.home, why, self.refuge)

    def _come_back(self) -> None:
        try:
            self._look()
            move_back(self.refuge, self.home)
        except (OSError, OutputError):
            return
        self.away = False
        log.warning("%s is back: what was written meanwhile was moved there", self.home)


def refuge_of(home: Path) -> Path:
    """The local folder that stands for a run's folder while that cannot be reached."""
    return cache_folder() / "refuge" / f"{home.name[:NAMED]}-{digest(str(home.absolute()).encode())[:16]}"


def write_or_keep(files: Mapping[Path, Callable[[Path], object]], way: str) -> None:
    """Write what took long to find: from the first file on that cannot be written where it belongs, into a refuge.

    Args:
        files: what writes each file or folder.
        way: how they come from the refuge to where they belong, for the message.

    Raises:
        OutputError: they are in the refuge, or there is no room for them there either.
    """
    fault: OSError | OutputError | None = None
    for path, written in files.items():
        try:
            if fault is None:
                written(path)
                continue
        except (OSError, OutputError) as error:
            fault = error
        _write_in_refuge(path, written, fault)
    if fault is not None:
        refuges = dict.fromkeys(str(refuge_of(path.parent)) for path in files)
        raise OutputError(f"{fault}; what was found is kept in {', '.join(refuges)}; {way}") from fault


def _write_in_refuge(path: Path, written: Callable[[Path], object], fault: OSError | OutputError) -> None:
    """Write a file's stand-in, or raise the fault for which it has to stand in."""
    refuge = refuge_of(path.parent)
    there = refuge.exists()
    try:
        written(make_folder(refuge) / path.name)
    except (OSError, OutputError):
        if not there:
            shutil.rmtree(refuge, ignore_errors=True)
        raise fault from None


def go_on(home: Path, resume: bool, way: str) -> None:
    """Bring back what a run's folder has in its refuge, which a run that does not go on from there must not pass over.

    Args:
        way: how one says that it shall go on, for the message.

    Raises:
        ConfigError: there is a refuge, and the run is not to go on.
        OutputError: see `bring_back`.
    """
    refuge = refuge_of(home)
    if refuge.exists() and not resume:
        raise ConfigError(
            f"a run went on in {refuge} while {home} was out of reach; {way} to bring it back, or delete it"
        )
    bring_back(home)


def bring_back(home: Path) -> None:
    """Move what was kept in a folder's refuge, if anything was, to where it belongs; see `move_back`.

    Raises:
        OutputError: not all could be written; says where it is kept.
    """
    if refuge_of(home).exists():
        with _telling_refuge(home):
            move_back(refuge_of(home), home)


@contextmanager
def _telling_refuge(home: Path) -> Iterator[None]:
    """Say of a folder that cannot be written to where its refuge is, if there is one."""
    try:
        yield
    except (OSError, OutputError) as error:
        if not refuge_of(home).exists():
            raise
        raise OutputError(f"{error}; {HELD} {refuge_of(home)}") from error


def move_back(refuge: Path, home: Path) -> None:
    """Move a refuge's files to where they belong, replacing what is older there.

    Raises:
        OutputError, OSError: not all could be written; the refuge is left as it is.
    """
    for path in sorted(refuge.rglob("*")):
        if path.is_file():
            target = home / path.relative_to(refuge)
            make_folder(target.parent)
            write_atomically(target, path.read_bytes())
    shutil.rmtree(refuge, ignore_errors=True)


def lock_folder(folder: Path) -> FileLock | None:
    """A lock on a run's folder, held until it is released or this process dies; None where there are no locks.

    Args:
        folder: made if it is not there.

    Raises:
        ConfigError: another process holds it.
        OutputError: it cannot be written to.
    """
    with _telling_refuge(folder):
        make_folder(folder)
    lock = FileLock(folder / LOCK, thread_local=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise ConfigError(
            f"{folder} is in use by another run of this moment; wait for its end, or choose another --out"
        ) from None
    except (NotImplementedError, OSError) as error:
        log.warning("%s cannot be locked (%s): see that no other run writes to it", folder, error)
        return None
    return lock


@contextmanager
def held(folder: Path) -> Iterator[Path]:
    """The folder, made if it is not there, with its lock for the length of the block.

    Raises:
        ConfigError: another process holds it.
        OutputError: it cannot be written to.
    """
    lock = lock_folder(folder)
    try:
        yield folder
    finally:
        if lock is not None:
            lock.release()


def _mount_of(folder: Path) -> Path:
    """The mount point that a folder is on."""
    path = folder.absolute()
    while not os.path.ismount(path) and path != path.parent:
        path = path.parent
    return path


def _errno(error: OSError | OutputError) -> int | None:
    cause: BaseException | None = error
    while isinstance(cause, OutputError):
        cause = cause.__cause__
    return cause.errno if isinstance(cause, OSError) else None
