"""Who may do what: every route names the least role it takes, and a route that names none is open to nobody.

People sign in with their token and get a session, which is a token of some hours in a cookie; programs send
`Authorization: Bearer TOKEN`. What changes something and comes with a cookie must carry the form token of that cookie
and come from this site. Headers that would override the method are never read.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from http import HTTPStatus
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from latentarena.web.limits import Rate
from latentarena.web.problems import Problem
from latentarena.web.routing import Caller, Role
from latentarena.web.services import services_of

COOKIE = "arena_session"
FORM_COOKIE = "arena_form"
FORM_FIELD = "form_token"
FORM_HEADER = "x-form-token"
UNSAFE = ("POST", "PUT", "PATCH", "DELETE")
PREFIX = 6  # letters of a token by which wrong ones are counted: one person mistypes one token
WRONG = Rate(10, 60)  # wrong tokens of one prefix from one address
WRONG_IN_ALL = Rate(100, 60)  # wrong tokens from one address, which many people may share
LONGEST_ADDRESS = 64  # letters that are kept of what a proxy calls an address


async def authorise(request: Request) -> None:
    """Dependency of every route: sets `request.state.caller`, or refuses.

    Raises:
        Problem: 401 for nobody, or a token that is unknown or expired; 403 for one who may not do this, or whose
            form did not come from this site; 429 after too many wrong tokens.
    """
    endpoint = request.scope.get("endpoint")
    least = getattr(endpoint, "least_role", None)
    if least is None:
        raise Problem(HTTPStatus.FORBIDDEN, "this address is open to nobody")
    request.state.caller = caller = await _caller(request)
    if caller.role < least:
        if caller.role is Role.PUBLIC:
            raise _unknown("sign in first, or send `Authorization: Bearer TOKEN`")
        raise Problem(
            HTTPStatus.FORBIDDEN, f"this is for {least.name.lower()}s; the token is one of a {caller.role.name.lower()}"
        )
    if request.method in UNSAFE and not bearer(request):
        _refuse_other_sites(request)
        if not getattr(endpoint, "checks_form_itself", False):
            check_form(request, request.headers.get(FORM_HEADER) or await _field(request))


async def _asking(request: Request) -> Caller:
    found: Caller = request.state.caller
    return found


Asking = Annotated[Caller, Depends(_asking)]
"""A parameter of a route: who asks, as `authorise` found."""


def _unknown(text: str) -> Problem:
    return Problem(HTTPStatus.UNAUTHORIZED, text, {"WWW-Authenticate": "Bearer"})


def bearer(request: Request) -> str:
    """The token of the Authorization header, else empty."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


async def _caller(request: Request) -> Caller:
    found, token = await identify(request), bearer(request)
    if found is not None:
        return found
    if token:
        count_wrong_token(request, token)
        raise _unknown("the token is unknown, revoked or expired; ask the organiser for a new one")
    if request.cookies.get(COOKIE):
        request.scope["stale_session"] = True  # `Guard` takes the cookie away
    return Caller()


async def identify(request: Request) -> Caller | None:
    """The caller whose token (in the header) or session (in the cookie) a request carries; None if nobody's."""
    token = bearer(request)
    secret = token or request.cookies.get(COOKIE, "")
    if not secret:
        return None
    return await run_in_threadpool(services_of(request).desk.identify, secret, session=not token)


def count_wrong_token(request: Request, token: str) -> None:
    """Count a wrong token. Right tokens are never counted and never refused for others' sake.

    Raises:
        Problem: 429 where there were too many like it, or too many from this address.
    """
    limiter, address = services_of(request).limiter, address_of(request)
    counted = ((f"{address} {token[:PREFIX]}", WRONG), (address, WRONG_IN_ALL))
    for who, rate in counted:
        limiter.check("wrong tokens", who, rate)
    for who, rate in counted:
        limiter.spend("wrong tokens", who, rate)


async def _field(request: Request) -> str:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("application/x-www-form-urlencoded", "multipart/form-data"):
        return ""
    field = (await request.form()).get(FORM_FIELD, "")
    return field if isinstance(field, str) else ""


def address_of(request: Request) -> str:
    """The address under which a request is counted: an IPv4 one, or the network of an IPv6 one, which one person has.

    The proxy's word is taken only where the settings say there is one.
    """
    found = request.client.host if request.client else "?"
    if services_of(request).settings.behind_proxy:
        found = ",".join(request.headers.getlist("x-forwarded-for")).rpartition(",")[2].strip() or found
    try:
        address = ip_address(_without_port(found))
    except ValueError:
        return found[:LONGEST_ADDRESS]
    if isinstance(address, IPv6Address):
        return str(address.ipv4_mapped or IPv6Network((int(address), 64), strict=False))
    return str(address)


def _without_port(address: str) -> str:
    """An address without the port that some proxies write behind it: `192.0.2.1:4711`, `[2001:db8::1]:4711`."""
    host, sign, port = address.rpartition(":")
    plain = host if sign and port.isdigit() and (host.count(".") == 3 or host.endswith("]")) else address
    return plain.removeprefix("[").removesuffix("]")


def visitor_of(request: Request) -> str:
    """The name under which a request's cost is counted: the team or organiser, else the address."""
    caller: Caller = request.state.caller
    return caller.team or (caller.name if caller.role is Role.ORGANISER else address_of(request))


def _refuse_other_sites(request: Request) -> None:
    """Reject a change that a page of another site asks for; a program that names no site is let through.

    That is the site's address, or the one that was asked for, where the operator's machine goes past a proxy.
    """
    origin, own = request.headers.get("origin"), services_of(request).settings.address
    known = (request.headers.get("host", ""), urlsplit(own).netloc)
    other = origin is not None and urlsplit(origin).netloc not in known
    if other or request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Problem(HTTPStatus.FORBIDDEN, "the form came from another site; send it from this one")


def check_form(request: Request, sent: str) -> None:
    """Refuse a form that does not carry the form token of the caller's cookie.

    Raises:
        Problem: 403.
    """
    if not hmac.compare_digest(sent.encode(), form_token(request).encode()):
        raise Problem(
            HTTPStatus.FORBIDDEN, "the form is not one of this session; load the page again and send it again"
        )


def form_token(request: Request) -> str:
    """The token in every form, derived from the caller's cookie, which other sites can neither read nor set."""
    secret = _secret_for_forms(request)
    return hmac.new(secret.encode(), b"form", hashlib.sha256).hexdigest()


def _secret_for_forms(request: Request) -> str:
    """The session's token, or one made for the visitor who has none; `Guard` sets the cookie for the latter."""
    if request.state.caller.role > Role.PUBLIC and not bearer(request):
        return request.cookies[COOKIE]
    known = request.cookies.get(FORM_COOKIE) or getattr(request.state, "form_secret", "")
    if not known:
        known = request.state.form_secret = secrets.token_urlsafe(32)
    return known


def keep_form_secret(request: Request, response: Response) -> None:
    """Give a visitor without a session the cookie that `form_token` was derived from."""
    secret = getattr(request.state, "form_secret", "")
    if secret:
        _set(request, response, FORM_COOKIE, secret, 3600)


def keep_session(request: Request, response: Response, token: str, seconds: int) -> None:
    """Sign in: the session's token goes into a cookie that scripts and other sites cannot read."""
    _set(request, response, COOKIE, token, seconds)


def forget_session(response: Response) -> None:
    """Sign out on the browser's side."""
    response.delete_cookie(COOKIE, httponly=True, samesite="lax")


def _set(request: Request, response: Response, name: str, value: str, seconds: int) -> None:
    https = services_of(request).settings.https
    response.set_cookie(name, value, max_age=seconds, httponly=True, samesite="lax", secure=https)
