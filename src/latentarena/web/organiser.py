"""The organiser's pages: what they share, the list of entries, and who did what."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from latentarena.web.access import Role, for_role
from latentarena.web.problems import Problem
from latentarena.web.rendering import Number, page, redirect

router = APIRouter(prefix="/organiser", include_in_schema=False)
TABS = (
    ("/organiser", "Teams"),
    ("/organiser/entries", "Entries"),
    ("/organiser/rejudge", "Re-evaluate"),
    ("/organiser/audit", "Audit log"),
)


STATES = ("quarantined", "queued", "running", "scored", "refused", "failed")
GROUPS = {
    "": ("All", STATES),
    "set-aside": ("Set aside", ("quarantined",)),
    "waiting": ("Waiting and running", ("queued", "running")),
    "scored": ("Scored", ("scored",)),
    "ended": ("Refused and failed", ("refused", "failed")),
}


def organiser_page(request: Request, template: str, here: str, status: int = HTTPStatus.OK, **context: Any) -> Response:
    """A page under one of the tabs, with what was `done` or `refused` above it."""
    said = {"done": "", "refused": ""} | context
    return page(request, template, status, tabs=TABS, tab=here, **said)


@router.get("/entries")
@for_role(Role.ORGANISER)
async def entries(request: Request, number: Number = 1, group: str = "") -> Response:
    if group not in GROUPS:
        raise Problem(HTTPStatus.NOT_FOUND, f"there is no group {group[:40]!r} of entries")
    desk = request.app.state.desk
    counts = await run_in_threadpool(desk.store.counts)
    groups = [(name, title, sum(counts.get(state, 0) for state in states)) for name, (title, states) in GROUPS.items()]
    found = await run_in_threadpool(desk.statuses, request.state.caller, number, GROUPS[group][1])
    trained = await run_in_threadpool(desk.trained)
    shown = {"groups": groups, "group": group, "found": found, "trained": trained}
    return organiser_page(request, "organiser_entries.html", "/organiser/entries", **shown)


@router.post("/submissions/{submission}/retrain")
@for_role(Role.ORGANISER)
async def retrain(request: Request, submission: str) -> Response:
    """Have the recipe of an entry trained anew, while nothing waits to be evaluated."""
    await run_in_threadpool(request.app.state.desk.train_anew, submission, request.state.caller)
    return redirect("/organiser/entries")


@router.post("/submissions/{submission}/requeue")
@for_role(Role.ORGANISER)
async def requeue(request: Request, submission: str) -> Response:
    await run_in_threadpool(request.app.state.desk.requeue, submission, request.state.caller)
    return redirect("/organiser/entries")


@router.post("/submissions/{submission}/erase")
@for_role(Role.ORGANISER)
async def erase(request: Request, submission: str) -> Response:
    """Forget an entry and its files; the audit log says so."""
    app = request.app.state
    app.playground.forget(await run_in_threadpool(app.desk.erase, submission, request.state.caller))
    return redirect("/organiser/entries")


@router.get("/audit")
@for_role(Role.ORGANISER)
async def audit(request: Request, number: Number = 1) -> Response:
    found = await run_in_threadpool(request.app.state.desk.audit, number)
    return organiser_page(request, "organiser_audit.html", "/organiser/audit", found=found)
