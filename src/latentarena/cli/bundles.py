"""Commands for bundles from elsewhere: check them, or make one of what came in another form."""

from __future__ import annotations

import typer

__all__ = ["app"]

app = typer.Typer()
