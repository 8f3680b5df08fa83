"""Scored entries written straight into a database, many in one transaction."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy.orm import Session

from arena_parts import Parts
from latentarena.arena.store.models import EvaluationRow, JobRow, SubmissionRow, TeamRow
from score_cards import FIGURES, made_card


def add_entry(session: Session, i: int, team: str = "") -> str:
    """A scored entry of a team of its own, `Team 7` or as it is called, with made-up figures."""
    made, when, id_ = random.Random(i), datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=i), f"{i:028x}"
    card = made_card(f"model-{i}", **{name: value * made.uniform(0.5, 1.0) for name, value in FIGURES.items()})
    state = {"judge": "official", "started": when, "finished": when}
    session.add(TeamRow(id=id_, name=team or f"Team {i}", skeleton=id_, members="[]", created=when))
    session.flush()
    facts = {"digest": f"{i:064x}", "size": 1, "name": card.model, "form": "native", "state": "scored"}
    session.add(SubmissionRow(id=id_, team=id_, received=when, reason="", sentence="", log="", **facts))
    session.flush()
    job = {"state": "done", "created": when, "not_before": when, "owner": "", "fence": 1, "deaths": 0}
    session.add(JobRow(id=id_, submission=id_, judge="official", kind="evaluate", **job))
    session.flush()
    kept = {"source": card.source, "fingerprint": card.fingerprint, "tier": "2", "files": '{"samples.png": "0"}'}
    texts = {"card": card.model_dump_json(), "bundle": "{}", "current": True}
    session.add(EvaluationRow(id=id_, submission=id_, job=id_, fence=1, **state, **kept, **texts))
    return id_


def keep_one(parts: Parts) -> None:
    """Something in place of one of the bundles that a database speaks of, by which a site knows its objects."""
    path = Path(parts.objects.path(parts.store.references.first(1)[0]))
    path.parent.mkdir()
    path.touch()
