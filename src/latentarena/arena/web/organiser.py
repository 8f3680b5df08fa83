"""The organiser's pages: what they share, the list of entries, and who did what."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from latentarena.arena.web.access import Role, for_role
from latentarena.arena.web.rendering import page, redirect

__all__ = ["organiser_page", "router"]

router = APIRouter(prefix="/organiser", include_in_schema=False)
TABS = (
    ("/organiser", "Teams"),
    ("/organiser/entries", "Entries"),
    ("/organiser/rejudge", "Re-evaluate"),
    ("/organiser/audit", "Audit log"),
)


def organiser_page(request: Request, template: str, here: str, status: int = HTTPStatus.OK, **context: Any) -> Response:
    """A page under one of the tabs, with what was `done` or `refused` above it."""
    said = {"done": "", "refused": ""} | context
    return page(request, template, status, tabs=TABS, tab=here, **said)


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
    return organiser_page(request, "organiser_entries.html", "/organiser/entries", groups=groups)


@router.post("/submissions/{submission}/requeue")
@for_role(Role.ORGANISER)
async def requeue(request: Request, submission: str) -> Response:
    await run_in_threadpool(request.app.state.desk.requeue, submission, request.state.caller)
    return redirect("/organiser/entries")


@router.get("/audit")
@for_role(Role.ORGANISER)
async def audit(request: Request) -> Response:
    events = await run_in_threadpool(request.app.state.desk.store.audit)
    return organiser_page(request, "organiser_audit.html", "/organiser/audit", events=events)
