"""A team's pages: hand in, watch, choose what counts, publish."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from latentarena.web.access import Asking
from latentarena.web.desk import now
from latentarena.web.receiving import receive_bundle
from latentarena.web.rendering import Number, page, redirect
from latentarena.web.routing import MenuLink, Part, Role, for_role
from latentarena.web.rules import COUNTS
from latentarena.web.services import Shared
from latentarena.web.team_desk import out_of_time

router = Part(
    MenuLink("/submit", "Submit", (Role.TEAM,)),
    MenuLink("/team", "Your team", (Role.TEAM,)),
)


@router.get("/submit")
@for_role(Role.TEAM)
def submit_page(request: Request, site: Shared, caller: Asking) -> Response:
    return page(
        request,
        "submit.html",
        limit=site.contest.quotas.bytes,
        forms=" or ".join(site.contest.forms),
        closed=out_of_time(site.contest, now()),
        left=site.teams.left(caller.team or ""),
        site=site.settings.address,
    )


@router.post("/submit")
@for_role(Role.TEAM, checks_form_itself=True)
async def submit(request: Request) -> Response:
    """For browsers without scripts; with them the page sends the file to the API."""
    submission, _ = await receive_bundle(request)
    return redirect(f"/submissions/{submission.id}")


@router.get("/submissions/{submission}")
@for_role(Role.TEAM)
def submission_page(request: Request, site: Shared, caller: Asking, submission: str) -> Response:
    found = site.teams.status(submission, caller)
    return page(request, "submission.html", submission=found)


@router.get("/submissions/{submission}/status")
@for_role(Role.TEAM)
def status(request: Request, site: Shared, caller: Asking, submission: str) -> Response:
    """The part of the page that changes, asked for again and again until the entry is settled."""
    found = site.teams.status(submission, caller)
    return page(request, "status.html", submission=found)


@router.get("/team")
@for_role(Role.TEAM)
async def team_page(request: Request, site: Shared, caller: Asking, number: Number = 1) -> Response:
    if caller.role is Role.ORGANISER:
        return redirect("/organiser")
    board = (await site.boards.get()).board
    return page(
        request,
        "team.html",
        team=caller.name,
        submissions=await run_in_threadpool(site.teams.statuses, caller, number),
        line=next((line for line in board.lines if line.team == caller.name), None),
        ranked=len(board.lines),
        choosing=site.contest.counts == "chosen",
        which_counts=COUNTS[site.contest.counts],
    )


@router.post("/submissions/{submission}/choose")
@for_role(Role.TEAM)
def choose(site: Shared, caller: Asking, submission: str) -> Response:
    site.teams.choose(submission, caller)
    return redirect("/team")


@router.post("/submissions/{submission}/publish")
@for_role(Role.TEAM)
def publish(site: Shared, caller: Asking, submission: str) -> Response:
    site.teams.publish(submission, caller, True)
    return redirect("/team")


@router.post("/submissions/{submission}/withhold")
@for_role(Role.TEAM)
def withhold(site: Shared, caller: Asking, submission: str) -> Response:
    site.teams.publish(submission, caller, False)
    return redirect("/team")
