"""Names that strangers choose: normalised, without what hides or reorders text, and unlike each other to the eye."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from latentarena.errors import ConfigError

__all__ = ["LONGEST", "clean_name", "looks_like", "plain_line", "skeleton", "slug", "visible"]

LONGEST = 60  # letters of a name
MARKS = 2  # combining marks on one letter
HIDDEN = {
    "Cc",
    "Cf",
    "Cs",
    "Co",
    "Cn",
    "Zl",
    "Zp",
}  # control, format (zero-width, bidi), surrogates, private, unassigned
FILLERS = (0x034F, 0x115F, 0x1160, 0x1680, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0)
BLANK = {*FILLERS, *range(0x180B, 0x1810), *range(0xFE00, 0xFE10)}
"""Letters and marks that show nothing: fillers, the space of Ogham, the empty Braille cell, variation selectors."""
BLANKS = range(0xE0100, 0xE01F0)

LIKE = {
    "a": "аαɑ",
    "b": "ьƅ",
    "c": "сϲⅽ",
    "d": "ԁⅾ",
    "e": "еєҽ",
    "g": "ɡց",
    "h": "һհ",
    "j": "јϳ",
    "k": "кκ",
    "l": "i1|ıіιӏǀⅼǃוןا١۱",
    "m": "мⅿ",
    "n": "пոη",
    "o": "0оοօσ०੦০๐໐٥۵ο",
    "p": "рρ",
    "q": "ԛգ",
    "r": "гᴦ",
    "s": "5ѕꜱ$",
    "t": "тτ",
    "u": "υսʋ",
    "v": "νѵⅴ",
    "w": "ԝաѡω",
    "x": "хχ×ⅹ",
    "y": "уүγ",
    "z": "2ᴢ",
    "3": "зэʒ",
}
"""Lower-case letters and what the eye takes for them: the common part of Unicode's list of confusables (UTS 39)."""
TABLE = {ord(other): letter for letter, others in LIKE.items() for other in others}
PAIRS = (("rn", "m"), ("vv", "w"))


def clean_name(text: str, what: str = "name", longest: int = LONGEST) -> str:
    """A name as it is kept and shown: NFKC, single spaces, nothing hidden.

    Args:
        text: as it was typed.
        what: is named, for the message.
        longest: in letters.

    Raises:
        ConfigError: one line that says which character is in the way.
    """
    name = " ".join(part for part in unicodedata.normalize("NFKC", text).split(" ") if part)
    marks = 0
    for letter in name:
        code = ord(letter)
        if _hidden(letter):
            raise ConfigError(f"{what} holds the invisible or reordering character U+{code:04X}; leave it out")
        marks = marks + 1 if unicodedata.category(letter) in ("Mn", "Me") else 0
        if marks > MARKS:
            raise ConfigError(f"{what} stacks more than {MARKS} marks on a letter (U+{code:04X}); leave them out")
    if not any(unicodedata.category(letter)[0] in "LN" for letter in name):
        raise ConfigError(f"{what} {name!r} has no letter and no digit; choose one that can be read aloud")
    if len(name) > longest:
        raise ConfigError(f"{what} has {len(name)} letters, more than {longest}; choose a shorter one")
    return name


def skeleton(name: str) -> str:
    """What the eye keeps of a name: two names of equal skeleton look alike.

    Compatibility forms, case, accents, spaces and punctuation go; letters of other alphabets and digits become the
    Latin letter that they are taken for; `rn` and `vv` become `m` and `w`.
    """
    flat = unicodedata.normalize("NFKD", name).casefold()
    flat = unicodedata.normalize("NFKD", flat.translate(TABLE))
    kept = "".join(letter for letter in flat if unicodedata.category(letter)[0] in "LN").translate(TABLE)
    for pair, letter in PAIRS:
        kept = kept.replace(pair, letter)
    return kept


def looks_like(name: str, taken: Iterable[str]) -> str | None:
    """The first of the names taken that cannot be told from this one at a glance; itself counts too."""
    own = skeleton(name)
    return next((other for other in taken if other == name or skeleton(other) == own), None)


def visible(text: str) -> str:
    """Any text with what hides or reorders it replaced by spaces; line breaks and tabs stay."""
    if text.isprintable():
        return text
    return "".join(" " if _hidden(letter) and letter not in "\n\t" else letter for letter in text)


def plain_line(text: str, longest: int = 200) -> str:
    """Any text as one line that can be shown: NFKC, what is hidden replaced by spaces, cut to length."""
    line = " ".join(visible(unicodedata.normalize("NFKC", text[: 4 * longest])).split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def _hidden(letter: str) -> bool:
    return unicodedata.category(letter) in HIDDEN or ord(letter) in BLANK or ord(letter) in BLANKS


def slug(name: str) -> str:
    """A name as part of an address: lower-case ASCII letters, digits and hyphens; `entry` where none are left."""
    flat = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    words = "".join(letter if letter.isalnum() else " " for letter in flat).split()
    return "-".join(words)[:60].strip("-") or "entry"
