"""Words that others wrote, made fit to be shown."""

from __future__ import annotations

__all__ = ["printable"]


def printable(text: str) -> str:
    """The text in one line, with a space for every letter that does not print or that a terminal would act on."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
