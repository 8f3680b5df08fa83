"""What a part of the site says of its routes: who may use them, and where its pages stand in the menu."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, TypeVar

from fastapi import APIRouter

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


class Role(IntEnum):
    """What a caller may do; each role may do what those below may."""

    PUBLIC = 0
    TEAM = 1
    ORGANISER = 2


@dataclass(frozen=True)
class Caller:
    """Who sent a request.

    Attributes:
        role: what they may do.
        team: the id of their team; None for the public and organisers.
        name: for the audit log.
    """

    role: Role = Role.PUBLIC
    team: str | None = None
    name: str = "public"


def for_role(least: Role, *, checks_form_itself: bool = False) -> Callable[[Endpoint], Endpoint]:
    """Declare the least role that a route takes.

    Args:
        checks_form_itself: for uploads, whose form is read as a stream: the endpoint calls `check_form`.
    """

    def declare(endpoint: Endpoint) -> Endpoint:
        endpoint.least_role = least  # type: ignore[attr-defined]
        endpoint.checks_form_itself = checks_form_itself  # type: ignore[attr-defined]
        return endpoint

    return declare


@dataclass(frozen=True)
class MenuLink:
    """A page's place in the menu.

    Attributes:
        roles: who sees it there.
        tab: whether it is one of the tabs of the organiser's pages, instead.
    """

    address: str
    label: str
    roles: tuple[Role, ...] = tuple(Role)
    tab: bool = False


class Part(APIRouter):
    """The routes of one part of the site, and its links in the menu; pages are no part of the API's description."""

    def __init__(self, *menu: MenuLink, prefix: str = "", include_in_schema: bool = False) -> None:
        super().__init__(prefix=prefix, include_in_schema=include_in_schema)
        self.menu = menu
