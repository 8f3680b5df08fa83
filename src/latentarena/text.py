"""Words that others wrote, made fit to be shown."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode's categories of control, format (zero-width, bidi), surrogates, private, unassigned, line and paragraph."""
FILLERS = (0x034F, 0x115F, 0x1160, 0x1680, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0)
BLANK = frozenset({*FILLERS, *range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)})
"""Letters and marks that show nothing: fillers, the space of Ogham, the empty Braille cell, variation selectors."""

SHOWN = 100  # characters of a value in a message
LONGEST_PART = 200  # bytes: file systems allow 255, and suffixes are put behind it
FORBIDDEN = frozenset('/\\:*?"<>|')  # in a file's name, on one system or another
PORTS = (f"{port}{number}" for port in ("COM", "LPT") for number in "0123456789¹²³")
DEVICES = frozenset(["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", *PORTS])  # of Windows
PLAIN = {"\u2026": "...", "\u2013": "-", "\u2014": "-", "\u00d7": "x", "\u00b1": "+-", "\u2264": "<=", "\u2265": ">="}
PLAIN |= {"\u2500": "-", "\u2501": "-", "\u2578": "-", "\u257a": "-", "\u2192": "->", "\u00a0": " ", "\u2019": "'"}


def printable(text: str) -> str:
    """The text in one line, with a space for every letter that does not print or that a terminal would act on."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def in_short(kind: str, name: str, *facts: str) -> str:
    """What a notebook shows of an object, such as `<Model 'quickstart': images 1 x 28 x 28, latents 16>`."""
    return f"<{kind} {name!r}: {', '.join(fact for fact in facts if fact)}>"


def sides(shape: Iterable[int]) -> str:
    """A shape in words, such as `1 x 28 x 28`."""
    return " x ".join(map(str, shape))


def nearest(name: str, names: Iterable[str]) -> str:
    """The one of some names that somebody may have meant; empty where none is near."""
    return next(iter(get_close_matches(name, names, n=1)), "")


def listed(text: str) -> list[str]:
    """The parts of a list such as `0, 5,17`."""
    return [part.strip() for part in text.split(",")]


def meant(name: str, names: Iterable[str]) -> str:
    """`did you mean 'NAME'? `, the beginning of a list of choices; empty where none is near, and for a number."""
    near = "" if name.isdecimal() else nearest(name, names)
    return f"did you mean {near!r}? " if near else ""


def hidden(letter: str) -> bool:
    """Whether a character cannot be seen, or changes how others are shown."""
    return unicodedata.category(letter) in HIDDEN or ord(letter) in BLANK


def first_hidden(text: str) -> str:
    """The first character that hides or reorders text, such as `U+202E`; nothing where there is none.

    A text that passes has one line, and reads as it is written.
    """
    return next((f"U+{ord(letter):04X}" for letter in text if unicodedata.category(letter) in HIDDEN), "")


def visible(text: str) -> str:
    """Any text with what hides or reorders it replaced by spaces; line breaks and tabs stay."""
    if text.isprintable():
        return text
    return "".join(" " if hidden(letter) and letter not in "\n\t" else letter for letter in text)


def plain_line(text: str, longest: int = 200) -> str:
    """Any text as one line that can be shown: NFKC, what is hidden replaced by spaces, cut to length."""
    line = " ".join(visible(unicodedata.normalize("NFKC", text[: 4 * longest])).split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def without_marks(decomposed: str) -> str:
    """A text in one of Unicode's decomposed forms without its accents and other combining marks."""
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))


def slug(name: str) -> str:
    """A name as part of an address: lower-case ASCII letters, digits and hyphens; `entry` where none are left."""
    flat = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    words = "".join(letter if letter.isalnum() else " " for letter in flat).split()
    return "-".join(words)[:60].strip("-") or "entry"


def shown(value: Any) -> str:
    """A value as a message shows it: not longer than a line, a tuple as the list that people write."""
    try:
        text = repr(list(value) if isinstance(value, tuple) else value)
    except RecursionError:
        return f"a {type(value).__name__} of very many levels"
    text = re.sub(r"\s*\n\s*", " ", text)  # as of an array
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


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
    if text.split(".")[0].rstrip().upper() in DEVICES:
        raise ValueError("Windows keeps this name for a device; choose another one")
    if len(text.encode()) > LONGEST_PART:
        raise ValueError(f"a name of at most {LONGEST_PART} bytes is wanted")
    return text


def plain_letters(error: UnicodeError) -> tuple[str, int]:
    """A codec's error handler: letters that a terminal cannot show become plain ones, or `?`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(PLAIN.get(letter, "?") for letter in error.object[error.start : error.end]), error.end
