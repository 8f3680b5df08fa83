"""Commands that use a trained model: draw, interpolate, complete and edit images, ask for likelihoods."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from latentarena.cli.options import (
    AcceleratorOption,
    AnyBundleArgument,
    BundleArgument,
    DataOption,
    GridOption,
    PluginOption,
    PrecisionOption,
    SolverOption,
)

app = typer.Typer()

ScaleOption = Annotated[
    int | None,
    typer.Option(
        min=1, max=32, help="Pixels of the picture for each of an image's; 2 unless given, 4 of a small .gif or .mp4."
    ),
]


@app.command()
def sample(
    bundle: AnyBundleArgument,
    n: Annotated[int, typer.Option("-n", "--number", min=1, max=10_000_000, help="How many images.")] = 64,
    steps: Annotated[
        int | None, typer.Option(min=1, max=10_000, help="Solver steps; the bundle's own unless given.")
    ] = None,
    solver: SolverOption = None,
    guidance: Annotated[
        float | None,
        typer.Option(help="Guidance scale of a conditional model; 1 is none; the bundle's own unless given."),
    ] = None,
    grid: GridOption = None,
    eta: Annotated[
        float | None, typer.Option(min=0, max=1, help="Share of fresh noise in a step of ddim and sde.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the noise.")] = 0,
    labels: Annotated[
        str | None, typer.Option(help="For conditional models: classes in turn, such as 3 or 0,1,2.")
    ] = None,
    out: Annotated[Path, typer.Option(help=".png grid, .gif or .mp4 of the trajectory, or .npz of arrays.")] = Path(
        "samples.png"
    ),
    scale: ScaleOption = None,
    accelerator: AcceleratorOption = "auto",
    precision: PrecisionOption = "32-true",
    plugin: PluginOption = None,
) -> None:
    """Draw images from a bundle."""
    from latentarena.bundle import OWN, open_bundle, placed
    from latentarena.cli.console import console
    from latentarena.use.sampling import chosen_sampling, sample_to_file

    loaded = placed(open_bundle(bundle, trust=OWN), accelerator, precision)
    sampling = chosen_sampling(loaded, solver, steps, guidance, grid, eta)
    shown = sample_to_file(loaded, out, n, seed, labels, sampling, scale)
    console.print(f"{shown} -> {out}")


@app.command()
def show(
    view: Annotated[str, typer.Argument(metavar="VIEW", help="latent, field, paths, traverse, denoise or guidance.")],
    bundle: BundleArgument,
    label: Annotated[str | None, typer.Option(help="For conditional models: the class that is drawn.")] = None,
    scales: Annotated[str, typer.Option(help="Of guidance, a row each.")] = "0,1,2,4,7",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the noise.")] = 0,
    data: DataOption = None,
    out: Annotated[
        Path | None, typer.Option(help=".png, .svg or .pdf, and .gif or .mp4 of denoise; VIEW.png unless given.")
    ] = None,
    accelerator: AcceleratorOption = "auto",
    precision: PrecisionOption = "32-true",
    plugin: PluginOption = None,
) -> None:
    """Look into a model: its latent space, its field, solvers' paths, traversals, denoising step by step."""
    from latentarena.bundle import OWN, open_bundle, placed
    from latentarena.cli.console import console
    from latentarena.evaluate.scoring import data_of
    from latentarena.report.show import VIEWS, chosen_scales, show_to_file
    from latentarena.text import meant

    if view not in VIEWS:
        choices = f"{meant(view, VIEWS)}choose from {', '.join(VIEWS)}"
        raise typer.BadParameter(f"{view!r} is no view; {choices}", param_hint="VIEW")
    loaded, path = placed(open_bundle(bundle, trust=OWN), accelerator, precision), out or Path(f"{view}.png")
    shown = show_to_file(loaded, data_of(loaded, data), view, path, label, seed, chosen_scales(scales))
    console.print(f"{shown} -> {path}")


StepsOption = Annotated[
    int, typer.Option(min=1, max=10_000, help="Number of Heun steps; each costs two network evaluations.")
]
GuidanceOption = Annotated[
    float | None, typer.Option(help="Guidance scale of a conditional model; 1 is none; the bundle's own unless given.")
]
SeedOption = Annotated[int, typer.Option(min=0, help="Seed of the noise.")]
IndexOption = Annotated[str, typer.Option(help="Test-image indices, such as 0,5,17.")]


@app.command()
def interpolate(
    bundle: BundleArgument,
    start: Annotated[
        str | None,
        typer.Option("--from", help="Test-image indices to start from, such as 0,5; random noise unless given."),
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="Test-image indices to end at, as many as --from.")] = None,
    rows: Annotated[int, typer.Option(min=1, max=100, help="How many pairs of random noise.")] = 8,
    frames: Annotated[int, typer.Option(min=2, max=1000, help="Images from one end to the other.")] = 10,
    labels: Annotated[
        str | None, typer.Option(help="For conditional models: classes of the rows in turn, such as 3 or 0,1,2.")
    ] = None,
    steps: StepsOption = 32,
    guidance: GuidanceOption = None,
    seed: SeedOption = 0,
    data: DataOption = None,
    out: Annotated[Path, typer.Option(help=".png strips, or .gif or .mp4 there and back.")] = Path("strip.png"),
    scale: ScaleOption = None,
    accelerator: AcceleratorOption = "auto",
    precision: PrecisionOption = "32-true",
    plugin: PluginOption = None,
) -> None:
    """Interpolate between noises, or between the noises that test images come from."""
    from latentarena.bundle import OWN, native_of, open_bundle, placed
    from latentarena.cli.console import console
    from latentarena.evaluate.scoring import data_of
    from latentarena.report.strips import interpolate_images_to_file, interpolate_noise_to_file, walk

    if (start is None) != (end is None):
        raise typer.BadParameter("--from and --to go together")
    loaded = placed(native_of(open_bundle(bundle, trust=OWN)), accelerator, precision)
    how = walk(loaded, steps, guidance)
    if start is None or end is None:
        shown = interpolate_noise_to_file(loaded, out, rows, frames, labels, how, seed, scale)
    else:
        shown = interpolate_images_to_file(loaded, data_of(loaded, data), out, start, end, frames, labels, how, scale)
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
    scale: ScaleOption = None,
    accelerator: AcceleratorOption = "auto",
    precision: PrecisionOption = "32-true",
    plugin: PluginOption = None,
) -> None:
    """Complete test images of which a part is hidden."""
    from latentarena.bundle import OWN, native_of, open_bundle, placed
    from latentarena.cli.console import console
    from latentarena.evaluate.scoring import data_of
    from latentarena.report.strips import hidden_region, inpaint_to_file

    loaded = placed(native_of(open_bundle(bundle, trust=OWN)), accelerator, precision)
    hidden = hidden_region(hide, mask, loaded.card.architecture.shape[1:])
    shown = inpaint_to_file(loaded, data_of(loaded, data), out, index, hidden, fills, steps, seed, scale)
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
    scale: ScaleOption = None,
    accelerator: AcceleratorOption = "auto",
    precision: PrecisionOption = "32-true",
    plugin: PluginOption = None,
) -> None:
    """Turn test images into other classes, in the manner they are drawn in."""
    from latentarena.bundle import OWN, native_of, open_bundle, placed
    from latentarena.cli.console import console
    from latentarena.evaluate.scoring import data_of
    from latentarena.report.strips import edit_to_file, walk

    loaded = placed(native_of(open_bundle(bundle, trust=OWN)), accelerator, precision)
    how = walk(loaded, steps, guidance)
    shown = edit_to_file(loaded, data_of(loaded, data), out, index, to, strength, how, scale)
    console.print(f"{shown} -> {out}")


@app.command()
def likelihood(
    bundle: BundleArgument,
    n: Annotated[int, typer.Option("-n", "--number", min=2, help="How many test images.")] = 100,
    steps: Annotated[
        int, typer.Option(min=1, max=10_000, help="Number of Heun steps; each costs two network evaluations.")
    ] = 50,
    seed: Annotated[int, typer.Option(min=0, help="Seed of dequantisation and probes.")] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write everything as JSON.")] = None,
    out: Annotated[Path | None, typer.Option(help="Also draw a histogram, .png.")] = None,
    data: DataOption = None,
    accelerator: AcceleratorOption = "auto",
    precision: PrecisionOption = "32-true",
    plugin: PluginOption = None,
) -> None:
    """Exact log-likelihood of test images: bits per pixel value in pixel space, else bits per latent dimension."""
    from latentarena.bundle import OWN, native_of, open_bundle, placed
    from latentarena.cli.console import console
    from latentarena.evaluate.scoring import data_of
    from latentarena.files import make_folder, write_json
    from latentarena.pictures import refuse_suffix
    from latentarena.use.likelihood import measure_likelihood, save_histogram

    loaded = placed(native_of(open_bundle(bundle, trust=OWN)), accelerator, precision)
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
