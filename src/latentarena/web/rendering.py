"""Pages as responses."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Query
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from latentarena.web.access import form_token, keep_form_secret
from latentarena.web.routing import Caller
from latentarena.web.services import services_of

MOST_PAGES = 1_000_000
Number = Annotated[int, Query(ge=1, le=MOST_PAGES, alias="page")]  # of a page of a list
Find = Annotated[str, Query(max_length=80)]  # what is looked for among the names of teams and entries
TITLES = {401: "Sign in first", 403: "Not open to you", 404: "Nothing here", 429: "Too many at once"}


def page(request: Request, template: str, code: int = HTTPStatus.OK, **context: Any) -> Response:
    """A page for the caller, which no cache keeps."""
    caller: Caller = request.state.caller
    shared = {"form_token": form_token(request), **context}
    text = services_of(request).frame.render(template, caller.role, request.url.path, **shared)
    response = HTMLResponse(text, code, {"Cache-Control": "no-store"})
    keep_form_secret(request, response)
    return response


def problem_page(request: Request, problem: HTTPException) -> Response:
    """A refusal for people."""
    if not hasattr(request.state, "caller"):
        request.state.caller = Caller()
    title = TITLES.get(problem.status_code, HTTPStatus(problem.status_code).phrase)
    response = page(
        request, "problem.html", problem.status_code, title=title, status=problem.status_code, detail=problem.detail
    )
    response.headers.update(problem.headers or {})
    return response


def redirect(address: str) -> Response:
    """To another page, by GET."""
    return RedirectResponse(address, HTTPStatus.SEE_OTHER)
