"""`arena study`: arms over seeds, until each claim about them is decided."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from latentarena.cli.options import DataOption

if TYPE_CHECKING:
    from rich.table import Table

    from latentarena.study.plan import Study
    from latentarena.study.runs import StudyRuns

app = typer.Typer()


@app.command("study")
def study(
    source: Annotated[
        str | None,
        typer.Argument(metavar="[STUDY]", help="A shipped study or a YAML file; without one they are listed."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for everything; runs/STUDY unless given.")] = None,
    data: DataOption = None,
    jobs: Annotated[int, typer.Option(min=1, max=256, help="Runs at a time; they share the cores evenly.")] = 1,
    budget: Annotated[float, typer.Option(help="Factor on the epochs of every run.")] = 1.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be trained, and train nothing.")] = False,
) -> None:
    """Train arms over seeds until each claim about them is decided; runs that are done are not made again."""
    from latentarena.cli.console import console, quiet_logs
    from latentarena.study.plan import STUDIES, load_study
    from latentarena.study.runs import run_study
    from latentarena.system import stopping_as_ctrl_c

    if source is None:
        for name in STUDIES.names():
            typer.echo(f"{name}  {STUDIES.about(name)}")
        return
    quiet_logs()
    found = load_study(source, budget)
    _announce(found)
    if dry_run:
        return
    from latentarena.study.page import FILES, write_study

    folder = out or Path("runs") / found.name
    with stopping_as_ctrl_c(), _Display() as display:
        progress = run_study(found, folder, data, jobs, display.show)
    options = (f" --budget {budget:g}" if budget != 1 else "") + (f" --jobs {jobs}" if jobs != 1 else "")
    write_study(progress, f"arena study {source}{options}")
    for one in progress.verdicts:
        console.print(f"{one.word:>9}  {one.claim.text}", highlight=False, markup=False)
        for effect in one.effects:
            console.print(f"           {effect.words}", highlight=False, markup=False)
    console.print(f"{', '.join(FILES)} in {folder}", highlight=False)
    failed = [run for run in progress.runs if run.state == "failed"]
    for run in failed:
        console.print(f"{run.arm}, seed {run.seed}, failed: {run.last_line} (all of it: {run.log})", markup=False)
    if failed:
        raise typer.Exit(1)


def _announce(study: Study) -> None:
    """What is compared, and whether that is controlled."""
    from latentarena.cli.console import console

    config = study.config
    console.print(f"{config.title}: {len(study.recipes)} arms, {config.seeds} to {config.most} seeds", highlight=False)
    for key, values in study.factors.items():
        line = "; ".join(f"{arm} {value}" for arm, value in values.items())
        console.print(f"  {key}: {line}", highlight=False, markup=False)
    for claim in study.claims:
        unasked = study.unasked(claim)
        beside = f"   NOT CONTROLLED: its arms differ also in {', '.join(unasked)}" if unasked else ""
        console.print(
            f"  claim: {claim.text}{beside}", style="yellow" if beside else None, highlight=False, markup=False
        )
    minutes = [
        recipe.expected["minutes"][0] * recipe.length
        for recipe in study.recipes.values()
        if "minutes" in recipe.expected
    ]
    if len(minutes) == len(study.recipes):
        console.print(f"about {sum(minutes) * config.seeds:.0f} minutes, one run after the other", highlight=False)


class _Display:
    """A table of what is running, or a line at each start and end where there is no terminal."""

    def __init__(self) -> None:
        from rich.live import Live

        from latentarena.cli.console import console

        self._console, self._told = console, dict[Path, str]()
        self._live = Live(console=console, refresh_per_second=2) if console.is_terminal else None

    def __enter__(self) -> _Display:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def show(self, progress: StudyRuns) -> None:
        """Bring what is shown up to date."""
        if self._live:
            self._live.update(_table(progress))
            return
        for run in progress.runs:
            if self._told.get(run.folder) != run.state and run.state != "waiting":
                took = f" in {run.seconds:.0f} s" if run.seconds else ""
                self._console.print(f"{run.arm}, seed {run.seed}: {run.state}{took}", highlight=False)
                self._told[run.folder] = run.state


def _table(progress: StudyRuns) -> Table:
    from collections import Counter

    from rich.table import Table

    counts = Counter(run.state for run in progress.runs)
    left = f", about {progress.left / 60:.0f} min left" if progress.left is not None else ""
    words = ", ".join(f"{many} {state}" for state, many in counts.items())
    table = Table(title=f"{words}{left}", box=None, show_header=False, title_justify="left")
    for run in progress.runs:
        if run.state == "running":
            table.add_row(f"{run.arm}, seed {run.seed}", run.last_line)
    for one in progress.verdicts:
        table.add_row(str(one.word), one.claim.text)
    return table
