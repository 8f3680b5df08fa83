"""Contest files: those that are shipped, and anybody's own."""

from __future__ import annotations

from pathlib import Path

from latentarena.config import validate
from latentarena.contest.contest import Contest
from latentarena.documents import parse_json
from latentarena.errors import ConfigError
from latentarena.evaluate.contests import CONTESTS, contest_names, read_contest
from latentarena.text import meant

LARGEST = 1 << 20  # bytes of a contest file


def contest_file(name_or_path: str | Path) -> Path:
    """Where a shipped contest, or one of somebody's own, is written down.

    Raises:
        ConfigError: there is none of this name, or it is too large to be one.
    """
    if str(name_or_path) in contest_names():
        return CONTESTS / f"{name_or_path}.yaml"
    path = Path(name_or_path)
    if not path.is_file():
        shipped, near = ", ".join(contest_names()), meant(str(name_or_path), contest_names())
        raise ConfigError(f"contest {str(name_or_path)!r} is unknown; {near}choose from {shipped}, or name a YAML file")
    if path.stat().st_size > LARGEST:
        raise ConfigError(f"{path} is larger than {LARGEST} bytes: it is no contest file")
    return path


def kept_contest(content: str) -> Contest:
    """The contest of a JSON text that the database holds."""
    return validate(Contest, parse_json(content.encode()), "the contest in the database")


def load_contest(name_or_path: str | Path) -> Contest:
    """Read a shipped contest by its name, or a contest file.

    Raises:
        ConfigError: one line that names the file, the key, the value and the choices.
    """
    return read_contest(contest_file(name_or_path))


def refuse_own_images(contest: Contest) -> None:
    """Reject a contest that nobody but its organiser could judge, on a folder of images.

    Raises:
        ConfigError: with the way out.
    """
    if contest.dataset.startswith("folder:"):
        raise ConfigError(
            f"contest {contest.name}: dataset = {contest.dataset}: workers know datasets by name, such as mnist, and "
            "no folder of images; judge each model of your own images with `arena check BUNDLE --contest FILE --data "
            "FOLDER --out entries/TEAM`, and rank them with `arena board build entries --contest FILE --verified`"
        )
