"""The API, version 1: what the pages do, for programs. Errors are problem+json with one line in `detail`."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Any

from fastapi import Response
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse

from latentarena.arena.certification import certificate_in
from latentarena.arena.erasing import erase_entry
from latentarena.arena.store import Submission
from latentarena.card.certificate import Certificate
from latentarena.card.score_card import ScoreCard
from latentarena.contest.commitment import Commitment
from latentarena.contest.contest import Contest
from latentarena.web.access import Asking
from latentarena.web.desk import now
from latentarena.web.receiving import receive_bundle
from latentarena.web.rendering import Number
from latentarena.web.routing import Part, Role, for_role
from latentarena.web.services import Shared
from latentarena.web.views import Page


class ProblemBody(BaseModel):
    """What every error is."""

    title: str
    status: int
    detail: str


class SubmissionBody(BaseModel):
    """A bundle that was handed in, as its team sees it.

    Attributes:
        state: queued, running, scored, refused, failed or quarantined.
        reason: why it was refused or failed, in a sentence; empty otherwise.
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


class CallerBody(BaseModel):
    """Who the token says one is."""

    role: str
    name: str


def problems(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """What a route may refuse with, for the description of the API."""
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
PREFIX = "/api/v1"
router = Part(prefix=PREFIX, include_in_schema=True)


@router.get("/openapi.json", include_in_schema=False)
@for_role(Role.PUBLIC)
async def openapi(request: Request) -> Response:
    return JSONResponse(request.app.openapi())


@router.get("/contest", tags=["board"], responses=problems(*ANYWHERE))
@for_role(Role.PUBLIC)
def contest(site: Shared) -> Contest:
    """The rules, as data."""
    return site.desk.rules()


@router.get("/key", tags=["board"], responses=problems(*ANYWHERE))
@for_role(Role.PUBLIC)
def key(site: Shared) -> Commitment:
    """The SHA-256 of the contest's key; the key too once the contest has closed."""
    return site.desk.commitment()


@router.get("/me", tags=["account"], responses=problems(*ANYWHERE))
@for_role(Role.PUBLIC)
async def me(caller: Asking) -> CallerBody:
    """Who the token says one is."""
    return CallerBody(role=caller.role.name.lower(), name=caller.name)


@router.get("/entries", tags=["entries"], responses=problems(*ANYWHERE))
@for_role(Role.PUBLIC)
async def entries(request: Request, site: Shared, response: Response, number: Number = 1) -> EntriesBody:
    """The scored entries, best first, a hundred to a page."""
    board = (await site.boards.get()).board
    found = Page.of_list(number, board.listed)
    listed = [ListedBody(id=one.id, team=one.team, model=one.name) for one in found.items]
    response.headers.update(found.links(request.url.path))
    return EntriesBody(entries=listed)


@router.get("/entries/{entry}", tags=["entries"], responses=problems(*ANYWHERE, HTTPStatus.NOT_FOUND))
@for_role(Role.PUBLIC)
def entry(site: Shared, entry: str) -> EntryBody:
    """One scored entry with its score card."""
    found = site.desk.shown(entry)
    trained = site.desk.store.certifying.found().get(entry)
    assert found.card is not None
    assert found.received is not None
    return EntryBody(
        id=found.id,
        team=found.team,
        received=found.received,
        bundle_public=found.public,
        card=found.card,
        training="" if trained is None else trained.words,
        certificate=certificate_in(trained),
    )


@router.post(
    "/submissions/{submission}/retrain", tags=["organiser"], status_code=HTTPStatus.ACCEPTED,
    responses=problems(*SIGNED_IN, HTTPStatus.NOT_FOUND),
)  # fmt: skip
@for_role(Role.ORGANISER)
def retrain(site: Shared, caller: Asking, submission: str) -> SubmissionBody:
    """Have the recipe of a scored entry trained anew, while nothing waits to be evaluated."""
    site.desk.store.certifying.order([submission], caller.name, now())
    return _body(site.teams.status(submission, caller))


@router.post(
    "/submissions",
    tags=["submissions"],
    status_code=HTTPStatus.CREATED,
    responses={200: {"model": SubmissionBody, "description": "Known already"}, **problems(*UPLOAD)},
    openapi_extra=BODY,
)
@for_role(Role.TEAM, checks_form_itself=True)
async def submit(request: Request, response: Response) -> SubmissionBody:
    """Hand in a bundle: the zip as the body, or as the part `bundle` of a form. Equal bytes are one submission."""
    submission, new = await receive_bundle(request)
    response.status_code = HTTPStatus.CREATED if new else HTTPStatus.OK
    response.headers["Location"] = f"/api/v1/submissions/{submission.id}"
    return _body(submission)


@router.get("/submissions", tags=["submissions"], responses=problems(*SIGNED_IN))
@for_role(Role.TEAM)
def submissions(
    request: Request, site: Shared, caller: Asking, response: Response, number: Number = 1
) -> SubmissionsBody:
    """One's own submissions (an organiser's: all), the latest first, a hundred to a page."""
    found = site.teams.statuses(caller, number)
    listed = [_body(one) for one in found.items]
    response.headers.update(found.links(request.url.path))
    return SubmissionsBody(submissions=listed)


@router.get("/submissions/{submission}", tags=["submissions"], responses=problems(*SIGNED_IN, HTTPStatus.NOT_FOUND))
@for_role(Role.TEAM)
def submission(site: Shared, caller: Asking, submission: str) -> SubmissionBody:
    """What became of a submission of one's own."""
    return _body(site.teams.status(submission, caller))


@router.delete(
    "/submissions/{submission}",
    tags=["organiser"],
    status_code=HTTPStatus.NO_CONTENT,
    responses=problems(*SIGNED_IN, HTTPStatus.NOT_FOUND),
)
@for_role(Role.ORGANISER)
def erase(site: Shared, caller: Asking, submission: str) -> None:
    """Forget a submission with its score cards and files; only the audit log says that it was there."""
    site.playground.forget(erase_entry(site.desk.store, site.desk.objects, submission, caller.name))


def _body(one: Submission) -> SubmissionBody:
    return SubmissionBody(
        id=one.id,
        state=one.state,
        received=one.received,
        digest=one.digest,
        size=one.size,
        model=one.name,
        reason=one.sentence,
        entry=one.id if one.state == "scored" else None,
    )
