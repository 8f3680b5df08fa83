"""Arguments and options that several commands of `arena` take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup


def complete_zoo(incomplete: str) -> list[str]:
    """The names of the zoo that begin so."""
    from latentarena.zoo import PREFIX, zoo_models

    return [name for name in map(PREFIX.__add__, zoo_models()) if name.startswith(incomplete)]


class WholeGroup(TyperGroup):
    """A group that lists its commands with sentences that are not cut off."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, one.get_short_help_str(LONGEST)) for name, one in found if one is not None])


def by_default(name: str) -> type[TyperGroup]:
    """A group of commands in which what names no command is an argument of this one: `arena judge BUNDLE`."""

    class Group(WholeGroup):
        default = name

        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            said = args[:1] or ([] if self.no_args_is_help else [""])
            if said and said[0] not in (*self.commands, "--help", "-h"):
                args = [self.default, *args]
            return super().parse_args(ctx, args)

        def format_help(self, ctx: Any, formatter: Any) -> None:
            """The group's help, and that of the command which needs no name."""
            super().format_help(ctx, formatter)
            command = self.commands[self.default]
            formatter.write_paragraph()
            command.format_help(type(ctx)(command, info_name=self.default, parent=ctx), formatter)

    return Group


SOLVERS = "euler, heun, midpoint, rk4, dopri5, ddim, ddpm, dpm_solver_pp, sde, consistency"
GRIDS = "uniform, quadratic, karras, warped"  # a test holds both against the registries, which load torch
LONGEST = 200  # letters of a command's sentence
HELP = {"help_option_names": ["-h", "--help"]}
DataOption = Annotated[
    Path | None,
    typer.Option("--data", help="Folder that holds the dataset's files.", envvar=None, show_default=False),
]
SamplesOption = Annotated[int, typer.Option(min=100, max=1_000_000, help="How many images the judge asks for.")]
BundleArgument = Annotated[
    Path,
    typer.Argument(
        metavar="BUNDLE",
        help="zoo:NAME (see arena zoo), or a folder or zip of card.json and weights.safetensors.",
        autocompletion=complete_zoo,
    ),
]
AnyBundleArgument = Annotated[
    Path,
    typer.Argument(
        metavar="BUNDLE",
        help="zoo:NAME (see arena zoo), or a folder or zip of card.json and weights.safetensors, or of ONNX files.",
        autocompletion=complete_zoo,
    ),
]
JudgeOption = Annotated[
    Path | None,
    typer.Option("--judge", help="A judge's file, as `arena judge train` writes it; the data's own unless given."),
]
WaterfallOption = Annotated[
    bool,
    typer.Option(
        "--waterfall",
        help="Also split the Frechet distance into autoencoder, generator, steps and guidance: two more samplings.",
    ),
]
KeyOption = Annotated[
    str | None,
    typer.Option("--key", metavar="HEX", help="A contest's key, once it is published; the public one unless given."),
]


def _load(named: list[str] | None) -> list[str] | None:
    from latentarena.parts import load_parts

    load_parts(named or ())
    return named


SolverOption = Annotated[
    str | None,
    typer.Option(
        "--solver", help=f"One of {SOLVERS}; jump for a mean-velocity network. The bundle's own unless given."
    ),
]
GridOption = Annotated[
    str | None,
    typer.Option("--grid", help=f"How steps are spread over time: {GRIDS}. The bundle's own unless given."),
]
PluginOption = Annotated[
    list[str] | None,
    typer.Option(
        "--plugin",
        metavar="FILE",
        callback=_load,
        help="Python file of parts of your own, which is run; may be given several times.",
    ),
]
AcceleratorOption = Annotated[
    str, typer.Option("--accelerator", help="Where the model runs: auto (a GPU if there is one), cpu, cuda, mps.")
]
PrecisionOption = Annotated[
    str, typer.Option("--precision", help="Of the networks' matrix products: 32-true, bf16-mixed, 16-mixed.")
]
SizeOption = Annotated[int | None, typer.Option(help="Resize folder images to this height and width.")]
CropOption = Annotated[
    str | None, typer.Option(help="center: cut the largest square out of the middle of folder images first.")
]
ResizeOption = Annotated[
    str | None, typer.Option(help="stretch: folder images that are no squares may be distorted into squares.")
]
DatabaseOption = Annotated[
    str,
    typer.Option(
        "--db", metavar="URL", envvar="ARENA_DB", help="sqlite:///FILE or postgresql://HOST/NAME; else ARENA_DB."
    ),
]
ObjectsOption = Annotated[
    str,
    typer.Option(
        "--objects",
        metavar="FOLDER|URL",
        envvar="ARENA_OBJECTS",
        help="Folder or bucket of the files, such as s3://BUCKET; else ARENA_OBJECTS.",
    ),
]
