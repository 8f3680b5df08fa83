"""Commands for contests: boards, the server and its workers, submissions."""

from __future__ import annotations

import typer

__all__ = ["app"]

app = typer.Typer()
