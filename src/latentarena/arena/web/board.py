"""The board: rendered once for each state of the store, and served from memory."""

from __future__ import annotations

import asyncio
import gzip
import time
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

__all__ = ["BoardPages", "router"]

router = APIRouter(include_in_schema=False)
SOON = 0.04  # seconds that a visitor waits for a new board before the old one is served
FRESH = 0.2  # seconds in which the store is not asked again whether the board changed
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
    """Keeps the rendered board; while a new one is made, the old one is served."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._now: Rendered | None = None
        self._asked = 0.0
        self._making: asyncio.Task[Rendered] | None = None

    async def get(self) -> Rendered:
        """The board; at most `FRESH` seconds and one rendering behind the store.

        Raises:
            StoreError: there is no board yet and the store does not answer.
        """
        now = time.monotonic()
        if self._now is None:
            return await self._made()
        if now - self._asked > FRESH and self._making is None:
            self._asked = now
            if await run_in_threadpool(self._desk.version) != self._now.version:
                self._making = asyncio.create_task(self._made())
                self._making.add_done_callback(self._finished)
        if self._making is not None:  # a small board is ready at once
            await asyncio.wait({self._making}, timeout=SOON)
        return self._now

    def _finished(self, task: asyncio.Task[Rendered]) -> None:
        self._making = None
        if not task.cancelled() and task.exception() is not None:
            self._asked = 0.0  # the old board stands; the next visitor asks again

    async def _made(self) -> Rendered:
        self._now = made = await run_in_threadpool(self._make)
        return made

    def _make(self) -> Rendered:
        version, contest = self._desk.version(), self._desk.rules()
        scored = self._desk.scored(contest)
        board = make_board([one.entry for one in scored], contest)
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
