"""Commands for bundles from elsewhere: check them, or make one of what came in another form."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["app"]

app = typer.Typer()


@app.command("import-legacy")
def import_legacy(
    submission: Annotated[
        Path,
        typer.Argument(help="Zip or folder of a 2025 submission; or its .py or .ipynb, with the weights beside it."),
    ],
    out: Annotated[Path, typer.Option(help="Folder for card.json and the three ONNX files.")] = Path("portable"),
    dataset: Annotated[str, typer.Option(help="That it was trained on.")] = "mnist",
) -> None:
    """Trace a Python submission of the 2025 contest into a portable bundle; its code runs in sandboxes only."""
    from latentarena.bundle.legacy_import import import_legacy as make
    from latentarena.cli.console import console, quiet_logs

    quiet_logs()
    console.print("tracing: some seconds for every ten steps of the sampler", highlight=False)
    card = make(submission, out, dataset)
    parts = ", ".join(f"{part} {count:,}" for part, count in card.parameters.items())
    console.print(f"{card.name}: numbers by part: {parts} -> {out}", highlight=False)
