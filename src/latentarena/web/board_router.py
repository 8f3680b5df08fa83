"""The board over HTTP: as a page, as a spreadsheet and as data."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from latentarena.contest.board import Board
from latentarena.web.access import Asking
from latentarena.web.board import Packed
from latentarena.web.rendering import MOST_PAGES, Find, Number
from latentarena.web.routing import MenuLink, Part, Role, for_role
from latentarena.web.services import Shared
from latentarena.web.views import Page

router = Part(MenuLink("/", "Board"))
PartOfList = Annotated[int | None, Query(ge=1, le=MOST_PAGES, alias="page")]  # without it the list is given whole
HTML, CSV, JSON = "text/html; charset=utf-8", "text/csv; charset=utf-8", "application/json"


@router.get("/")
@for_role(Role.PUBLIC)
async def board(request: Request, site: Shared, caller: Asking, number: Number = 1, find: Find = "") -> Response:
    made = await site.boards.get()
    return _unless_known(request, await made.page(caller.role, number, find), made.version, HTML)


@router.get("/board.csv")
@for_role(Role.PUBLIC)
async def board_as_csv(request: Request, site: Shared) -> Response:
    made = await site.boards.get()
    response = _unless_known(request, await made.csv(), made.version, CSV)
    response.headers["Content-Disposition"] = 'attachment; filename="board.csv"'
    return response


@router.get("/api/v1/board", include_in_schema=True, tags=["board"], responses={200: {"model": Board}})
@for_role(Role.PUBLIC)
async def board_as_json(request: Request, site: Shared, number: PartOfList = None) -> Response:
    """The board as data: every figure with its interval and rank. With `page`, a hundred entries of it."""
    made = await site.boards.get()
    found = None if number is None else Page.of_list(number, made.board.listed)
    response = _unless_known(request, await made.json(found), made.version, JSON)
    response.headers.update({} if found is None else found.links(request.url.path))
    return response


def _unless_known(request: Request, body: Packed, version: str, kind: str) -> Response:
    """The response: 304 where the browser has this version; compressed where it takes that."""
    packs = "gzip" in request.headers.get("accept-encoding", "")
    tag = f'"{version}-{request.state.caller.role}{"-gzip" if packs else ""}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding, Authorization, Cookie"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    if packs:
        headers["Content-Encoding"] = "gzip"
    return Response(body.gzip if packs else body.plain, headers=headers, media_type=kind)
