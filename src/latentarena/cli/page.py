"""Pages of the terminal that show names as they are: `:tv:` in them is no emoji. Imports no torch."""

from __future__ import annotations

from rich.console import Console

WIDTH = 110  # columns, where the output is no terminal


def line_page(stderr: bool = False) -> Console:
    """For sentences, each in one line."""
    return Console(stderr=stderr, soft_wrap=True, highlight=False, emoji=False)


def wide_page() -> Console:
    """For tables, as wide as the terminal."""
    page = Console(highlight=False, emoji=False)
    return page if page.is_terminal else Console(width=WIDTH, highlight=False, emoji=False)
