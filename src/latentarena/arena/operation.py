"""What operators run beside the site: a worker."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Sequence

from latentarena.arena.evaluation import EVALUATE
from latentarena.arena.objects import Objects
from latentarena.arena.store import Database, Queue, Store
from latentarena.arena.worker import PATIENCE, Worker

__all__ = ["work"]


def work(
    url: str, objects: str, once: bool = False, program: Sequence[str] = EVALUATE, patience: float = PATIENCE
) -> int:
    """Evaluate jobs until SIGTERM or SIGINT, or until nothing waits if `once`.

    Args:
        url: of the database, whose tables are brought up to date; objects: folder or URL of the files.
        program, patience: see `Worker`.

    Returns:
        How many jobs were taken.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    database = Database(url)
    try:
        database.upgrade()
        queue = Queue(database)
        worker = Worker(Store(database), queue, Objects(objects), program, patience)
        worker.prepare()
        if not database.sqlite:
            from latentarena.arena.delivery import deliver

            return deliver(database, queue, worker, once)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: worker.stop())
        return worker.run(once)
    finally:
        database.close()
