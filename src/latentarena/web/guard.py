"""Middleware around the whole app: size and time limits, security headers, HEAD as GET, one log line, counters."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Mapping
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from latentarena.arena.logs import LOGGER
from latentarena.web.access import COOKIE, address_of
from latentarena.web.metrics import Meters
from latentarena.web.problems import Problem, problem_response

SILENCE = 20.0  # seconds that a body may pause
PATIENCE = 600.0  # seconds that a body may take
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class Guard:
    """ASGI middleware around the whole app.

    Args:
        small: bytes that a body may have; large: the same for the paths in `uploads`.
        https: whether browsers reach this server by https; they are then told to stay with it.
    """

    def __init__(
        self, app: ASGIApp, *, small: int, large: int, uploads: frozenset[str], https: bool, meters: Meters
    ) -> None:
        self.app = app
        self.small, self.large, self.uploads = small, large, uploads
        self.meters = meters
        self.headers = dict(HEADERS)
        if https:
            self.headers["Strict-Transport-Security"] = "max-age=31536000"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send, self.large if scope["path"] in self.uploads else self.small)
        exchange.added = self.headers
        try:
            exchange.refuse_declared_size()
            await self.app(scope, exchange.receive, exchange.send)
        except Problem as problem:
            await exchange.answer(problem)
        except Exception:
            LOGGER.exception("unexpected", extra={"facts": {"id": exchange.id, "path": scope["path"]}})
            text = f"something went wrong here, not with the request; its number is {exchange.id}"
            await exchange.answer(Problem(HTTPStatus.INTERNAL_SERVER_ERROR, text))
        finally:
            self._note(exchange)

    def _note(self, exchange: _Exchange) -> None:
        seconds = time.perf_counter() - exchange.began
        route = exchange.scope.get("route")
        where = getattr(route, "path", "(none)")
        self.meters.request(exchange.method, where, exchange.status, seconds)
        if exchange.status >= HTTPStatus.BAD_REQUEST or exchange.method not in ("GET", "HEAD"):
            facts = {
                "id": exchange.id,
                "method": exchange.method,
                "path": exchange.scope["path"],
                "status": exchange.status,
                "milliseconds": round(1000 * seconds, 1),
                "client": address_of(Request({"app": self.app, **exchange.scope})),
            }
            LOGGER.info("request", extra={"facts": facts})


class _Exchange:
    """One request and its response."""

    added: Mapping[str, str]

    def __init__(self, scope: Scope, receive: Receive, send: Send, limit: int) -> None:
        self.scope, self._receive, self._send, self.limit = scope, receive, send, limit
        self.method = scope["method"]
        if self.method == "HEAD":  # is answered as GET, but for the body
            scope["method"] = "GET"
        self.id = secrets.token_hex(6)
        self.began = time.perf_counter()
        self.status = 499  # until there is an answer: the caller went away
        self.taken = 0
        self.whole = False  # whether the body was read to its end

    def refuse_declared_size(self) -> None:
        declared = Headers(scope=self.scope).get("content-length", "0")
        if declared.isdigit() and int(declared) > self.limit:
            raise self._too_large()

    def _too_large(self) -> Problem:
        text = f"the body is larger than the {self.limit:,} bytes that are taken here"
        return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, text)

    async def receive(self) -> Message:
        if self.whole:  # what follows is the caller's going away, whenever that is
            return await self._receive()
        left = min(SILENCE, PATIENCE - (time.perf_counter() - self.began))
        try:
            async with asyncio.timeout(max(left, 0.01)):
                message = await self._receive()
        except TimeoutError:
            raise Problem(HTTPStatus.REQUEST_TIMEOUT, "the body did not arrive in time; send it again") from None
        if message["type"] == "http.request":
            self.taken += len(message.get("body", b""))
            self.whole = not message.get("more_body", False)
            if self.taken > self.limit:
                raise self._too_large()
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in self.added.items():
                headers.setdefault(name, value)
            headers["X-Request-Id"] = self.id
            renewed = any(cookie.startswith(f"{COOKIE}=") for cookie in headers.getlist("set-cookie"))
            if self.scope.get("stale_session") and not renewed:
                headers.append("Set-Cookie", f"{COOKIE}=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax")
            if self._unread():  # what is left of the body would be read as the next request
                headers["Connection"] = "close"
        elif self.method == "HEAD":
            message = {**message, "body": b""}
        await self._send(message)

    def _unread(self) -> bool:
        if self.whole:
            return False
        headers = Headers(scope=self.scope)
        return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"

    async def answer(self, problem: Problem) -> None:
        if self.status == 499:
            await problem_response(problem)(self.scope, self._receive, self.send)
