"""Studies from Python, as `arena study` makes them."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from latentarena.files import named_path
from latentarena.study.page import write_study
from latentarena.study.place import place_of
from latentarena.study.plan import study_from
from latentarena.study.runs import StudyRuns, run_study
from latentarena.system import stopping_as_ctrl_c


def study(
    source: str | Sequence[str],
    *,
    folder: str | PathLike[str] | None = None,
    root: str | PathLike[str] | None = None,
    jobs: int = 1,
    on: str | None = None,
    threads: int | None = None,
    budget: float = 1.0,
    **config: Any,
) -> StudyRuns:
    """Train arms over seeds until each claim about them is decided, and write the study's pages.

    `la.study("sizes", budget=0.1)`, or of recipes: `la.study(["fm-small", "fm-large"], seeds=5)`, or of one key:
    `la.study("quickstart", vary={"training.generator.lr": [0.001, 0.003]})`.

    Args:
        source: a study's name or YAML file, or one recipe or more, by name or file.
        folder: for everything; `runs/STUDY` unless given. Runs that are done there are not made again.
        root: where the datasets' files are looked for.
        jobs: runs at a time, each in a process of its own.
        on: a cluster that makes the runs: `ray`, `ray://HOST:PORT`, `slurm` or `slurm://PARTITION?time=MINUTES`.
        threads: cores of each run; an even share of the machine's unless given, and one on a cluster.
        budget: factor on the epochs of every run.
        config: such as `seeds`, `most`, `claims`, `asks`, `set`, `vary`, `match`, in place of the study's own.

    Returns:
        All runs with their score cards, `figures` by arm, seed and name, and `verdicts` on the claims.

    Raises:
        ArenaError: one line that names what is wrong, before anything is trained where that can be told.
        KeyboardInterrupt: Ctrl-C; the runs saved, and the same call goes on.
    """
    sources = [source] if isinstance(source, str) else list(source)
    data = named_path(root, "root")
    found = study_from(sources, budget, data, **config)
    home = named_path(folder) or Path("runs") / found.name
    with stopping_as_ctrl_c(), place_of(on, home, jobs, threads) as place:
        progress = run_study(found, home, data, jobs, place)
    given = {"budget": budget, **config} if budget != 1 else config
    options = "".join(f", {key}={value!r}" for key, value in given.items())
    write_study(progress, f"la.study({source!r}{options})")
    return progress
