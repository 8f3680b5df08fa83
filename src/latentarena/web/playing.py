"""The playground: sampling any entry in the page, walks, drawings reconstructed, noise becoming images.

Pictures are plain addresses, so that the page works without a script, only less at hand. A picture that is not drawn
yet is answered at once with 202: its place in the queue, as JSON to programs and as a picture to pages.
"""

from __future__ import annotations

import asyncio
import base64
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Query
from markupsafe import Markup
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from latentarena.arena.drawing import Drawing
from latentarena.arena.playground import VisitorBusy
from latentarena.errors import ArenaError
from latentarena.web.access import visitor_of
from latentarena.web.problems import Problem
from latentarena.web.rendering import page
from latentarena.web.routing import Part, Role, for_role
from latentarena.web.services import Shared, services_of

SOON = 0.2  # seconds in which a drawing may become ready before its place is told instead
AGAIN = 1  # seconds after which to ask again
SEEDS = 1 << 31
PARTS = {"samples": ("seed",), "walk": ("start", "end"), "becoming": ("seed",)}
FACTS = {"verb": "facts"}
PLACEHOLDER = Markup(
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 200 60" width="200" height="60" role="img">'
    '<rect width="200" height="60" fill="#8883"/><text x="100" y="34" font-family="sans-serif" font-size="11" '
    'text-anchor="middle" fill="#888">{}</text></svg>'
)

router = Part()


class Drawn(BaseModel):
    """A picture drawn by hand: its pixels as bytes, row by row, base64."""

    pixels: str = Field(max_length=100_000)


class Wishes(BaseModel):
    """The settings in a drawing's address; those that a drawing does not take are not passed on."""

    seed: int = Field(default=0, ge=0, lt=SEEDS)
    start: int = Field(default=0, ge=0, lt=SEEDS)
    end: int = Field(default=1, ge=0, lt=SEEDS)
    label: str = Field(default="", max_length=80)
    steps: int | None = Field(default=None, ge=1, le=100)
    guidance: float | None = Field(default=None, ge=0, le=20)

    def question(self, verb: str) -> dict[str, Any]:
        """The request to the drawing process."""
        return {"verb": verb} | self.model_dump(include={*PARTS[verb], "label", "steps", "guidance"})


@dataclass(frozen=True)
class Waiting:
    """A drawing that is still to be made, and its place in the queue: 1 is being drawn."""

    place: int

    @property
    def words(self) -> str:
        """The place, in words."""
        return "being drawn" if self.place == 1 else f"place {self.place} in the queue of drawings"

    def response(self, request: Request) -> Response:
        """The response while a drawing waits: its place, as JSON for who accepts that, else as a picture."""
        headers = {"Retry-After": str(AGAIN), "Cache-Control": "no-store"}
        if "application/json" in request.headers.get("accept", ""):
            return JSONResponse({"place": self.place, "detail": self.words}, HTTPStatus.ACCEPTED, headers)
        return Response(PLACEHOLDER.format(self.words), HTTPStatus.ACCEPTED, headers, "image/svg+xml")


@router.get("/entries/{entry}/play")
@for_role(Role.PUBLIC)
async def play(request: Request, site: Shared, entry: str, wishes: Annotated[Wishes, Query()]) -> Response:
    """The page; where the model is not loaded yet, one that asks again by itself."""
    shown = await run_in_threadpool(site.desk.shown, entry)
    digest = await run_in_threadpool(site.desk.playable, entry)
    known = await _drawn(request, digest, FACTS)
    if isinstance(known, Waiting):
        response = page(request, "play_wait.html", HTTPStatus.ACCEPTED, entry=shown, waiting=known)
        response.headers["Refresh"] = str(AGAIN)
        return response
    verbs = [verb for verb in PARTS if verb != "becoming" or known.facts["chooses"]]
    ready = {verb: site.playground.known(digest, wishes.question(verb)) for verb in verbs}
    query = urlencode(wishes.model_dump(exclude_none=True))
    return page(request, "play.html", entry=shown, model=known.facts, wishes=wishes, query=query, ready=ready)


@router.get("/entries/{entry}/play/{verb}")
@for_role(Role.PUBLIC)
async def picture(
    request: Request, site: Shared, entry: str, verb: str, wishes: Annotated[Wishes, Query()]
) -> Response:
    """A sheet of samples, the strip of a walk, or noise becoming images."""
    if verb not in PARTS:
        raise Problem(HTTPStatus.NOT_FOUND, f"there is no picture {verb[:40]!r}; choose from {', '.join(PARTS)}")
    digest = await run_in_threadpool(site.desk.playable, entry)
    drawing = await _drawn(request, digest, wishes.question(verb))
    if isinstance(drawing, Waiting):
        return drawing.response(request)
    return Response(drawing.content, headers={"Cache-Control": "private, max-age=3600"}, media_type=drawing.kind)


@router.post("/entries/{entry}/play/redraw")
@for_role(Role.PUBLIC)
async def redraw(request: Request, site: Shared, entry: str, drawn: Drawn) -> Response:
    """A picture drawn by hand as the entry's autoencoder reconstructs it, and its latent."""
    digest = await run_in_threadpool(site.desk.playable, entry)
    drawing = await _drawn(request, digest, {"verb": "redraw", "pixels": drawn.pixels})
    if isinstance(drawing, Waiting):
        return drawing.response(request)
    return JSONResponse({"picture": base64.b64encode(drawing.content).decode(), **drawing.facts})


async def _drawn(request: Request, digest: str, asked: dict[str, Any]) -> Drawing | Waiting:
    playground = services_of(request).playground
    try:
        ticket = playground.ask(visitor_of(request), digest, asked)
    except VisitorBusy as error:
        raise Problem(HTTPStatus.TOO_MANY_REQUESTS, str(error), {"Retry-After": str(AGAIN)}) from None
    if not ticket.made.done():
        await asyncio.wait([asyncio.wrap_future(ticket.made)], timeout=SOON)
    if not ticket.made.done():
        return Waiting(playground.place(ticket))
    made: Drawing | ArenaError = ticket.made.result()
    if isinstance(made, ArenaError):
        raise made.with_traceback(None)
    return made
