"""`arena data`: what is found in a folder of images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from latentarena.cli.options import CropOption, PluginOption, ResizeOption, SizeOption

app = typer.Typer()


@app.command("data")
def data(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FOLDER", help="A folder or zip of images, another file of images, or mnist, digits, ..."
        ),
    ],
    size: SizeOption = None,
    crop: CropOption = None,
    resize: ResizeOption = None,
    root: Annotated[Path | None, typer.Option("--data", help="Folder that holds a named dataset's files.")] = None,
    every: Annotated[bool, typer.Option("--all", help="List everything that is left out.")] = False,
    out: Annotated[Path, typer.Option(help="Contact sheet, .png.")] = Path("contact-sheet.png"),
    plugin: PluginOption = None,
) -> None:
    """Show how a folder of images is read: splits, classes, sizes, what is left out, and a contact sheet."""
    import io
    import logging

    from latentarena.cli.console import print_overview
    from latentarena.config import validate
    from latentarena.data import DATASETS, FOLDER, DataConfig, overview
    from latentarena.errors import ConfigError, DataError
    from latentarena.files import make_folder, write_atomically

    logging.getLogger("latentarena").setLevel(logging.ERROR)  # what it warns of is shown in full
    if out.suffix.lower() != ".png":
        raise ConfigError(f"--out {out}: a contact sheet is a .png")
    named = source if source in DATASETS or source.startswith(FOLDER) else f"{FOLDER}{source}"
    images = {"name": named, "size": size, "crop": crop, "resize": resize}
    found = overview(validate(DataConfig, images, source), root)
    print_overview(named, found, every)
    if found.sheet is not None:
        buffer = io.BytesIO()
        found.sheet.save(buffer, "PNG")
        make_folder(out.parent)
        write_atomically(out, buffer.getvalue())
        typer.echo(f"contact sheet -> {out}")
    if found.faults:
        raise DataError(found.faults[0])
