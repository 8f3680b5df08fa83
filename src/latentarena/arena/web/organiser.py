"""The organiser's pages: teams and tokens, entries, evaluation by a new judge, and who did what."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Form
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from latentarena.arena.web.access import Role, for_role
from latentarena.arena.web.rendering import page, redirect
from latentarena.errors import ConfigError
from latentarena.judge.catalogue import CATEGORIES

__all__ = ["router"]

router = APIRouter(prefix="/organiser", include_in_schema=False)
TABS = (
    ("/organiser", "Teams"),
    ("/organiser/entries", "Entries"),
    ("/organiser/rejudge", "Re-evaluate"),
    ("/organiser/audit", "Audit log"),
)


def _page(request: Request, template: str, here: str, status: int = HTTPStatus.OK, **context: Any) -> Response:
    said = {"done": "", "refused": ""} | context
    return page(request, template, status, tabs=TABS, tab=here, **said)


async def _teams_page(request: Request, status: int = HTTPStatus.OK, **context: Any) -> Response:
    desk = request.app.state.desk
    said = {"tokens": {}, "roster": ""} | context
    teams, counts = await run_in_threadpool(desk.store.teams), await run_in_threadpool(desk.store.counts)
    return _page(request, "organiser_teams.html", "/organiser", status, teams=teams, counts=counts, **said)


@router.get("")
@for_role(Role.ORGANISER)
async def teams(request: Request) -> Response:
    return await _teams_page(request)


@router.post("/roster")
@for_role(Role.ORGANISER)
async def add_teams(request: Request, roster: Annotated[str, Form(max_length=200_000)] = "") -> Response:
    """Add the teams of a roster; their tokens are in this answer and nowhere else."""
    try:
        tokens = await run_in_threadpool(request.app.state.desk.add_teams, roster, request.state.caller)
    except ConfigError as error:
        return await _teams_page(request, HTTPStatus.UNPROCESSABLE_ENTITY, refused=f"{error}.", roster=roster)
    many = "1 team was added" if len(tokens) == 1 else f"{len(tokens)} teams were added"
    return await _teams_page(request, tokens=tokens, done=f"{many}.")


@router.post("/teams/{team}/token")
@for_role(Role.ORGANISER)
async def new_token(request: Request, team: str) -> Response:
    name, token = await run_in_threadpool(request.app.state.desk.new_token, team, request.state.caller)
    return await _teams_page(request, tokens={name: token}, done=f"The old token of {name} no longer works.")


@router.get("/entries")
@for_role(Role.ORGANISER)
async def entries(request: Request) -> Response:
    found = await run_in_threadpool(request.app.state.desk.statuses, request.state.caller)
    groups = {
        "Set aside": [one for one in found if one.state == "quarantined"],
        "Waiting and running": [one for one in found if not one.settled],
        "Scored": [one for one in found if one.scored],
        "Refused and failed": [one for one in found if one.state in ("refused", "failed")],
    }
    return _page(request, "organiser_entries.html", "/organiser/entries", groups=groups)


@router.post("/submissions/{submission}/requeue")
@for_role(Role.ORGANISER)
async def requeue(request: Request, submission: str) -> Response:
    await run_in_threadpool(request.app.state.desk.requeue, submission, request.state.caller)
    return redirect("/organiser/entries")


async def _rejudge_page(request: Request, status: int = HTTPStatus.OK, **context: Any) -> Response:
    desk = request.app.state.desk
    counts, changes = await run_in_threadpool(desk.store.counts), await run_in_threadpool(desk.changes)
    shown = {"changes": changes, "waiting": counts["waiting"] + counts["leased"], "scored": counts.get("scored", 0)}
    return _page(request, "organiser_rejudge.html", "/organiser/rejudge", status, titles=CATEGORIES, **shown, **context)


@router.get("/rejudge")
@for_role(Role.ORGANISER)
async def rejudge_page(request: Request) -> Response:
    return await _rejudge_page(request)


@router.post("/rejudge")
@for_role(Role.ORGANISER)
async def rejudge(request: Request, judge: Annotated[str, Form(max_length=64)] = "official") -> Response:
    """Queue all scored entries for another judge; their scores stand until the new ones are there."""
    try:
        many = await run_in_threadpool(request.app.state.desk.rejudge, judge, request.state.caller)
    except ConfigError as error:
        return await _rejudge_page(request, HTTPStatus.UNPROCESSABLE_ENTITY, refused=f"{error}.")
    return await _rejudge_page(request, done=f"{many} entries wait to be evaluated again.")


@router.get("/audit")
@for_role(Role.ORGANISER)
async def audit(request: Request) -> Response:
    events = await run_in_threadpool(request.app.state.desk.store.audit)
    return _page(request, "organiser_audit.html", "/organiser/audit", events=events)
