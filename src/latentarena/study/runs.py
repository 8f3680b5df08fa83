"""The runs of a study: every arm with every seed, some at a time, each in a folder of its own.

A run is what `arena train` makes of the arm's recipe. Those that came to their end are not made again, those that were
begun are gone on with, and one that fails is noted and costs the others nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from latentarena.files import make_folder, write_text
from latentarena.run.judging import SCORE, finished
from latentarena.study.claims import Figures, Verdict, Word, judge_claims
from latentarena.study.place import Place, StartedRun
from latentarena.study.plan import Study
from latentarena.text import in_short, printable
from latentarena.train.recipe import to_yaml
from latentarena.train.shelter import held

LOOK = 0.2  # seconds between two looks at what is running
TAIL = 4096  # bytes at the end of a log in which its last line is


class State(StrEnum):
    """How far a run is."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass
class Run:
    """One arm with one seed.

    Attributes:
        figures: by metric, what the judge found, once it is done.
        fresh: whether it was made by this call, and not found.
        seconds: that it took in this call.
    """

    arm: str
    seed: int
    folder: Path
    state: State = State.WAITING
    figures: dict[str, float] = field(default_factory=dict)
    fresh: bool = False
    began: float = 0.0
    seconds: float = 0.0
    job: StartedRun | None = None

    @property
    def log(self) -> Path:
        """Where its words go."""
        return self.folder.with_name(f"{self.folder.name}.log")

    @property
    def last_line(self) -> str:
        """The last thing it said."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, self.log.stat().st_size - TAIL))
                lines = file.read().decode(errors="replace").split("\n")
        except OSError:
            return ""
        return next((printable(line.strip()) for line in reversed(lines) if line.strip()), "")


@dataclass
class StudyRuns:
    """All runs of a study so far, and what its claims have come to.

    Attributes:
        jobs: that run at a time.
    """

    study: Study
    folder: Path
    jobs: int
    runs: list[Run] = field(default_factory=list)

    def __repr__(self) -> str:
        claims = f"{len(self.study.recipes)} arms, {len(self.study.claims)} claims: see verdicts"
        return in_short("StudyRuns", str(self.folder), f"{len(self.runs)} runs", claims)

    @property
    def figures(self) -> Figures:
        """Every figure of every run that is done."""
        done = [run for run in self.runs if run.figures]
        return {arm: {run.seed: run.figures for run in done if run.arm == arm} for arm in self.study.recipes}

    @property
    def verdicts(self) -> list[Verdict]:
        """On every claim, by the seeds that are done."""
        return judge_claims(self.study.claims, self.figures, self.study.config.error)

    @property
    def left(self) -> float | None:
        """Seconds until all runs that are known of are done, if they take as long as those before; None if unknown."""
        took = [run.seconds for run in self.runs if run.fresh and run.state is State.DONE]
        waiting = [run for run in self.runs if run.state in (State.WAITING, State.RUNNING)]
        if not took or not waiting:
            return None
        each, now = sum(took) / len(took), time.monotonic()
        spent = sum(min(each, now - run.began) for run in waiting if run.state is State.RUNNING)
        return (each * len(waiting) - spent) / min(self.jobs, len(waiting))


def run_study(
    study: Study,
    folder: Path,
    root: Path | None,
    jobs: int,
    place: Place,
    watch: Callable[[StudyRuns], None] = lambda progress: None,
) -> StudyRuns:
    """Make the runs that are wanted: the seeds asked for, then one more of each arm while its claims are undecided.

    Args:
        folder: holds a folder by arm, and in it one by seed.
        root: where to look for data.
        place: where runs are made.
        watch: called when a run starts or ends, and several times a second.

    Raises:
        ConfigError: another process makes a study in the folder.
        OutputError: the folder cannot be written.
    """
    progress = StudyRuns(study, folder, jobs)
    with held(folder):
        for arm, recipe in study.recipes.items():
            write_text(make_folder(folder / arm) / "recipe.yaml", to_yaml(recipe))
        while batch := list(_wanted(progress)):
            progress.runs += batch
            _make(progress, batch, root, place, watch)
    return progress


def _wanted(progress: StudyRuns) -> Iterator[Run]:
    """The runs to make next; none at the end."""
    study, have = progress.study, max((run.seed + 1 for run in progress.runs), default=0)
    seeds = range(study.config.seeds) if not have else range(have, min(have + 1, study.config.most))
    for arm in (
        study.recipes if not have else _open_arms(progress.verdicts)
    ):  # seeds of an arm share no stage: side by side
        for seed in seeds:
            run = Run(arm, seed, progress.folder / arm / f"seed-{seed}")
            run.figures = _figures_in(run.folder, study.config.samples, study.config.waterfall)
            run.state = State.DONE if run.figures else State.WAITING
            yield run


def _open_arms(verdicts: Sequence[Verdict]) -> list[str]:
    """The arms that claims speak of which are not decided yet."""
    links = (link for one in verdicts if one.word is Word.UNDECIDED for link in one.claim.links)
    return list(dict.fromkeys(term.arm for link in links for term in (link.smaller, link.larger) if term.arm))


def _make(
    progress: StudyRuns, batch: Sequence[Run], root: Path | None, place: Place, watch: Callable[[StudyRuns], None]
) -> None:
    waiting = [run for run in batch if run.state is State.WAITING]
    running: list[Run] = []
    try:
        while waiting or running:
            while waiting and len(running) < progress.jobs:
                running.append(waiting.pop(0))
                _start(running[-1], progress, root, place)
            watch(progress)
            time.sleep(LOOK)
            for run in running:
                _look(run)
            running = [run for run in running if run.state is State.RUNNING]
    finally:
        left = [run.job for run in running if run.job is not None]  # where this is interrupted: they save
        for job in left:
            job.stop()
        for job in left:
            job.wait()
    watch(progress)


def _start(run: Run, progress: StudyRuns, root: Path | None, place: Place) -> None:
    """Have a run made, by paths that mean the same from any folder; where there is no room for it, end the study."""
    make_folder(run.folder.parent)
    folder, config = run.folder.absolute(), progress.study.config
    arguments = ["train", str(folder.with_name("recipe.yaml")), f"seed={run.seed}", "--resume"]
    arguments += ["--out", str(folder), "--samples", str(config.samples)]
    arguments += ["--data", str(root.absolute())] if root else []
    arguments += ["--waterfall"] if config.waterfall else []
    (run.folder / SCORE).unlink(missing_ok=True)
    run.job = place.start(arguments, run.log.absolute())
    run.state, run.fresh, run.began = State.RUNNING, True, time.monotonic()


def _look(run: Run) -> None:
    """Note it where a run has ended."""
    assert run.job is not None
    status = run.job.status()
    if status is None:
        return
    run.seconds = time.monotonic() - run.began
    run.figures = _figures_in(run.folder) if status == 0 else {}
    run.state = State.DONE if run.figures else State.FAILED


def _figures_in(folder: Path, samples: int = 0, waterfall: bool = False) -> dict[str, float]:
    """The figures of a run that came to its end; none where it did not, or was judged by less than is asked for."""
    card = finished(folder)
    if card is None or card.samples < samples or (waterfall and card.waterfall is None):
        return {}
    return {name: one.value for name, one in card.scores.items()}
