"""Markdown that is written for people to go on writing in: text made inert, tables, and places for their own words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from latentarena.text import printable

SPECIAL = re.compile(r"([\\`*_\[\]<>|&~#])")
COMMENT = re.compile(r"<!--.*?-->\n?", re.DOTALL)
PLACE = re.compile(  # and what stands on the lines of its marks, up to the next place: it was meant to be inside
    r"<!-- your words: ([a-z-]+) -->(.*?)<!-- end of your words -->((?:(?!<!-- your words: )[^\n])*)\n?", re.DOTALL
)


class Markdown(str):
    """Text that is Markdown already, where any other has its special letters escaped."""

    __slots__ = ()


def inert(value: object) -> str:
    """A value as Markdown: as it is if it is some, else as text in one line without any markup."""
    return value if isinstance(value, Markdown) else SPECIAL.sub(r"\\\1", printable(str(value)))


def table(heads: Sequence[object], rows: Iterable[Sequence[object]], texts: int = 1) -> Markdown:
    """A table of which so many columns are text and the others figures."""
    kinds = [":---" if number < texts else "---:" for number in range(len(heads))]
    lines = [heads, *rows]
    cells = [f"| {' | '.join(map(inert, line))} |" for line in lines]
    return Markdown("\n".join([cells[0], f"| {' | '.join(kinds)} |", *cells[1:]]))


def indented(text: str) -> Markdown:
    """Text of several lines as a block of code, whatever is in it."""
    return Markdown("\n".join(f"    {printable(line)}" for line in text.splitlines()))


def place(name: str, words: str = "") -> Markdown:
    """A place for somebody's own words, with the words that it holds already."""
    return Markdown(f"<!-- your words: {name} -->\n{words or chr(10)}\n<!-- end of your words -->")


def words_in(text: str) -> dict[str, str]:
    """The words that each place of a text holds, by its name; empty where nothing was written."""
    return {found[1]: _written(found) for found in PLACE.finditer(text)}


def pieces(text: str) -> Iterator[tuple[str, bool]]:
    """A text in pieces: its Markdown, and whether it is somebody's own words; comments are left out."""
    last = 0
    for found in PLACE.finditer(text):
        yield COMMENT.sub("", text[last : found.start()]), False
        yield _written(found), True
        last = found.end()
    yield COMMENT.sub("", text[last:]), False


def _written(found: re.Match[str]) -> str:
    """The words of a place, with those that stand behind its end as a line of their own."""
    return f"{found[2].strip()}\n{found[3].strip()}".strip()


def kept(before: Mapping[str, str], names: Iterable[str]) -> str:
    """Words of places that a text no longer has, as Markdown, so that nothing that was written is lost."""
    lost = {name: words for name, words in before.items() if words and name not in set(names)}
    return "\n\n".join(str(place(name, words)) for name, words in lost.items())
