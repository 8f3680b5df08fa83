"""A copy of the package that a test changes and runs in processes of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import latentarena

SOURCE = Path(latentarena.__file__).parent
CONTRIBUTING = SOURCE.parents[1] / "CONTRIBUTING.md"
ARENA = """
import json, sys
import latentarena
from latentarena.cli import main

print(latentarena.__file__)
for words in json.loads(sys.argv[1]):
    sys.argv[1:] = words
    try:
        main()
    except SystemExit as stop:
        if stop.code:
            raise
"""


class Copied:
    """The package's copy in a folder; `touched` names the files that were changed or added, as CONTRIBUTING does."""

    def __init__(self, folder: Path, without: str = "") -> None:
        self.home = folder / "latentarena"
        self.touched: set[str] = set()
        half_written = "*.pyc.*"  # what is compiled already is copied too, which spares every copy a second
        ignored = shutil.ignore_patterns(half_written, *([without] if without else []))
        shutil.copytree(SOURCE, self.home, ignore=ignored)

    def write(self, name: str, text: str) -> None:
        """Add a file."""
        path = self.home / name
        assert not path.exists()
        path.write_text(text, encoding="utf-8")
        self.touched.add(name)

    def change(self, name: str, old: str, new: str) -> None:
        """Put a text in place of another, which must be there once."""
        path = self.home / name
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{name} holds {text.count(old)} times: {old}"
        path.write_text(text.replace(old, new), encoding="utf-8")
        self.touched.add(name)

    def python(self, program: str, *arguments: object) -> str:
        """What a program prints that imports the copy."""
        done = subprocess.run(
            [sys.executable, "-P", "-c", program, *map(str, arguments)],
            capture_output=True,
            text=True,
            env=os.environ | {"PYTHONPATH": str(self.home.parent)},
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def arena(self, *arguments: object) -> str:
        """What a command of the copy prints."""
        return self.commands(arguments)

    def commands(self, *several: Sequence[object]) -> str:
        """What commands of the copy print, one after the other in one process, since each takes seconds to start."""
        shown = self.python(ARENA, json.dumps([[str(word) for word in words] for words in several]))
        assert shown.startswith(str(self.home))
        return shown


def files_of(task: str) -> set[str]:
    """The files that CONTRIBUTING says are touched by a task such as `A solver`, below the package's folder."""
    section = re.compile(rf"^### {re.escape(task)}\n\nTouch (.*?)\.$", re.MULTILINE | re.DOTALL)
    (told,) = section.findall(CONTRIBUTING.read_text(encoding="utf-8"))
    return set(re.findall(r"`([^`]+)`", told))
