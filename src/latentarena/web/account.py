"""Signing in with a token, and out."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Form
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from latentarena.web.access import (
    COOKIE,
    Role,
    count_wrong_token,
    for_role,
    forget_session,
    keep_session,
)
from latentarena.web.rendering import page, redirect

router = APIRouter(include_in_schema=False)
HOME = {Role.TEAM: "/team", Role.ORGANISER: "/organiser"}


@router.get("/login")
@for_role(Role.PUBLIC)
async def login_page(request: Request) -> Response:
    return page(request, "login.html", refused="", site=request.app.state.settings.address)


@router.post("/login")
@for_role(Role.PUBLIC)
async def login(request: Request, token: Annotated[str, Form(max_length=200)] = "") -> Response:
    app, token = request.app.state, token.strip()
    found = await run_in_threadpool(app.desk.sign_in, token, app.settings.session_seconds)
    if found is None:
        count_wrong_token(request, token)
        refused = "That token is unknown, revoked or expired. Ask your organiser for a new one."
        return page(request, "login.html", HTTPStatus.UNAUTHORIZED, refused=refused, site=app.settings.address)
    caller, session = found
    response = redirect(HOME[caller.role])
    keep_session(request, response, session, app.settings.session_seconds)
    return response


@router.get("/logout")
@for_role(Role.PUBLIC)
async def logout_page(request: Request) -> Response:
    return page(request, "logout.html", name=request.state.caller.name)


@router.post("/logout")
@for_role(Role.PUBLIC)
async def logout(request: Request) -> Response:
    session = request.cookies.get(COOKIE)
    if session and request.state.caller.role > Role.PUBLIC:
        await run_in_threadpool(request.app.state.desk.store.close_session, session)
    response = redirect("/")
    forget_session(response)
    return response
