"""Handing in a bundle: by the API or by the form, the same way."""

from __future__ import annotations

from http import HTTPStatus

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from latentarena.arena.store import Submission
from latentarena.web.access import FORM_FIELD, FORM_HEADER, bearer, check_form, identify
from latentarena.web.limits import Rate
from latentarena.web.problems import Problem
from latentarena.web.routing import Caller
from latentarena.web.services import services_of
from latentarena.web.upload import receive_file


async def receive_bundle(request: Request) -> tuple[Submission, bool]:
    """Take the bundle in a request's body.

    Returns:
        The submission, and whether it is new: the same bytes again are the same submission.

    Raises:
        Problem: 403 for callers without a team and for forms from elsewhere; 401 where the token was revoked or ran out
            meanwhile; 429 for too many; 400 for a body that is cut short.
        OutOfTime, QuotaReached, StoreError: see `TeamDesk.submit`.
    """
    site, caller = services_of(request), request.state.caller
    team = _team(caller)
    rate = Rate(site.settings.uploads_per_minute, 60)
    site.limiter.check("submissions", team, rate)
    sent = request.headers.get(FORM_HEADER, "")
    by_program = bool(bearer(request))
    if sent and not by_program:
        check_form(request, sent)
    site.limiter.spend("submissions", team, rate)
    incoming = await run_in_threadpool(site.teams.incoming, team)
    try:
        _, fields = await receive_file(request, incoming)
        if not sent and not by_program:
            check_form(request, fields.get(FORM_FIELD, ""))
        if await identify(request) is None:
            raise Problem(HTTPStatus.UNAUTHORIZED, "the token was revoked or ran out while the bundle was on its way")
        return await run_in_threadpool(site.teams.submit, team, incoming)
    finally:
        await run_in_threadpool(incoming.close)


def _team(caller: Caller) -> str:
    if caller.team is None:
        text = "an organiser's token belongs to no team; hand in with the token of a team"
        raise Problem(HTTPStatus.FORBIDDEN, text)
    return caller.team
