"""The page of a contest's entry, on the server and on the static site alike: its pictures, addresses and variables."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from latentarena.contest.board import Board, Line
    from latentarena.contest.entry import Entry


@dataclass(frozen=True)
class EntryPicture:
    """A picture of an entry: the name of its file, and what it shows in words.

    Attributes:
        wide: whether it needs a row of its own.
    """

    name: str
    alt: str
    caption: str
    wide: bool = False


SAMPLES = EntryPicture("samples.png", "a grid of generated images", "Generated from noise; as they came, not picked.")
PICTURES = (
    SAMPLES,
    EntryPicture(
        "prior.png", "a grid of decoded Gaussian latents", "Gaussian latents through the decoder: to be beaten."
    ),
    EntryPicture(
        "reconstructions.png",
        "rows of test images, their reconstructions and the differences",
        "Test images, their reconstructions, and four times the absolute difference.",
        wide=True,
    ),
    EntryPicture(
        "nearest.png",
        "samples above their nearest train images",
        "Above, the samples that are nearest to a train image for how far the next one is; below, these train images.",
        wide=True,
    ),
)
"""The pictures that an evaluation leaves behind, in the order shown."""


@dataclass(frozen=True)
class Addresses:
    """Where the pages and pictures of entries are: on a server, or among the files of a static site.

    Attributes:
        page, file: patterns of addresses with the entry's `{id}`; `file` is of a picture, with its `{name}`.
        pictured: ids of the entries whose samples the board shows.
    """

    page: str
    file: str
    pictured: frozenset[str] = frozenset()

    @classmethod
    def known(cls, page: str, file: str, entries: Iterable[Entry]) -> Addresses:
        """Addresses by these patterns, of a board of these entries."""
        return cls(page, file, frozenset(one.id for one in entries if SAMPLES.name in one.pictures))

    def entry(self, entry: str) -> str:
        """The address of an entry's page."""
        return self.page.format(id=entry)

    def picture(self, entry: str, name: str) -> str:
        """The address of an entry's picture."""
        return self.file.format(id=entry, name=name)

    def samples(self, entry: str) -> str:
        """The address of the picture of an entry's samples; empty where there is none."""
        return self.picture(entry, SAMPLES.name) if entry in self.pictured else ""


class Link(NamedTuple):
    """A link on a page: what it says, and where it leads."""

    label: str
    address: str
    download: bool = False


def facts_of_page(
    entry: Entry, at: Addresses, board: Board, line: Line | None, home: Link, actions: Iterable[Link]
) -> dict[str, Any]:
    """The variables of the template of an entry's page.

    Args:
        line: its own on the board; None where it is not there yet.
        home: where it stands on the board.
        actions: what can be done with it.
    """
    samples, *gallery = (one if one.name in entry.pictures else None for one in PICTURES)
    named = {"entry": entry, "card": entry.card, "samples": samples, "gallery": [one for one in gallery if one]}
    return named | {"at": at, "board": board, "line": line, "home": home, "actions": [*actions]}
