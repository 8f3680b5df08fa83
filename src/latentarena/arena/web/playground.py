"""The playground: sampling any entry in the page, walks, drawings reconstructed, noise becoming images.

Pictures are plain addresses, so that the page works without a script, only less at hand.
"""

from __future__ import annotations

import base64
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from latentarena.arena.playground import Drawing
from latentarena.arena.web.access import Role, address_of, for_role
from latentarena.arena.web.limits import Rate
from latentarena.arena.web.problems import Problem
from latentarena.arena.web.rendering import page

__all__ = ["router"]

DRAWINGS = Rate(60, 60)  # of one address
SEEDS = 1 << 31
PARTS = {"samples": ("seed",), "walk": ("start", "end"), "becoming": ("seed",)}

router = APIRouter(include_in_schema=False)


class Drawn(BaseModel):
    """A picture drawn by hand: its pixels as bytes, row by row, base64."""

    pixels: str = Field(max_length=100_000)


class Wishes(BaseModel):
    """What can be asked for in the address; a key that a drawing does not know is not passed on."""

    seed: int = Field(default=0, ge=0, lt=SEEDS)
    start: int = Field(default=0, ge=0, lt=SEEDS)
    end: int = Field(default=1, ge=0, lt=SEEDS)
    label: str = Field(default="", max_length=80)
    steps: int | None = Field(default=None, ge=1, le=100)
    guidance: float | None = Field(default=None, ge=0, le=20)


@router.get("/entries/{entry}/play")
@for_role(Role.PUBLIC)
async def play(request: Request, entry: str, wishes: Annotated[Wishes, Query()]) -> Response:
    """The page."""
    shown = await run_in_threadpool(request.app.state.desk.shown, entry, request.state.caller)
    known = await _draw(request, entry, {"verb": "facts"})
    query = urlencode(wishes.model_dump(exclude_none=True))
    return page(request, "play.html", entry=shown, model=known.facts, wishes=wishes, query=query)


@router.get("/entries/{entry}/play/{verb}")
@for_role(Role.PUBLIC)
async def picture(request: Request, entry: str, verb: str, wishes: Annotated[Wishes, Query()]) -> Response:
    """A sheet of samples, the strip of a walk, or noise becoming images."""
    if verb not in PARTS:
        raise Problem(HTTPStatus.NOT_FOUND, f"there is no picture {verb[:40]!r}; choose from {', '.join(PARTS)}")
    asked = wishes.model_dump(include={*PARTS[verb], "label", "steps", "guidance"})
    drawing = await _draw(request, entry, {"verb": verb} | asked)
    return Response(drawing.content, headers={"Cache-Control": "public, max-age=3600"}, media_type=drawing.kind)


@router.post("/entries/{entry}/play/redraw")
@for_role(Role.PUBLIC)
async def redraw(request: Request, entry: str, drawn: Drawn) -> dict[str, Any]:
    """A picture drawn by hand as the entry's autoencoder reconstructs it, and its latent."""
    drawing = await _draw(request, entry, {"verb": "redraw", "pixels": drawn.pixels})
    return {"picture": base64.b64encode(drawing.content).decode(), **drawing.facts}


async def _draw(request: Request, entry: str, asked: dict[str, Any]) -> Drawing:
    app, address = request.app.state, address_of(request)
    app.limiter.check("drawings", address, DRAWINGS)
    app.limiter.spend("drawings", address, DRAWINGS)
    digest = await run_in_threadpool(app.desk.playable, entry)
    return await run_in_threadpool(app.playground.draw, digest, asked)
