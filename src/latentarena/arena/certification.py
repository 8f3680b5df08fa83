"""Which recipes are trained anew without anybody asking: those at the top of the board. Imports no torch, no NumPy."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING

from latentarena.arena.store import Certification, Certifying, Database, Evaluation, Store, Submission
from latentarena.card.certificate import Certificate
from latentarena.card.score_card import ScoreCard
from latentarena.config import parse_json, validate
from latentarena.contest.contest import Contest
from latentarena.errors import ConfigError

if TYPE_CHECKING:
    from latentarena.contest.entries import Entry


ACTOR = "worker"  # in the audit log


def certificate_in(found: Certification | None) -> Certificate | None:
    """The certificate that a repeated training came to; None where there is none that can be read."""
    if found is None or not found.content:
        return None
    try:
        return validate(Certificate, parse_json(found.content.encode()), "the certificate")
    except (ConfigError, ValueError, RecursionError):
        return None


def nominate(database: Database, contest: Contest, now: datetime) -> int:
    """Queue the recipes of the top places that were not trained anew yet, best first; returns how many.

    Args:
        contest: as the site has it; the judge that an organiser has adopted is looked up.
    """
    from latentarena.contest.board import make_board  # which imports NumPy

    certify = contest.certify
    if certify is None or not certify.training or not certify.top:
        return 0
    store, certifying = Store(database), Certifying(database)
    judge, known = store.judge(), certifying.found()
    rules = contest if judge is None else contest.model_copy(update={"judge": judge})
    scored = store.scored()
    board = make_board([_entry(one, found, rules, known.get(one.id)) for one, found in scored], rules, rounds=1)
    native = {one.id for one, _ in scored if one.form == "native"}
    top = [line.id for line in board.lines if line.place is not None and line.place <= certify.top]
    wanted = [id_ for id_ in top if id_ in native and id_ not in known]
    return certifying.order(wanted, ACTOR, now) if wanted else 0


def _entry(one: Submission, found: Evaluation, rules: Contest, known: Certification | None) -> Entry:
    from latentarena.contest.entries import entry_of

    card = ScoreCard.model_validate_json(found.card)
    bundle = json.loads(found.bundle) if found.bundle else {}
    return entry_of(
        card,
        rules,
        one.id,
        one.team.name,
        one.name,
        bundle=bundle,
        form=one.form,
        received=one.received,
        chosen=one.chosen,
        verified=True,
        certificate=certificate_in(known),
    )
