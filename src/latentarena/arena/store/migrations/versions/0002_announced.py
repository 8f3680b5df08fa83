"""On PostgreSQL every job that waits is announced to the workers, in the transaction that makes it wait."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"

ANNOUNCE = """
CREATE FUNCTION arena_announce_job() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    due timestamptz := to_timestamp(NEW.not_before / 1000000.0);
BEGIN
    PERFORM procrastinate_defer_jobs_v1(ARRAY[
        ROW('evaluations', 'evaluate', 0, NULL, NEW.id, jsonb_build_object('job', NEW.id),
            CASE WHEN due > now() THEN due END)::procrastinate_job_to_defer_v1
    ]);
    RETURN NULL;
EXCEPTION WHEN unique_violation THEN  -- it is announced already
    RETURN NULL;
END $$;
CREATE TRIGGER arena_announce_job AFTER INSERT OR UPDATE OF state, not_before ON jobs
    FOR EACH ROW WHEN (NEW.state = 'queued') EXECUTE FUNCTION arena_announce_job();
"""
FORGET = """
DROP TRIGGER arena_announce_job ON jobs;
DROP FUNCTION arena_announce_job();
DROP TABLE procrastinate_events, procrastinate_periodic_defers, procrastinate_jobs, procrastinate_workers CASCADE;
DO $$
DECLARE
    made record;
BEGIN
    FOR made IN SELECT oid::regprocedure AS name FROM pg_proc WHERE proname LIKE 'procrastinate\\_%' LOOP
        EXECUTE 'DROP FUNCTION ' || made.name || ' CASCADE';
    END LOOP;
END $$;
DROP TYPE procrastinate_job_to_defer_v1, procrastinate_job_status, procrastinate_job_event_type CASCADE;
"""


def upgrade() -> None:
    """Make Procrastinate's tables and the trigger; SQLite's workers look for themselves."""
    if op.get_bind().dialect.name == "postgresql":
        from procrastinate.schema import SchemaManager

        _run(SchemaManager.get_schema())
        _run(ANNOUNCE)


def downgrade() -> None:
    """Drop them."""
    if op.get_bind().dialect.name == "postgresql":
        _run(FORGET)


def _run(script: str) -> None:
    """Several statements as they are: a percent sign is no parameter."""
    op.get_bind().execution_options(no_parameters=True).exec_driver_sql(script)
