"""A contest has a key that the judge's random numbers follow from."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the table; a contest without a key gets one when it is first asked for."""
    op.create_table(
        "keys",
        sa.Column("commitment", sa.String(length=64), nullable=False),
        sa.Column("contest", sa.String(length=40), nullable=False),
        sa.Column("content", sa.String(length=64), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("commitment"),
    )


def downgrade() -> None:
    """Drop it, and the keys with it."""
    op.drop_table("keys")
