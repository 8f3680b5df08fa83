"""Jobs that train a recipe anew stand beside evaluations, and behind them; what they come to is kept."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

ANNOUNCE = """
CREATE OR REPLACE FUNCTION arena_announce_job() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    due timestamptz := to_timestamp(NEW.not_before / 1000000.0);
BEGIN
    PERFORM procrastinate_defer_jobs_v1(ARRAY[
        ROW('evaluations', 'evaluate', {priority}, NULL, NEW.id,
            jsonb_build_object('job', NEW.id), CASE WHEN due > now() THEN due END)::procrastinate_job_to_defer_v1
    ]);
    RETURN NULL;
EXCEPTION WHEN unique_violation THEN  -- it is announced already
    RETURN NULL;
END $$;
"""
BEHIND = "CASE WHEN NEW.kind = 'retrain' THEN -10 ELSE 0 END"


def upgrade() -> None:
    """Say of every job what it is, and make the table."""
    kind = sa.Column("kind", sa.String(length=12), nullable=False, server_default="evaluate")
    op.add_column("jobs", kind)
    op.create_table(
        "certificates",
        sa.Column("job", sa.String(length=36), nullable=False),
        sa.Column("submission", sa.String(length=36), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("sentence", sa.String(length=1000), nullable=False),
        sa.Column("finished", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["job"], ["jobs.id"]),
        sa.ForeignKeyConstraint(["submission"], ["submissions.id"]),
        sa.PrimaryKeyConstraint("job"),
    )
    op.create_index("ix_certificates_submission", "certificates", ["submission"], unique=False)
    _announce(BEHIND)


def downgrade() -> None:
    """Forget certificates and the jobs that made them."""
    _announce("0")
    op.drop_table("certificates")
    op.execute(sa.text("DELETE FROM jobs WHERE kind <> 'evaluate'"))
    op.drop_column("jobs", "kind")


def _announce(priority: str) -> None:
    if op.get_bind().dialect.name == "postgresql":
        script = ANNOUNCE.replace("{priority}", priority)
        op.get_bind().execution_options(no_parameters=True).exec_driver_sql(script)
