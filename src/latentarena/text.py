"""Words that others wrote, made fit to be shown."""

from __future__ import annotations

LONGEST_PART = 200  # bytes: file systems allow 255, and suffixes are put behind it
FORBIDDEN = frozenset('/\\:*?"<>|')  # in a file's name, on one system or another
DEVICES = frozenset(["CON", "PRN", "AUX", "NUL", *(f"{port}{i}" for port in ("COM", "LPT") for i in range(10))])
PLAIN = {"\u2026": "...", "\u2013": "-", "\u2014": "-", "\u00d7": "x", "\u00b1": "+-", "\u2264": "<=", "\u2265": ">="}
PLAIN |= {"\u2500": "-", "\u2501": "-", "\u2578": "-", "\u257a": "-", "\u2192": "->", "\u00a0": " ", "\u2019": "'"}


def printable(text: str) -> str:
    """The text in one line, with a space for every letter that does not print or that a terminal would act on."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def one_path_part(text: str) -> str:
    """The text, if it can be the name of a file or folder on any system.

    Raises:
        ValueError: it cannot; the message says why.
    """
    bad = sorted({letter for letter in text if letter in FORBIDDEN or not letter.isprintable()})
    if bad or text in ("", ".", ".."):
        why = f"{', '.join(map(repr, bad))} cannot be part of it" if bad else f"it is {text!r}"
        raise ValueError(f"a name of one plain path part is wanted, such as mine; {why}")
    if text != text.strip() or text.endswith("."):
        raise ValueError("a name does not begin or end with a space, nor end with a dot")
    if text.split(".")[0].upper() in DEVICES:
        raise ValueError("Windows keeps this name for a device; choose another one")
    if len(text.encode()) > LONGEST_PART:
        raise ValueError(f"a name of at most {LONGEST_PART} bytes is wanted")
    return text


def plain_letters(error: UnicodeError) -> tuple[str, int]:
    """A codec's error handler: letters that a terminal cannot show become plain ones, or `?`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(PLAIN.get(letter, "?") for letter in error.object[error.start : error.end]), error.end
