"""The text of a class list: in which of the encodings that spreadsheets write its bytes are."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from itertools import pairwise

from latentarena.arena.class_list import names_beyond_ascii
from latentarena.errors import ConfigError
from latentarena.text import plain_line

WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # .xlsx and .ods, and .xls
OTHERS = ("cp932", "gb18030", "big5", "cp949", "cp1251", "cp1253", "cp1250", "cp1254", "mac_roman")
"""Japanese, Chinese, Korean, Cyrillic, Greek, Central European, Turkish, an old Mac's: taken where columns say so."""
LATIN = ("cp1250", "cp1254")
"""Those whose letters are others of cp1252: nothing but people's names may tell which of them it is."""
ORDINALS = "ªº"  # as in Nº 5: signs that cp1252 has in words, where the others have letters
UNLIKELY = re.compile(
    r"[^\W\d_a-zA-Z]{4}"  # letters beyond ASCII in a row, as no language of cp1252 has them
    r"|(?<=[a-zß-öø-ÿšœž])[À-ÖØ-ÞŠŒŽŸ]"  # a capital behind a small letter
    r"|[\x80-\x9f¤¦¬¯±¶×÷ˆ˜†‡‰]|(?<=[^\W\d_])§|[£¥](?=[^\W\d_])"  # signs that names do not have
    r"|[^\W\d_][¡-©«®²-´¸»-¿“-”„•…™](?=[^\W\d_])"  # others, within a word
)
"""What is read as cp1252 and is not."""
UNLIKELY_CENTRAL = re.compile(f"{UNLIKELY.pattern}|[‚„…†‡‰‹›‘’“”•–—´¸˘ˇ˙˛˝]")
"""What is read as cp1250 and is not, beside capitals behind small letters."""
WESTERN = ("àâæçèéêëîïôœùûüÿ", "áéíñóúü", "àèéìíîòóùú", "àáâãçéêíóôõúü", "àçèéíïòóúü", "åæéø", "åäéö")
"""Letters beyond ASCII of French, Spanish, Italian, Portuguese, Catalan, Danish and Norwegian, Swedish."""
GUESTS = "äöüß"
NO_SPANISH = re.compile(r"ñ(?![aeiouáéíóúü])", re.IGNORECASE)
"""As in Kamiñski: Spanish has that letter before vowels, where Polish has no ń, and Polish has ń before no vowel."""
EASTERN = ("áčďéěíňóřšťúůýž", "áäčďéíĺľňóôŕšťúýž", "ąćęłńóśźż", "áéíóöőúüű", "âăîşţ", "ćčđšž", "âçğıîöşûü")
"""Of Czech, Slovak, Polish, Hungarian, Romanian, Croatian and Slovene, Turkish; names have `GUESTS` in all of them."""


def roster_text(content: bytes) -> str:
    """The text of a class list in UTF-8, UTF-16, Windows' cp1252, or an encoding in which its columns' names are known.

    What has signs that are none in cp1252 is read as cp1250 if it looks like names then.

    Raises:
        ConfigError: it is a workbook, no text, or in an encoding that cannot be told; the message says what to do.
    """
    if content.startswith(WORKBOOKS):
        raise ConfigError("the roster is a workbook, not text; save it as CSV in the spreadsheet program")
    for encoding in _unicode(content):
        if (text := _decoded(content, encoding)) is not None:
            return text
    western = _decoded(content, "cp1252") or ""
    odd = UNLIKELY.search(western)
    read = [western if not odd else "", *(_decoded(content, encoding) or "" for encoding in OTHERS)]
    best = max(read, key=names_beyond_ascii)
    if best and (best is read[0] or names_beyond_ascii(best)):
        return best
    if not western and (central := _central(content)):
        return central
    shown = f"; as cp1252 it would say {_shown(western, odd.start())}" if odd else ""
    raise ConfigError(f"the roster is not text in UTF-8, UTF-16 or cp1252{shown}; save it as CSV (UTF-8)")


def text_and_doubt(content: bytes) -> tuple[str, str]:
    """A class list as it was saved, as `roster_text` has it, and a doubt of that; empty without any.

    Where it was read as cp1252 and may be in another encoding, a name is shown in both. There is no doubt where the
    columns' names tell the encoding, where the other one makes a sign of a letter, and where all letters are of one
    language as they were read, and of none in the other encoding. What only cp1250 can read is shown as it is.

    Raises:
        ConfigError: as `roster_text`.
    """
    text = roster_text(content)
    return text, _other_readings(content, text)


def _other_readings(content: bytes, text: str) -> str:
    western = _decoded(content, "cp1252")
    if western is None and text == _decoded(content, "cp1250") and not names_beyond_ascii(text):
        at = next(at for at, sign in enumerate(text) if not sign.isascii())
        shown = f"the list was read as cp1250, with the name {_shown(text, at)}"
        return f"{shown}; if that is not right, save it as CSV (UTF-8)"
    if western is None or names_beyond_ascii(western) or text != western:
        return ""
    usual = _of_one_language(western, WESTERN) and not NO_SPANISH.search(western)
    apart: dict[str, int] = {}
    for encoding in LATIN:
        other = _decoded(content, encoding) or western
        places = [at for at, (one, two) in enumerate(zip(western, other, strict=True)) if one != two]
        letters = places and all(other[at].isalpha() and western[at] not in ORDINALS for at in places)
        if letters and not (usual and not _of_one_language(other, EASTERN, GUESTS)):
            apart[encoding] = places[0]
    if not apart:
        return ""
    at = min(apart.values())
    read = [f"{_shown(content.decode(one), at)} in {one}" for one, first in apart.items() if first == at]
    return (
        f"the list was read as cp1252, with the name {_shown(western, at)}, which would be {' and '.join(read)}; if "
        "that is right, save it as CSV (UTF-8)"
    )


def _central(content: bytes) -> str | None:
    """A list in cp1250; None where that is not what it is in."""
    text = _decoded(content, "cp1250") or ""
    turned = any(one.islower() and two.isupper() and not two.isascii() for one, two in pairwise(text))
    return None if turned or not text or UNLIKELY_CENTRAL.search(text) else text


def _of_one_language(text: str, alphabets: Iterable[str], guests: str = "") -> bool:
    """Whether all letters beyond ASCII of a text are of one of these alphabets."""
    letters = {sign for sign in text.lower() if sign.isalpha() and not sign.isascii()}
    return any(letters <= {*alphabet, *guests} for alphabet in alphabets)


def _shown(text: str, at: int) -> str:
    return repr(plain_line(_around(text, at), 40))


def _unicode(content: bytes) -> Iterator[str]:
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        yield "utf-16"
    elif content[1::2].count(0) > len(content) // 4:  # every other byte of Latin letters is zero
        yield "utf-16-le"
    elif content[::2].count(0) > len(content) // 4:
        yield "utf-16-be"
    yield "utf-8-sig"


def _decoded(content: bytes, encoding: str) -> str | None:
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text.lstrip("\ufeff")


def _around(text: str, at: int) -> str:
    """The word of a place."""
    begin = max((text.rfind(sign, 0, at) for sign in ",;\t|\n "), default=-1) + 1
    return re.split(r"[,;\t|\n]", text[begin:])[0]
