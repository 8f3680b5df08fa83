"""A team's pages: hand in, watch, choose what counts, publish."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from latentarena.web.access import Role, for_role
from latentarena.web.desk import out_of_time
from latentarena.web.receiving import receive_bundle
from latentarena.web.rendering import Number, page, redirect
from latentarena.web.rules import COUNTS

router = APIRouter(include_in_schema=False)


@router.get("/submit")
@for_role(Role.TEAM)
async def submit_page(request: Request) -> Response:
    app = request.app.state
    return page(
        request,
        "submit.html",
        limit=app.contest.quotas.bytes,
        forms=" or ".join(app.contest.forms),
        closed=out_of_time(app.contest, datetime.now(UTC)),
        left=await run_in_threadpool(app.desk.left, request.state.caller.team or ""),
        site=app.settings.address,
    )


@router.post("/submit")
@for_role(Role.TEAM, checks_form_itself=True)
async def submit(request: Request) -> Response:
    """For browsers without scripts; with them the page sends the file to the API."""
    submission, _ = await receive_bundle(request)
    return redirect(f"/submissions/{submission.id}")


@router.get("/submissions/{submission}")
@for_role(Role.TEAM)
async def submission_page(request: Request, submission: str) -> Response:
    found = await run_in_threadpool(request.app.state.desk.status, submission, request.state.caller)
    return page(request, "submission.html", submission=found)


@router.get("/submissions/{submission}/status")
@for_role(Role.TEAM)
async def status(request: Request, submission: str) -> Response:
    """The part of the page that changes, asked for again and again until the entry is settled."""
    found = await run_in_threadpool(request.app.state.desk.status, submission, request.state.caller)
    return page(request, "status.html", submission=found)


@router.get("/team")
@for_role(Role.TEAM)
async def team_page(request: Request, number: Number = 1) -> Response:
    app, caller = request.app.state, request.state.caller
    if caller.role is Role.ORGANISER:
        return redirect("/organiser")
    board = (await app.boards.get()).board
    return page(
        request,
        "team.html",
        team=caller.name,
        submissions=await run_in_threadpool(app.desk.statuses, caller, number),
        line=next((line for line in board.lines if line.team == caller.name), None),
        ranked=len(board.lines),
        choosing=app.contest.counts == "chosen",
        which_counts=COUNTS[app.contest.counts],
    )


@router.post("/submissions/{submission}/choose")
@for_role(Role.TEAM)
async def choose(request: Request, submission: str) -> Response:
    await run_in_threadpool(request.app.state.desk.choose, submission, request.state.caller)
    return redirect("/team")


@router.post("/submissions/{submission}/publish")
@for_role(Role.TEAM)
async def publish(request: Request, submission: str) -> Response:
    await run_in_threadpool(request.app.state.desk.publish, submission, request.state.caller, True)
    return redirect("/team")


@router.post("/submissions/{submission}/withhold")
@for_role(Role.TEAM)
async def withhold(request: Request, submission: str) -> Response:
    await run_in_threadpool(request.app.state.desk.publish, submission, request.state.caller, False)
    return redirect("/team")
