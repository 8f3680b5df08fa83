"""Pages of the terminal that show names as they are: `:tv:` is no emoji, `[red]` no colour. Imports no torch."""

from __future__ import annotations

from rich.console import Console

WIDTH = 110  # columns, where the output is no terminal


def plain_console(width: int | None = None, stderr: bool = False, soft_wrap: bool = False) -> Console:
    """A page on which nothing but `style` and `Text` gives colour."""
    return Console(width=width, stderr=stderr, soft_wrap=soft_wrap, highlight=False, emoji=False, markup=False)


def line_page(stderr: bool = False) -> Console:
    """For sentences, each in one line."""
    return plain_console(stderr=stderr, soft_wrap=True)


def wide_page() -> Console:
    """For tables, as wide as the terminal."""
    page = plain_console()
    return page if page.is_terminal else plain_console(WIDTH)
