"""The board: rendered once for each state of the store, and served from memory."""

from __future__ import annotations

import asyncio
import gzip
import math
import time
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus

from fastapi import APIRouter
from markupsafe import Markup
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from latentarena.arena.board import Board, make_board
from latentarena.arena.entries import mean_points
from latentarena.arena.spreadsheet import board_csv
from latentarena.arena.web.access import Role, for_role
from latentarena.arena.web.desk import Desk
from latentarena.arena.web.rendering import TEMPLATES, render
from latentarena.arena.web.rules import moment
from latentarena.arena.web.sparkline import sparkline
from latentarena.errors import StoreError

__all__ = ["BoardPages", "router"]

router = APIRouter(include_in_schema=False)
SOON = 0.04  # seconds that a visitor waits for a new board before the old one is served
FRESH = 0.2  # seconds in which the store is not asked again whether the board changed
OLDEST = 2.0  # seconds that the board which is served may be behind the store
WATCH = 1.0  # seconds between looks at the store while nobody asks, so that the first visitor need not wait
HTML, CSV, JSON = "text/html; charset=utf-8", "text/csv; charset=utf-8", "application/json"


@dataclass(frozen=True)
class Packed:
    """A body as it is and packed, once for all who ask."""

    plain: bytes
    gzip: bytes

    @classmethod
    def of(cls, text: str) -> Packed:
        """Pack a text."""
        return cls(text.encode(), gzip.compress(text.encode(), 6, mtime=0))


@dataclass(frozen=True)
class Rendered:
    """The board in every form, of one state of the store."""

    version: str
    board: Board
    pages: dict[Role, Packed]
    csv: Packed
    json: Packed


class BoardPages:
    """Keeps the rendered board; while a new one is made, the old one is served, unless it is too old."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
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
        """One at a time, whoever asks."""
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
        scored = self._desk.scored(contest)
        board = make_board([one.entry for one in scored], contest, commitment=self._desk.commitment())
        pictured = {
            one.entry.id: f"/entries/{one.entry.id}/pictures/{one.pictures[0].name}" for one in scored if one.pictures
        }
        progress: dict[str, list[float]] = {}
        for one in scored:
            progress.setdefault(one.entry.team, []).append(mean_points(one.card.points, contest) or 0.0)
        sparks = {
            team: sparkline(points, f"points of {team}, entry by entry: {', '.join(f'{one:.1f}' for one in points)}")
            for team, points in progress.items()
            if len(points) > 1
        }
        shown = {
            "board": board,
            "closes": moment(contest.closes) if contest.closes else "",
            "entry_url": lambda line: f"/entries/{line.id}",
            "picture_url": lambda line: pictured.get(line.id, ""),
            "spark": lambda line: sparks.get(line.team, ""),
        }
        body = Markup(TEMPLATES.get_template("board_body.html").render(shown))  # noqa: S704 - a template escaped it
        pages = {role: Packed.of(render("board_page.html", contest, role, "/", body=body)) for role in Role}
        return Rendered(version, board, pages, Packed.of(board_csv(board)), Packed.of(board.model_dump_json()))


def _look_at(task: asyncio.Task[None]) -> None:
    """Its error is raised to those who wait for it; where nobody does, it is no surprise to the event loop."""
    if not task.cancelled():
        task.exception()


@router.get("/")
@for_role(Role.PUBLIC)
async def board(request: Request) -> Response:
    made = await request.app.state.boards.get()
    return _unless_known(request, made.pages[request.state.caller.role], made.version, HTML)


@router.get("/board.csv")
@for_role(Role.PUBLIC)
async def board_as_csv(request: Request) -> Response:
    made = await request.app.state.boards.get()
    response = _unless_known(request, made.csv, made.version, CSV)
    response.headers["Content-Disposition"] = 'attachment; filename="board.csv"'
    return response


@router.get("/api/v1/board", include_in_schema=True, tags=["board"], responses={200: {"model": Board}})
@for_role(Role.PUBLIC)
async def board_as_json(request: Request) -> Response:
    """The board as data: every figure with its interval and rank."""
    made = await request.app.state.boards.get()
    return _unless_known(request, made.json, made.version, JSON)


def _unless_known(request: Request, body: Packed, version: str, kind: str) -> Response:
    """304 where the browser has it already; packed where it takes that, for a board of hundreds is a megabyte."""
    packs = "gzip" in request.headers.get("accept-encoding", "")
    tag = f'"{version}-{request.state.caller.role}{"-gzip" if packs else ""}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding, Authorization, Cookie"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    if packs:
        headers["Content-Encoding"] = "gzip"
    return Response(body.gzip if packs else body.plain, headers=headers, media_type=kind)
