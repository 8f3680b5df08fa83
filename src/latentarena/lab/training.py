"""Training a recipe from Python, as `arena train` does."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext
from os import PathLike
from typing import Any

from latentarena.bundle import OWN, open_bundle
from latentarena.errors import ConfigError
from latentarena.files import named_path
from latentarena.lab.keywords import in_keywords
from latentarena.lab.models import Model
from latentarena.parts import load_parts
from latentarena.run.judging import BUNDLE
from latentarena.run.pipeline import prepare, run
from latentarena.run.watching import quietly, show_judging, show_training
from latentarena.system import stopping_as_ctrl_c
from latentarena.text import shown
from latentarena.train.fabric import make_fabric
from latentarena.train.recipe import Recipe

OPTIONS = {"out": "folder=", "plugin": "parts=[...]"}  # of the command, which keys of the recipe would be taken for


@in_keywords()
def train(
    recipe: str | PathLike[str] | Recipe,
    *,
    folder: str | PathLike[str] | None = None,
    root: str | PathLike[str] | None = None,
    resume: bool = False,
    budget: float = 1.0,
    judged: bool = True,
    samples: int = 10_000,
    accelerator: str = "auto",
    progress: bool = True,
    parts: Iterable[str | PathLike[str]] = (),
    **overrides: Any,
) -> Model:
    """Train a recipe, judge the model, and write bundle, score card, picture and report.

    `la.train("quickstart", seed=1, generator={"path": "vp_cosine"})`, or with dotted keys:
    `la.train("quickstart", **{"training.generator.lr": 1e-3})`.

    Args:
        recipe: a shipped recipe's name, a YAML file, or a `Recipe`.
        folder: for everything; `runs/NAME` unless given.
        root: where the dataset's files are looked for.
        resume: go on with the run in `folder`, if there is one.
        budget: factor on the epochs.
        judged: whether the model is judged afterwards, on so many `samples`.
        accelerator: `auto`, `cpu`, `cuda`, `mps`.
        progress: whether it is shown.
        parts: Python files of parts of your own, besides those that the recipe names, which are run.
        overrides: of the recipe's keys.

    Raises:
        ArenaError: one line that names what is wrong, before anything is trained where that can be told.
        Interrupted: Ctrl-C; the state was saved, and `resume=True` goes on.
    """
    for option, keyword in OPTIONS.items():
        if option in overrides:
            said = f"{option} = {shown(overrides[option])}"
            raise ConfigError(f"{said}: what the command calls {option} is {keyword} here")
    load_parts(parts)
    source = recipe if isinstance(recipe, Recipe) else str(recipe)
    home, place = named_path(folder), named_path(root, "root")
    prepared = prepare(source, overrides, home, place, resume, budget)
    fabric = make_fabric(accelerator)
    fabric.launch()
    with stopping_as_ctrl_c(), show_judging() if progress else nullcontext():
        done = run(prepared, fabric, show_training if progress else quietly, samples if judged else None)
    assert done is not None  # a single process is the first
    where, card = done
    return Model(open_bundle(where / BUNDLE, trust=OWN), card)
