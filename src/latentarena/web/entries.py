"""Scored entries, for everyone: score card, pictures, published bundle, and two side by side."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from latentarena.arena.entry import Addresses, Link, facts_of_page
from latentarena.web.access import Asking
from latentarena.web.board import AT
from latentarena.web.problems import Problem
from latentarena.web.rendering import Find, page
from latentarena.web.routing import MenuLink, Part, Role, for_role
from latentarena.web.services import Shared
from latentarena.web.views import PAGE

router = Part(MenuLink("/compare", "Compare"))


@router.get("/entries/{entry}")
@for_role(Role.PUBLIC)
async def entry_page(request: Request, site: Shared, caller: Asking, entry: str) -> Response:
    one = await run_in_threadpool(site.desk.shown, entry)
    made = await site.boards.get()
    actions = [Link("Play", f"/entries/{entry}/play"), Link("Compare", f"/compare?a={entry}")]
    if one.public or await run_in_threadpool(site.desk.opens, entry, caller):
        actions.insert(0, Link("Download the bundle", f"/entries/{entry}/bundle", download=True))
    home = Link("Board", made.address(entry))
    shown = facts_of_page(one, made.at, made.board, made.by_id.get(entry), home, actions)
    return await run_in_threadpool(page, request, "entry.html", **shown)


@router.get("/entries/{entry}/pictures/{name}")
@for_role(Role.PUBLIC)
def picture(request: Request, site: Shared, entry: str, name: str) -> Response:
    digest = site.desk.picture(entry, name)
    headers = {"Cache-Control": "no-cache", "Content-Disposition": "inline", "ETag": f'"{digest}"'}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(site.desk.objects.read(digest), headers=headers, media_type="image/png")


@router.get("/entries/{entry}/bundle")
@for_role(Role.PUBLIC)
def bundle(site: Shared, caller: Asking, entry: str) -> Response:
    """The zip, where its owner published it; to others it does not exist."""
    size, pieces = site.desk.bundle(entry, caller)
    headers = {
        "Content-Length": str(size),
        "Content-Disposition": f'attachment; filename="entry-{entry}.zip"',
        "Cache-Control": "no-store",
    }
    return StreamingResponse(pieces, headers=headers, media_type="application/zip")


@router.get("/compare")
@for_role(Role.PUBLIC)
async def compare(request: Request, site: Shared, a: str = "", b: str = "", find: Find = "") -> Response:
    made = await site.boards.get()
    listed = made.matching(find)[:PAGE]
    form: dict[str, Any] = {"entries": listed, "find": find, "total": len(made.by_id)}
    if not (a and b):  # two that differ stand in the form
        a = a or next((one.id for one in listed if one.id != b), "")
        b = b or next((one.id for one in listed if one.id != a), "")
        form["entries"] = made.with_these(listed, a, b)
        return page(request, "compare.html", **form, a=a, b=b, compared=[])
    if a == b:
        raise Problem(HTTPStatus.BAD_REQUEST, "an entry cannot be compared with itself; choose two")
    compared = [await run_in_threadpool(site.desk.shown, one) for one in (a, b)]
    form["entries"] = made.with_these(listed, a, b)
    return await run_in_threadpool(
        page,
        request,
        "compare.html",
        **form,
        a=a,
        b=b,
        compared=compared,
        at=Addresses.known(*AT, compared),
    )
