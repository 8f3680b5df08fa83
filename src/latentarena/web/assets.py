"""Static files, kept in memory and named with their hash, so that browsers may keep them for ever."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from latentarena.arena.pages import STATIC
from latentarena.files import digest
from latentarena.web.problems import Problem
from latentarena.web.routing import Part, Role, for_role

KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".txt": "text/plain"}
FOLDERS = (STATIC, Path(__file__).parent / "static")
FILES = {
    path.name: (path.read_bytes(), KINDS[path.suffix])
    for folder in FOLDERS
    for path in sorted(folder.iterdir())
    if path.suffix in KINDS
}
VERSIONS = {name: digest(content)[:12] for name, (content, _) in FILES.items()}

router = Part()


def asset(name: str) -> str:
    """The address of a static file."""
    return f"/static/{name}?{VERSIONS[name]}"


@router.get("/static/{name}")
@for_role(Role.PUBLIC)
async def static(request: Request, name: str) -> Response:
    if name not in FILES:
        raise Problem(HTTPStatus.NOT_FOUND, f"there is no file {name!r} here")
    content, kind = FILES[name]
    kept = "public, max-age=31536000, immutable" if request.url.query == VERSIONS[name] else "no-cache"
    return Response(content, headers={"Cache-Control": kept}, media_type=kind)
