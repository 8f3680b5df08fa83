"""What is ranked: an entry of a contest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from latentarena.card.figure import Figure


@dataclass(frozen=True)
class Entry:
    """One evaluated model of one team.

    Attributes:
        id: part of its address; no other entry has it.
        name: of the entry; team: whose it is, the name that it is ranked by.
        figures: by metric of the contest's score set; facts: fields of rules, see `contest.FACTS`.
        points: absolute, 0 to 100 by category; empty where they are not known.
        received: when it was handed in; None is before all others.
        chosen: by its team, to stand on the board.
        verified: its figures were computed by the contest, not reported by its team.
        refused: why it cannot be ranked, found out before; empty if nothing was.
        unverified: metrics that rest on the submission's own word.
        uncertified: metrics of training that nobody has found by training anew: shown, but as good as missing to ranks,
            rules and awards.
        trained: how often its recipe was trained anew and agreed; 0 where it was not.
        withheld: metrics that are shown but, for what a check has found, as good as missing to ranks, rules and awards.
        model: hash of the bundle, by which copies are seen; empty if not known.
        images: hash of the data that its figures were computed on; empty if not known.
    """

    id: str
    name: str
    team: str
    figures: Mapping[str, Figure] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    points: Mapping[str, float] = field(default_factory=dict)
    received: datetime | None = None
    chosen: bool = False
    verified: bool = False
    refused: str = ""
    unverified: tuple[str, ...] = ()
    uncertified: tuple[str, ...] = ()
    trained: int = 0
    withheld: tuple[str, ...] = ()
    model: str = ""
    images: str = ""

    @cached_property
    def counted(self) -> Mapping[str, Figure]:
        """The figures that are ranked: neither uncertified nor withheld."""
        hidden = {*self.uncertified, *self.withheld}
        return {metric: figure for metric, figure in self.figures.items() if metric not in hidden}
