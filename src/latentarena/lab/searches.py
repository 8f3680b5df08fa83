"""Searches from Python, as `arena search` makes them."""

from __future__ import annotations

from os import PathLike

from latentarena.data import load_dataset
from latentarena.files import named_path
from latentarena.run.watching import console
from latentarena.search.plan import load_space
from latentarena.search.record import Search, Trial, line_of
from latentarena.search.trials import Budget, run_search
from latentarena.system import stopping_as_ctrl_c
from latentarena.train.fabric import make_fabric


def search(
    source: str | PathLike[str],
    *,
    folder: str | PathLike[str] | None = None,
    root: str | PathLike[str] | None = None,
    trials: int | None = None,
    minutes: float | None = None,
    macs: float | None = None,
    seed: int = 0,
    accelerator: str = "auto",
    progress: bool = True,
) -> Search:
    """Tune ranges of a recipe's keys on a validation split held out of the train split.

    `la.search("digits-generator", trials=40)`; then `la.train(found.recipe)`.

    Args:
        source: a space's name or YAML file.
        folder: for everything; `runs/search-SPACE` unless given. Trials that have ended there are not made again.
        root: where the dataset's files are looked for.
        trials, minutes, macs: budget in trials, minutes or multiply-adds of training, over all calls; 20 trials unless
            one is given.
        seed: of what is proposed.
        accelerator: `auto`, `cpu`, `cuda`, `mps`.
        progress: whether a line is shown for each trial.

    Returns:
        All `trials`, the `best` one and its `recipe`.

    Raises:
        ArenaError: one line that names what is wrong, before anything is trained where that can be told.
        KeyboardInterrupt, Interrupted: Ctrl-C; the same call goes on.
    """
    space = load_space(str(source))
    data = load_dataset(space.recipe.data, named_path(root, "root"))
    home = named_path(folder) or space.home
    fabric = make_fabric(accelerator)
    fabric.launch()

    def tell(so_far: Search, trial: Trial) -> None:
        if progress:
            console.print(line_of(so_far, trial), highlight=False)

    with stopping_as_ctrl_c():
        return run_search(space, data, home, fabric, Budget(trials, minutes, macs), seed, tell)
