"""Rules, health and metrics."""

from __future__ import annotations

from http import HTTPStatus
from ipaddress import ip_address

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from latentarena.web.access import Asking
from latentarena.web.problems import Problem
from latentarena.web.rendering import page
from latentarena.web.routing import MenuLink, Part, Role, for_role
from latentarena.web.rules import rules_of
from latentarena.web.services import Shared

router = Part(MenuLink("/rules", "Rules"))
EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"


@router.get("/rules")
@for_role(Role.PUBLIC)
def rules(request: Request, site: Shared) -> Response:
    return page(
        request, "rules.html", rules=rules_of(site.desk.rules(), site.desk.commitment()), site=site.settings.address
    )


@router.get("/healthz")
@for_role(Role.PUBLIC)
def healthz(site: Shared) -> Response:
    """Health: 200 where the database answers; errors of the store become 503 by themselves."""
    site.desk.version()
    return JSONResponse({"status": "ok", "contest": site.contest.name}, headers={"Cache-Control": "no-store"})


@router.get("/metrics")
@for_role(Role.PUBLIC)
def metrics(request: Request, site: Shared, caller: Asking) -> Response:
    """Metrics, for a scraper on this machine, or one that carries an organiser's token."""
    if caller.role < Role.ORGANISER and not _local(request):
        raise Problem(HTTPStatus.NOT_FOUND, "there is nothing here")
    counts = site.desk.store.submissions.by_state()
    return PlainTextResponse(site.meters.text(counts), media_type=EXPOSITION)


def _local(request: Request) -> bool:
    """Whether the connection itself comes from this machine and no proxy handed it on."""
    host = request.client.host if request.client else ""
    try:
        local = ip_address(host).is_loopback
    except ValueError:
        return False
    return local and "x-forwarded-for" not in request.headers and "forwarded" not in request.headers
