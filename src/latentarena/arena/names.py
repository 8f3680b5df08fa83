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

MORE = str.maketrans(
    "пєэωĸ$ӏΛƿᥒЯяς∀ⲀⲁⲂⲃⲌⲍյȷЄεԑԐƏəӘәɅʌꓥⴷᐱꓯ𐌀𐌡ꓭᑕꓛϾͼᑐꓷⵟⵎꓱ∃ꓩꓨ⅁ꓘԼꓶ⅂ʘⵙ𐌏ꙨꙩߋიᕈբϥꓤꚌꚍꓕꓵᐁ𐌞ⵅ⅄ח߁շ",
    "ne3wkslApnRrcAAaBBZzjjEeeEEeEeAaAAAAAABCCCcDDEEEEFGGKLLLOOOOoooPpqRTtTUVVXYn12",
)
"""Letters that Unicode's list of confusables does not take for Latin ones that they look like, upright or turned."""
OF_LATIN = re.compile(
    r"(?:NEGATIVE (?:SQUARED|CIRCLED) )?LATIN (?:LETTER SMALL CAPITAL|(?:SMALL|CAPITAL) LETTER)"
    r"(?: [A-Z]{2,})* ([A-Z])(?: WITH .*)?|TURNED (?:SMALL|CAPITAL) ([A-Z])"
)
"""Unicode's names of Latin letters with strokes, hooks and the like, and of open, turned and reversed ones."""
EUROPEAN = 0x530  # Latin, Greek and Cyrillic lie below: marks on their letters are accents, elsewhere they spell
INNER_I = re.compile(r"(?<![A-Za-z])i(?=[A-Za-z]{2})|(?<=[A-Za-z])i(?=[A-Za-z])")
INNER_L = re.compile(r"(?<=[A-Za-z])[iI1|](?=[a-z])")  # no numeral stands there
LAST_O = "[Oo](?![A-Za-z])"  # after digits it is taken for a zero
LEET = tuple(
    (re.compile(rf"{digit}(?=[258]*(?!{LAST_O})[A-Za-z])|(?<=[A-Za-z][a-z]){digit}(?![0-9A-Za-z])"), letter)
    for digit, letter in ("5s", "2z", "8b")
)
WORD = re.compile(r"[^\W_]+|\|")
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


def skeleton(name: str) -> tuple[str, str, str]:
    """What the eye keeps of a name, in three readings: names that share one of them look alike.

    In all, letters of other alphabets become the Latin letters that they are taken for (Unicode's confusables,
    UTS 39), and case, accents, spaces and punctuation go; between two digits a hyphen stays: 1-12 is not 11-2.
    The first reading also takes 1, | and capital I for a small l, and so cannot tell that L is the same letter: one
    reading for both would make teams I and L look alike. It further reads 0 as o, m as rn, w as vv, i before other
    letters as l, and 5, 2 and 8 as s, z and b before letters and alone at a word's end: `Viking5` is like `VikingS`.
    The second keeps digits. The third goes by Unicode's table alone, where a letter need not look Latin, and takes 1,
    I and l for each other where they stand alone, but L for an l in words: `Lab 1` is like `lab l`.
    """
    shown = _faces(name)
    seen = _leet(re.sub("[I1|]", "l", INNER_I.sub("l", shown)))
    seen = "".join(letter if letter == "L" else letter.casefold() for letter in seen)
    classed = WORD.sub(_cased, _leet(INNER_L.sub("l", _hyphens("".join(_unaccented(_classes(name)))))))
    return _alike(seen), _joined(shown).casefold(), _alike(classed)


def _leet(text: str) -> str:
    for digit, letter in LEET:
        text = digit.sub(letter, text)
    return text


def _cased(word: re.Match[str]) -> str:
    """A word in small letters; alone, 1 and I are an l, and L is none."""
    return "l" if word[0] in "1I|" else word[0] if word[0] == "L" else word[0].casefold()


def _alike(text: str) -> str:
    return _joined(text).replace("0", "o").replace("m", "rn").replace("w", "vv")


def spelling(name: str) -> str:
    """What a name has in common with itself in other case, with other spaces and other dashes: 1 1 is not 11."""
    return re.sub(r"(?<![0-9]) | (?![0-9])", "", _plain_dashes(name).casefold())


def _plain_dashes(text: str) -> str:
    return "".join("-" if unicodedata.category(letter) == "Pd" or letter in "−⁃" else letter for letter in text)


def _joined(text: str) -> str:
    return "".join(letter for letter in text if unicodedata.category(letter)[0] in "LMN" or letter == "-")


def _faces(name: str) -> str:
    """A name in the Latin letters that its letters are taken for; other letters, digits and spaces stay."""
    plain = unicodedata.normalize("NFKD", _plain_dashes(SHARP_S.sub("B", name))).translate(MORE)
    return _hyphens("".join(map(_face, _unaccented(plain))))


def _classes(name: str) -> str:
    """A name in the letters that stand for all which look like its own, those of Unicode's table."""
    return "".join(map(_class, _plain_dashes(name)))


def _unaccented(text: str) -> list[str]:
    """The letters of a text without accents; marks that spell stay."""
    base, kept = "", []
    for letter in text:
        mark = unicodedata.category(letter) in ("Mn", "Me")
        base = base if mark else letter
        kept.append("" if mark and base < chr(EUROPEAN) else letter)
    return kept


def _hyphens(text: str) -> str:
    return BETWEEN_DIGITS.sub("\0", text).replace("-", " ").replace("\0", "-")


@lru_cache(maxsize=1 << 14)
def _face(letter: str) -> str:
    """The ASCII that a letter is taken for, as it is or in its other case; else the letter that stands for its like."""
    if letter.isascii() or unicodedata.category(letter[:1] or " ") in ("Mn", "Me"):
        return letter
    alike = _prototypes()
    for one in (letter, letter.upper(), letter.lower()):
        like = _flat(alike.get(one, one))
        flat = like if like.isascii() else _named(one) or _named(like)
        if flat and flat.isascii():
            return "i" if flat == "l" and one != letter else flat  # a capital I's small letter
    return alike.get(letter, letter)


def _flat(letters: str) -> str:
    return without_marks(unicodedata.normalize("NFD", letters))


def _named(letters: str) -> str:
    """The ASCII letter that Unicode's name of a letter speaks of, or that one without its stroke or tick looks like."""
    name = unicodedata.name(letters, "") if len(letters) == 1 else ""
    if latin := OF_LATIN.fullmatch(name):
        found = latin[1] or latin[2]
        return found if letters.isupper() else found.lower()
    try:
        plain = unicodedata.lookup(name.partition(" WITH ")[0]) if " WITH " in name else ""
    except KeyError:
        return ""
    shape = _flat(_prototypes().get(plain, plain))
    return shape if shape.isascii() else ""


@lru_cache(maxsize=1 << 14)
def _class(letter: str) -> str:
    """What stands for a letter and all that look like it, decomposed; letters and digits of ASCII stay."""
    kept = letter.isascii() and letter.isalnum()
    whole = letter if kept else _prototypes().get(letter) or unicodedata.normalize("NFKD", letter)
    return letter if whole == letter else "".join(map(_class, whole))


@cache
def _prototypes() -> dict[str, str]:
    """By letter of a clean name, the letters that stand for all which look like it, from Unicode's table.

    The package lists, for each of these, all that look like it, and for every other letter just the one. Of two that
    look like each other alone, several letters stand for one, ASCII for others, and else the first of Unicode's.
    """
    from confusable_homoglyphs.confusables import confusables_data

    mark = "\u200e"  # around letters that are written from the right
    listed = {one.strip(mark): [other["c"].strip(mark) for other in others] for one, others in confusables_data.items()}
    single = {one: others[0] for one, others in listed.items() if len(one) == 1 and len(others) == 1}
    kept = {one: other for one, other in single.items() if listed[other] != [one] or _standing(other) < _standing(one)}
    clean = {one: unicodedata.normalize("NFKC", other) for one, other in kept.items()}
    return {one: other for one, other in clean.items() if one != other and unicodedata.is_normalized("NFKC", one)}


def _standing(letters: str) -> tuple[bool, int, bool, str]:
    return unicodedata.is_normalized("NFKC", letters), -len(letters), not letters.isascii(), letters


@lru_cache(maxsize=1 << 14)
def _words(name: str) -> tuple[tuple[str, str], ...]:
    """The words of a name without case and accents, each with the alphabet of its letters: none for several.

    A letter by itself keeps its accent where that makes another letter of it, as in Cyrillic.
    """
    found = []
    for word in "".join(letter if unicodedata.category(letter)[0] in "LM" else " " for letter in name).split():
        alphabets = {unicodedata.name(one, "").split(" ")[0] for one in word if unicodedata.category(one)[0] == "L"}
        alphabet = alphabets.pop() if len(alphabets) == 1 else ""
        plain = unicodedata.normalize("NFKD", word).casefold()
        found.append((alphabet, plain if len(word) == 1 and alphabet == "CYRILLIC" else "".join(_unaccented(plain))))
    return tuple(found)


def _told_apart(name: str, other: str) -> bool:
    """Whether words in the same other alphabets differ in their letters, for those who read them."""
    words, others = _words(name), _words(other)
    if [alphabet for alphabet, _ in words] != [alphabet for alphabet, _ in others]:
        return False
    return any(one != two and one[0] not in ("", "LATIN") for one, two in zip(words, others, strict=True))


_readings = lru_cache(maxsize=1 << 14)(skeleton)


class Names:
    """Names that are taken, by what they look like."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._seen: dict[tuple[int, str], list[str]] = {}
        for name in taken:
            self.add(name)

    def add(self, name: str) -> None:
        """Take a name."""
        for reading in enumerate(_readings(name)):
            self._seen.setdefault(reading, []).append(name)

    def like(self, name: str) -> str | None:
        """The first name taken that cannot be told from this one at a glance; itself counts too.

        Words in the letters of one other alphabet are told apart by those who read it: only equal letters count.
        """
        others = (other for reading in enumerate(_readings(name)) for other in self._seen.get(reading, ()))
        return next((other for other in others if not _told_apart(name, other)), None)


def looks_like(name: str, taken: Iterable[str]) -> str | None:
    """The first of the names taken that cannot be told from this one at a glance; itself counts too."""
    return Names(taken).like(name)
