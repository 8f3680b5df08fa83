"""Strict reading of a bundle that lies in a folder, or in what a person names: a folder, a zip file, a run."""

from __future__ import annotations

import os
from pathlib import Path

from latentarena.errors import BundleError, GateError
from latentarena.gates.archive import directory, open_archive
from latentarena.gates.file_set import (
    BUNDLE,
    MOST_BYTES,
    MOST_ENTRIES,
    NAMES,
    SUBMISSION,
    WEIGHTS,
    Files,
    FileSet,
    known_name,
    named_alone,
    no_part,
    read_plain,
)
from latentarena.gates.kinds import added_by_system


def open_files(path: Path, allowed: FileSet = BUNDLE) -> Files:
    """The files of a bundle, or of what `allowed` says, be it a folder or a zip file.

    Raises:
        GateError: it is neither, or `open_folder` or `open_archive` refuses it.
    """
    path = bundle_in(path)
    return open_folder(path, allowed) if path.is_dir() else open_archive(path, allowed)


def bundle_in(path: Path) -> Path:
    """The folder `bundle` of a run's folder; any other path as it is.

    Raises:
        BundleError: it is a folder of runs, as `arena train --seeds` makes one, of which one has to be chosen.
    """
    of_run = path / "bundle"
    if (path / NAMES[0]).exists():
        return path
    if (of_run / NAMES[0]).is_file():
        return of_run
    if runs := sorted(found.parent.parent for found in path.glob(f"*/bundle/{NAMES[0]}")):
        several = f"{len(runs)} trainings" if len(runs) > 1 else "a training"
        raise BundleError(f"{path} holds {several}; choose one: {runs[0]}")
    return path


def names_in(path: Path) -> list[str]:
    """The names of what a folder or zip file holds, without a look at the contents; for telling them apart.

    Raises:
        GateError: it cannot be read, or no gate would let it through whatever its files are.
    """
    if path.is_dir():
        return _listed(path, SUBMISSION)
    if wrong := named_alone(path, SUBMISSION):
        raise wrong
    entries, _ = directory(read_plain(path, MOST_BYTES, follow=True), str(path), SUBMISSION)
    return [entry.name.decode("utf-8", "backslashreplace") for entry in entries]


def open_folder(folder: Path, allowed: FileSet = BUNDLE) -> Files:
    """The files of a bundle's folder, by name; links are not followed.

    Raises:
        GateError: it is no folder of a bundle and nothing else, a file in it is a link, is linked from elsewhere or is
            no plain file, or all are larger than MOST_BYTES.
    """
    files: Files = {}
    listed = _listed(folder, allowed)
    for name in listed:
        if not known_name(name, str(folder), files, "folder", allowed):
            raise no_part("folder-name", str(folder), name, allowed, listed)
        left = MOST_BYTES - sum(map(len, files.values()))
        files[name] = read_plain(folder / name, left, follow=False)
    return allowed.complete(files, str(folder))


def open_beside(path: Path) -> Files:
    """A submission of the 2025 form from its file of Python; its weights are the safetensors files beside it.

    Raises:
        GateError: as `open_folder`; what else lies there is left alone.
    """
    if not SUBMISSION.named.fullmatch(path.name):
        raise no_part("folder-name", str(path.parent), path.name, SUBMISSION)
    files = {path.name: read_plain(path, MOST_BYTES, follow=True, hint=SUBMISSION.hint)}
    for beside in sorted(path.parent.glob(f"*{WEIGHTS}")):
        if SUBMISSION.named.fullmatch(beside.name):
            files[beside.name] = read_plain(beside, MOST_BYTES - sum(map(len, files.values())), follow=False)
    return files


def _listed(folder: Path, allowed: FileSet) -> list[str]:
    """Names in a folder, those of the set first; no more than a bundle can have."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry, _ in zip(entries, range(MOST_ENTRIES), strict=False)]
    except OSError as error:
        raise GateError("unreadable", f"cannot read {folder}: {error.strerror}; {allowed.hint}") from None
    own = [name for name in names if not added_by_system(name)]
    return sorted(own, key=lambda name: (not allowed.named.fullmatch(name), name))
