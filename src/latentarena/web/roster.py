"""The organiser's pages of teams: a roster in, looked at first; tokens out; names and members changed."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import File, Form, UploadFile
from starlette.requests import Request
from starlette.responses import Response

from latentarena.arena.class_text import text_and_doubt
from latentarena.arena.enrolment import add_roster, plan_roster, remove_team
from latentarena.arena.roster import LARGEST, read_roster
from latentarena.errors import ConfigError
from latentarena.web.access import Asking
from latentarena.web.desk import now
from latentarena.web.organiser import organiser_page
from latentarena.web.rendering import Number
from latentarena.web.routing import MenuLink, Part, Role, for_role
from latentarena.web.services import Shared, services_of
from latentarena.web.views import Page

router = Part(MenuLink("/organiser", "Organiser", (Role.ORGANISER,)), MenuLink("/organiser", "Teams", tab=True))


def _page(request: Request, status: int = HTTPStatus.OK, number: int = 1, **context: Any) -> Response:
    store, said = services_of(request).desk.store, {"tokens": {}, "roster": ""} | context
    found, counts = Page.of(number, store.teams.count(), store.teams.all), store.submissions.by_state()
    return organiser_page(request, "organiser_teams.html", "/organiser", status, found=found, counts=counts, **said)


@router.get("/organiser")
@for_role(Role.ORGANISER)
def teams(request: Request, number: Number = 1) -> Response:
    return _page(request, number=number)


@router.post("/organiser/roster/preview")
@for_role(Role.ORGANISER)
def preview(
    request: Request,
    site: Shared,
    roster: Annotated[str, Form(max_length=LARGEST)] = "",
    file: Annotated[UploadFile | None, File()] = None,
) -> Response:
    """What a roster, pasted or as a file, would change; nothing is changed."""
    try:
        text, doubt = text_and_doubt(file.file.read()) if file is not None and file.size else (roster, "")
        found = plan_roster(site.desk.store, read_roster(text, doubt))
    except ConfigError as error:
        return _page(request, HTTPStatus.UNPROCESSABLE_ENTITY, refused=f"{error}.", roster=roster)
    return organiser_page(request, "organiser_roster.html", "/organiser", found=found, roster=text)


@router.post("/organiser/roster")
@for_role(Role.ORGANISER)
def add_teams(
    request: Request, site: Shared, caller: Asking, roster: Annotated[str, Form(max_length=LARGEST)] = ""
) -> Response:
    """Add the teams and members of a roster; tokens of new teams are in this answer and nowhere else."""
    try:
        added = add_roster(site.desk.store, read_roster(roster), caller.name)
    except ConfigError as error:
        return _page(request, HTTPStatus.UNPROCESSABLE_ENTITY, refused=f"{error}.", roster=roster)
    return _page(request, tokens=added.tokens, done=f"Added: {added.summary}.")


def _team_page(request: Request, team: str, status: int = HTTPStatus.OK, **context: Any) -> Response:
    found = services_of(request).desk.store.teams.one(team)
    return organiser_page(request, "organiser_team.html", "/organiser", status, team=found, **context)


@router.get("/organiser/teams/{team}")
@for_role(Role.ORGANISER)
def team_page(request: Request, team: str) -> Response:
    """A team's name and members, to be changed."""
    return _team_page(request, team)


@router.post("/organiser/teams/{team}/change")
@for_role(Role.ORGANISER)
def change(
    request: Request,
    site: Shared,
    caller: Asking,
    team: str,
    name: Annotated[str | None, Form(max_length=400)] = None,
    add: Annotated[str, Form(max_length=400)] = "",
    remove: Annotated[str, Form(max_length=400)] = "",
) -> Response:
    """Rename a team, or put a member in, take one out, or have the one take the other's place."""
    added, removed = ([one] if one.strip() else [] for one in (add, remove))
    try:
        site.desk.store.teams.change(team, caller.name, now(), name, added, removed)
    except ConfigError as error:
        return _team_page(request, team, HTTPStatus.UNPROCESSABLE_ENTITY, refused=f"{error}.")
    return _team_page(request, team, done="Changed.")


@router.post("/organiser/teams/{team}/remove")
@for_role(Role.ORGANISER)
def remove(
    request: Request, site: Shared, caller: Asking, team: str, entries: Annotated[bool, Form()] = False
) -> Response:
    """Forget a team; its entries too where that box was ticked."""
    name = site.desk.store.teams.one(team).name
    try:
        gone = remove_team(site.desk.store, site.desk.objects, team, caller.name, entries)
    except ConfigError as error:
        return _team_page(request, team, HTTPStatus.UNPROCESSABLE_ENTITY, refused=f"{error}.")
    site.playground.forget(gone)
    return _page(request, done=f"{name} was removed.")


@router.post("/organiser/teams/{team}/revoke")
@for_role(Role.ORGANISER)
def revoke(request: Request, site: Shared, caller: Asking, team: str) -> Response:
    """End a team's tokens and sessions, without new ones."""
    many = site.desk.store.tokens.revoke(team, caller.name, now())
    return _page(request, done=f"{many} tokens and sessions no longer work.")


@router.post("/organiser/teams/{team}/token")
@for_role(Role.ORGANISER)
def new_token(request: Request, site: Shared, caller: Asking, team: str) -> Response:
    name, token = site.desk.store.tokens.replace(team, caller.name, now())
    return _page(request, tokens={name: token}, done=f"The old token of {name} no longer works.")
