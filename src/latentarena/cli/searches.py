"""`arena search`: ranges of a recipe's keys, tuned on a part of the train split."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from latentarena.cli.options import AcceleratorOption, DataOption

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
        int | None, typer.Option(min=1, max=100_000, help="Trials in all; 20 unless a budget is named.")
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
    from latentarena.search.record import BEST, FILES, PAGE, Search, Trial, line_of
    from latentarena.search.trials import Budget, run_search
    from latentarena.train.fabric import make_fabric

    if source is None:
        typer.echo("\n".join(SPACES.lines()))
        return
    quiet_logs()
    space = load_space(source)
    folder = out or space.home
    budget = Budget(trials, minutes, macs)
    fabric = make_fabric(accelerator)
    fabric.launch()

    def tell(progress: Search, trial: Trial) -> None:
        console.print(line_of(progress, trial), highlight=False)

    watch = show_training if console.is_terminal else quietly
    made = run_search(space, load_dataset(space.recipe.data, data), folder, fabric, budget, seed, tell, watch)
    if made.best is None:
        console.print(f"{len(made.trials)} trials, none of which came to a score; see {folder / PAGE}")
        raise typer.Exit(1)
    console.print(f"{', '.join(FILES)} in {folder}", highlight=False)
    console.print(f"next: arena train {quote(str(folder / BEST))}", highlight=False)
