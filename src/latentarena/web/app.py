"""The site as an app: a store and a contest in, an ASGI app out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from latentarena import __version__
from latentarena.arena.playground import Playground
from latentarena.errors import ArenaError, NotThere, OutOfTime, QuotaReached, StorageFull, StoreError
from latentarena.web import (
    account,
    api,
    api_teams,
    assets,
    audit,
    board_router,
    entries,
    organiser,
    playing,
    rejudge,
    roster,
    site,
    team,
)
from latentarena.web.access import authorise
from latentarena.web.board import BoardPages
from latentarena.web.desk import Desk
from latentarena.web.frame import PageFrame
from latentarena.web.guard import Guard
from latentarena.web.problems import Problem, problem_response
from latentarena.web.rendering import problem_page
from latentarena.web.services import Services
from latentarena.web.settings import Settings
from latentarena.web.team_desk import TeamDesk

PARTS = tuple(
    module.router
    for module in (
        board_router,
        entries,
        site,
        team,
        roster,
        organiser,
        rejudge,
        audit,
        playing,
        account,
        assets,
        api,
        api_teams,
    )
)
"""The routes of the site; their links stand in the menu in this order."""
SMALL = 1 << 18  # bytes of a form that is no upload
UPLOADS = frozenset({"/submit", "/api/v1/submissions", rejudge.JUDGES})
FORM_ROOM = 1 << 14  # bytes that a form may need around its file


class ArenaApp(FastAPI):
    """The routes of a contest's site with what they share, without the guard around them: see `guarded`."""

    def __init__(self, services: Services) -> None:
        super().__init__(
            title=services.contest.title,
            version=__version__,
            openapi_url=None,
            docs_url=None,
            redoc_url=None,
            dependencies=[Depends(authorise)],
            redirect_slashes=False,
            lifespan=_lifespan,
        )
        self.services = services
        for part in PARTS:
            self.include_router(part)
        self.add_exception_handler(HTTPException, _refused)
        self.add_exception_handler(RequestValidationError, _invalid)
        self.add_exception_handler(ArenaError, _failed)


def create_app(desk: Desk, settings: Settings) -> ArenaApp:
    """The app of a contest's site."""
    contest, frame = desk.contest, PageFrame(desk.contest, tuple(link for part in PARTS for link in part.menu))
    boards, playground = BoardPages(desk, frame), Playground(desk.objects)
    return ArenaApp(Services(contest, settings, desk, TeamDesk(desk), boards, playground, frame))


@asynccontextmanager
async def _lifespan(app: ArenaApp) -> AsyncIterator[None]:
    watching = asyncio.create_task(app.services.boards.watch())
    yield
    watching.cancel()
    app.services.playground.close()


def guarded(app: ArenaApp) -> ASGIApp:
    """The app as it is served: with limits, security headers, counters and a log line around every request."""
    return Guard(
        app,
        small=SMALL,
        large=app.services.contest.quotas.bytes + FORM_ROOM,
        uploads=UPLOADS,
        https=app.services.settings.https,
        meters=app.services.meters,
    )


def _refused(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, HTTPException)
    if problem.status_code == HTTPStatus.NOT_FOUND and problem.detail == HTTPStatus.NOT_FOUND.phrase:
        problem = Problem(HTTPStatus.NOT_FOUND, "there is nothing at this address; go on from the board")
    people = not request.url.path.startswith("/api/") and "text/html" in request.headers.get("accept", "")
    return problem_page(request, problem) if people else problem_response(problem)


STATUSES: tuple[tuple[type[ArenaError], HTTPStatus], ...] = (
    (NotThere, HTTPStatus.NOT_FOUND),
    (OutOfTime, HTTPStatus.FORBIDDEN),
    (QuotaReached, HTTPStatus.TOO_MANY_REQUESTS),
    (StorageFull, HTTPStatus.INSUFFICIENT_STORAGE),
    (StoreError, HTTPStatus.SERVICE_UNAVAILABLE),
    (ArenaError, HTTPStatus.UNPROCESSABLE_ENTITY),
)
RETRY = {HTTPStatus.TOO_MANY_REQUESTS: "3600", HTTPStatus.SERVICE_UNAVAILABLE: "2"}


def _failed(request: Request, error: Exception) -> Response:
    """The response to an error of the store or the contest: its status follows from the error's class."""
    status = next(status for kind, status in STATUSES if isinstance(error, kind))
    headers = {"Retry-After": RETRY[status]} if status in RETRY else None
    return _refused(request, Problem(status, str(error), headers))


def _invalid(request: Request, error: Exception) -> Response:
    """The response to a request that is not valid: its first error, in one line."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:]) or str(first["loc"][0])
    return _refused(request, Problem(422, f"{where}: {first['msg']}"))


def routes() -> list[BaseRoute]:
    """All routes of the site, to be looked through without a store."""
    return [route for part in PARTS for route in part.routes]
