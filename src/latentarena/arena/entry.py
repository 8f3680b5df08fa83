"""An entry of a contest as its page shows it, on the server and on the static site alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from latentarena.card.score_card import ScoreCard

if TYPE_CHECKING:
    from latentarena.contest.board import Board, Line
    from latentarena.contest.entry import Entry

File = TypeVar("File")


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
class ScoredEntry(Generic[File]):
    """An entry with all that its page shows beside the board.

    Attributes:
        entry: what is ranked.
        card: the score card; None if it cannot be read.
        pictures: the pictures that it has, by the names of `PICTURES`: their content, or where that is kept.
        points: the mean of its card's, of 100.
        bundle_open: whether whoever asks may download its bundle; bundle_public: whether everybody may.
        report: the page of its run; None where there is none.
    """

    entry: Entry
    card: ScoreCard | None = None
    pictures: Mapping[str, File] = field(default_factory=dict)
    points: float = 0.0
    bundle_open: bool = False
    bundle_public: bool = False
    report: File | None = None

    @property
    def gallery(self) -> tuple[EntryPicture, ...]:
        """Its pictures but for the samples, which stand at the head of the page."""
        return tuple(one for one in PICTURES[1:] if one.name in self.pictures)


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
    def known(cls, page: str, file: str, entries: Iterable[ScoredEntry[Any]]) -> Addresses:
        """Addresses by these patterns, of a board of these entries."""
        return cls(page, file, frozenset(one.entry.id for one in entries if SAMPLES.name in one.pictures))

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
    one: ScoredEntry[Any], at: Addresses, board: Board, line: Line | None, home: Link, actions: Iterable[Link]
) -> dict[str, Any]:
    """The variables of the template of an entry's page.

    Args:
        line: its own on the board; None where it is not there yet.
        home: where it stands on the board.
        actions: what can be done with it.
    """
    samples = SAMPLES if SAMPLES.name in one.pictures else None
    named = {"one": one, "entry": one.entry, "card": one.card, "samples": samples}
    return named | {"at": at, "board": board, "line": line, "home": home, "actions": [*actions]}
