"""What a search has found: its trials, the best one's recipe, and the files that say so."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from latentarena.data import Dataset
from latentarena.facts import machine, source_digest, versions
from latentarena.files import write_json, write_text
from latentarena.search.plan import Space
from latentarena.text import in_short
from latentarena.train.recipe import Recipe, to_yaml

RESULT, BEST, PAGE = "search.json", "best.yaml", "search.md"
FILES = (BEST, PAGE, RESULT)


class Ended(StrEnum):
    """How a trial ended."""

    DONE = "done"
    PRUNED = "pruned"
    FAILED = "failed"


@dataclass(frozen=True)
class Trial:
    """One point of the space and what became of it.

    Attributes:
        values: by key.
        score: of its full training; None where there was none.
        early: score of its short training.
        macs: multiply-adds of its trainings; seconds: that they took.
        reason: why it failed.
    """

    number: int
    values: Mapping[str, Any]
    state: Ended
    score: float | None
    early: float | None
    seconds: float
    macs: float
    reason: str = ""


@dataclass
class Search:
    """A search so far.

    Attributes:
        trials: that have ended, in their order.
    """

    space: Space
    seed: int
    data: Dataset
    folder: Path
    trials: list[Trial] = field(default_factory=list)

    def __repr__(self) -> str:
        best = "" if self.best is None else f"the best, number {self.best.number}, at {self.best.score:.4g}"
        return in_short("Search", str(self.folder), f"{len(self.trials)} trials on {self.data.name}", best)

    @property
    def best(self) -> Trial | None:
        """The trial of the lowest score; the first of several."""
        scored = [one for one in self.trials if one.score is not None]
        return min(scored, key=lambda one: (one.score, one.number), default=None)

    @property
    def recipe(self) -> Recipe | None:
        """What the best trial was trained by."""
        if self.best is None:
            return None
        about = f"trial {self.best.number} of a search of {self.space.name}"
        named = {"name": f"{self.space.name[:70]}-best", "about": about}
        return self.space.trial(self.best.values).model_copy(update=named)


def write_results(search: Search, optuna: str) -> None:
    """Bring the results in the folder up to date."""
    recipe, space = search.recipe, search.space
    if recipe is not None:
        write_text(search.folder / BEST, to_yaml(recipe))
    write_text(search.folder / PAGE, markdown(search))
    result = {
        "space": space.name,
        "config": space.config.model_dump(mode="json"),
        "recipe": space.recipe.model_dump(mode="json"),
        "seed": search.seed,
        "data": {"name": search.data.name, "digest": search.data.digest},
        "best": search.best and search.best.number,
        "trials": [vars(one) for one in search.trials],
        "machine": machine(),
        "versions": versions() | {"optuna": optuna},
        "code": source_digest(),
    }
    write_json(search.folder / RESULT, result)


def markdown(search: Search) -> str:
    """The trials as a page, best first."""
    config, best = search.space.config, search.best
    keys = list(config.ranges)
    found = f"trial {best.number}: {config.minimise} {best.score:.4g}" if best is not None else "none yet"
    lines = [f"# {config.title or search.space.name}", "", f"Made on {machine()}, seed {search.seed}.", ""]
    lines += [f"Best of {len(search.trials)} trials on the validation split: {found}.", ""]
    head = ["trial", *(f"`{key}`" for key in keys), config.minimise, "early", "state", "seconds", "multiply-adds"]
    lines += [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head))]
    for one in sorted(search.trials, key=lambda one: (one.score is None, one.score or 0.0, one.number)):
        scores = ("–" if score is None else f"{score:.4g}" for score in (one.score, one.early))
        cells = [str(one.number), *(value_text(one.values[key]) for key in keys), *scores]
        cells += [f"{one.state}{': ' * bool(one.reason)}{one.reason}", f"{one.seconds:.0f}", f"{one.macs:.3g}"]
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def line_of(search: Search, trial: Trial) -> str:
    """What became of a trial, in a line."""
    values = ", ".join(f"{key}={value_text(value)}" for key, value in trial.values.items())
    said = {
        Ended.DONE: f"{search.space.config.minimise} {trial.score or 0:.4g}",
        Ended.PRUNED: f"pruned, {trial.early or 0:.4g} after the short training",
        Ended.FAILED: f"failed: {trial.reason}",
    }
    best = "" if search.best is None else f"; best: trial {search.best.number}, {search.best.score:.4g}"
    return f"trial {trial.number} in {trial.seconds:.0f} s: {said[trial.state]} ({values}){best}"


def value_text(value: Any) -> str:
    """A value in few letters."""
    return f"{value:.4g}" if isinstance(value, float) else value if isinstance(value, str) else json.dumps(value)
