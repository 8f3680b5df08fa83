"""The organiser's pages: what they share, and the list of entries."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from latentarena.arena.erasing import erase_entry
from latentarena.web.access import Asking
from latentarena.web.desk import now
from latentarena.web.problems import Problem
from latentarena.web.rendering import Number, page, redirect
from latentarena.web.routing import MenuLink, Part, Role, for_role
from latentarena.web.services import Shared

router = Part(MenuLink("/organiser/entries", "Entries", tab=True), prefix="/organiser")
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
    return page(request, template, status, tab=here, **said)


@router.get("/entries")
@for_role(Role.ORGANISER)
def entries(request: Request, site: Shared, caller: Asking, number: Number = 1, group: str = "") -> Response:
    if group not in GROUPS:
        raise Problem(HTTPStatus.NOT_FOUND, f"there is no group {group[:40]!r} of entries")
    counts = site.desk.store.submissions.by_state()
    groups = [(name, title, sum(counts.get(state, 0) for state in states)) for name, (title, states) in GROUPS.items()]
    found = site.teams.statuses(caller, number, GROUPS[group][1])
    trained = site.desk.store.certifying.found()
    shown: dict[str, Any] = {"groups": groups, "group": group, "found": found, "trained": trained}
    return organiser_page(request, "organiser_entries.html", "/organiser/entries", **shown)


@router.post("/submissions/{submission}/retrain")
@for_role(Role.ORGANISER)
def retrain(site: Shared, caller: Asking, submission: str) -> Response:
    """Have the recipe of an entry trained anew, while nothing waits to be evaluated."""
    site.desk.store.certifying.order([submission], caller.name, now())
    return redirect("/organiser/entries")


@router.post("/submissions/{submission}/requeue")
@for_role(Role.ORGANISER)
def requeue(site: Shared, caller: Asking, submission: str) -> Response:
    site.desk.store.submissions.requeue(submission, site.desk.rules().judge, caller.name, now())
    return redirect("/organiser/entries")


@router.post("/submissions/{submission}/erase")
@for_role(Role.ORGANISER)
def erase(site: Shared, caller: Asking, submission: str) -> Response:
    """Forget an entry and its files; the audit log says so."""
    site.playground.forget(erase_entry(site.desk.store, site.desk.objects, submission, caller.name))
    return redirect("/organiser/entries")
