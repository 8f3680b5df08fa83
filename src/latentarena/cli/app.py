"""The commands of `arena`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from latentarena.cli import bundles, contests, data, judging, searches, studies, teams, use
from latentarena.cli.options import (
    HELP,
    LONGEST,
    AcceleratorOption,
    DataOption,
    PluginOption,
    PrecisionOption,
    SamplesOption,
    WaterfallOption,
    WholeGroup,
)
from latentarena.documents import read_text
from latentarena.train.shelf import RECIPES, recipe_names, recipe_source

GROUPS = {
    "Train and use": "train recipes parts study search zoo sample show interpolate inpaint edit likelihood",
    "Judge": "judge verify check retrain",
    "Contest": "analyse pack export import-legacy submit status board serve worker certify team backup restore erase",
    "Tools": "data doctor",
}
"""The commands by what they are for, in the order of `arena --help`; those that are not named here are tools."""


class _Grouped(TyperGroup):
    """Lists the commands in groups, each with a sentence that is not cut off."""

    def format_commands(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]
        grouped = {name for names in GROUPS.values() for name in names.split()}
        rest = [name for name in self.list_commands(ctx) if name not in grouped]
        for title, names in GROUPS.items():
            shown = names.split() + (rest if title == "Tools" else [])
            found = [(name, self.get_command(ctx, name)) for name in shown]
            with formatter.section(title):
                formatter.write_dl([(name, one.get_short_help_str(LONGEST)) for name, one in found if one is not None])


app = typer.Typer(
    name="arena",
    cls=_Grouped,
    no_args_is_help=True,
    context_settings=HELP,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="A laboratory and an arena for small latent generative models. Add --debug to any command for tracebacks.",
)
recipes_app = typer.Typer(cls=WholeGroup, invoke_without_command=True, context_settings=HELP, rich_markup_mode=None)
app.add_typer(recipes_app, name="recipes", help="List the recipes, or show one.")
for part in (studies, searches, use, judging, bundles, contests, teams, data):
    app.add_typer(part.app)


def _complete_recipe(incomplete: str) -> list[str]:
    return [name for name in recipe_names() if name.startswith(incomplete)]


@app.command()
def train(
    recipe: Annotated[
        str,
        typer.Argument(
            metavar="RECIPE",
            help=f"A YAML file, or one of {', '.join(recipe_names())}; `arena recipes` says what they are.",
            autocompletion=_complete_recipe,
        ),
    ],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Overrides, such as seed=1.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for everything; runs/RECIPE unless given.")] = None,
    data: DataOption = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out, if there is one.")] = False,
    budget: Annotated[float, typer.Option(help="Factor on the epochs: 0.1 for a quick look, 3 for patience.")] = 1.0,
    accelerator: AcceleratorOption = "auto",
    devices: Annotated[str, typer.Option(help="How many devices (on the CPU: processes).")] = "1",
    nodes: Annotated[int, typer.Option(help="Machines taking part.")] = 1,
    precision: PrecisionOption = "32-true",
    strategy: Annotated[str, typer.Option(help="auto, ddp, fsdp: the last divides the weights.")] = "auto",
    judged: Annotated[bool, typer.Option("--judge/--no-judge", help="Whether the model is judged afterwards.")] = True,
    samples: SamplesOption = 10_000,
    waterfall: WaterfallOption = False,
    seeds: Annotated[
        int,
        typer.Option(
            min=1, max=100, help="Trainings that differ by their seed; the card then has intervals over them too."
        ),
    ] = 1,
    plugin: PluginOption = None,
) -> None:
    """Train a recipe, judge it, and write bundle, score card, picture and report."""
    from latentarena.cli.console import console, print_results, quiet_logs
    from latentarena.run.pipeline import prepare, prepare_seeds, run_seeds
    from latentarena.run.watching import show_judging, show_training
    from latentarena.text import printable
    from latentarena.train.fabric import make_fabric, processes

    if seeds > 1 and not judged:
        raise typer.BadParameter("--seeds compares what the judge finds of each training; leave --no-judge out")
    quiet_logs()
    fabric = make_fabric(accelerator, devices, nodes, precision, strategy)
    how = (recipe, overrides or [], out, data, resume, budget, processes(fabric, nodes))
    several = [prepare(*how)] if seeds == 1 else prepare_seeds(seeds, *how)
    prepared = several[0]
    fabric.launch()
    if fabric.is_global_zero:
        if prepared.notice:
            console.print(f"NOTE: {prepared.notice}.", style="bold yellow")
        console.print(
            f"recipe {prepared.recipe.name} on {prepared.data.name} ({len(prepared.data.train):,} train images)"
        )
        for line in prepared.data.about:
            console.print(f"  {printable(line)}", highlight=False)
        if seeds > 1:
            folders = ", ".join(one.folder.name for one in several)
            console.print(f"{seeds} trainings in {prepared.folder.parent}: {folders}", highlight=False)
    with show_judging():
        ran = run_seeds(several, fabric, show_training, samples if judged else None, waterfall)
    if ran is not None:
        folder, card = ran
        print_results(folder, prepared.folder, prepared.recipe, card)


@recipes_app.callback()
def recipes(ctx: typer.Context) -> None:
    """List the recipes with a line each."""
    if ctx.invoked_subcommand is None:
        typer.echo("\n".join(RECIPES.lines()))


@recipes_app.command("show")
def recipes_show(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", autocompletion=_complete_recipe)],
    overrides: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...")] = None,
    short: Annotated[bool, typer.Option("--short", help="The file as written, without defaults.")] = False,
    plugin: PluginOption = None,
) -> None:
    """Show a recipe in full: defaults and overrides included, ready to be saved and changed."""
    source = recipe_source(recipe)
    if short:
        typer.echo(read_text(source), nl=False)
        return
    from latentarena.train.recipe import load_recipe, to_yaml

    typer.echo(to_yaml(load_recipe(recipe, overrides or [])), nl=False)


@app.command("parts")
def list_parts(plugin: PluginOption = None) -> None:
    """List what recipes may name, by kind, and where parts of your own come from."""
    from latentarena.text import printable
    from latentarena.train.recipe import kinds_of_parts

    kinds = kinds_of_parts()
    width = max(map(len, kinds))
    for kind, known in kinds.items():
        shipped = ", ".join(name for name in known if name not in known.foreign)
        typer.echo(f"{kind:{width}}  {shipped or 'your own; those of the score card are always measured'}")
        for name, origin in known.foreign.items():
            typer.echo(f"{'':{width}}  {name}: of {printable(origin.place or origin.name)}, {origin.digest[:12]}")


@app.command()
def doctor(
    data: DataOption = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Also try to escape from the sandbox, and judge the judges on their data.")
    ] = False,
) -> None:
    """Versions, device, data found, and the judge's self-test."""
    from latentarena.cli.console import console
    from latentarena.cli.doctor import examine

    healthy = True
    for line in examine(data, deep):
        console.print(f"{line.name:>10}  {line.text}", style=None if line.good else "bold red", highlight=False)
        healthy &= line.good
    if not healthy:
        raise typer.Exit(1)


def version(value: bool) -> None:
    """Print the version and leave."""
    if value:
        from latentarena import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=version, is_eager=True, help="Print the version.")
    ] = False,
) -> Any:
    """The options of `arena` itself."""
