"""The contests that ship with the package, as files."""

from __future__ import annotations

from pathlib import Path

from latentarena.config import validate
from latentarena.contest.contest import Contest
from latentarena.documents import read_yaml

CONTESTS = Path(__file__).parents[1] / "contest" / "contests"
WHOLE_CARD = "arena-1"


def contest_names() -> list[str]:
    """The contests that are shipped."""
    return sorted(path.stem for path in CONTESTS.glob("*.yaml"))


def contests_on(dataset: str) -> list[str]:
    """The names of the shipped contests that take models of a dataset; those that rank the whole score card first."""
    read = {name: read_contest(CONTESTS / f"{name}.yaml") for name in contest_names()}
    fit = [name for name, contest in read.items() if contest.dataset == dataset]
    return sorted(fit, key=lambda name: (read[name].score_set != WHOLE_CARD, name))


def read_contest(path: Path) -> Contest:
    """Read a contest's file.

    Raises:
        ConfigError: one line that names the file, the key, the value and the choices.
    """
    return validate(Contest, read_yaml(path), str(path))
