"""A key is known to have been shown, so that it is not in force when its contest opens again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the time; of keys that were shown before nothing is known, which the next start of a server makes up for."""
    op.add_column("keys", sa.Column("shown", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    """Forget it."""
    with op.batch_alter_table("keys") as table:
        table.drop_column("shown")
