"""An entry of a contest: what is ranked, and what its page shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from latentarena.card.figure import Figure
from latentarena.card.score_card import ScoreCard


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
        uncertified: metrics of training that nobody has found by training anew: shown, but as good as missing to ranks,
            rules and awards.
        trained: how often its recipe was trained anew and agreed; 0 where it was not.
        card: the score card; None where there is none, as in a table, or none that can be read.
        pictures: names of the pictures that its evaluation has left.
        public: everybody may download its bundle.
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
    uncertified: tuple[str, ...] = ()
    trained: int = 0
    card: ScoreCard | None = None
    pictures: frozenset[str] = frozenset()
    public: bool = False

    @property
    def model(self) -> str:
        """Hash of the bundle, by which copies are seen; empty if not known."""
        return "" if self.card is None else self.card.bundle

    @property
    def images(self) -> str:
        """Hash of the data that its figures were computed on; empty if not known."""
        return "" if self.card is None else self.card.data

    @property
    def unverified(self) -> tuple[str, ...]:
        """Metrics that rest on the submission's own word."""
        return () if self.card is None else self.card.unverified

    @cached_property
    def withheld(self) -> frozenset[str]:
        """Metrics that are shown but, for what a check has found, as good as missing to ranks, rules and awards."""
        return frozenset() if self.card is None else self.card.withheld

    @cached_property
    def card_points(self) -> Mapping[str, float]:
        """Points of its score card alone, whatever came of its training; empty without a card."""
        return {} if self.card is None else self.card.points

    @cached_property
    def counted(self) -> Mapping[str, Figure]:
        """The figures that are ranked: neither uncertified nor withheld."""
        hidden = {*self.uncertified, *self.withheld}
        return {metric: figure for metric, figure in self.figures.items() if metric not in hidden}
