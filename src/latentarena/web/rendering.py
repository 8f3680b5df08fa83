"""Pages from templates: what all of them share."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

from fastapi import Query
from markupsafe import Markup, escape
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from latentarena.arena.pages import templates
from latentarena.contest.contest import Contest
from latentarena.web.access import Caller, Role, form_token, keep_form_secret
from latentarena.web.assets import asset
from latentarena.web.views import short

TEMPLATES = templates(Path(__file__).parent / "templates")
TEMPLATES.globals.update(asset=asset)


def _code(text: str) -> Markup:
    """Text in which what stands between backticks is code."""
    parts = [
        Markup("<code>{}</code>").format(part) if i % 2 else escape(part) for i, part in enumerate(text.split("`"))
    ]
    return Markup("").join(parts)


def _sentence(text: str) -> Markup:
    """A message as a sentence, with its code marked."""
    return _code(text[:1].upper() + text[1:])


TEMPLATES.filters |= {"code": _code, "sentence": _sentence, "short": short}
MOST_PAGES = 1_000_000
Number = Annotated[int, Query(ge=1, le=MOST_PAGES, alias="page")]  # of a page of a list
Find = Annotated[str, Query(max_length=80)]  # what is looked for among the names of teams and entries
TITLES = {401: "Sign in first", 403: "Not open to you", 404: "Nothing here", 429: "Too many at once"}
NAVIGATION = {
    Role.PUBLIC: (("/", "Board"), ("/compare", "Compare"), ("/rules", "Rules")),
    Role.TEAM: (
        ("/", "Board"),
        ("/compare", "Compare"),
        ("/rules", "Rules"),
        ("/submit", "Submit"),
        ("/team", "Your team"),
    ),
    Role.ORGANISER: (("/", "Board"), ("/compare", "Compare"), ("/rules", "Rules"), ("/organiser", "Organiser")),
}


def render(template: str, contest: Contest, role: Role, here: str, **context: Any) -> str:
    """A template with what all pages need."""
    return TEMPLATES.get_template(template).render(
        contest=contest, role=role, here=here, navigation=NAVIGATION.get, **context
    )


def page(request: Request, template: str, code: int = HTTPStatus.OK, **context: Any) -> Response:
    """A page for the caller, which no cache keeps."""
    caller: Caller = request.state.caller
    shared = {"form_token": form_token(request), **context}
    text = render(template, request.app.state.contest, caller.role, request.url.path, **shared)
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
