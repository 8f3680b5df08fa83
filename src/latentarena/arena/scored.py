"""Scored entries in a contest's terms, for the board and for the worker; every card is parsed once.

Imports no torch, no NumPy.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from latentarena.arena.certification import certificate_in
from latentarena.arena.pictures import Picture, pictures_of
from latentarena.arena.store import Certification, Certifying, Evaluation, Listed, Store, Submission
from latentarena.card.score_card import ScoreCard
from latentarena.contest.contest import Contest
from latentarena.errors import NotThere
from latentarena.text import printable

if TYPE_CHECKING:
    from latentarena.contest.entries import Entry

LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scored:
    """An entry as it is ranked, its form, card and pictures; `points` are the mean of its card's, of 100."""

    entry: Entry
    form: str
    card: ScoreCard
    pictures: tuple[Picture, ...]
    points: float


@dataclass(frozen=True)
class _Known:
    """A parsed evaluation; they never change, so they are parsed once."""

    card: ScoreCard
    bundle: dict[str, object]

    @classmethod
    def of(cls, card: str, bundle: str) -> _Known:
        """Parse both texts.

        Raises:
            ValueError: the score card is none as this version knows them.
        """
        return cls(ScoreCard.model_validate_json(card), json.loads(bundle) if bundle else {})


@dataclass(frozen=True)
class _Kept:
    """An entry in a contest's terms, and all that it was made of."""

    made_of: tuple[Listed, Contest, Certification | None]
    scored: Scored


class ScoredEntries:
    """The scored entries of a store; what did not change since the last time is not made again."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._parsed: dict[str, _Known | None] = {}  # by evaluation; None cannot be read
        self._kept: dict[str, _Kept] = {}  # by entry

    def all(self, rules: Contest) -> list[Scored]:
        """Every scored entry in the contest's terms, in the order they were received.

        An entry whose card cannot be read, such as one of an older version, is left out: the others stand.
        """
        listed, trained, before = self._store.listed(), Certifying(self._store.database).found(), self._kept
        self._read(listed)
        kept: dict[str, _Kept] = {}
        for one in listed:
            known, old = self._parsed.get(one.evaluation), before.get(one.id)
            made_of = (one, rules, trained.get(one.id))
            if known is None:
                continue
            same = old is not None and old.made_of == made_of
            kept[one.id] = old if old and same else _Kept(made_of, _in_terms(known, *made_of))
        self._kept = kept
        return [one.scored for one in kept.values()]

    def _read(self, listed: Sequence[Listed]) -> None:
        """Parse the cards that are new, and forget those that are gone."""
        current = {one.evaluation for one in listed}
        self._parsed = {id_: known for id_, known in self._parsed.items() if id_ in current}
        for id_, texts in self._store.cards([one for one in current if one not in self._parsed]).items():
            try:
                self._parsed[id_] = _Known.of(*texts)
            except ValueError as error:
                self._parsed[id_] = None
                LOGGER.error("evaluation %s holds no score card, and is left out: %s", id_, printable(str(error))[:500])

    def in_terms(self, one: Submission, found: Evaluation, rules: Contest) -> Scored:
        """Any evaluation of an entry in a contest's terms, whatever was found of its training.

        Raises:
            NotThere: it cannot be read.
        """
        listed = Listed(one.id, one.team.name, one.name, one.form, one.received, one.chosen, found.id, "{}")
        return _in_terms(self._known(found), listed, rules, None)

    def card(self, found: Evaluation) -> ScoreCard:
        """The score card of an evaluation.

        Raises:
            NotThere: it cannot be read.
        """
        return self._known(found).card

    def _known(self, found: Evaluation) -> _Known:
        try:
            return self._parsed.get(found.id) or _Known.of(found.card, found.bundle)
        except ValueError:
            raise NotThere("its score card cannot be read by this version; have it judged again") from None


def _in_terms(known: _Known, one: Listed, rules: Contest, trained: Certification | None) -> Scored:
    from latentarena.contest.entries import entry_of, mean_points  # which import NumPy

    entry = entry_of(
        known.card,
        rules,
        one.id,
        one.team,
        one.name,
        bundle=known.bundle,
        form=one.form,
        received=one.received,
        chosen=one.chosen,
        verified=True,
        certificate=certificate_in(trained),
    )
    points = mean_points(known.card.points, rules) or 0.0
    return Scored(entry, one.form, known.card, pictures_of(json.loads(one.files)), points)
