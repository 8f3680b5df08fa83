"""Refusals in the words of Python: a keyword where the same refusal on the command line names an option."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from latentarena.errors import ArenaError

SAME = ("budget", "dataset", "eta", "features", "grid", "guidance", "labels", "n", "solver", "steps")
KEYWORDS = {"data": "root", "judge": "judge_file", "resume": "resume=True"} | {name: name for name in SAME}
OPTION = re.compile(r"(?<![\w-])--?([a-z]+)\b")
GIVEN = re.compile(r"^--?([a-z]+) ([^:]*): ")


@contextmanager
def in_keywords(out: str = "folder") -> Iterator[None]:
    """Let refusals name keywords: `--steps 3: ...` becomes `steps = 3: ...`. Also a decorator.

    Args:
        out: the keyword that stands for `--out`.
    """
    names = KEYWORDS | {"out": out}
    try:
        yield
    except ArenaError as error:
        said = str(error)
        given = GIVEN.match(said)
        if given and given[1] in names:
            said = f"{names[given[1]]} = {given[2]}: {said[given.end() :]}"
        error.args = (OPTION.sub(lambda found: names.get(found[1], found[0]), said),)
        raise
