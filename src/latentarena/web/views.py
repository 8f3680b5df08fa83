"""What pages show, made from the store's records: nothing here knows HTTP, and nothing private is in it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from latentarena.arena.pages import moment
from latentarena.arena.store import Submission

Item = TypeVar("Item")
PAGE = 100  # rows of a list that are shown at once


@dataclass(frozen=True)
class Page(Generic[Item]):
    """Some rows of a list: page `number` of `pages` (from 1), of `total` rows in all."""

    items: tuple[Item, ...]
    number: int
    pages: int
    total: int

    @classmethod
    def of(cls, number: int, total: int, load: Callable[[int, int], Iterable[Item]]) -> Page[Item]:
        """The page of a number, or the last one.

        Args:
            load: gives so many rows (`limit`) after so many (`offset`).
        """
        pages = max(1, math.ceil(total / PAGE))
        number = min(max(1, number), pages)
        return cls(tuple(load(PAGE, PAGE * (number - 1))), number, pages, total)

    def links(self, path: str) -> dict[str, str]:
        """Headers that say how many rows a list has, and where its next page is (RFC 8288)."""
        following = {"Link": f'<{path}?page={self.number + 1}>; rel="next"'} if self.number < self.pages else {}
        return {"X-Total-Count": str(self.total), **following}

    @classmethod
    def of_list(cls, number: int, items: Sequence[Item]) -> Page[Item]:
        """The page of a number of a list in memory."""
        return cls.of(number, len(items), lambda limit, offset: items[offset : offset + limit])


@dataclass(frozen=True)
class TimelineStep:
    """One step of an evaluation; `state` is done, now, failed, or empty for what is to come."""

    label: str
    state: str
    note: str = ""


def tone(state: str) -> str:
    """The style of the badge of a submission's state."""
    return {"scored": "good", "queued": "busy", "running": "busy"}.get(state, "bad")


def timeline(one: Submission) -> tuple[TimelineStep, ...]:
    """A submission in steps: received, waiting, checked and scored, on the board."""
    waiting, running = one.state == "queued", one.state == "running"
    before = {None: "", 0: "next", 1: "1 before it"}.get(one.ahead, f"{one.ahead} before it")
    failed = one.state in ("refused", "failed", "quarantined")
    return (
        TimelineStep("Received", "done", moment(one.received)),
        TimelineStep("Waiting", "now" if waiting else "done", before if waiting else ""),
        TimelineStep(
            "Checked and scored", "" if waiting else "now" if running else "failed" if failed else "done", one.reason
        ),
        TimelineStep("Score card", "done" if one.state == "scored" else ""),
    )


def short(id_: str) -> str:
    """The end of an id, by which people tell it from others."""
    return id_[-6:]
