"""Names that strangers choose: normalised, without what hides or reorders text, and unlike each other to the eye."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import cache, lru_cache

from latentarena.errors import ConfigError
from latentarena.text import hidden, without_marks

LONGEST = 60  # letters of a name
MARKS = 2  # combining marks on one letter

MORE = str.maketrans("пєэωĸ$ӏΛƿᥒЯяς∀ⲀⲁⲂⲃⲌⲍյȷ", "ne3wksl" + "ApnRrcAAaBBZzjj")
"""Letters that Unicode's list of confusables does not take for the Latin ones that they look like."""
OF_LATIN = re.compile(
    r"(?:NEGATIVE (?:SQUARED|CIRCLED) )?LATIN (?:LETTER SMALL CAPITAL|(?:SMALL|CAPITAL) LETTER) ([A-Z])(?: WITH .*)?"
)
"""Unicode's names of Latin letters with strokes, hooks and the like."""
EUROPEAN = 0x530  # Latin, Greek and Cyrillic lie below: marks on their letters are accents, elsewhere they spell
INNER_I = re.compile(r"(?<![A-Za-z])i(?=[A-Za-z]{2})|(?<=[A-Za-z])i(?=[A-Za-z])")
LEET = tuple(
    (re.compile(rf"{digit}(?=[258]*[A-Za-z])|(?<=[A-Za-z][a-z]){digit}(?![0-9A-Za-z])"), letter)
    for digit, letter in ("5s", "2z", "8b")
)
SHARP_S = re.compile(r"\bß")  # begins no word, unless it stands for a B
BETWEEN_DIGITS = re.compile(r"(?<=[0-9])[\W_]+(?=[0-9])")


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
        if hidden(letter):
            raise ConfigError(f"{what} holds the invisible or reordering character U+{code:04X}; leave it out")
        marks = marks + 1 if unicodedata.category(letter) in ("Mn", "Me") else 0
        if marks > MARKS:
            raise ConfigError(f"{what} stacks more than {MARKS} marks on a letter (U+{code:04X}); leave them out")
    if not any(unicodedata.category(letter)[0] in "LN" for letter in name):
        raise ConfigError(f"{what} {name!r} has no letter and no digit; choose one that can be read aloud")
    if len(name) > longest:
        raise ConfigError(f"{what} has {len(name)} letters, more than {longest}; choose a shorter one")
    return name


def skeleton(name: str) -> tuple[str, str]:
    """What the eye keeps of a name, in two readings: names that share one of them look alike.

    In both, letters of other alphabets become the Latin letters that they are taken for (Unicode's confusables,
    UTS 39), and case, accents, spaces and punctuation go; between two digits a hyphen stays: 1-12 is not 11-2.
    The first reading also takes 1, | and capital I for a small l, and so cannot tell that L is the same letter: one
    reading for both would make teams I and L look alike. It further reads 0 as o, m as rn, w as vv, i before other
    letters as l, and 5, 2 and 8 as s, z and b before letters and alone at a word's end: `Viking5` is like `VikingS`.
    """
    shown = _faces(name)
    seen = re.sub("[I1|]", "l", INNER_I.sub("l", shown))
    for digit, letter in LEET:
        seen = digit.sub(letter, seen)
    seen = "".join(letter if letter == "L" else letter.casefold() for letter in seen)
    seen = _joined(seen).replace("0", "o").replace("m", "rn").replace("w", "vv")
    return seen, _joined(shown).casefold()


def spelling(name: str) -> str:
    """What a name has in common with itself in other case, with other spaces and other dashes: 1 1 is not 11."""
    return re.sub(r"(?<![0-9]) | (?![0-9])", "", _plain_dashes(name).casefold())


def _plain_dashes(text: str) -> str:
    return "".join("-" if unicodedata.category(letter) == "Pd" or letter in "−⁃" else letter for letter in text)


def _joined(text: str) -> str:
    return "".join(letter for letter in text if unicodedata.category(letter)[0] in "LMN" or letter == "-")


def _faces(name: str) -> str:
    """A name in the Latin letters that its letters are taken for; other letters, digits and spaces stay."""
    base, shown = "", []
    for letter in unicodedata.normalize("NFKD", _plain_dashes(SHARP_S.sub("B", name))).translate(MORE):
        if unicodedata.category(letter) in ("Mn", "Me"):
            shown.append("" if base < chr(EUROPEAN) else letter)
        else:
            base = letter
            shown.append(_face(letter))
    return BETWEEN_DIGITS.sub("\0", "".join(shown)).replace("-", " ").replace("\0", "-")


@lru_cache(maxsize=1 << 14)
def _face(letter: str) -> str:
    """The ASCII that a letter is taken for, as it is or in its other case; else the letter that stands for its like."""
    if letter.isascii():
        return letter
    alike = _prototypes()
    for one in (letter, letter.upper(), letter.lower()):
        for shape in (alike.get(one, one), one):
            flat = without_marks(unicodedata.normalize("NFD", shape))
            latin = OF_LATIN.fullmatch(unicodedata.name(flat, "")) if len(flat) == 1 and not flat.isascii() else None
            flat = (latin[1] if flat.isupper() else latin[1].lower()) if latin else flat
            if flat and flat.isascii():
                return "i" if flat == "l" and one != letter else flat  # a capital I's small letter
    return alike.get(letter, letter)


@cache
def _prototypes() -> dict[str, str]:
    """By letter, the letters that stand for all which look like it, from Unicode's table.

    The package lists, for each of these, all that look like it, and for every other letter just the one.
    """
    from confusable_homoglyphs.confusables import confusables_data

    mark = "\u200e"  # around letters that are written from the right
    listed = {letter.strip(mark): others for letter, others in confusables_data.items()}
    return {
        letter: others[0]["c"].strip(mark) for letter, others in listed.items() if len(letter) == 1 and len(others) == 1
    }


@lru_cache(maxsize=1 << 14)
def _appearance(name: str) -> tuple[str, str, str]:
    """The two readings of a name, and the alphabet of all its letters; no alphabet for Latin or several."""
    letters = {unicodedata.name(letter, "").split(" ")[0] for letter in name if unicodedata.category(letter)[0] == "L"}
    alphabet = letters.pop() if len(letters) == 1 else ""
    return (*skeleton(name), "" if alphabet == "LATIN" else alphabet)


class Names:
    """Names that are taken, by what they look like."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._seen: dict[tuple[int, str], list[str]] = {}
        for name in taken:
            self.add(name)

    def add(self, name: str) -> None:
        """Take a name."""
        for reading in enumerate(_appearance(name)[:2]):
            self._seen.setdefault(reading, []).append(name)

    def like(self, name: str) -> str | None:
        """The first name taken that cannot be told from this one at a glance; itself counts too.

        Two names in the letters of one other alphabet are told apart by those who read it: only equal letters count.
        """
        *readings, alphabet = _appearance(name)
        for other in (other for reading in enumerate(readings) for other in self._seen.get(reading, ())):
            same = alphabet and alphabet == _appearance(other)[2]
            if not same or _folded(other) == _folded(name):
                return other
        return None


def _folded(name: str) -> str:
    """A name without case, accents and what stands between words."""
    base, kept = "", []
    for letter in unicodedata.normalize("NFKD", name).casefold():
        mark = unicodedata.category(letter) in ("Mn", "Me")
        base = base if mark else letter
        kept.append("" if mark and base < chr(EUROPEAN) else letter)
    return _joined("".join(kept))


def looks_like(name: str, taken: Iterable[str]) -> str | None:
    """The first of the names taken that cannot be told from this one at a glance; itself counts too."""
    return Names(taken).like(name)
