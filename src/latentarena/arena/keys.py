"""A contest's key: kept in a file or in the store, its SHA-256 published from the start, itself once it has closed.

See `judge.key` for what follows from a key.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from latentarena.errors import ConfigError, OutputError
from latentarena.key import Key

VARIABLE = "ARENA_KEY"  # holds the key where there is no file, as in a repository's secrets
LARGEST = 1 << 10  # bytes of a key's file


def find_key(file: Path | None, published: Path, environment: Mapping[str, str] = os.environ) -> Key | None:
    """The key of a board without a server: from its file, else from the variable `ARENA_KEY`; None if there is neither.

    Args:
        file: 64 hexadecimal digits.
        published: a folder that others will see, in which the file must not lie.
        environment: in which the variable is looked for; an empty one counts as none.

    Raises:
        ConfigError: the file cannot be read, lies where it would be published, or holds something else.
    """
    if file is None:
        text = environment.get(VARIABLE, "")
        return _parsed(text, VARIABLE) if text.strip() else None
    if file.resolve().is_relative_to(published.resolve()):
        raise ConfigError(f"--key-file {file} lies in {published}, which others will see; keep it elsewhere")
    try:
        with file.open("rb") as opened:
            content = opened.read(LARGEST)
    except OSError as error:
        raise ConfigError(f"--key-file {file}: {error.strerror}; `arena board key FILE` makes one") from None
    return _parsed(content.decode("ascii", "replace"), str(file))


def _parsed(text: str, where: str) -> Key:
    try:
        return Key.parse(text)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}; `arena board key FILE` makes one") from None


def write_key(file: Path) -> Key:
    """Make a key and write it into a new file that only its owner can read.

    Raises:
        OutputError: there is such a file already, or it cannot be written.
    """
    key = Key.new()
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
            opened.write(key.text + "\n")
    except FileExistsError:
        raise OutputError(f"{file} is there already; a contest keeps its key, so name another file") from None
    except OSError as error:
        raise OutputError(f"cannot write {file}: {error.strerror}") from None
    return key
