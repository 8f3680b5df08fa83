"""The audit log: what was done, when, and by whom."""

from __future__ import annotations

from sqlalchemy import func, select

from latentarena.arena.records import Audited
from latentarena.arena.store.database import StorePart
from latentarena.arena.store.models import AuditRow

PLENTY = 200  # lines that are listed at once


class AuditLog(StorePart):
    """Lines of the log; every part of the store adds to it, and nobody takes away."""

    def lines(self, limit: int = PLENTY, offset: int = 0) -> list[Audited]:
        """What was done, the latest first: so many lines after so many."""
        with self._database.reading() as session:
            rows = session.scalars(select(AuditRow).order_by(AuditRow.id.desc()).limit(limit).offset(offset))
            return [Audited(row.at, row.actor, row.action, row.subject, row.detail) for row in rows]

    def count(self) -> int:
        """How many lines the audit log has."""
        with self._database.reading() as session:
            return session.scalar(select(func.count()).select_from(AuditRow)) or 0
