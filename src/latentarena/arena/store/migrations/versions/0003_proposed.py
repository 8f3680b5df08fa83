"""Score cards of a new judge wait for the organiser's word; the judge that was adopted is kept beside the contest."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add a column to each; what was in force stays so."""
    op.add_column("contests", sa.Column("judge", sa.String(length=64), nullable=True))
    op.add_column("evaluations", sa.Column("proposed", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    """Drop them, with the cards that nobody adopted."""
    op.execute(sa.text("DELETE FROM evaluations WHERE proposed"))
    op.drop_column("evaluations", "proposed")
    op.drop_column("contests", "judge")
