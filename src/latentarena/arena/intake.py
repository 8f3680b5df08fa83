"""Bundles that lie in a repository: found, looked at, and evaluated one at a time, each in a process of its own.

The repository may hold what strangers have sent by pull request. Only files that are data are looked at, links are not
followed, and what evaluates a bundle can be killed without harm to the rest.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from latentarena.arena.evaluation import EVALUATE, EvaluationProcess, crash_of, options_of, verdict_in
from latentarena.arena.names import clean_name
from latentarena.arena.records import Refusal
from latentarena.arena.site import REFUSED
from latentarena.contest.contest import Contest
from latentarena.errors import BundleError, ConfigError, OutputError
from latentarena.files import make_folder, write_json, write_text
from latentarena.gates.file_set import NAMES
from latentarena.gates.kinds import added_by_system
from latentarena.key import Key
from latentarena.text import plain_line

TEMPLATE = Path(__file__).parent / "template"
CARD = NAMES[0]
MINUTES = 30.0  # for one bundle


@dataclass(frozen=True)
class TriedBundle:
    """What became of a bundle.

    Attributes:
        entry: its folder below the entries.
        refused: why there is no score card; empty if it was evaluated.
        fault: whether the machine is to blame and not the bundle.
    """

    entry: str
    refused: str = ""
    fault: bool = False


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
    compare = ("diff", "--name-only", "--relative", "-z", "--end-of-options", commit, "--", ".")
    done = subprocess.run(["git", "-C", str(entries), *compare], capture_output=True, check=False)
    if done.returncode != 0:
        said = plain_line(done.stderr.decode(errors="replace")).removeprefix("fatal: ")
        raise ConfigError(f"cannot compare {entries} with {commit!r}: {said}")
    touched = [Path(name) for name in done.stdout.decode(errors="surrogateescape").split("\0") if name]
    return {home for home in find_bundles(entries) if any(path.is_relative_to(home) for path in touched)}


def evaluate_entries(
    entries: Path, homes: list[Path], contest: Contest, out: Path, key: Key | None = None, minutes: float = MINUTES
) -> Iterator[TriedBundle]:
    """Evaluate bundles in turn; `out` then holds what `arena board build` takes.

    Args:
        entries: the folder of all entries.
        homes: which of them, relative to it.
        contest: its limit on bytes holds for each.
        out: for score cards, samples and reports, or the reason of a refusal.
        key: of the contest; the public one if None.
        minutes: for one bundle, after which it is killed.

    An evaluation that ends without a verdict, through a fault of this machine, is tried once more; then it is recorded
    like a refusal, and the rest go on.

    Raises:
        OutputError: `out` cannot be written to.
    """
    make_folder(out)
    for home in homes:
        found = _tried(entries, home, contest, out / home, key, minutes)
        if found.fault:
            found = _tried(entries, home, contest, out / home, key, minutes)
        if found.refused:
            shutil.rmtree(out / home, ignore_errors=True)
            said = {"state": "refused", "reason": "refused", "sentence": found.refused}
            write_json(make_folder(out / home) / REFUSED, said)
        yield found


def _tried(entries: Path, home: Path, contest: Contest, made: Path, key: Key | None, minutes: float) -> TriedBundle:
    """One attempt at a bundle, in an empty folder."""
    shutil.rmtree(made, ignore_errors=True)
    make_folder(made)
    try:
        _look_at(entries, home, contest.quotas.bytes)
        _evaluate(entries / home, made, contest, key, minutes)
    except (BundleError, ConfigError) as error:
        return TriedBundle(str(home), plain_line(str(error), 400))
    except (OutputError, OSError) as error:
        return TriedBundle(str(home), plain_line(str(error), 400), fault=True)
    return TriedBundle(str(home))


def _look_at(entries: Path, home: Path, largest: int) -> None:
    """Refuse what is no data, before anything of it is read."""
    for part in home.parts:
        clean_name(part, f"folder {plain_line(part)!r}: the name")
    if any((entries / parent).is_symlink() for parent in (home, *home.parents)):
        raise BundleError("the folder is a link; put the bundle itself there")
    size = 0
    for path in sorted((entries / home).iterdir()):
        name = plain_line(path.name, 60)
        if added_by_system(path.name):
            continue  # whoever evaluates it does not open it either
        if path.is_symlink() or not path.is_file():
            raise BundleError(f"{name!r} is no plain file; a bundle holds {', '.join(NAMES)}")
        if path.name not in NAMES:
            raise BundleError(f"{name!r} has no place in a bundle; it holds {', '.join(NAMES)}")
        size += path.stat().st_size
    if size > largest:
        raise BundleError(f"the bundle has {size:,} bytes, more than the {largest:,} that this contest takes")


def _evaluate(bundle: Path, made: Path, contest: Contest, key: Key | None, minutes: float) -> None:
    """What a server's worker would make of it, by the same program; a refusal is raised."""
    data_only = tuple(form for form in contest.forms if form != "python-2025")
    rules = contest.eligibility.model_copy(update={"forms": data_only})
    evaluation = EvaluationProcess(EVALUATE, bundle, made, options_of(rules), key)
    try:
        status = evaluation.wait(60 * minutes)
    finally:
        said = evaluation.end()
    if status is None:
        raise BundleError(f"evaluation took more than {minutes:g} minutes and was stopped")
    verdict = verdict_in(made) or crash_of(status)
    if verdict is None:
        last = plain_line(said.strip().rpartition("\n")[2])
        raise OutputError(f"the evaluation of {bundle} ended with status {status} and without a verdict: {last}")
    if isinstance(verdict.end, Refusal):
        raise BundleError(verdict.end.sentence)


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
        "README.md": (TEMPLATE / "README.md").read_text(encoding="utf-8"),
        "contest.yaml": contest.read_text(encoding="utf-8"),
        "requirements.txt": (TEMPLATE / "requirements.txt").read_text(encoding="utf-8").replace("VERSION", version),
        "entries/README.md": (TEMPLATE / "entries.md").read_text(encoding="utf-8"),
        ".gitignore": "/evaluated/\n/site/\n",
    }
    for path in sorted((TEMPLATE / "workflows").glob("*.yml")):
        texts[f".github/workflows/{path.name}"] = path.read_text(encoding="utf-8")
    for name, text in texts.items():
        make_folder((folder / name).parent)
        write_text(folder / name, text)
    return [folder / name for name in texts]
