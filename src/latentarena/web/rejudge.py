"""Evaluation of all entries by a new judge: its file, old and new cards side by side, and the organiser's decision."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from io import BytesIO
from typing import Annotated, Any

from fastapi import Form
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from latentarena.contest.board import Board, Line
from latentarena.contest.entry import Entry
from latentarena.contest.making import make_board
from latentarena.documents import parse_json
from latentarena.errors import ConfigError, NotThere
from latentarena.web.access import FORM_FIELD, Asking, check_form
from latentarena.web.desk import Desk, now
from latentarena.web.organiser import organiser_page
from latentarena.web.rendering import Number
from latentarena.web.routing import MenuLink, Part, Role, for_role
from latentarena.web.services import Shared, services_of
from latentarena.web.upload import receive_file
from latentarena.web.views import Page

HOME = "/organiser/rejudge"
JUDGES = f"{HOME}/judges"  # where the file of a judge is handed in
OFFICIAL = "official"
HEADER = 1 << 20  # bytes of a judge's header that are read

router = Part(MenuLink("/organiser/rejudge", "Re-evaluate", tab=True))


@dataclass(frozen=True)
class Comparison:
    """Every entry by the judge in force and by the new one.

    Attributes:
        in_force: the judge in force; judge: the new one, None where nothing is evaluated again.
        waiting: entries that are still to be evaluated by the new judge; proposed: those that have a card of it.
        old, new: the board by either judge; the new one holds the entries that have a new card.
    """

    in_force: str
    judge: str | None
    waiting: int
    proposed: int
    old: Board
    new: Board

    @cached_property
    def by_new(self) -> dict[str, Line]:
        """Where entries stand by the new judge, by id."""
        return {line.id: line for line in self.new.listed}

    @property
    def entries(self) -> list[Line]:
        """Where all entries stand by the judge in force, best first by the new one."""

        def order(line: Line) -> tuple[bool, bool, int, str, str]:
            place = self.by_new[line.id].place if line.id in self.by_new else None
            return line.id not in self.by_new, place is None, place or 0, line.team, line.id

        return sorted(self.old.listed, key=order)


def comparison(desk: Desk) -> Comparison:
    """Where every entry stands by the judge in force, and where it would by the new one."""
    state, rules = desk.store.rejudging.state(), desk.rules()
    new_rules = rules if state.judge is None else rules.model_copy(update={"judge": state.judge})
    old, new = [], []
    for one, found, proposed in state.entries:
        with suppress(NotThere):  # a card of an older version stands on no board
            old.append(desk.entries.in_terms(one, found, rules))
        if proposed is not None:
            new.append(desk.entries.in_terms(one, proposed, new_rules))
    boards = (make_board(old, rules, rounds=2), make_board(new, new_rules, rounds=2))
    return Comparison(rules.judge, state.judge, state.waiting, state.proposed, *boards)


def by_both(desk: Desk, entry: str) -> list[Entry]:
    """An entry as the judge in force scores it, and as the new one does.

    Raises:
        NotThere: there is no new card of such an entry, or one of the two cannot be read.
    """
    for one, old, new in desk.store.rejudging.state().entries:
        if one.id == entry and new is not None:
            return [desk.entries.in_terms(one, found, desk.contest) for found in (old, new)]
    raise NotThere(f"there is no new card of entry {entry[:40]!r}")


def keep_judge(desk: Desk, content: bytes) -> str:
    """Keep a judge's file for the workers, whose evaluations test it when they load it; returns its hash.

    Raises:
        ConfigError: it is no judge's file, or judges other data than the contest's.
    """
    try:
        length = int.from_bytes(content[:8], "little")  # of a safetensors file's header
        header = parse_json(content[8 : 8 + min(length, HEADER)])
        dataset = str(parse_json(header["__metadata__"]["facts"].encode())["dataset"])
    except (KeyError, TypeError, AttributeError, ValueError):
        raise ConfigError("the file is no judge: it does not say what it was trained on") from None
    if dataset != desk.contest.dataset:
        raise ConfigError(f"this is a judge of {dataset[:40]!r}; the contest's data is {desk.contest.dataset!r}")
    return desk.objects.put(content)


def begin(desk: Desk, judge: str, actor: str) -> str:
    """Queue every scored entry that has no card of this judge yet; says how many.

    Raises:
        ConfigError: it is no judge's name, there is no such file, or another judge's cards are not decided on.
    """
    judge = judge.strip()
    if judge != OFFICIAL:
        if not (len(judge) == 64 and set(judge) <= set("0123456789abcdef")):
            raise ConfigError("a judge is `official`, or the SHA-256 of its file: 64 hexadecimal digits")
        if not desk.objects.has(judge):
            raise ConfigError(f"there is no judge {judge[:12]} here; hand in its file, so that the workers have it")
    many = desk.store.rejudging.begin(judge, actor, now())
    return f"{many} {'entry waits' if many == 1 else 'entries wait'} to be evaluated again; the board stays as it is."


def _page(request: Request, status: int = HTTPStatus.OK, number: int = 1, **said: Any) -> Response:
    found = comparison(services_of(request).desk)
    said["shown"] = Page.of_list(number, found.entries)
    return organiser_page(request, "organiser_rejudge.html", HOME, status, found=found, judges=JUDGES, **said)


def _done(request: Request, work: Callable[[], str]) -> Response:
    """The page after something was done, or refused."""
    try:
        done = work()
    except ConfigError as error:
        return _page(request, HTTPStatus.UNPROCESSABLE_ENTITY, refused=f"{error}.")
    return _page(request, done=done)


@router.get(HOME)
@for_role(Role.ORGANISER)
def rejudge_page(request: Request, number: Number = 1) -> Response:
    return _page(request, number=number)


@router.post(HOME)
@for_role(Role.ORGANISER)
def rejudge(
    request: Request, site: Shared, caller: Asking, judge: Annotated[str, Form(max_length=64)] = OFFICIAL
) -> Response:
    """Queue all scored entries for another judge; their scores stand."""
    return _done(request, lambda: begin(site.desk, judge, caller.name))


@router.post(JUDGES)
@for_role(Role.ORGANISER, checks_form_itself=True)
async def hand_in_judge(request: Request, site: Shared, caller: Asking) -> Response:
    """Take the file of a judge, and queue all scored entries for it."""
    content = BytesIO()
    _, fields = await receive_file(request, content)
    check_form(request, fields.get(FORM_FIELD, ""))
    return await run_in_threadpool(
        _done, request, lambda: begin(site.desk, keep_judge(site.desk, content.getvalue()), caller.name)
    )


@router.post(f"{HOME}/adopt")
@for_role(Role.ORGANISER)
def adopt(request: Request, site: Shared, caller: Asking) -> Response:
    """Put the new cards in force, all at once."""
    rejudging, actor = site.desk.store.rejudging, caller.name
    return _done(request, lambda: f"The board now stands by {rejudging.adopt(actor, now())} new cards.")


@router.post(f"{HOME}/discard")
@for_role(Role.ORGANISER)
def discard(request: Request, site: Shared, caller: Asking) -> Response:
    """Forget the new cards; nothing changes on the board."""
    rejudging, actor = site.desk.store.rejudging, caller.name
    return _done(request, lambda: f"{rejudging.discard(actor, now())} new cards were discarded.")


@router.get(f"{HOME}/{{entry}}")
@for_role(Role.ORGANISER)
def entry_by_both(request: Request, site: Shared, entry: str) -> Response:
    """All figures of an entry, by the judge in force and by the new one."""
    both = by_both(site.desk, entry)
    return organiser_page(request, "organiser_both.html", HOME, entry=both[0], cards=[one.card for one in both])
