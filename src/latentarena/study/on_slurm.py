"""A SLURM cluster as the place of a study's runs: each is a job, and one that is preempted is queued again."""

from __future__ import annotations

import logging
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from latentarena.errors import ConfigError, optional
from latentarena.files import make_folder, write_text
from latentarena.study.place import END, Place, StartedRun, make_whole, shared_settings
from latentarena.text import plain_line

MINUTES = 24 * 60  # that a job may take unless the address says otherwise
SIGNALLED = 128  # exit statuses above it, and below zero, are of what a signal ended
LOOK = 1.0  # seconds between two questions about a job that is ending


@contextmanager
def on_slurm(on: str, folder: Path, threads: int, cluster: str = "slurm") -> Iterator[Place]:
    """The cluster that this machine can send jobs to; `slurm://PARTITION?account=LAB&time=600` sets `sbatch`'s options.

    See `place_of`. `cluster` is submitit's word for the scheduler; its `local` runs jobs in processes of this machine.
    """
    with optional("cluster", f"--on {on}"):
        import submitit
    logging.getLogger("submitit").setLevel(logging.ERROR)
    address = urlsplit(on)
    options = {"time": MINUTES} | dict(parse_qsl(address.query))
    options |= {"partition": address.netloc} if address.netloc else {}
    try:
        executor = submitit.AutoExecutor(make_folder(folder / "slurm"), cluster=cluster)
    except RuntimeError:
        raise ConfigError(f"--on {on}: there is no `srun` here; start the study where jobs are submitted") from None
    try:
        executor.update_parameters(
            name="arena", cpus_per_task=threads, **{f"slurm_{name}": value for name, value in options.items()}
        )
    except (TypeError, ValueError, NameError) as error:
        raise ConfigError(f"--on {on}: {plain_line(str(error), 300)}") from None
    yield _Slurm(executor, submitit.core.plugins.get_executors()[cluster].job_class, threads)


@dataclass(frozen=True)
class _Making:
    """What a job does, and how it goes on when it was preempted."""

    arguments: tuple[str, ...]
    threads: int
    log: Path
    settings: dict[str, str]

    def __call__(self) -> int:
        return make_whole(self.arguments, self.threads, self.log, self.settings)

    def checkpoint(self) -> Any:
        import submitit

        return submitit.helpers.DelayedSubmission(self)


class _Slurm:
    def __init__(self, executor: Any, kind: Any, threads: int) -> None:
        self._executor, self._kind, self._threads = executor, kind, threads

    def start(self, arguments: Sequence[str], log: Path) -> StartedRun:
        """Send a job, unless the one that an earlier call sent is still waiting or running."""
        note = log.with_suffix(".job")
        if note.exists():
            before = self._kind(self._executor.folder, note.read_text().strip())
            if not before.done():
                return _Sent(before, log)
        job = self._executor.submit(_Making(tuple(arguments), self._threads, log, shared_settings()))
        write_text(note, f"{job.job_id}\n")
        return _Sent(job, log)


class _Sent:
    """A job that was sent."""

    def __init__(self, job: Any, log: Path) -> None:
        self._job, self._log = job, log
        self._ended: int | None = None

    def status(self) -> int | None:
        if self._ended is None and self._job.done():
            self._ended = self._found()
        return self._ended

    def _found(self) -> int | None:
        """The status of a job that is done; None if it is queued again. Of one that left nothing it takes a while."""
        failed = self._job.exception()
        status = int(self._job.result()) if failed is None else 1
        if (failed is not None or not 0 <= status < SIGNALLED) and self._queued():
            return None
        if failed is not None:
            with self._log.open("a") as log:
                log.write(f"SLURM job {self._job.job_id}: {plain_line(str(failed), 400)}\n")
        return status

    def _queued(self) -> bool:
        """Whether it was told to end only to be queued again."""
        if shutil.which("squeue") is None:
            return False
        asked = ["squeue", "--noheader", f"--jobs={self._job.job_id}"]
        return bool(subprocess.run(asked, capture_output=True, check=False).stdout.strip())

    def stop(self) -> None:
        self._job.cancel()

    def wait(self) -> None:
        until = time.monotonic() + END
        while not self._job.done() and time.monotonic() < until:
            time.sleep(LOOK)
