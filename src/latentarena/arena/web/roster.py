"""The organiser's page of teams: a roster in, tokens out."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Form
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from latentarena.arena.web.access import Role, for_role
from latentarena.arena.web.organiser import organiser_page
from latentarena.arena.web.rendering import Number
from latentarena.errors import ConfigError

__all__ = ["router"]

router = APIRouter(include_in_schema=False)


async def _page(request: Request, status: int = HTTPStatus.OK, number: int = 1, **context: Any) -> Response:
    desk = request.app.state.desk
    said = {"tokens": {}, "roster": ""} | context
    found, counts = await run_in_threadpool(desk.teams, number), await run_in_threadpool(desk.store.counts)
    return organiser_page(request, "organiser_teams.html", "/organiser", status, found=found, counts=counts, **said)


@router.get("/organiser")
@for_role(Role.ORGANISER)
async def teams(request: Request, number: Number = 1) -> Response:
    return await _page(request, number=number)


@router.post("/organiser/roster")
@for_role(Role.ORGANISER)
async def add_teams(request: Request, roster: Annotated[str, Form(max_length=200_000)] = "") -> Response:
    """Add the teams of a roster; their tokens are in this answer and nowhere else."""
    try:
        tokens = await run_in_threadpool(request.app.state.desk.add_teams, roster, request.state.caller)
    except ConfigError as error:
        return await _page(request, HTTPStatus.UNPROCESSABLE_ENTITY, refused=f"{error}.", roster=roster)
    many = "1 team was added" if len(tokens) == 1 else f"{len(tokens)} teams were added"
    return await _page(request, tokens=tokens, done=f"{many}.")


@router.post("/organiser/teams/{team}/revoke")
@for_role(Role.ORGANISER)
async def revoke(request: Request, team: str) -> Response:
    """End a team's tokens and sessions, without new ones."""
    many = await run_in_threadpool(request.app.state.desk.revoke, team, request.state.caller)
    return await _page(request, done=f"{many} tokens and sessions no longer work.")


@router.post("/organiser/teams/{team}/token")
@for_role(Role.ORGANISER)
async def new_token(request: Request, team: str) -> Response:
    name, token = await run_in_threadpool(request.app.state.desk.new_token, team, request.state.caller)
    return await _page(request, tokens={name: token}, done=f"The old token of {name} no longer works.")
