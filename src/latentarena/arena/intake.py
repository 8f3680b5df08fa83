"""Bundles that lie in a repository: found, looked at, and evaluated one at a time, each in a process of its own.

The repository may hold what strangers have sent by pull request. Only files that are data are looked at, links are not
followed, and what evaluates a bundle can be killed without harm to the rest.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from latentarena.arena.contest import Contest
from latentarena.arena.names import clean_name, plain_line
from latentarena.errors import BundleError, ConfigError
from latentarena.files import make_folder, write_json, write_text

__all__ = ["REFUSED", "TEMPLATE", "Outcome", "changed_since", "evaluate_entries", "find_bundles", "start_repository"]

TEMPLATE = Path(__file__).parent / "template"
CARD = "card.json"
DATA = {CARD, "weights.safetensors", "encode.onnx", "decode.onnx", "generate.onnx", "README.md"}
REFUSED = "refusal.json"  # why a bundle could not be evaluated, in the place of its score card
MINUTES = 30.0  # for one bundle


@dataclass(frozen=True)
class Outcome:
    """What became of a bundle: its folder below the entries, and why it was refused; empty if it was evaluated."""

    entry: str
    refused: str = ""


def find_bundles(entries: Path) -> list[Path]:
    """`TEAM/` and `TEAM/ENTRY/` folders that hold a bundle's card, relative to the folder of entries.

    Raises:
        ConfigError: there is no such folder.
    """
    if not entries.is_dir():
        raise ConfigError(f"{entries} is no folder; name the one that holds TEAM/ENTRY bundles")
    return sorted(
        {path.parent.relative_to(entries) for depth in ("*", "*/*") for path in entries.glob(f"{depth}/{CARD}")}
    )


def changed_since(entries: Path, commit: str) -> set[Path]:
    """The bundles of which a commit had other files, relative to the folder of entries.

    Raises:
        ConfigError: git does not know the commit, or the folder is in no repository.
    """
    command = [
        "git",
        "-C",
        str(entries),
        "diff",
        "--name-only",
        "--relative",
        "-z",
        "--end-of-options",
        commit,
        "--",
        ".",
    ]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode != 0:
        said = plain_line(done.stderr.decode(errors="replace")).removeprefix("fatal: ")
        raise ConfigError(f"cannot compare {entries} with {commit!r}: {said}")
    touched = [Path(name) for name in done.stdout.decode(errors="surrogateescape").split("\0") if name]
    return {home for home in find_bundles(entries) if any(path.is_relative_to(home) for path in touched)}


def evaluate_entries(
    entries: Path, homes: list[Path], contest: Contest, out: Path, minutes: float = MINUTES
) -> Iterator[Outcome]:
    """Evaluate bundles in turn; `out` then holds what `arena board build` takes.

    Args:
        entries: the folder of all entries.
        homes: which of them, relative to it.
        contest: its limit on bytes holds for each.
        out: for score cards, samples and reports, or the reason of a refusal.
        minutes: for one bundle, after which it is killed.
    """
    make_folder(out)
    for home in homes:
        made = out / home
        shutil.rmtree(made, ignore_errors=True)
        make_folder(made)
        try:
            _look_at(entries, home, contest.quotas.bytes)
            _evaluate(entries / home, made, minutes)
            reason = ""
        except (BundleError, ConfigError) as error:
            reason = plain_line(str(error), 400)
            shutil.rmtree(made, ignore_errors=True)
            write_json(make_folder(made) / REFUSED, {"state": "refused", "reason": "refused", "sentence": reason})
        yield Outcome(str(home), reason)


def _look_at(entries: Path, home: Path, largest: int) -> None:
    """Refuse what is no data, before anything of it is read."""
    for part in home.parts:
        clean_name(part, f"folder {plain_line(part)!r}: the name")
    if any((entries / parent).is_symlink() for parent in (home, *home.parents)):
        raise BundleError("the folder is a link; put the bundle itself there")
    size = 0
    for path in sorted((entries / home).iterdir()):
        name = plain_line(path.name, 60)
        if path.is_symlink() or not path.is_file():
            raise BundleError(f"{name!r} is no plain file; a bundle holds {', '.join(sorted(DATA))}")
        if path.name not in DATA:
            raise BundleError(f"{name!r} has no place in a bundle; it holds {', '.join(sorted(DATA))}")
        size += path.stat().st_size
    if size > largest:
        raise BundleError(f"the bundle has {size:,} bytes, more than the {largest:,} that this contest takes")


def _evaluate(bundle: Path, made: Path, minutes: float) -> None:
    """The score card, the page and a picture, by the commands that anyone can run."""
    judge = ["judge", str(bundle), "--json", str(made / "score.json"), "--html", str(made / "report.html")]
    for arguments in (judge, ["sample", str(bundle), "--number", "64", "--out", str(made / "samples.png")]):
        command = [sys.executable, "-P", "-m", "latentarena", *arguments]  # no module is taken from where we stand
        try:
            done = subprocess.run(command, capture_output=True, check=False, timeout=60 * minutes)
        except subprocess.TimeoutExpired:
            raise BundleError(f"evaluation took more than {minutes:g} minutes and was stopped") from None
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            raise BundleError(said[-1].removeprefix("error: ") if said else f"died with status {done.returncode}")
    shutil.copyfile(bundle / CARD, made / "bundle.json")


def start_repository(folder: Path, contest: Path, version: str) -> list[Path]:
    """Write a repository in which pull requests carry bundles: workflows, rules and a place for entries.

    Args:
        folder: empty or absent, but for a `.git`.
        contest: the contest file to start from.
        version: of this package, which the workflows install.

    Returns:
        What was written.

    Raises:
        ConfigError: the folder holds something.
    """
    if folder.exists() and any(path.name != ".git" for path in folder.iterdir()):
        raise ConfigError(f"{folder} is not empty; choose another folder")
    texts = {
        "README.md": (TEMPLATE / "README.md").read_text(),
        "contest.yaml": contest.read_text(),
        "requirements.txt": (TEMPLATE / "requirements.txt").read_text().replace("VERSION", version),
        "entries/README.md": (TEMPLATE / "entries.md").read_text(),
        ".gitignore": "/evaluated/\n/site/\n",
    }
    for path in sorted((TEMPLATE / "workflows").glob("*.yml")):
        texts[f".github/workflows/{path.name}"] = path.read_text()
    for name, text in texts.items():
        make_folder((folder / name).parent)
        write_text(folder / name, text)
    return [folder / name for name in texts]
