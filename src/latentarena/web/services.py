"""What the routes of a site share: its contest, its store and files as each kind of caller sees them, and counters."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from latentarena.arena.playground import Playground
from latentarena.contest.contest import Contest
from latentarena.web.board import BoardPages
from latentarena.web.desk import Desk
from latentarena.web.frame import PageFrame
from latentarena.web.limits import Limiter
from latentarena.web.metrics import Meters
from latentarena.web.settings import Settings
from latentarena.web.team_desk import TeamDesk


@dataclass(frozen=True)
class Services:
    """All that a site has one of.

    Attributes:
        desk: what every visitor may ask; teams: what these may ask and do; what organisers do, its store does.
        boards: the board, rendered; playground: drawing with the models of entries.
        frame: around its pages.
        limiter, meters: count requests, to refuse too many and for whoever watches the site.
    """

    contest: Contest
    settings: Settings
    desk: Desk
    teams: TeamDesk
    boards: BoardPages
    playground: Playground
    frame: PageFrame
    limiter: Limiter = field(default_factory=Limiter)
    meters: Meters = field(default_factory=Meters)


def services_of(request: Request) -> Services:
    """The services of the site that a request was sent to."""
    found: Services = request.app.services
    return found


async def _shared(request: Request) -> Services:
    return services_of(request)


Shared = Annotated[Services, Depends(_shared)]
"""A parameter of a route: the services of its site."""
