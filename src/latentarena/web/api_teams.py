"""The API's part for organisers: teams, their rosters and tokens."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from latentarena.arena.enrolment import add_roster, plan_roster
from latentarena.arena.enrolment import remove_team as forget_team
from latentarena.arena.roster import LARGEST, read_roster
from latentarena.arena.store import TeamDetails
from latentarena.web.access import Asking
from latentarena.web.api import PREFIX, SIGNED_IN, problems
from latentarena.web.desk import now
from latentarena.web.rendering import Number
from latentarena.web.routing import Part, Role, for_role
from latentarena.web.services import Shared
from latentarena.web.views import Page


class RosterBody(BaseModel):
    """A roster as CSV, a line for each member; see `read_roster` for its columns."""

    roster: str = Field(max_length=LARGEST)


class TokensBody(BaseModel):
    """Tokens of new teams, shown this once."""

    tokens: dict[str, str]


class PlanBody(BaseModel):
    """What a roster would change for one team.

    Attributes:
        added: members that it gets; known: how many it has already.
    """

    team: str
    new: bool
    added: list[str]
    known: int


class PreviewBody(BaseModel):
    """What a roster would change.

    Attributes:
        columns: what they are called, by what is read from them; ignored: those that say nothing here.
        remarks: what people should look at before it is added.
    """

    columns: dict[str, str]
    ignored: list[str]
    plans: list[PlanBody]
    summary: str
    remarks: list[str]


class ChangeBody(BaseModel):
    """A change to a team.

    Attributes:
        name: a new one; add, remove: members, each as `name <address>`.
    """

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(default=None, max_length=400)
    add: list[Annotated[str, Field(max_length=400)]] = Field(default=[], max_length=100)
    remove: list[Annotated[str, Field(max_length=400)]] = Field(default=[], max_length=100)


class RevokedBody(BaseModel):
    """How many tokens and sessions ended."""

    revoked: int


class TeamBody(BaseModel):
    """A team as organisers see it; members are private."""

    id: str
    name: str
    members: list[str]
    submissions: int


class TeamsBody(BaseModel):
    """A page of the teams, by name."""

    teams: list[TeamBody]


router = Part(prefix=PREFIX, include_in_schema=True)


@router.delete("/teams/{team}/tokens", tags=["organiser"], responses=problems(*SIGNED_IN, HTTPStatus.NOT_FOUND))
@for_role(Role.ORGANISER)
def revoke(site: Shared, caller: Asking, team: str) -> RevokedBody:
    """End all tokens and sessions of a team."""
    return RevokedBody(revoked=site.desk.store.tokens.revoke(team, caller.name, now()))


@router.get("/teams", tags=["organiser"], responses=problems(*SIGNED_IN))
@for_role(Role.ORGANISER)
def teams(request: Request, site: Shared, response: Response, number: Number = 1) -> TeamsBody:
    """The teams with their private members, by name, a hundred to a page."""
    found = Page.of(number, site.desk.store.teams.count(), site.desk.store.teams.all)
    listed = [_team_body(one) for one in found.items]
    response.headers.update(found.links(request.url.path))
    return TeamsBody(teams=listed)


@router.post("/teams", tags=["organiser"], status_code=HTTPStatus.CREATED, responses=problems(*SIGNED_IN))
@for_role(Role.ORGANISER)
def add_teams(site: Shared, caller: Asking, body: RosterBody) -> TokensBody:
    """Add teams and members that are not there yet; tokens of new teams are in this answer and nowhere else."""
    return TokensBody(tokens=add_roster(site.desk.store, read_roster(body.roster), caller.name).tokens)


@router.post("/teams/preview", tags=["organiser"], responses=problems(*SIGNED_IN))
@for_role(Role.ORGANISER)
def preview(site: Shared, body: RosterBody) -> PreviewBody:
    """What a roster would change; nothing is changed."""
    found = plan_roster(site.desk.store, read_roster(body.roster))
    plans = [PlanBody(team=one.name, new=one.new, added=list(one.added), known=one.known) for one in found.plans]
    columns = found.roster.columns
    return PreviewBody(
        columns=columns.used,
        ignored=list(columns.ignored),
        plans=plans,
        summary=found.summary,
        remarks=found.remarks,
    )


@router.patch("/teams/{team}", tags=["organiser"], responses=problems(*SIGNED_IN, HTTPStatus.NOT_FOUND))
@for_role(Role.ORGANISER)
def change_team(site: Shared, caller: Asking, team: str, body: ChangeBody) -> TeamBody:
    """Rename a team, or change who is in it."""
    return _team_body(site.desk.store.teams.change(team, caller.name, now(), body.name, body.add, body.remove))


@router.delete(
    "/teams/{team}",
    tags=["organiser"],
    status_code=HTTPStatus.NO_CONTENT,
    responses=problems(*SIGNED_IN, HTTPStatus.NOT_FOUND),
)
@for_role(Role.ORGANISER)
def remove_team(site: Shared, caller: Asking, team: str, entries: bool = False) -> None:
    """Forget a team with its members and tokens; with `entries` all that it has handed in too, else only if none is."""
    site.playground.forget(forget_team(site.desk.store, site.desk.objects, team, caller.name, entries))


def _team_body(one: TeamDetails) -> TeamBody:
    return TeamBody(id=one.id, name=one.name, members=list(one.members), submissions=one.submissions)
