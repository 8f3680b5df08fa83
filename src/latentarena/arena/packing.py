"""The folder that a team hands in: its bundle, analysis, notebook and README, held against a contest's list."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from shlex import quote
from typing import Any

from latentarena import __version__
from latentarena.arena.client import pack, zipped
from latentarena.bundle import BOXED, OWN, AnyBundle, open_bundle
from latentarena.bundle.foreign import REASON as FOREIGN
from latentarena.bundle.native import WEIGHTS
from latentarena.card.score_card import ScoreCard
from latentarena.contest.contest import Contest, Deliverable
from latentarena.documents import yaml_text
from latentarena.errors import ConfigError, GateError, OutputError
from latentarena.evaluate.evaluate import refuse_ineligible
from latentarena.evaluate.scoring import data_of
from latentarena.files import make_folder, write_atomically
from latentarena.gates import bundle_in, open_files
from latentarena.gates.kinds import added_by_system
from latentarena.report.analysis import FOLDER, TEXT, Analysed, card_of, home_of, published, write_analysis
from latentarena.report.markdown import inert
from latentarena.report.publishing import read_words
from latentarena.zoo import MODELS, SCORE

README, NOTEBOOK, RECIPE, ZIP = "README.md", "train.ipynb", "recipe.yaml", ".zip"
ABOUT = {
    "bundle/": "the model: its card and its weights, no code; `arena submit` hands it in",
    SCORE: "the score card; `arena verify score.json bundle` recomputes it",
    RECIPE: "everything about the training; `arena train recipe.yaml` repeats it",
    NOTEBOOK: "the training as a notebook",
    f"{FOLDER}/": "the analysis of results, as text, page and PDF, with its pictures",
}


@dataclass(frozen=True)
class Checked:
    """A file that the contest asks for: those that are there, and what is wrong; nothing where all is well."""

    asked: Deliverable
    files: tuple[str, ...]
    fault: str


@dataclass(frozen=True)
class PackedSubmission:
    """What was put together.

    Attributes:
        place: the folder or zip file; files: bytes by name.
        checked: the contest's list; notes: what else there is to say.
    """

    place: Path
    files: dict[str, int]
    checked: tuple[Checked, ...]
    notes: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether nothing that the contest asks for is missing."""
        return not any(one.fault for one in self.checked)


def pack_submission(
    run: Path,
    out: Path,
    rules: Contest,
    added: Sequence[Path] = (),
    root: Path | None = None,
    analysis: Path | None = None,
) -> PackedSubmission:
    """Put the folder of a submission together; its analysis is made where the run has none.

    Args:
        run: its folder, or `zoo:NAME`; out: folder, or zip file.
        rules: of the contest; added: files of the team's own, such as its notebook or its README.
        root: where to look for data.
        analysis: the folder of an analysis that was written already, where that is not the run's own.

    Raises:
        GateError, BundleError: a server would refuse the bundle.
        ConfigError: the run was not judged, the analysis is missing or of another card, or a file cannot be added.
        OutputError: the folder cannot be written to, or holds something else.
    """
    home, card = home_of(run), card_of(run)
    folder = _analysis_of(run, out, analysis)
    bundle, bundled = _handed_in(home, rules, root)
    analysed = _analysed(run, folder, bundle, card, rules, root)
    files = {f"bundle/{name}": content for name, content in bundled.items()}
    files[SCORE] = (home / SCORE).read_bytes()
    files |= {f"{FOLDER}/{path.name}": path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}
    recipe = None if bundle.card.provenance is None else yaml_text(bundle.card.provenance.recipe)
    if recipe is not None:
        files |= {RECIPE: recipe.encode(), NOTEBOOK: _notebook(card.model, recipe)}
    own = _added(added)
    _refuse_in_place_of(files, own)
    if any(name.endswith(".ipynb") for name in own):
        files.pop(NOTEBOOK, None)
    files[README] = _readme(card, rules, [*files, *own]).encode()
    files |= own
    checked = tuple(_check(one, files, analysed) for one in rules.deliverables)
    _write(out, files)
    sizes = {name: len(content) for name, content in files.items()}
    lacking = [] if bundle.card.provenance is None else _lacking(bundle.card.provenance.recipe, files)
    return PackedSubmission(out, sizes, checked, tuple(note for note in (analysed.why, *lacking) if note))


def _lacking(recipe: Mapping[str, Any], files: Mapping[str, bytes]) -> list[str]:
    """A note for each Python file that a recipe needs beside it and that is not packed."""
    needed = [one for one in recipe.get("parts", ()) if str(one).endswith(".py") and one not in files]
    return [f"{RECIPE} needs {one} to train it again, which is not packed; add --plugin FILE" for one in needed]


def _handed_in(home: Path, rules: Contest, root: Path | None) -> tuple[AnyBundle, Mapping[str, bytes]]:
    """The bundle and its files, once they are what a server of the contest would take."""
    place = bundle_in(home)
    files = open_files(place)
    try:  # a native one as a server opens it, which builds no parts but its own; graphs need no box to be packed
        bundle = open_bundle(place, trust=BOXED) if WEIGHTS in files else open_bundle(place, trust=OWN)
    except GateError as error:
        raise _with_way_out(error, home) from None
    refuse_ineligible(bundle, rules.eligibility, root)
    size = len(pack(place))
    if size > rules.quotas.bytes:
        raise ConfigError(f"{place} has {size:,} bytes as a zip; {rules.title} takes {rules.quotas.bytes:,}")
    return bundle, files


def _with_way_out(error: GateError, home: Path) -> GateError:
    """The refusal of a model of foreign parts, with the commands that make its portable form a run of its own."""
    if error.reason != FOREIGN:
        return error
    *making, new = as_graphs(home, " --plugin FILE")
    return GateError(error.reason, f"{error}; for a run of it: {', '.join(making)}, arena pack {quote(new)}")


def as_graphs(home: Path, own: str) -> tuple[str, str, str]:
    """The commands that make the portable form of a run a run of its own, and the folder of that.

    Args:
        home: the run's folder; own: the options, each after a space, that load the parts that it is made of.
    """
    old, new = quote(f"{home}/bundle"), f"{home}-portable"
    made, scores = quote(f"{new}/bundle"), quote(f"{new}/{SCORE}")
    judge = f"arena judge {made}{own} --json {scores}"  # its dataset may be of the same file
    return f"arena export {old}{own} --out {made}", judge, new


def _analysis_of(run: Path, out: Path, named: Path | None) -> Path:
    """The folder of the analysis: the one that is named, or where the analysis is made if it is not there yet."""
    if named is not None and not (named / TEXT).is_file():
        raise ConfigError(f"--analysis {named}: holds no {TEXT}; {_analyse(run, named)} writes it")
    home = home_of(run)
    own = out.with_suffix("") if home.is_relative_to(MODELS) else home  # the zoo is nobody's to write in
    return named or own / FOLDER


def _analyse(run: Path, folder: Path) -> str:
    """The command that writes a run's analysis into a folder."""
    return f"arena analyse {quote(str(run))} --out {quote(str(folder))}"


def _analysed(
    run: Path, folder: Path, bundle: AnyBundle, card: ScoreCard, rules: Contest, root: Path | None
) -> Analysed:
    """The run's analysis, with page and PDF of its text as it stands now."""
    if not (folder / TEXT).exists():
        return write_analysis(folder, bundle, card, data_of(bundle, root), rules, {})
    if card.fingerprint not in read_words(folder / TEXT):
        anew = f"{_analyse(run, folder)} makes it anew and keeps the words in it"
        raise ConfigError(f"{folder / TEXT} is of another score card than {home_of(run) / SCORE}; {anew}")
    return published(folder)


def _added(paths: Sequence[Path]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for path in paths:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ConfigError(f"--add {path}: cannot be read: {error.strerror}; name a file") from None
        if path.name in found:
            raise ConfigError(f"--add {path}: there are two files of the name {path.name}; rename one")
        found[path.name] = content
    return found


def _refuse_in_place_of(made: Mapping[str, bytes], own: Mapping[str, bytes]) -> None:
    """Raise a ConfigError where a file of somebody's own has the name of what is made of the run, folders included."""
    firm = {name.partition("/")[0] for name in made} - {NOTEBOOK}
    taken = next((name for name in own if name.lower() in firm), None)  # on some disks a name is any spelling of it
    if taken is not None:
        instead = f"only {README} and the notebook may be of your own; give it another name"
        raise ConfigError(f"--add {taken}: arena pack makes {taken.lower()} of the run; {instead}")


def _check(asked: Deliverable, files: Mapping[str, bytes], analysed: Analysed) -> Checked:
    there = tuple(name for name in files if _matches(name, asked.file))
    if not there:
        return Checked(asked, (), "missing; --add FILE puts it in" if "/" not in asked.file else "missing")
    if asked.words and analysed.unanswered and f"{FOLDER}/{TEXT}" in there:
        open_ones = ", ".join(analysed.unanswered)
        return Checked(asked, there, f"no words of your own yet: {open_ones}; write them into {analysed.text}")
    return Checked(asked, there, "")


def _matches(name: str, pattern: str) -> bool:
    """Whether a path is of a pattern, part by part."""
    parts, patterns = name.split("/"), pattern.split("/")
    return len(parts) == len(patterns) and all(map(fnmatchcase, parts, patterns))


def _write(out: Path, files: Mapping[str, bytes]) -> None:
    if out.suffix.lower() == ZIP:
        make_folder(out.parent)
        write_atomically(out, zipped(files))
        return
    there = [path for path in out.rglob("*") if path.is_file()] if out.is_dir() else []
    strangers = sorted(
        name
        for path in there
        if (name := path.relative_to(out).as_posix()) not in files and not added_by_system(path.name)
    )
    if strangers:
        raise OutputError(
            f"cannot write {out}: it holds {strangers[0]}, which is no part of this submission; remove it"
        )
    for name, content in files.items():
        make_folder((out / name).parent)
        write_atomically(out / name, content)


def _readme(card: ScoreCard, rules: Contest, names: Sequence[str]) -> str:
    """What lies where, and how to repeat the training."""
    known = [(f"`{name}`", about) for name, about in ABOUT.items() if any(one.startswith(name) for one in names)]
    rows = "\n".join(f"| {name} | {about} |" for name, about in known)
    again = (
        f"\n## To train it again\n\n```sh\npip install latentarena=={__version__}\n"
        "arena train recipe.yaml --out again\narena verify score.json bundle   # recomputes the score card\n```\n"
        if RECIPE in names
        else ""
    )
    latent = "x".join(map(str, card.latent))
    return (
        f"# {inert(card.model)}\n\nA model of {inert(card.dataset)} for *{inert(rules.title)}*: a latent of {latent} "
        f"numbers, {sum(card.parameters.values()):,} stored numbers, judged by {inert(card.judge)}.\n\n"
        f"| file | what it is |\n|---|---|\n{rows}\n{again}"
    )


def _notebook(name: str, recipe: str) -> bytes:
    """The training of a recipe as a notebook that needs no other file."""
    title = f"# {inert(name)}: training, samples, score\n\nMade by `arena pack` of the recipe of the run."
    code = [
        f"%pip install --quiet latentarena=={__version__}",
        f"%%writefile {RECIPE}\n{recipe.rstrip()}",
        f"!arena train {RECIPE} --out again --resume",
        'import latentarena as la\nfrom IPython.display import Image\n\nmodel = la.load("again")\n'
        'model.draw("samples.png", n=64, seed=0)\nImage("samples.png")',
        "!arena judge again/bundle",
    ]
    cells: list[dict[str, object]] = [{"cell_type": "markdown", "id": "title", "metadata": {}, "source": title}]
    cells += [
        {"cell_type": "code", "id": f"cell-{i}", "metadata": {}, "execution_count": None, "outputs": [], "source": one}
        for i, one in enumerate(code, 1)
    ]
    metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    book = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return (json.dumps(book, indent=1, ensure_ascii=False) + "\n").encode()
