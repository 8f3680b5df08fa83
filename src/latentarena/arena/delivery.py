"""Beyond one machine: Procrastinate wakes the workers of a PostgreSQL database; the lease table decides who does what.

A trigger announces every job that waits, in the transaction that makes it wait. A delivery is only a hint: whoever gets
it claims the job by its id, and gets nothing if another has it. So a delivery that comes twice does no harm; one that
is lost with its worker (Procrastinate does not retry by itself) is swept and retried here, by every worker.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from contextlib import suppress
from datetime import UTC, datetime

from procrastinate import App, PsycopgConnector
from procrastinate.exceptions import ConnectorException, UniqueViolation
from procrastinate.jobs import DeleteJobCondition, Status
from sqlalchemy import text

from latentarena.arena.store import Database, Queue
from latentarena.arena.worker import Worker
from latentarena.errors import StoreBusy

QUEUE, TASK = "evaluations", "evaluate"  # as the trigger has them
POLL = 1.0  # seconds between looks at the queue, where a notification was missed
AGAIN = 1.0  # seconds before a database that went away is tried again
FORGOTTEN = text("""
    UPDATE jobs SET not_before = not_before WHERE state = 'queued' AND not_before < :now AND NOT EXISTS (
        SELECT FROM procrastinate_jobs WHERE queueing_lock = jobs.id AND status IN ('todo', 'doing'))
""")  # which makes the trigger announce them again
LOGGER = logging.getLogger(__name__)


def deliver(database: Database, queue: Queue, worker: Worker, once: bool = False) -> int:
    """Work on what is delivered until SIGTERM or SIGINT, or until nothing waits if `once`; returns how many jobs."""
    return asyncio.run(_Deliveries(database, queue, worker).run(once))


class _Deliveries:
    def __init__(self, database: Database, queue: Queue, worker: Worker) -> None:
        self._database, self._queue, self._worker = database, queue, worker
        self._beat = queue.lease.total_seconds() / 6
        self._taken, self._nominating = 0, False

    def _app(self) -> App:
        app = App(connector=PsycopgConnector(conninfo=self._database.conninfo, min_size=1, max_size=4))

        @app.task(name=TASK, queue=QUEUE)
        def evaluate(job: str) -> None:
            self._taken += self._worker.take(job)

        return app

    async def run(self, once: bool) -> int:
        """Serve until stopped; a database that goes away is waited for."""
        self._nominating = not once
        while not self._worker.stopping:
            try:
                async with self._app().open_async() as app:
                    await self._serve(app, once)
            except ConnectorException as error:
                LOGGER.warning("the database went away: %s", error)
            if once:
                break
            if not self._worker.stopping:
                await asyncio.sleep(AGAIN)
        return self._taken

    async def _serve(self, app: App, once: bool) -> None:
        await self._sweep(app)
        serving = asyncio.create_task(
            app.run_worker_async(
                queues=[QUEUE],
                wait=not once,
                fetch_job_polling_interval=POLL,
                update_heartbeat_interval=self._beat,
                stalled_worker_timeout=3 * self._beat,
                delete_jobs=DeleteJobCondition.ALWAYS,
                install_signal_handlers=False,
            )
        )
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stop, serving)
        sweeping = asyncio.create_task(self._keep_sweeping(app))
        try:
            with suppress(asyncio.CancelledError):
                await serving
        finally:
            sweeping.cancel()

    def _stop(self, serving: asyncio.Task[None]) -> None:
        self._worker.stop()
        serving.cancel()  # it waits for the job in hand, which is being given back

    async def _keep_sweeping(self, app: App) -> None:
        while True:
            await asyncio.sleep(self._beat)
            with suppress(ConnectorException, StoreBusy):
                await self._sweep(app)

    async def _sweep(self, app: App) -> None:
        """Take back the leases of dead workers, and deliver again what was lost with them or was never announced."""
        stalled = await app.job_manager.get_stalled_jobs(queue=QUEUE, seconds_since_heartbeat=3 * self._beat)
        for job in stalled:
            try:
                await app.job_manager.retry_job(job)
            except UniqueViolation:  # it is announced again already
                assert job.id is not None
                await app.job_manager.finish_job_by_id_async(job.id, Status.FAILED, delete_job=True)
        await asyncio.to_thread(self._take_back)

    def _take_back(self) -> None:
        now = datetime.now(UTC)
        self._queue.sweep(now)
        if self._nominating:
            self._worker.nominate()
        with self._database.writing() as session:
            session.execute(FORGOTTEN, {"now": round(now.timestamp() * 1_000_000)})
