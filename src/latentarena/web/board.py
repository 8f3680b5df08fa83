"""The board: rendered once for each state of the store, and served from memory."""

from __future__ import annotations

import asyncio
import gzip
import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from markupsafe import Markup
from starlette.concurrency import run_in_threadpool

from latentarena.arena.entry import Addresses
from latentarena.contest.board import Board, Line
from latentarena.contest.contest import Contest
from latentarena.contest.entries import mean_points
from latentarena.contest.entry import Entry
from latentarena.contest.making import make_board
from latentarena.contest.spreadsheet import board_csv
from latentarena.errors import StoreError
from latentarena.web.desk import Desk
from latentarena.web.frame import TEMPLATES, PageFrame
from latentarena.web.routing import Role
from latentarena.web.rules import moment
from latentarena.web.sparkline import sparkline
from latentarena.web.views import PAGE, Page

SOON = 0.04  # seconds that a visitor waits for a new board before the old one is served
FRESH = 0.2  # seconds in which the store is not asked again whether the board changed
OLDEST = 2.0  # seconds that the board which is served may be behind the store
WATCH = 1.0  # seconds between looks at the store while nobody asks, so that the first visitor need not wait
AT = ("/entries/{id}", "/entries/{id}/pictures/{name}")  # addresses of an entry and of its pictures
KEPT = 64  # forms of one board
FIRST = frozenset(("html", role, 1, "") for role in Role)  # what is never forgotten: the first page


@dataclass(frozen=True)
class Packed:
    """A response's body, plain and compressed, made once for all who ask."""

    plain: bytes
    gzip: bytes

    @classmethod
    def of(cls, text: str) -> Packed:
        """Encode and compress a text."""
        return cls(text.encode(), gzip.compress(text.encode(), 6, mtime=0))


@dataclass(frozen=True)
class Rendered:
    """The board of one state of the store, and every form of it that somebody asked for.

    Attributes:
        at: addresses of the entries and of their samples.
        shown: what the templates need beside the entries of a page.
    """

    version: str
    board: Board
    frame: PageFrame
    at: Addresses
    shown: dict[str, Any]
    _packed: dict[tuple[object, ...], Packed] = field(default_factory=dict)
    _alone: asyncio.Lock = field(default_factory=asyncio.Lock)

    @cached_property
    def by_id(self) -> dict[str, Line]:
        """All entries by id, ranked ones first."""
        return {line.id: line for line in self.board.listed}

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {id_: 1 + i // PAGE for i, id_ in enumerate(self.by_id)}

    def address(self, entry: str) -> str:
        """Where an entry stands: the page of the board, and the place on it."""
        number = self._numbers.get(entry, 1)
        return f"/?page={number}#{entry}" if number > 1 else f"/#{entry}"

    def matching(self, find: str) -> tuple[Line, ...]:
        """The entries with these letters in the name of the team or of the entry; all where there are none."""
        wanted = find.casefold().strip()
        return tuple(one for one in self.by_id.values() if wanted in f"{one.team}\n{one.name}".casefold())

    def with_these(self, listed: Sequence[Line], *entries: str) -> tuple[Line, ...]:
        """Entries of a list, then those of these ids that it lacks."""
        known = {line.id for line in listed}
        return (*listed, *(self.by_id[one] for one in dict.fromkeys(entries) if one in self.by_id and one not in known))

    async def page(self, role: Role, number: int, find: str) -> Packed:
        """A page of the board as HTML."""
        return await self._made(("html", role, number, find), lambda: self._page(role, self._body(number, find)))

    async def csv(self) -> Packed:
        """The whole board as CSV."""
        return await self._made(("csv",), lambda: board_csv(self.board))

    async def json(self, found: Page[Line] | None) -> Packed:
        """The whole board as JSON, or a page of it."""
        board = self.board if found is None else self.board.only(found.items)
        return await self._made(("json", found and found.number), board.model_dump_json)

    def begin(self) -> Rendered:
        """Render the first page for all roles beforehand: most visitors ask for it."""
        body = self._body(1, "")
        self._packed.update({("html", role, 1, ""): Packed.of(self._page(role, body)) for role in Role})
        return self

    async def _made(self, name: tuple[object, ...], make: Callable[[], str]) -> Packed:
        """A form of the board, made once; one at a time, so that many visitors cannot take all threads."""
        if (found := self._packed.get(name)) is None:
            async with self._alone:
                if (found := self._packed.get(name)) is None:
                    found = self._packed[name] = await run_in_threadpool(lambda: Packed.of(make()))
                    while len(self._packed) > KEPT:
                        del self._packed[next(one for one in self._packed if one not in FIRST)]
        return found

    def _page(self, role: Role, body: Markup) -> str:
        return self.frame.render("board_page.html", role, "/", body=body)

    def _body(self, number: int, find: str) -> Markup:
        found = Page.of_list(number, self.matching(find))
        facts = {
            "board": self.board.only(found.items),
            "ranked": len(self.board.lines),
            "found": found,
            "find": find,
            "at": self.at,
        }
        return Markup(TEMPLATES.get_template("board_body.html").render(facts | self.shown))  # noqa: S704 - escaped there


class BoardPages:
    """Keeps the rendered board; while a new one is made, the old one is served, unless it is too old."""

    def __init__(self, desk: Desk, frame: PageFrame) -> None:
        self._desk, self._frame = desk, frame
        self._now: Rendered | None = None
        self._seen = -math.inf  # when the store was last found, or left, in the state that is rendered
        self._renewing: asyncio.Task[None] | None = None

    async def get(self) -> Rendered:
        """The board of the store as it is now, or was at most `OLDEST` seconds ago.

        Raises:
            StoreError: there is no such board, and the store does not answer.
        """
        came = time.monotonic()
        if came - self._seen > FRESH:
            await asyncio.wait({self._renewal()}, timeout=SOON)  # a small board is ready at once
        while self._now is None or came - self._seen > OLDEST:
            await asyncio.shield(self._renewal())
        return self._now

    async def watch(self) -> None:
        """Renew the board whenever it changes, for ever; what fails is left to those who ask."""
        while True:
            with suppress(StoreError):
                await self.get()
            await asyncio.sleep(WATCH)

    def _renewal(self) -> asyncio.Task[None]:
        """The renewal that runs, else a new one: one at a time, whoever asks."""
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.create_task(self._renew())
            self._renewing.add_done_callback(_look_at)
        return self._renewing

    async def _renew(self) -> None:
        began = time.monotonic()
        if self._now is None or await run_in_threadpool(self._desk.version) != self._now.version:
            self._now = await run_in_threadpool(self._make)
        self._seen = began

    def _make(self) -> Rendered:
        version, contest = self._desk.version(), self._desk.rules()
        entries = self._desk.entries.all(contest)
        board = make_board(entries, contest, commitment=self._desk.commitment())
        progress: dict[str, list[Entry]] = {}
        for one in entries:
            progress.setdefault(one.team, []).append(one)
        shown = {
            "closes": moment(contest.closes) if contest.closes else "",
            "spark": lambda line: _spark(progress.get(line.team, ()), contest),
        }
        return Rendered(version, board, self._frame, Addresses.known(*AT, entries), shown).begin()


def _spark(entries: Sequence[Entry], contest: Contest) -> Markup:
    """The points of a team's entries, where it has more than one."""
    if len(entries) < 2:
        return Markup("")
    points = [mean_points(one.card_points, contest) or 0.0 for one in entries]
    said = f"points of {entries[0].team}, entry by entry: {', '.join(f'{one:.1f}' for one in points)}"
    return sparkline(points, said)


def _look_at(task: asyncio.Task[None]) -> None:
    """Fetch the error of a finished task, lest the event loop report one that nobody waited for."""
    if not task.cancelled():
        task.exception()
