"""Signing in with a token, and out."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import Form
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from latentarena.web.access import COOKIE, Asking, count_wrong_token, forget_session, keep_session
from latentarena.web.rendering import page, redirect
from latentarena.web.routing import Part, Role, for_role
from latentarena.web.services import Shared

router = Part()
HOME = {Role.TEAM: "/team", Role.ORGANISER: "/organiser"}


@router.get("/login")
@for_role(Role.PUBLIC)
async def login_page(request: Request, site: Shared) -> Response:
    return page(request, "login.html", refused="", site=site.settings.address)


@router.post("/login")
@for_role(Role.PUBLIC)
async def login(request: Request, site: Shared, token: Annotated[str, Form(max_length=200)] = "") -> Response:
    token = token.strip()
    found = await run_in_threadpool(site.desk.sign_in, token, site.settings.session_seconds)
    if found is None:
        count_wrong_token(request, token)
        refused = "That token is unknown, revoked or expired. Ask your organiser for a new one."
        return page(request, "login.html", HTTPStatus.UNAUTHORIZED, refused=refused, site=site.settings.address)
    caller, session = found
    response = redirect(HOME[caller.role])
    keep_session(request, response, session, site.settings.session_seconds)
    return response


@router.get("/logout")
@for_role(Role.PUBLIC)
async def logout_page(request: Request, caller: Asking) -> Response:
    return page(request, "logout.html", name=caller.name)


@router.post("/logout")
@for_role(Role.PUBLIC)
def logout(request: Request, site: Shared, caller: Asking) -> Response:
    session = request.cookies.get(COOKIE)
    if session and caller.role > Role.PUBLIC:
        site.desk.store.tokens.close_session(session)
    response = redirect("/")
    forget_session(response)
    return response
