"""`arena search`: ranges of a recipe's keys, tuned on a part of the train split."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from latentarena.cli.options import AcceleratorOption, DataOption

if TYPE_CHECKING:
    from latentarena.search.trials import Search, Trial

USUAL = 20  # trials where no budget is named
app = typer.Typer()


@app.command()
def search(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="[SPACE]",
            help="A shipped space or its YAML file; without one the spaces are listed.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for everything; runs/search-SPACE unless given.")] = None,
    data: DataOption = None,
    trials: Annotated[
        int | None, typer.Option(min=1, max=100_000, help=f"Trials in all; {USUAL} unless a budget is named.")
    ] = None,
    minutes: Annotated[float | None, typer.Option(min=0, help="Minutes of making trials, in all.")] = None,
    macs: Annotated[float | None, typer.Option(min=0, help="Multiply-adds of training, in all, such as 1e12.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of what is proposed.")] = 0,
    accelerator: AcceleratorOption = "auto",
) -> None:
    """Tune ranges of a recipe's keys by short trainings; the same command with a larger budget goes on."""
    from latentarena.cli.console import console, quiet_logs
    from latentarena.data import load_dataset
    from latentarena.run.watching import quietly, show_training
    from latentarena.search.plan import SPACES, load_space
    from latentarena.search.trials import FILES, Budget, run_search
    from latentarena.train.fabric import make_fabric

    if source is None:
        width = max(map(len, SPACES.names()))
        for name in SPACES.names():
            typer.echo(f"{name:{width}}  {SPACES.about(name)}")
        return
    quiet_logs()
    space = load_space(source)
    folder = out or Path("runs") / f"search-{space.name}"
    budget = Budget(USUAL if trials is minutes is macs is None else trials, minutes, macs)
    fabric = make_fabric(accelerator)
    watch = show_training if console.is_terminal else quietly
    made = run_search(space, load_dataset(space.recipe.data, data), folder, fabric, budget, seed, _tell, watch)
    if made.best is None:
        console.print(f"{len(made.trials)} trials, none of which came to a score; see {folder / FILES[1]}")
        raise typer.Exit(1)
    console.print(f"{', '.join(FILES)} in {folder}", highlight=False)
    console.print(f"next: arena train {folder / FILES[0]}", highlight=False)


def _tell(search: Search, trial: Trial) -> None:
    """A line about a trial that has ended."""
    from latentarena.cli.console import console
    from latentarena.search.trials import value_text

    values = ", ".join(f"{key}={value_text(value)}" for key, value in trial.values.items())
    figure = search.space.config.minimise
    early = "" if trial.early is None else f" after the short training {trial.early:.4g}"
    said = {
        "done": f"{figure} {trial.score or 0:.4g}",
        "pruned": f"pruned,{early}",
        "failed": f"failed: {trial.reason}",
    }
    best = "" if search.best is None else f"  best: trial {search.best.number}, {search.best.score:.4g}"
    console.print(
        f"trial {trial.number} in {trial.seconds:.0f} s: {said[trial.state]}  ({values}){best}", highlight=False
    )
