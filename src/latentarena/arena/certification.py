"""Repeated trainings without anybody asking: of the recipes at the top of the board. Imports no torch, no NumPy."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from latentarena.arena.store import Certification, Store
from latentarena.card.certificate import Certificate
from latentarena.config import validate
from latentarena.contest.contest import Contest
from latentarena.documents import parse_json
from latentarena.errors import ConfigError

if TYPE_CHECKING:
    from latentarena.arena.scored import ScoredEntries

ACTOR = "worker"  # in the audit log


def certificate_in(found: Certification | None) -> Certificate | None:
    """The certificate that a repeated training came to; None where there is none that can be read."""
    if found is None or not found.content:
        return None
    try:
        return validate(Certificate, parse_json(found.content.encode()), "the certificate")
    except (ConfigError, ValueError):
        return None


def nominate(store: Store, entries: ScoredEntries, contest: Contest, now: datetime) -> int:
    """Queue the recipes of the top places that were not trained anew yet, best first; returns how many.

    Args:
        entries: those of the store.
        contest: as the site has it; the judge that an organiser has adopted is looked up.
    """
    from latentarena.contest.making import make_board  # which imports NumPy

    certify = contest.certify
    if certify is None or not certify.training or not certify.top:
        return 0
    judge = store.rules.judge()
    rules = contest if judge is None else contest.model_copy(update={"judge": judge})
    scored, known = entries.all(rules), store.certifying.found()
    board = make_board(scored, rules, rounds=1)
    native = {one.id for one in scored if one.facts["form"] == "native"}
    top = [line.id for line in board.lines if line.place is not None and line.place <= certify.top]
    wanted = [id_ for id_ in top if id_ in native and id_ not in known]
    return store.certifying.order(wanted, ACTOR, now) if wanted else 0
