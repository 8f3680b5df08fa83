"""The store of a contest: a database that forgets nothing it has acknowledged."""

from latentarena.arena.records import (
    Audited,
    Evaluation,
    Job,
    Listed,
    Outcome,
    Refusal,
    Submission,
    Team,
    TeamDetails,
    TokenHolder,
    Trained,
)
from latentarena.arena.store.certifying import Certification
from latentarena.arena.store.database import Database
from latentarena.arena.store.queue import DEATHS, LEASE, Queue
from latentarena.arena.store.rejudging import Rejudged
from latentarena.arena.store.store import Store

__all__ = [
    "DEATHS",
    "LEASE",
    "Audited",
    "Certification",
    "Database",
    "Evaluation",
    "Job",
    "Listed",
    "Outcome",
    "Queue",
    "Refusal",
    "Rejudged",
    "Store",
    "Submission",
    "Team",
    "TeamDetails",
    "TokenHolder",
    "Trained",
]
