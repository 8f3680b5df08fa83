"""Errors over HTTP, in one clear line: problem+json for programs, a page for people."""

from __future__ import annotations

from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse


class Problem(HTTPException):
    """A refusal with its status and one line that names the thing, the value and the way out.

    It is an `HTTPException` so that the framework's own body parsing lets it through.
    """

    def __init__(self, status: HTTPStatus | int, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(int(status), detail, headers)


def problem_response(problem: HTTPException) -> JSONResponse:
    """The response to an error by RFC 9457: `title`, `status`, `detail`."""
    body = {"title": HTTPStatus(problem.status_code).phrase, "status": problem.status_code, "detail": problem.detail}
    return JSONResponse(body, problem.status_code, problem.headers, "application/problem+json")
