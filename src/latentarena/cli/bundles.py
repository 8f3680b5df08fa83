"""Commands for bundles: check one from elsewhere, or make one of what came in another form."""

from __future__ import annotations

import shlex
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from latentarena.cli.options import (
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
    SizeOption,
)

if TYPE_CHECKING:
    from latentarena.contest.contest import Contest

app = typer.Typer()
RunArgument = Annotated[
    Path,
    typer.Argument(metavar="RUN", help="zoo:NAME, or the folder of a run: its bundle and its score.json."),
]
ContestOption = Annotated[
    str,
    typer.Option(
        metavar="NAME|FILE|URL", help="Whose rules hold; open, digits, contest-2025, a file or a site's address."
    ),
]


@app.command()
def check(
    bundle: AnyBundleArgument,
    contest: ContestOption = "open",
    board: Annotated[Path | None, typer.Option(help="A board.json or a CSV of figures, to predict ranks on.")] = None,
    team: Annotated[str, typer.Option(help="Whose line on the board this bundle would replace.")] = "this bundle",
    fast: Annotated[bool, typer.Option("--fast", help="A tenth of the samples, untimed, for a first look.")] = False,
    allow_python: Annotated[
        bool, typer.Option("--allow-python", help="Run Python of the 2025 form at tier 1 of the sandbox too.")
    ] = False,
    judge_file: JudgeOption = None,
    data: DataOption = None,
    key: KeyOption = None,
    out: Annotated[Path | None, typer.Option(help="Folder for score card, page and pictures.")] = None,
    accelerator: AcceleratorOption = "cpu",
    precision: PrecisionOption = "32-true",
) -> None:
    """Do with anybody's bundle what a server would: gates, sandbox, score card; and predict its ranks on a board."""
    from latentarena.arena.board_files import read_board
    from latentarena.cli.boards import print_prediction
    from latentarena.cli.console import console, print_card, print_step, quiet_logs
    from latentarena.contest.entries import entry_of
    from latentarena.contest.prediction import predict
    from latentarena.evaluate.evaluate import FAST, evaluate, write_evaluated
    from latentarena.files import make_folder
    from latentarena.judge.score import SAMPLES
    from latentarena.key import PRACTICE, Key
    from latentarena.run.watching import show_training
    from latentarena.train.shelter import MOVE, write_or_keep

    quiet_logs()
    rules = _rules_of(contest)
    secret = PRACTICE if key is None else Key.parse(key)
    standing = read_board(board, rules) if board is not None else None
    samples = FAST if fast else SAMPLES
    if out is not None:
        make_folder(out)
    found = evaluate(
        bundle,
        rules.eligibility,
        data,
        judge_file,
        samples,
        not fast,
        print_step,
        show_training,
        secret,
        allow_python,
        accelerator,
        arithmetic=precision,
    )
    print_card(found.card)
    if out is not None:
        write_or_keep({out: lambda folder: write_evaluated(found, folder)}, MOVE)
    if standing is not None:
        looser = rules.model_copy(
            update={"thresholds": tuple(one for one in rules.thresholds if one.field != "samples")}
        )
        entry = entry_of(found.card, rules, "check", team, bundle=found.bundle, form=found.bundle["form"])
        if fast:
            console.print(
                f"a first look: of {samples:,} samples distances come out larger and coverage smaller", highlight=False
            )
        print_prediction(predict(entry, standing, looser if fast else rules), rules)


@app.command()
def zoo(
    picture: Annotated[Path | None, typer.Option(help="Also draw samples of every model, .png.")] = None,
    n: Annotated[int, typer.Option("-n", "--number", min=1, max=100, help="How many samples of a model.")] = 16,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the noise.")] = 0,
) -> None:
    """List the trained models that ship with the program; each is taken by name, as zoo:NAME, wherever a bundle is."""
    from latentarena.cli.console import console, print_zoo

    print_zoo()
    if picture is not None:
        from latentarena.use.contact import zoo_to_file

        console.print(f"{zoo_to_file(picture, n, seed)} -> {picture}")


@app.command()
def analyse(
    run: RunArgument,
    contest: ContestOption = "open",
    against: Annotated[
        list[Path] | None,
        typer.Option(metavar="RUN", help="A run, zoo:NAME or score card to compare with; may be given several times."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for text, page, PDF and pictures; RUN/analysis.")] = None,
    data: DataOption = None,
    plugin: PluginOption = None,
) -> None:
    """Write the analysis of a judged run for a contest, with places for your own words, as Markdown, HTML and PDF."""
    from latentarena.bundle import OWN, open_bundle
    from latentarena.cli.console import print_analysis, quiet_logs
    from latentarena.evaluate.scoring import data_of
    from latentarena.report.analysis import FOLDER, card_of, compared, home_of, write_analysis
    from latentarena.zoo import MODELS

    quiet_logs()
    home, card, rules = home_of(run), card_of(run), _rules_of(contest)
    others = compared(card, against or ())
    bundle = open_bundle(home, trust=OWN)
    place = out or (Path() if home.is_relative_to(MODELS) else home) / FOLDER
    made = write_analysis(place, bundle, card, data_of(bundle, data), rules, others)
    own = (home / FOLDER).resolve() == place.resolve()
    loaded = "".join(f" --plugin {shlex.quote(one)}" for one in plugin or ())
    if getattr(bundle.card, "parts", ()):
        print_analysis(made, _as_graphs(home, loaded, contest))
        return
    packed = f"arena pack {shlex.quote(str(run))}{'' if own else f' --analysis {shlex.quote(str(place))}'}{loaded}"
    print_analysis(made, _handing_in(f"{shlex.quote(str(run))}{loaded}", packed, contest, rules, bundle.card.data.name))


def _as_graphs(home: Path, loaded: str, contest: str) -> list[str]:
    """The commands that come after an analysis of a model of parts of one's own, which no server builds."""
    from latentarena.arena.packing import as_graphs

    *making, new = as_graphs(home, loaded)
    why = "for a model of parts of your own is handed in as graphs"
    return [*making, f"arena analyse {shlex.quote(new)}{loaded} --contest {shlex.quote(contest)}, {why}"]


def _handing_in(place: str, packed: str, contest: str, rules: Contest, dataset: str) -> list[str]:
    """The commands that come after an analysis: of a contest that takes models of the run's images, where one ships."""
    from latentarena.evaluate.contests import contests_on

    fit = contests_on(dataset)
    if rules.dataset == dataset:
        return [f"{packed} --contest {shlex.quote(contest)}"]
    if not fit:
        return [f"{packed} --contest FILE, of a contest on {dataset}: {contest} is on {rules.dataset}"]
    anew = f"arena analyse {place} --contest {fit[0]}, for this run is of {dataset} and {contest} is on {rules.dataset}"
    return [anew, f"{packed} --contest {fit[0]}"]


def _rules_of(contest: str) -> Contest:
    from latentarena.arena.client import fetch_contest, names_a_site
    from latentarena.arena.contest_files import load_contest

    return fetch_contest(contest) if names_a_site(contest) else load_contest(contest)


@app.command()
def pack(
    what: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN | ENCODE.onnx DECODE.onnx GENERATE.onnx",
            help="A run that is handed in; or three graphs: images to latents, latents to images, noise to images. "
            "Files of these names may come in any order.",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder that is written, submission or bundle; of a run also a .zip.")
    ] = None,
    contest: ContestOption = "open",
    add: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Of a run: a notebook, README or other file of yours; several times."),
    ] = None,
    analysis: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Of a run: the folder that `arena analyse --out` wrote; RUN/analysis."),
    ] = None,
    data: DataOption = None,
    name: Annotated[str | None, typer.Option(help="Of graphs: what to call the model.")] = None,
    dataset: Annotated[str, typer.Option(help="Of graphs: dataset that it was trained on.")] = "mnist",
    classes: Annotated[
        str, typer.Option(metavar="A,B,...", help="Names of the labels that GENERATE takes; the digits unless given.")
    ] = "0,1,2,3,4,5,6,7,8,9",
    precision: Annotated[
        str, typer.Option(help="Precision that the judge rounds latents to: float32, float16 or float8.")
    ] = ("float16"),
    pixels: Annotated[bool, typer.Option("--pixels", help="Of graphs: the latent is the image itself.")] = False,
    size: SizeOption = None,
    crop: CropOption = None,
    resize: ResizeOption = None,
    plugin: PluginOption = None,
) -> None:
    """Put a run's submission to a contest together and check it; or make a bundle of ONNX graphs from any framework."""
    from latentarena.cli.console import console, print_submission_folder, quiet_logs

    quiet_logs()
    if len(what) == 1 and what[0].suffix != ".onnx":
        from latentarena.arena.packing import pack_submission

        for option, value in {"--name": name, "--size": size, "--crop": crop, "--resize": resize}.items():
            if value is not None:
                raise typer.BadParameter(f"{option} {value}: a run has its own already; it is for three graphs")
        sources = [Path(one) for one in plugin or () if one.endswith(".py")]  # the recipe needs them beside it
        added = [*(add or ()), *sources]
        made = pack_submission(what[0], out or Path("submission"), _rules_of(contest), added, data, analysis)
        print_submission_folder(made)
        if not made.complete:
            raise typer.Exit(1)
        return
    if len(what) != 3:
        raise typer.BadParameter(f"give one run, or three graphs: encode, decode and generate; here are {len(what)}")
    if name is None:
        raise typer.BadParameter("a bundle of three graphs needs a name: --name NAME")
    from latentarena.bundle.pack import named_graphs, pack_graphs
    from latentarena.config import validate
    from latentarena.data import DataSource
    from latentarena.evaluate.contests import contests_on

    files = named_graphs(what)
    trained_on = {"name": dataset, "size": size, "crop": crop, "resize": resize}
    source = validate(DataSource, trained_on, "--dataset")
    names, folder = tuple(word.strip() for word in classes.split(",") if word.strip()), out or Path("bundle")
    bundle = pack_graphs(folder, name, files, source, names, precision, pixels)
    parts = ", ".join(f"{part} {count:,}" for part, count in bundle.card.parameters.items())
    shapes = f"latent {list(bundle.card.latent)}, noise {list(bundle.card.noise)}"
    console.print(f"{bundle.card.name}: {shapes}, stored numbers by part: {parts} -> {folder}", highlight=False)
    place, fit = shlex.quote(str(folder)), contests_on(dataset)  # a contest of other images would refuse it
    console.print(f"next: arena {f'check {place} --contest {fit[0]}' if fit else f'judge {place}'}", highlight=False)


@app.command()
def export(
    bundle: BundleArgument,
    out: Annotated[Path, typer.Option(help="Folder for card.json and the three ONNX files.")] = Path("portable"),
    plugin: PluginOption = None,
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


def import_legacy(
    submission: Annotated[
        Path,
        typer.Argument(help="Zip or folder of a 2025 submission; or its .py or .ipynb, with the weights beside it."),
    ],
    out: Annotated[Path, typer.Option(help="Folder for card.json and the three ONNX files.")] = Path("portable"),
    dataset: Annotated[str, typer.Option(help="Dataset that it was trained on.")] = "mnist",
) -> None:
    """Trace a Python submission of the 2025 contest into a portable bundle; its code runs in sandboxes only."""
    from latentarena.cli.console import console, quiet_logs
    from latentarena.legacy.importing import import_legacy as make

    quiet_logs()
    console.print("tracing: some seconds for every ten steps of the sampler", highlight=False)
    card = make(submission, out, dataset)
    parts = ", ".join(f"{part} {count:,}" for part, count in card.parameters.items())
    console.print(f"{card.name}: stored numbers by part: {parts} -> {out}", highlight=False)


if find_spec("latentarena.legacy"):  # the program works without that package
    app.command("import-legacy")(import_legacy)
