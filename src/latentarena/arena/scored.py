"""Scored entries in a contest's terms, for the board and for the worker; every card is parsed once.

Imports no torch, no NumPy.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence

from latentarena.arena.certification import certificate_in
from latentarena.arena.entry import PICTURES
from latentarena.arena.store import Certification, Evaluation, Listed, Store, Submission
from latentarena.card.score_card import ScoreCard
from latentarena.contest.contest import Contest
from latentarena.contest.entry import Entry
from latentarena.errors import NotThere
from latentarena.text import printable

LOGGER = logging.getLogger(__name__)


Cards = tuple[ScoreCard, dict[str, object]]
"""A score card, and the bundle's own card as plain data."""
Origin = tuple[Listed, Contest, Certification | None]
"""All that an entry in a contest's terms is made of."""


class ScoredEntries:
    """The scored entries of a store; what did not change since the last time is not made again."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._parsed: dict[str, Cards | None] = {}  # by evaluation, which never changes; None cannot be read
        self._kept: dict[str, tuple[Origin, Entry]] = {}  # by entry

    def all(self, rules: Contest) -> list[Entry]:
        """Every scored entry in the contest's terms, in the order they were received.

        An entry whose card cannot be read, such as one of an older version, is left out: the others stand.
        """
        listed, trained, before = self._store.cards.listed(), self._store.certifying.found(), self._kept
        self._read(listed)
        kept: dict[str, tuple[Origin, Entry]] = {}
        for one in listed:
            cards, old = self._parsed.get(one.evaluation), before.get(one.id)
            origin = (one, rules, trained.get(one.id))
            if cards is not None:
                same = old is not None and old[0] == origin
                kept[one.id] = old if old and same else (origin, _in_terms(cards, *origin))
        self._kept = kept
        return [entry for _, entry in kept.values()]

    def _read(self, listed: Sequence[Listed]) -> None:
        """Parse the cards that are new, and forget those that are gone."""
        current = {one.evaluation for one in listed}
        self._parsed = {id_: cards for id_, cards in self._parsed.items() if id_ in current}
        for id_, texts in self._store.cards.texts([one for one in current if one not in self._parsed]).items():
            try:
                self._parsed[id_] = _parse(*texts)
            except ValueError as error:
                self._parsed[id_] = None
                LOGGER.error("evaluation %s holds no score card, and is left out: %s", id_, printable(str(error))[:500])

    def in_terms(self, one: Submission, found: Evaluation, rules: Contest) -> Entry:
        """Any evaluation of an entry in a contest's terms, whatever was found of its training.

        Raises:
            NotThere: it cannot be read.
        """
        files = json.dumps(found.files)
        listed = Listed(one.id, one.team.name, one.name, one.form, one.received, one.chosen, found.id, files)
        return _in_terms(self._cards(found), listed, rules, None, one.public)

    def _cards(self, found: Evaluation) -> Cards:
        try:
            return self._parsed.get(found.id) or _parse(found.card, found.bundle)
        except ValueError:
            raise NotThere("its score card cannot be read by this version; have it judged again") from None


def _parse(card: str, bundle: str) -> Cards:
    """Parse an evaluation's two texts; raises ValueError where the score card is none as this version knows them."""
    return ScoreCard.model_validate_json(card), json.loads(bundle) if bundle else {}


def _in_terms(cards: Cards, one: Listed, rules: Contest, trained: Certification | None, public: bool = False) -> Entry:
    from latentarena.contest.entries import entry_of  # which imports NumPy

    card, bundle = cards
    files = json.loads(one.files)
    return entry_of(
        card,
        rules,
        one.id,
        one.team,
        one.name,
        bundle=bundle,
        form=one.form,
        received=one.received,
        chosen=one.chosen,
        verified=True,
        certificate=certificate_in(trained),
        pictures=[picture.name for picture in PICTURES if picture.name in files],
        public=public,
    )
