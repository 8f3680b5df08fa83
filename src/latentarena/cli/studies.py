"""`arena study`: arms over seeds, until each claim about them is decided."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from latentarena.cli.options import HELP, DataOption, by_default

if TYPE_CHECKING:
    from rich.table import Table

    from latentarena.study.plan import Study
    from latentarena.study.runs import StudyRuns

BETWEEN = re.compile(r",(?![^\[{]*[\]}])")  # a comma that is in no list or mapping
app = typer.Typer()
study_app = typer.Typer(cls=by_default("run"), context_settings=HELP, rich_markup_mode=None)
app.add_typer(study_app, name="study", help="Train arms over seeds (arena study STUDY), or compare two studies.")


@study_app.command("run")
def study(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[STUDY | RECIPE...]",
            help="A shipped study or its YAML file, or recipes that are compared; without one the studies are listed.",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for everything; runs/STUDY unless given.")] = None,
    data: DataOption = None,
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="What is changed in every arm's recipe.")
    ] = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE,VALUE...", help="Makes of every arm one for each value of the key."),
    ] = None,
    match: Annotated[
        str | None,
        typer.Option(
            help="Makes all arms like the first: parameters (by width), macs (multiply-adds of training) or steps (by "
            "epochs)."
        ),
    ] = None,
    asks: Annotated[
        list[str] | None, typer.Option("--asks", metavar="KEY", help="Key that the arms are meant to differ in.")
    ] = None,
    claims: Annotated[
        list[str] | None,
        typer.Option("--claim", help="Such as 'frechet[A] < 0.9 * frechet[B]', for arms A and B."),
    ] = None,
    seeds: Annotated[int | None, typer.Option(min=2, max=1000, help="Trainings of each arm.")] = None,
    most: Annotated[
        int | None, typer.Option(min=2, max=1000, help="Trainings of each arm while a claim is undecided.")
    ] = None,
    waterfall: Annotated[
        bool, typer.Option("--waterfall", help="Also split every Frechet distance into the parts of the model.")
    ] = False,
    jobs: Annotated[int, typer.Option(min=1, max=256, help="Runs at a time; they share the cores evenly.")] = 1,
    on: Annotated[
        str | None,
        typer.Option(
            help="A cluster that makes the runs: ray, ray://HOST:PORT, slurm or slurm://PARTITION?time=MINUTES."
        ),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, max=256, help="Cores of each run; on a cluster one unless given.")
    ] = None,
    budget: Annotated[float, typer.Option(help="Factor on the epochs of every run.")] = 1.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be trained, and train nothing.")] = False,
) -> None:
    """Train arms over seeds until each claim about them is decided; runs that are done are not made again."""
    from latentarena.cli.console import console, quiet_logs
    from latentarena.study.place import place_of
    from latentarena.study.plan import STUDIES, study_from
    from latentarena.study.runs import run_study

    if not sources:
        typer.echo("\n".join(STUDIES.lines()))
        return
    quiet_logs()
    given = {
        "set": _assigned(changes, "--set"),
        "vary": {key: BETWEEN.split(text) for key, text in _assigned(vary, "--vary").items()},
        "match": match,
        "asks": asks,
        "claims": claims,
        "seeds": seeds,
        "most": most or seeds,
        "waterfall": waterfall,
    }
    given = {key: value for key, value in given.items() if value}
    found = study_from(sources, budget, data, **given)
    _announce(found, data)
    if dry_run:
        return
    from latentarena.study.page import FILES, write_study

    folder = out or Path("runs") / found.name
    with place_of(on, folder, jobs, threads) as place, _Display() as display:
        progress = run_study(found, folder, data, jobs, place, display.show)
    words = [*sources, *_options(given), *(["--budget", f"{budget:g}"] if budget != 1 else [])]
    write_study(progress, f"arena study {shlex.join(words)}")
    for one in progress.verdicts:
        console.print(f"{one.word:>9}  {one.claim.text}", highlight=False)
        for effect in one.effects:
            console.print(f"           {effect.words}", highlight=False)
    console.print(f"{', '.join(FILES)} in {folder}", highlight=False)
    failed = [run for run in progress.runs if run.state == "failed"]
    for run in failed:
        console.print(f"{run.arm}, seed {run.seed}, failed: {run.last_line} (all of it: {run.log})")
    if failed:
        raise typer.Exit(1)


@study_app.command("compare")
def compare(
    first: Annotated[Path, typer.Argument(metavar="A", help="A finished study's folder, or its study.json.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Another one.")],
    out: Annotated[Path | None, typer.Option(help="Also write it as Markdown, .md.")] = None,
) -> None:
    """Compare two finished studies: arms of one name, figure by figure, and the claims that both decided."""
    from latentarena.files import write_text
    from latentarena.pictures import refuse_suffix
    from latentarena.study.compare import comparison, read_found

    if out is not None:
        refuse_suffix(out, ".md")
    said = comparison(read_found(first), read_found(second))
    typer.echo(said, nl=False)
    if out is not None:
        write_text(out, said)


def _assigned(texts: list[str] | None, option: str) -> dict[str, str]:
    """Keys and what stands after their `=`."""
    from latentarena.errors import ConfigError

    pairs = [text.partition("=") for text in texts or []]
    for key, sign, value in pairs:
        if not (key and sign and value):
            raise ConfigError(f"{option} {key + sign + value!r}: write KEY=VALUE, such as training.generator.epochs=40")
    return {key: value for key, _, value in pairs}


def _options(given: dict[str, Any]) -> Iterator[str]:
    """The options that stand for these values, so that a page can say how it was made."""
    for key, value in given.items():
        if value is True:
            yield f"--{key}"
        elif isinstance(value, dict):
            for name, one in value.items():
                yield from (f"--{key}", f"{name}={','.join(one) if isinstance(one, list) else one}")
        else:
            option = "--claim" if key == "claims" else f"--{key}"
            for one in value if isinstance(value, list) else [value]:
                yield from (option, str(one))


def _announce(study: Study, root: Path | None) -> None:
    """What is compared, and whether that is controlled."""
    from latentarena.cli.console import console
    from latentarena.study.cost import cost_of

    config = study.config
    console.print(f"{config.title}: {len(study.recipes)} arms, {config.seeds} to {config.most} seeds", highlight=False)
    for key, values in study.factors.items():
        line = "; ".join(f"{arm} {value}" for arm, value in values.items())
        console.print(f"  {key}: {line}", highlight=False)
    for claim in study.claims:
        unasked = study.unasked(claim)
        beside = f"   NOT CONTROLLED: its arms differ also in {', '.join(unasked)}" if unasked else ""
        console.print(f"  claim: {claim.text}{beside}", style="yellow" if beside else None, highlight=False)
    cost = cost_of(study, root)
    if cost is not None:
        runs = len(study.recipes) * config.seeds
        console.print(
            f"{runs} runs, about {cost.seconds / 60:.0f} minutes on two cores, one after the other, and "
            f"{cost.bytes / 1e6:,.0f} MB of disk",
            highlight=False,
        )


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
