"""Commands that a refusal hands a person to paste: what paths and names say is inert in them."""

from __future__ import annotations

import re
from pathlib import Path
from shlex import quote

LIVE = re.compile(r"[\"$`!%^]|\\(?!t)")  # what means something to a shell between double quotes
INERT = re.compile(r"[\w ./-]*")  # what the names in a stranger's file may hold where a program is made of them


def python_command(program: str, **paths: Path) -> str:
    """The line for a shell that runs a program; in double quotes, which all shells know, where they will do.

    Args:
        program: `str.format` puts the paths into it, as Python's texts.

    Returns:
        Nothing where no line can hold a path: one of control characters, or of bytes that are no text.
    """
    if not all(str(path).isprintable() for path in paths.values()):
        return ""
    whole = program.format(**{name: repr(path.as_posix()) for name, path in paths.items()})
    return f"python -c {quote(whole)}" if LIVE.search(whole) else f'python -c "{whole}"'
