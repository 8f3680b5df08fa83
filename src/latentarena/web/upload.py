"""Uploads as they arrive: written and hashed on the way, so that memory stays flat whatever is sent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Protocol

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from latentarena.text import plain_line
from latentarena.web.problems import Problem

PIECE = 1 << 20  # bytes handed to the disk at a time: every hand-over to a thread costs time
FIELD = 4096  # bytes that a form field beside the file may have
PARTS = 8  # of a form: each costs as much time as many kilobytes of a file


class Sink(Protocol):
    """The target of an upload's bytes."""

    def write(self, data: bytes, /) -> object:
        """Take the next bytes."""


async def receive_file(request: Request, sink: Sink) -> tuple[int, dict[str, str]]:
    """Write the file in the request's body to `sink`.

    The body is the file itself, or a form (multipart/form-data) with it as the part `bundle`; its name is ignored.

    Returns:
        How many bytes the file has, and the form's other fields (empty for a raw body).

    Raises:
        Problem: 400 for a body that is cut short, or is no such form or one of two files; 413 for a form of too many or
            too large fields.
    """
    form = _Form(request)
    written, waiting = 0, bytearray()
    try:
        async for piece in form.pieces():
            waiting += piece
            if len(waiting) >= PIECE:
                written += len(waiting)
                await run_in_threadpool(sink.write, bytes(waiting))
                waiting.clear()
    except ClientDisconnect:
        raise Problem(HTTPStatus.BAD_REQUEST, "the body ended before its declared length; send it again") from None
    except FormParserError:
        raise Problem(HTTPStatus.BAD_REQUEST, "the form is not valid multipart/form-data") from None
    if waiting:
        written += len(waiting)
        await run_in_threadpool(sink.write, bytes(waiting))
    if written == 0:
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            "there is no file, or an empty one: send the zip as the body, or as the form part `bundle`",
        )
    return written, form.fields


class _Form:
    """A parser of forms, piece by piece: the part `bundle` is passed on, small fields are kept."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self.fields: dict[str, str] = {}
        self._header, self._value = bytearray(), bytearray()
        self._name, self._disposition, self._parts, self._whole = "", b"", 0, False
        self._names = set[str]()
        self._field, self._passed = bytearray(), bytearray()

    async def pieces(self) -> AsyncIterator[bytes]:
        kind, options = parse_options_header(self._request.headers.get("content-type"))
        if kind != b"multipart/form-data":
            async for piece in self._request.stream():
                yield piece
            return
        parser = MultipartParser(
            options.get(b"boundary", b"missing"),
            {
                "on_part_begin": self._begin,
                "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
                "on_header_end": self._end_of_header,
                "on_headers_finished": self._end_of_headers,
                "on_part_data": self._data,
                "on_part_end": self._end,
                "on_end": self._close,
            },
        )
        async for piece in self._request.stream():
            parser.write(piece)
            if self._passed:
                yield bytes(self._passed)
                self._passed.clear()
        parser.finalize()
        if not self._whole:
            raise Problem(HTTPStatus.BAD_REQUEST, "the form ended within a part; send it again")

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > PARTS:
            raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the form has more than {PARTS} parts")
        self._name, self._disposition = "", b""
        self._field.clear()

    def _end_of_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _end_of_headers(self) -> None:
        _, options = parse_options_header(self._disposition.decode("latin-1"))
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        if self._name and self._name in self._names:
            raise Problem(HTTPStatus.BAD_REQUEST, f"the form has two parts `{plain_line(self._name, 40)}`; send one")
        self._names.add(self._name)

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._name == "bundle":
            self._passed += data[start:end]
            return
        self._field += data[start:end]
        if len(self._field) > FIELD:
            raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a field of the form is larger than {FIELD} bytes")

    def _close(self) -> None:
        self._whole = True

    def _end(self) -> None:
        if self._name and self._name != "bundle":
            self.fields[self._name] = self._field.decode("utf-8", "replace")
