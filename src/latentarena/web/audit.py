"""The organiser's page of who did what."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from latentarena.web.organiser import organiser_page
from latentarena.web.rendering import Number
from latentarena.web.routing import MenuLink, Part, Role, for_role
from latentarena.web.services import Shared
from latentarena.web.views import Page

router = Part(MenuLink("/organiser/audit", "Audit log", tab=True))


@router.get("/organiser/audit")
@for_role(Role.ORGANISER)
def audit(request: Request, site: Shared, number: Number = 1) -> Response:
    log = site.desk.store.audit
    found = Page.of(number, log.count(), log.lines)
    return organiser_page(request, "organiser_audit.html", "/organiser/audit", found=found)
