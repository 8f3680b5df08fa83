"""The API, version 1: what the pages do, for programs. Errors are problem+json with one line in `detail`."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse

from latentarena.arena.certification import certificate_in
from latentarena.arena.roster import LARGEST
from latentarena.arena.store import TeamDetails
from latentarena.card.certificate import Certificate
from latentarena.card.score_card import ScoreCard
from latentarena.contest.commitment import Commitment
from latentarena.contest.contest import Contest
from latentarena.web.access import Role, for_role
from latentarena.web.receiving import receive_bundle
from latentarena.web.rendering import Number
from latentarena.web.views import Page, Status


class ProblemBody(BaseModel):
    """What every error is."""

    title: str
    status: int
    detail: str


class SubmissionBody(BaseModel):
    """A bundle that was handed in, as its team sees it.

    Attributes:
        state: queued, running, scored, refused, failed or quarantined.
        reason: why it failed, in a sentence; empty otherwise.
        entry: its address among the scored entries, once it is one.
    """

    id: str
    state: str
    received: datetime
    digest: str
    size: int
    model: str
    reason: str
    entry: str | None


class SubmissionsBody(BaseModel):
    """A page of one's own submissions, the latest first."""

    submissions: list[SubmissionBody]


class EntryBody(BaseModel):
    """A scored entry: whose it is, and its whole score card.

    Attributes:
        training: whether its recipe waits to be trained anew, is being trained, or what came of it; empty if none.
        certificate: of its training; None where there is none.
    """

    id: str
    team: str
    received: datetime
    bundle_public: bool
    card: ScoreCard
    training: str = ""
    certificate: Certificate | None = None


class ListedBody(BaseModel):
    """An entry in the list of entries."""

    id: str
    team: str
    model: str


class EntriesBody(BaseModel):
    """A page of the scored entries."""

    entries: list[ListedBody]


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


class CallerBody(BaseModel):
    """Who the token says one is."""

    role: str
    name: str


def _problems(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    content = {"application/problem+json": {"schema": ProblemBody.model_json_schema()}}
    return {int(status): {"description": status.phrase, "content": content} for status in statuses}


ANYWHERE = (HTTPStatus.BAD_REQUEST, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
SIGNED_IN = (*ANYWHERE, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
UPLOAD = (
    *SIGNED_IN,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.INSUFFICIENT_STORAGE,
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)
BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/zip": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["bundle"],
                    "properties": {"bundle": {"type": "string", "format": "binary"}},
                }
            },
        },
    }
}
router = APIRouter(prefix="/api/v1")


@router.get("/openapi.json", include_in_schema=False)
@for_role(Role.PUBLIC)
async def openapi(request: Request) -> Response:
    return JSONResponse(request.app.openapi())


@router.get("/contest", tags=["board"], responses=_problems(*ANYWHERE))
@for_role(Role.PUBLIC)
async def contest(request: Request) -> Contest:
    """The rules, as data."""
    found: Contest = await run_in_threadpool(request.app.state.desk.rules)
    return found


@router.get("/key", tags=["board"], responses=_problems(*ANYWHERE))
@for_role(Role.PUBLIC)
async def key(request: Request) -> Commitment:
    """The SHA-256 of the contest's key; the key too once the contest has closed."""
    found: Commitment = await run_in_threadpool(request.app.state.desk.commitment)
    return found


@router.get("/me", tags=["account"], responses=_problems(*ANYWHERE))
@for_role(Role.PUBLIC)
async def me(request: Request) -> CallerBody:
    """Who the token says one is."""
    caller = request.state.caller
    return CallerBody(role=caller.role.name.lower(), name=caller.name)


@router.get("/entries", tags=["entries"], responses=_problems(*ANYWHERE))
@for_role(Role.PUBLIC)
async def entries(request: Request, response: Response, number: Number = 1) -> EntriesBody:
    """The scored entries, best first, a hundred to a page."""
    board = (await request.app.state.boards.get()).board
    found = Page.of_list(number, board.listed)
    listed = [ListedBody(id=one.id, team=one.team, model=one.name) for one in found.items]
    response.headers.update(found.links(request.url.path))
    return EntriesBody(entries=listed)


@router.get("/entries/{entry}", tags=["entries"], responses=_problems(*ANYWHERE, HTTPStatus.NOT_FOUND))
@for_role(Role.PUBLIC)
async def entry(request: Request, entry: str) -> EntryBody:
    """One scored entry with its score card."""
    desk = request.app.state.desk
    found = await run_in_threadpool(desk.shown, entry, request.state.caller)
    trained = (await run_in_threadpool(desk.trained)).get(entry)
    return EntryBody(
        id=found.entry.id,
        team=found.entry.team,
        received=found.entry.received,
        bundle_public=found.bundle_public,
        card=found.card,
        training="" if trained is None else trained.words,
        certificate=certificate_in(trained),
    )


@router.post(
    "/submissions/{submission}/retrain", tags=["organiser"], status_code=HTTPStatus.ACCEPTED,
    responses=_problems(*SIGNED_IN, HTTPStatus.NOT_FOUND),
)  # fmt: skip
@for_role(Role.ORGANISER)
async def retrain(request: Request, submission: str) -> SubmissionBody:
    """Have the recipe of a scored entry trained anew, while nothing waits to be evaluated."""
    await run_in_threadpool(request.app.state.desk.train_anew, submission, request.state.caller)
    return _body(await run_in_threadpool(request.app.state.desk.status, submission, request.state.caller))


@router.post(
    "/submissions",
    tags=["submissions"],
    status_code=HTTPStatus.CREATED,
    responses={200: {"model": SubmissionBody, "description": "Known already"}, **_problems(*UPLOAD)},
    openapi_extra=BODY,
)
@for_role(Role.TEAM, checks_form_itself=True)
async def submit(request: Request, response: Response) -> SubmissionBody:
    """Hand in a bundle: the zip as the body, or as the part `bundle` of a form. Equal bytes are one submission."""
    submission, new = await receive_bundle(request)
    response.status_code = HTTPStatus.CREATED if new else HTTPStatus.OK
    response.headers["Location"] = f"/api/v1/submissions/{submission.id}"
    return _body(submission)


@router.get("/submissions", tags=["submissions"], responses=_problems(*SIGNED_IN))
@for_role(Role.TEAM)
async def submissions(request: Request, response: Response, number: Number = 1) -> SubmissionsBody:
    """One's own submissions (an organiser's: all), the latest first, a hundred to a page."""
    found = await run_in_threadpool(request.app.state.desk.statuses, request.state.caller, number)
    listed = [_body(one) for one in found.items]
    response.headers.update(found.links(request.url.path))
    return SubmissionsBody(submissions=listed)


@router.get("/submissions/{submission}", tags=["submissions"], responses=_problems(*SIGNED_IN, HTTPStatus.NOT_FOUND))
@for_role(Role.TEAM)
async def submission(request: Request, submission: str) -> SubmissionBody:
    """What became of a submission of one's own."""
    return _body(await run_in_threadpool(request.app.state.desk.status, submission, request.state.caller))


@router.delete(
    "/submissions/{submission}",
    tags=["organiser"],
    status_code=HTTPStatus.NO_CONTENT,
    responses=_problems(*SIGNED_IN, HTTPStatus.NOT_FOUND),
)
@for_role(Role.ORGANISER)
async def erase(request: Request, submission: str) -> None:
    """Forget a submission with its score cards and files; only the audit log says that it was there."""
    app = request.app.state
    app.playground.forget(await run_in_threadpool(app.desk.erase, submission, request.state.caller))


@router.delete("/teams/{team}/tokens", tags=["organiser"], responses=_problems(*SIGNED_IN, HTTPStatus.NOT_FOUND))
@for_role(Role.ORGANISER)
async def revoke(request: Request, team: str) -> RevokedBody:
    """End all tokens and sessions of a team."""
    return RevokedBody(revoked=await run_in_threadpool(request.app.state.desk.revoke, team, request.state.caller))


@router.get("/teams", tags=["organiser"], responses=_problems(*SIGNED_IN))
@for_role(Role.ORGANISER)
async def teams(request: Request, response: Response, number: Number = 1) -> TeamsBody:
    """The teams with their private members, by name, a hundred to a page."""
    found = await run_in_threadpool(request.app.state.desk.teams, number)
    listed = [_team_body(one) for one in found.items]
    response.headers.update(found.links(request.url.path))
    return TeamsBody(teams=listed)


@router.post("/teams", tags=["organiser"], status_code=HTTPStatus.CREATED, responses=_problems(*SIGNED_IN))
@for_role(Role.ORGANISER)
async def add_teams(request: Request, body: RosterBody) -> TokensBody:
    """Add teams and members that are not there yet; tokens of new teams are in this answer and nowhere else."""
    added = await run_in_threadpool(request.app.state.desk.add_teams, body.roster, request.state.caller)
    return TokensBody(tokens=added.tokens)


@router.post("/teams/preview", tags=["organiser"], responses=_problems(*SIGNED_IN))
@for_role(Role.ORGANISER)
async def preview(request: Request, body: RosterBody) -> PreviewBody:
    """What a roster would change; nothing is changed."""
    found = await run_in_threadpool(request.app.state.desk.plan_teams, body.roster)
    plans = [PlanBody(team=one.name, new=one.new, added=list(one.added), known=one.known) for one in found.plans]
    columns = found.roster.columns
    return PreviewBody(
        columns=columns.used,
        ignored=list(columns.ignored),
        plans=plans,
        summary=found.summary,
        remarks=found.remarks,
    )


@router.patch("/teams/{team}", tags=["organiser"], responses=_problems(*SIGNED_IN, HTTPStatus.NOT_FOUND))
@for_role(Role.ORGANISER)
async def change_team(request: Request, team: str, body: ChangeBody) -> TeamBody:
    """Rename a team, or change who is in it."""
    desk, caller = request.app.state.desk, request.state.caller
    return _team_body(await run_in_threadpool(desk.change_team, team, caller, body.name, body.add, body.remove))


@router.delete(
    "/teams/{team}",
    tags=["organiser"],
    status_code=HTTPStatus.NO_CONTENT,
    responses=_problems(*SIGNED_IN, HTTPStatus.NOT_FOUND),
)
@for_role(Role.ORGANISER)
async def remove_team(request: Request, team: str, entries: bool = False) -> None:
    """Forget a team with its members and tokens; with `entries` all that it has handed in too, else only if none is."""
    app = request.app.state
    app.playground.forget(await run_in_threadpool(app.desk.remove_team, team, request.state.caller, entries))


def _team_body(one: TeamDetails) -> TeamBody:
    return TeamBody(id=one.id, name=one.name, members=list(one.members), submissions=one.submissions)


def _body(one: Status) -> SubmissionBody:
    return SubmissionBody(
        id=one.id,
        state=one.state,
        received=one.received,
        digest=one.digest,
        size=one.size,
        model=one.model,
        reason=one.sentence,
        entry=one.id if one.scored else None,
    )
