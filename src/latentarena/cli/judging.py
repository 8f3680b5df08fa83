"""Commands that judge: score a bundle, recompute a card, train a recipe anew, train a judge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from latentarena.cli.options import (
    HELP,
    AcceleratorOption,
    AnyBundleArgument,
    BundleArgument,
    CropOption,
    DataOption,
    JudgeOption,
    KeyOption,
    PluginOption,
    PrecisionOption,
    ResizeOption,
    SamplesOption,
    SizeOption,
    WaterfallOption,
    by_default,
    complete_zoo,
)

if TYPE_CHECKING:
    from latentarena.bundle import AnyBundle
    from latentarena.card.own import OwnMetric

app = typer.Typer()
judge_app = typer.Typer(cls=by_default("bundle"), no_args_is_help=True, context_settings=HELP, rich_markup_mode=None)
app.add_typer(judge_app, name="judge", help="Score a bundle (arena judge BUNDLE), or train a judge.")


class ScoreSet(StrEnum):
    """Which figures are printed."""

    ARENA = "arena-1"
    CONTEST = "contest-2025"


OF_BUNDLES = ("samples", "timed", "waterfall", "score_set", "accelerator", "precision")  # mean nothing for images


@judge_app.command("bundle")
def judge(
    context: typer.Context,
    bundle: Annotated[
        Path,
        typer.Argument(
            metavar="BUNDLE|IMAGES",
            help="zoo:NAME, a bundle's folder or zip; or images of any model: .npz, .npy, or a folder or zip of them.",
            autocompletion=complete_zoo,
        ),
    ],
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write the card as JSON.")] = None,
    html: Annotated[Path | None, typer.Option(help="Also write the card as a page, .html.")] = None,
    picture: Annotated[Path | None, typer.Option("--png", help="Also draw the card as a picture, .png.")] = None,
    samples: SamplesOption = 10_000,
    timed: Annotated[bool, typer.Option("--timed/--untimed", help="Whether sampling is timed too.")] = True,
    waterfall: WaterfallOption = False,
    score_set: Annotated[ScoreSet, typer.Option("--set", help="Which figures are printed.")] = ScoreSet.ARENA,
    judge_file: JudgeOption = None,
    data: DataOption = None,
    accelerator: AcceleratorOption = "cpu",
    precision: PrecisionOption = "32-true",
    dataset: Annotated[
        str | None, typer.Option(help="For images: the real ones, mnist unless given; or folder:PATH of your own.")
    ] = None,
    against: Annotated[
        Path | None, typer.Option(help="For images: others that stand in the place of the dataset's train split.")
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="For images: compare them in features other than the judge's: dinov2-small, dinov2-base, ..., "
            "inception, transformers:NAME or a folder, timm:NAME or timm:NAME:FILE, or an .onnx file.",
        ),
    ] = None,
    size: SizeOption = None,
    crop: CropOption = None,
    resize: ResizeOption = None,
    plugin: PluginOption = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Metric of your own, of a --plugin; or with settings: '{kind: NAME, threshold: 0.3}'."
        ),
    ] = None,
) -> None:
    """Score a bundle of your own on the full test split, or images of any model; others' bundles: arena check."""
    from latentarena.bundle import OWN, open_bundle, placed
    from latentarena.card.own import own_metrics
    from latentarena.cli.console import print_card, print_contest, quiet_logs
    from latentarena.data import holds_images
    from latentarena.evaluate.scoring import data_of, judge_bundle, panel_for
    from latentarena.files import make_folder, write_json
    from latentarena.pictures import refuse_suffix
    from latentarena.report.poster import write_poster
    from latentarena.report.scorecard import write_page
    from latentarena.run.watching import show_judging, show_training
    from latentarena.train.shelter import MOVE, write_or_keep
    from latentarena.zoo import PREFIX

    quiet_logs()
    own = own_metrics(metric or (), "--metric")
    of_images: dict[str, Any] = {"--dataset": dataset, "--against": against, "--features": features}
    of_images |= {"--size": size, "--crop": crop, "--resize": resize}
    if holds_images(bundle):
        for one in context.command.params:
            source = context.get_parameter_source(str(one.name))
            if one.name in OF_BUNDLES and source is not None and source.name == "COMMANDLINE":
                raise typer.BadParameter(f"{one.opts[0]} is for bundles, and {bundle} holds images; leave it out")
        _judge_images(bundle, of_images, judge_file, data, json_file, {"--html": html, "--png": picture}, own)
        return
    there = bundle.exists() or str(bundle).startswith(PREFIX)
    for option, value in of_images.items():
        if there and value is not None:
            raise typer.BadParameter(
                f"{option} {value} is for images, and {bundle} holds none: it is judged as a bundle"
            )
    loaded = placed(open_bundle(bundle, trust=OWN), accelerator, precision)
    for option, path in (("--json", json_file), ("--html", html), ("--png", picture)):
        if path is not None:
            refuse_suffix(path, option.replace("--", "."), option=option)
            make_folder(path.parent)
    panel = panel_for(data_of(loaded, data), judge_file, show_training)
    with show_judging():
        found = judge_bundle(loaded, panel, samples, timed=timed, own=own, waterfall=waterfall)
    card = found.card
    (print_contest if score_set is ScoreSet.CONTEST else print_card)(card)
    writers: dict[Path | None, Callable[[Path], None]] = {
        json_file: lambda path: write_json(path, card.model_dump(mode="json")),
        html: lambda path: write_page(path, card, found.findings, panel.data),
        picture: lambda path: write_poster(path, card, found.findings, panel.data),
    }
    write_or_keep({path: writer for path, writer in writers.items() if path is not None}, MOVE)


def _judge_images(
    images: Path,
    options: dict[str, Any],
    judge_file: Path | None,
    root: Path | None,
    json_file: Path | None,
    pages: dict[str, Path | None],
    own: Sequence[OwnMetric],
) -> None:
    """Print the sample half of a score card for images at a path."""
    from latentarena.cli.console import print_images
    from latentarena.evaluate.images import judge_images
    from latentarena.files import make_folder, write_json
    from latentarena.pictures import refuse_suffix
    from latentarena.run.watching import show_judging, show_training
    from latentarena.train.shelter import MOVE, write_or_keep

    for option, path in pages.items():
        if path is not None:
            raise typer.BadParameter(f"{option} {path} is a bundle's score card; figures of images have --json")
    if json_file is not None:
        refuse_suffix(json_file, ".json", option="--json")
        make_folder(json_file.parent)
    fit = {name: options[f"--{name}"] for name in ("size", "crop", "resize")}
    with show_judging():
        real, against = options["--dataset"] or "mnist", options["--against"]
        how = judge_file, root, show_training, own, options["--features"]
        found = judge_images(images, real, against, fit, *how)
    print_images(found)
    if json_file is not None:
        write_or_keep({json_file: lambda path: write_json(path, found.plain())}, MOVE)


@app.command()
def retrain(
    bundle: BundleArgument,
    seeds: Annotated[
        int, typer.Option(min=2, max=20, help="Trainings: with the recipe's own seed, and with seeds drawn by the key.")
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
    key: Annotated[
        str | None,
        typer.Option(
            metavar="HEX",
            help="A contest's key, once it is published, or a certificate's; a new one is drawn unless given.",
        ),
    ] = None,
    plugin: PluginOption = None,
) -> None:
    """Train a bundle's recipe anew, with several seeds, and certify that its scores and its training agree with it.

    A model of a folder of images needs that folder named with --data.
    """
    from latentarena.bundle import OWN, native_of, open_bundle
    from latentarena.cli.console import console, print_certificate, quiet_logs
    from latentarena.evaluate.evaluate import ANYTHING, refuse_ineligible
    from latentarena.evaluate.scoring import data_of
    from latentarena.judge.training import judge_for
    from latentarena.key import Key
    from latentarena.run.order import Order
    from latentarena.run.retrain import retrain
    from latentarena.run.watching import show_training

    quiet_logs()
    loaded = native_of(open_bundle(bundle, trust=OWN))
    refuse_ineligible(loaded, ANYTHING, data)
    dataset = data_of(loaded, data)
    judge = judge_for(dataset, show_training, judge_file)
    folder = out or Path("retrained") / loaded.digest[:12]
    made = retrain(
        Order(loaded, dataset, judge, seeds, quality, key=None if key is None else Key.parse(key)),
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
    key: KeyOption = None,
    plugin: PluginOption = None,
) -> None:
    """Recompute a score card from its bundle, portable ones in a sandbox, and compare; exits with 1 if they differ."""
    from latentarena.card.score_card import read_card
    from latentarena.cli.console import print_check, quiet_logs
    from latentarena.evaluate.evaluate import ANYTHING, refuse_ineligible
    from latentarena.evaluate.verify import recompute
    from latentarena.key import PRACTICE, Key
    from latentarena.run.watching import show_training

    quiet_logs()
    claimed, secret = read_card(card), PRACTICE if key is None else Key.parse(key)
    with _to_verify(bundle, bool(plugin)) as loaded:
        refuse_ineligible(loaded, ANYTHING, data)
        again = recompute(claimed, loaded, data, judge_file, show_training, secret)
    if not print_check(claimed, again):
        raise typer.Exit(1)


def _to_verify(path: Path, loaded: bool) -> AnyBundle:
    """A bundle whose card is verified, as a stranger's; of parts of the user's own once these are loaded."""
    from latentarena.bundle import BOXED, DATA_ONLY, OWN, open_bundle
    from latentarena.errors import GateError
    from latentarena.sandbox import standing

    try:
        return open_bundle(path, trust=BOXED if standing().tier else OWN, forms=DATA_ONLY)
    except GateError as refusal:
        if refusal.reason != "parts":
            raise
        if not loaded:
            raise GateError("parts", f"{refusal}, or load it here with --plugin FILE") from None
        return open_bundle(path, trust=OWN)


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
    accelerator: AcceleratorOption = "auto",
) -> None:
    """Train a judge on a train split; the defaults on MNIST made the shipped one."""
    from latentarena.cli.console import console, print_facts, quiet_logs
    from latentarena.config import override, validate
    from latentarena.data import DataConfig, load_dataset
    from latentarena.files import make_folder
    from latentarena.judge.classifier import Judge
    from latentarena.judge.training import JudgeConfig, train_judge
    from latentarena.run.watching import show_training
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
