"""A contest's database, by parts. Every method is one transaction: durable when it returns, or as if never called."""

from __future__ import annotations

from sqlalchemy import select

from latentarena.arena.store.audit import AuditLog
from latentarena.arena.store.cards import ScoreCards
from latentarena.arena.store.certifying import Certifying
from latentarena.arena.store.database import Database
from latentarena.arena.store.models import CounterRow
from latentarena.arena.store.references import References
from latentarena.arena.store.rejudging import Rejudging
from latentarena.arena.store.rows import BOARD
from latentarena.arena.store.rules import Rules
from latentarena.arena.store.submissions import Submissions
from latentarena.arena.store.teams import Teams
from latentarena.arena.store.tokens import Tokens


class Store:
    """The parts of one contest's database."""

    def __init__(self, database: Database) -> None:
        """Share the database among the parts; `Database.upgrade` has made its tables."""
        self.database = database
        self.rules, self.audit = Rules(database), AuditLog(database)
        self.teams, self.tokens = Teams(database), Tokens(database)
        self.submissions, self.cards = Submissions(database), ScoreCards(database)
        self.references = References(database)
        self.certifying, self.rejudging = Certifying(database), Rejudging(database)

    def version(self) -> int:
        """Grows whenever the board may look different."""
        with self.database.reading() as session:
            return session.scalar(select(CounterRow.value).where(CounterRow.name == BOARD)) or 0
