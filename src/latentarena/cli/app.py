"""The commands of `arena`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from latentarena.cli import bundles, contests, data
from latentarena.cli.data import CropOption, ResizeOption, SizeOption
from latentarena.config import read_text
from latentarena.train.shelf import recipe_about, recipe_names, recipe_source


class _ScoreByDefault(TyperGroup):
    """`arena judge BUNDLE` is `arena judge bundle BUNDLE`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("--help", "-h"):
            args = ["bundle", *args]
        return super().parse_args(ctx, args)


HELP = {"help_option_names": ["-h", "--help"]}
app = typer.Typer(
    name="arena",
    no_args_is_help=True,
    context_settings=HELP,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="A laboratory and an arena for small latent generative models. Add --debug to any command for tracebacks.",
)
judge_app = typer.Typer(cls=_ScoreByDefault, no_args_is_help=True, context_settings=HELP, rich_markup_mode=None)
recipes_app = typer.Typer(invoke_without_command=True, context_settings=HELP, rich_markup_mode=None)
app.add_typer(judge_app, name="judge", help="Score a bundle (arena judge BUNDLE), or train a judge.")
app.add_typer(recipes_app, name="recipes", help="List the recipes, or show one.")
app.add_typer(bundles.app)
app.add_typer(contests.app)
app.add_typer(data.app)


def _complete_recipe(incomplete: str) -> list[str]:
    return [name for name in recipe_names() if name.startswith(incomplete)]


DataOption = Annotated[
    Path | None,
    typer.Option("--data", help="Folder that holds the dataset's files.", envvar=None, show_default=False),
]
SamplesOption = Annotated[int, typer.Option(min=100, max=1_000_000, help="How many images the judge asks for.")]
BundleArgument = Annotated[
    Path, typer.Argument(metavar="BUNDLE", help="Folder or zip file of card.json and weights.safetensors.")
]
AnyBundleArgument = Annotated[
    Path,
    typer.Argument(metavar="BUNDLE", help="Folder or zip file of card.json and weights.safetensors, or of ONNX files."),
]


@app.command()
def train(
    recipe: Annotated[
        str,
        typer.Argument(
            metavar="RECIPE",
            help="A name from `arena recipes`, or a YAML file.",
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
    accelerator: Annotated[str, typer.Option(help="auto, cpu, cuda, mps.")] = "auto",
    devices: Annotated[str, typer.Option(help="How many devices (on the CPU: processes).")] = "1",
    nodes: Annotated[int, typer.Option(help="Machines taking part.")] = 1,
    precision: Annotated[str, typer.Option(help="32-true, bf16-mixed, 16-mixed.")] = "32-true",
    strategy: Annotated[str, typer.Option(help="auto, ddp, ...")] = "auto",
    judged: Annotated[bool, typer.Option("--judge/--no-judge", help="Whether the model is judged afterwards.")] = True,
    samples: SamplesOption = 10_000,
    seeds: Annotated[
        int,
        typer.Option(
            min=1, max=100, help="Trainings that differ by their seed; the card then has intervals over them too."
        ),
    ] = 1,
) -> None:
    """Train a recipe, judge it, and write bundle, score card, picture and report."""
    from latentarena.cli.console import console, print_results, quiet_logs, show_judging, show_training
    from latentarena.run.pipeline import prepare, prepare_seeds, run_seeds
    from latentarena.system import stopping_as_ctrl_c
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
            console.print(f"  {printable(line)}", markup=False, highlight=False)
        if seeds > 1:
            folders = ", ".join(one.folder.name for one in several)
            console.print(f"{seeds} trainings in {prepared.folder.parent}: {folders}", highlight=False)
    with stopping_as_ctrl_c(), show_judging():
        results = run_seeds(several, fabric, show_training, samples if judged else None)
    if results is not None:
        print_results(results)


@app.command()
def sample(
    bundle: AnyBundleArgument,
    n: Annotated[int, typer.Option("-n", "--number", min=1, max=10_000_000, help="How many images.")] = 64,
    steps: Annotated[
        int | None, typer.Option(min=1, max=10_000, help="Solver steps; the bundle's own unless given.")
    ] = None,
    solver: Annotated[
        str | None, typer.Option(help="Such as euler, heun, ddim; the bundle's own unless given.")
    ] = None,
    guidance: Annotated[float | None, typer.Option(help="For conditional models: scale; 1 is none.")] = None,
    grid: Annotated[str | None, typer.Option(help="How steps are spread over time, such as uniform or karras.")] = None,
    eta: Annotated[
        float | None, typer.Option(min=0, max=1, help="For ddim and sde: share of fresh noise in a step.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the noise.")] = 0,
    labels: Annotated[
        str | None, typer.Option(help="For conditional models: classes in turn, such as 3 or 0,1,2.")
    ] = None,
    out: Annotated[Path, typer.Option(help=".png grid, .gif of the trajectory, or .npz of arrays.")] = Path(
        "samples.png"
    ),
) -> None:
    """Draw images from a bundle."""
    from latentarena.bundle import OWN, open_bundle
    from latentarena.cli.console import console
    from latentarena.use.sampling import chosen_sampling, sample_to_file

    loaded = open_bundle(bundle, trust=OWN)
    sampling = chosen_sampling(loaded, solver, steps, guidance, grid, eta)
    shown = sample_to_file(loaded, out, n, seed, labels, sampling)
    console.print(f"{shown} -> {out}")


@app.command()
def export(
    bundle: BundleArgument,
    out: Annotated[Path, typer.Option(help="Folder for card.json and the three ONNX files.")] = Path("portable"),
) -> None:
    """Turn a native bundle into a portable one: encode, decode and generate as ONNX, with the whole sampler inside."""
    from latentarena.bundle import OWN, export_bundle, native_of, open_bundle
    from latentarena.cli.console import console, quiet_logs

    quiet_logs()
    loaded = native_of(open_bundle(bundle, trust=OWN))
    how = loaded.card.sampling
    console.print(f"unrolling {how.solver} x {how.steps}: seconds for a few steps, minutes for many", highlight=False)
    made = export_bundle(loaded, out)
    parts = ", ".join(f"{file} {size:,} bytes" for file, size in made.files.items())
    console.print(f"{made.card.name}: {parts}; the same images as the native bundle -> {out}", highlight=False)


StepsOption = Annotated[int, typer.Option(min=1, max=10_000, help="Of Heun's method along the ODE.")]
GuidanceOption = Annotated[
    float | None, typer.Option(help="For conditional models: scale; 1 is none; the bundle's own unless given.")
]
SeedOption = Annotated[int, typer.Option(min=0, help="Of the noise.")]
IndexOption = Annotated[str, typer.Option(help="Numbers of test images, such as 0,5,17.")]


@app.command()
def interpolate(
    bundle: BundleArgument,
    start: Annotated[
        str | None, typer.Option("--from", help="Numbers of test images, such as 0,5; random noise unless given.")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="As many numbers of test images.")] = None,
    rows: Annotated[int, typer.Option(min=1, max=100, help="How many pairs of random noise.")] = 8,
    frames: Annotated[int, typer.Option(min=2, max=1000, help="Images from one end to the other.")] = 10,
    labels: Annotated[
        str | None, typer.Option(help="For conditional models: classes of the rows in turn, such as 3 or 0,1,2.")
    ] = None,
    steps: StepsOption = 32,
    guidance: GuidanceOption = None,
    seed: SeedOption = 0,
    data: DataOption = None,
    out: Annotated[Path, typer.Option(help=".png strips, or .gif there and back.")] = Path("strip.png"),
) -> None:
    """Interpolate between noises, or between the noises that test images come from."""
    from latentarena.bundle import OWN, native_of, open_bundle
    from latentarena.cli.console import console
    from latentarena.evaluate.scoring import data_of
    from latentarena.report.strips import interpolate_images_to_file, interpolate_noise_to_file, walk

    if (start is None) != (end is None):
        raise typer.BadParameter("--from and --to go together")
    loaded = native_of(open_bundle(bundle, trust=OWN))
    how = walk(loaded, steps, guidance)
    if start is None or end is None:
        shown = interpolate_noise_to_file(loaded, out, rows, frames, labels, how, seed)
    else:
        shown = interpolate_images_to_file(loaded, data_of(loaded, data), out, start, end, frames, labels, how)
    console.print(f"{shown} -> {out}")


@app.command()
def inpaint(
    bundle: BundleArgument,
    index: IndexOption = "0,1,2,3,4,5,6,7",
    hide: Annotated[str, typer.Option(help="left, right, top, bottom or middle.")] = "right",
    mask: Annotated[
        Path | None, typer.Option(help="Instead of --hide: a picture of the images' size, white where hidden.")
    ] = None,
    fills: Annotated[int, typer.Option(min=1, max=100, help="Ways to complete each image.")] = 6,
    steps: StepsOption = 32,
    seed: SeedOption = 0,
    data: DataOption = None,
    out: Annotated[Path, typer.Option(help=".png: original, what is known of it, fills.")] = Path("inpainted.png"),
) -> None:
    """Complete test images of which a part is hidden."""
    from latentarena.bundle import OWN, native_of, open_bundle
    from latentarena.cli.console import console
    from latentarena.evaluate.scoring import data_of
    from latentarena.report.strips import hidden_region, inpaint_to_file

    loaded = native_of(open_bundle(bundle, trust=OWN))
    hidden = hidden_region(hide, mask, loaded.card.architecture.shape[1:])
    shown = inpaint_to_file(loaded, data_of(loaded, data), out, index, hidden, fills, steps, seed)
    console.print(f"{shown} -> {out}")


@app.command()
def edit(
    bundle: BundleArgument,
    to: Annotated[str, typer.Option("--to", help="Classes to turn the images into, such as 3 or 0,1,2.")],
    index: IndexOption = "0,1,2,3,4,5,6,7",
    strength: Annotated[float, typer.Option(min=0, max=1, help="0 leaves the images as they are.")] = 1.0,
    steps: StepsOption = 32,
    guidance: GuidanceOption = None,
    data: DataOption = None,
    out: Annotated[Path, typer.Option(help=".png: original, reconstruction, edits.")] = Path("edited.png"),
) -> None:
    """Turn test images into other classes, in the manner they are drawn in."""
    from latentarena.bundle import OWN, native_of, open_bundle
    from latentarena.cli.console import console
    from latentarena.evaluate.scoring import data_of
    from latentarena.report.strips import edit_to_file, walk

    loaded = native_of(open_bundle(bundle, trust=OWN))
    how = walk(loaded, steps, guidance)
    shown = edit_to_file(loaded, data_of(loaded, data), out, index, to, strength, how)
    console.print(f"{shown} -> {out}")


@app.command()
def likelihood(
    bundle: BundleArgument,
    n: Annotated[int, typer.Option("-n", "--number", min=2, help="How many test images.")] = 100,
    steps: Annotated[int, typer.Option(min=1, max=10_000, help="Of Heun's method along the ODE.")] = 50,
    seed: Annotated[int, typer.Option(min=0, help="Of dequantisation and probes.")] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write everything as JSON.")] = None,
    out: Annotated[Path | None, typer.Option(help="Also draw a histogram, .png.")] = None,
    data: DataOption = None,
) -> None:
    """Exact log-likelihood of test images: bits per pixel value in pixel space, else bits per latent dimension."""
    from latentarena.bundle import OWN, native_of, open_bundle
    from latentarena.cli.console import console
    from latentarena.evaluate.scoring import data_of
    from latentarena.files import make_folder, write_json
    from latentarena.pictures import refuse_suffix
    from latentarena.use.likelihood import measure_likelihood, save_histogram

    loaded = native_of(open_bundle(bundle, trust=OWN))
    if out is not None:
        refuse_suffix(out, ".png")
    if json_file is not None:
        make_folder(json_file.parent)
    found = measure_likelihood(loaded, data_of(loaded, data), n, steps, seed)
    console.print(found.sentence(), highlight=False)
    if json_file is not None:
        write_json(json_file, found.facts())
    if out is not None:
        save_histogram(out, found)


JudgeOption = Annotated[
    Path | None,
    typer.Option("--judge", help="A judge's file, as `arena judge train` writes it; the data's own unless given."),
]


class ScoreSet(StrEnum):
    """Which figures are printed."""

    ARENA = "arena-1"
    CONTEST = "contest-2025"


@judge_app.command("bundle")
def judge(
    bundle: AnyBundleArgument,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write the card as JSON.")] = None,
    html: Annotated[Path | None, typer.Option(help="Also write the card as a page, .html.")] = None,
    picture: Annotated[Path | None, typer.Option("--png", help="Also draw the card as a picture, .png.")] = None,
    samples: SamplesOption = 10_000,
    timed: Annotated[bool, typer.Option("--timed/--untimed", help="Whether sampling is timed too.")] = True,
    score_set: Annotated[ScoreSet, typer.Option("--set", help="Which figures are printed.")] = ScoreSet.ARENA,
    judge_file: JudgeOption = None,
    data: DataOption = None,
) -> None:
    """Score a bundle of your own on the full test split, in this process; for anybody else's there is `arena check`."""
    from latentarena.bundle import OWN, open_bundle
    from latentarena.cli.console import print_card, print_contest, quiet_logs, show_judging, show_training
    from latentarena.evaluate.scoring import data_of, judge_bundle, panel_for
    from latentarena.files import make_folder, write_json
    from latentarena.pictures import refuse_suffix
    from latentarena.report.poster import write_poster
    from latentarena.report.scorecard import write_page

    quiet_logs()
    loaded = open_bundle(bundle, trust=OWN)
    for option, path in (("--json", json_file), ("--html", html), ("--png", picture)):
        if path is not None:
            refuse_suffix(path, option.replace("--", "."), option=option)
            make_folder(path.parent)
    panel = panel_for(data_of(loaded, data), judge_file, show_training)
    with show_judging():
        found = judge_bundle(loaded, panel, samples, timed=timed)
    card = found.card
    (print_contest if score_set is ScoreSet.CONTEST else print_card)(card)
    if json_file is not None:
        write_json(json_file, card.model_dump(mode="json"))
    if html is not None:
        write_page(html, card, found.findings, panel.data)
    if picture is not None:
        write_poster(picture, card, found.findings, panel.data)


@app.command()
def retrain(
    bundle: BundleArgument,
    seeds: Annotated[
        int, typer.Option(min=2, max=20, help="Trainings: with the recipe's own seed, and with those that follow it.")
    ] = 3,
    quality: Annotated[
        float, typer.Option(min=0.0001, help="The Frechet distance to which the cost of training is measured.")
    ] = 1.0,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for trainings and certificate; retrained/HASH unless given. A begun one is resumed."),
    ] = None,
    judge_file: JudgeOption = None,
    data: DataOption = None,
    key: bundles.KeyOption = None,
) -> None:
    """Train a bundle's recipe anew, with several seeds, and certify that its scores and its training agree with it."""
    from latentarena.bundle import OWN, native_of, open_bundle
    from latentarena.cli.console import console, print_certificate, quiet_logs, show_training
    from latentarena.evaluate.scoring import data_of
    from latentarena.judge.training import judge_for
    from latentarena.key import PRACTICE, Key
    from latentarena.run.retrain import Order, retrain

    quiet_logs()
    loaded = native_of(open_bundle(bundle, trust=OWN))
    dataset = data_of(loaded, data)
    judge = judge_for(dataset, show_training, judge_file)
    folder = out or Path("retrained") / loaded.digest[:12]
    made = retrain(
        Order(loaded, dataset, judge, seeds, quality, key=PRACTICE if key is None else Key.parse(key)),
        folder,
        show_training,
        lambda line: console.print(line, highlight=False),
    )
    print_certificate(made, folder)
    if not made.agrees:
        raise typer.Exit(1)


@app.command()
def verify(
    card: Annotated[Path, typer.Argument(metavar="CARD", help="A score card, as `arena judge --json` writes it.")],
    bundle: AnyBundleArgument,
    judge_file: JudgeOption = None,
    data: DataOption = None,
    key: bundles.KeyOption = None,
) -> None:
    """Recompute a score card from its bundle, portable ones in a sandbox, and compare; exits with 1 if they differ."""
    from latentarena.bundle import BOXED, DATA_ONLY, OWN, open_bundle
    from latentarena.card.score_card import read_card
    from latentarena.cli.console import print_check, quiet_logs, show_training
    from latentarena.evaluate.verify import recompute
    from latentarena.key import PRACTICE, Key
    from latentarena.sandbox import standing

    quiet_logs()
    claimed, secret = read_card(card), PRACTICE if key is None else Key.parse(key)
    with open_bundle(bundle, trust=BOXED if standing().tier else OWN, forms=DATA_ONLY) as loaded:
        again = recompute(claimed, loaded, data, judge_file, show_training, secret)
    if not print_check(claimed, again):
        raise typer.Exit(1)


@judge_app.command("train")
def judge_train(
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Such as width=16 fit.epochs=5.")
    ] = None,
    dataset: Annotated[str, typer.Option(help="mnist, fashion-mnist, kmnist, digits or folder:PATH.")] = "mnist",
    size: SizeOption = None,
    crop: CropOption = None,
    resize: ResizeOption = None,
    data: DataOption = None,
    out: Annotated[Path, typer.Option(help="Folder for the judge's file.")] = Path("judges"),
    accelerator: Annotated[str, typer.Option(help="auto, cpu, cuda, mps.")] = "auto",
) -> None:
    """Train a judge on a train split; the defaults on MNIST made the shipped one."""
    from latentarena.cli.console import console, print_facts, quiet_logs, show_training
    from latentarena.config import override, validate
    from latentarena.data import DataConfig, load_dataset
    from latentarena.files import make_folder
    from latentarena.judge.classifier import Judge
    from latentarena.judge.training import JudgeConfig, train_judge
    from latentarena.train.fabric import make_fabric

    quiet_logs()
    raw = override(JudgeConfig().model_dump(), overrides or [], JudgeConfig)
    config = validate(JudgeConfig, raw, "judge")
    images_of = {"name": dataset, "size": size, "crop": crop, "resize": resize}
    images = load_dataset(validate(DataConfig, images_of, "--dataset"), data)
    make_folder(out)
    path = train_judge(images, config, make_fabric(accelerator), out, show_training)
    print_facts(Judge.load(path))
    console.print(f"judge -> {path} ({path.stat().st_size:,} bytes)")


@recipes_app.callback()
def recipes(ctx: typer.Context) -> None:
    """List the recipes with a line each."""
    if ctx.invoked_subcommand is None:
        width = max(map(len, recipe_names()))
        for name in recipe_names():
            typer.echo(f"{name:{width}}  {recipe_about(name)}")


@recipes_app.command("show")
def recipes_show(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", autocompletion=_complete_recipe)],
    overrides: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...")] = None,
    short: Annotated[bool, typer.Option("--short", help="The file as written, without defaults.")] = False,
) -> None:
    """Show a recipe in full: defaults and overrides included, ready to be saved and changed."""
    source = recipe_source(recipe)
    if short:
        typer.echo(read_text(source), nl=False)
        return
    from latentarena.train.recipe import load_recipe, to_yaml

    typer.echo(to_yaml(load_recipe(recipe, overrides or [])), nl=False)


@app.command()
def doctor(data: DataOption = None) -> None:
    """Versions, device, data found, and the judge's self-test."""
    from latentarena.cli.console import console
    from latentarena.cli.doctor import examine

    healthy = True
    for line in examine(data):
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
