"""The worker: claims a job, has a process of its own evaluate it, and writes down what came of it. Imports no torch.

While nothing waits to be evaluated, it has recipes trained anew, where the contest says so; as soon as something waits,
the training steps back, and is gone on with later.

The evaluation holds no lease and writes to no store. The worker renews its lease while it waits; where the lease is
lost the evaluation is killed, and nothing is written.
"""

from __future__ import annotations

import logging
import math
import os
import platform
import shutil
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from latentarena.arena.certification import nominate
from latentarena.arena.contest_files import kept_contest
from latentarena.arena.evaluation import (
    EVALUATE,
    RETRAIN,
    EvaluationEnd,
    EvaluationProcess,
    certificate_left_in,
    crash_of,
    options_of,
    training_options,
    verdict_in,
    workshop,
)
from latentarena.arena.objects import Objects
from latentarena.arena.scored import ScoredEntries
from latentarena.arena.store import Job, Outcome, Queue, Refusal, Store
from latentarena.contest.contest import Certify, Contest
from latentarena.errors import ConfigError, StorageFull, StoreBusy, StoreError
from latentarena.files import scratch
from latentarena.key import Key

PATIENCE = 1800.0  # seconds that an evaluation may take
TICK = 0.1  # seconds between looks at a running evaluation
IDLE = 1.0  # seconds between looks at an empty queue
ASIDE = 2.0  # seconds between looks whether a repeated training has to step back
SWEEP = 3600.0  # seconds between looks for what dead processes left
PERSISTENCE = 600.0  # seconds in which a result is offered again to a database that does not answer
LOGGER = logging.getLogger(__name__)


class Worker:
    """Evaluates the jobs of a queue, one at a time."""

    def __init__(
        self,
        store: Store,
        queue: Queue,
        objects: Objects,
        program: Sequence[str] = EVALUATE,
        patience: float = PATIENCE,
        threads: int = 0,
        trainer: Sequence[str] = RETRAIN,
    ) -> None:
        """Prepare.

        Args:
            program: the command that evaluates, see `Evaluation`.
            patience: seconds that an evaluation may take.
            threads: of an evaluation; as many as there are cores if 0. Where workers share cores, more than their share
                of them wait for each other.
            trainer: the command that trains a recipe anew.
        """
        self.owner = f"{platform.node()}:{os.getpid()}"
        self._store, self._queue, self._objects = store, queue, objects
        self._program, self._patience, self._threads = tuple(program), patience, threads
        self._trainer, self._seen = tuple(trainer), -1
        self._entries = ScoredEntries(store)
        self._stopping = threading.Event()
        self._swept = -math.inf

    def stop(self) -> None:
        """Give back what is being evaluated, and end; may be called from a signal handler."""
        self._stopping.set()

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stopping.is_set()

    def prepare(self) -> None:
        """Look whether there is a contest, and take away what dead processes left.

        Raises:
            ConfigError: there is no contest in the database.
        """
        self._contest()
        self._sweep()
        LOGGER.info("ready")

    def run(self, once: bool = False) -> int:
        """Look for work until stopped, or until nothing waits if `once`; returns how many jobs were taken."""
        taken = 0
        while not self.stopping:
            try:
                found = self.take() or (not once and self.nominate())
            except StoreBusy as error:
                LOGGER.warning("the queue does not answer: %s", error)
                found = False
            taken += found
            if not found and once:
                break
            if not found:
                self._stopping.wait(IDLE)
        return taken

    def take(self, only: str | None = None) -> bool:
        """Claim a job, or the one of this id, and see it through; whether there was one.

        Raises:
            StoreBusy: the database does not answer; what was claimed comes back when its lease has run out.
        """
        if time.monotonic() - self._swept > SWEEP:
            self._sweep()
        job = None if self.stopping else self._queue.claim(self.owner, _now(), only)
        if job is not None:
            self.work(job)
        return job is not None

    def nominate(self) -> bool:
        """Queue what the contest wants trained anew, where the board may look different than before; whether it did.

        Raises:
            StoreBusy: the database does not answer.
        """
        version = self._store.version()
        if version == self._seen:
            return False
        self._seen = version
        return nominate(self._store, self._entries, self._contest(), _now()) > 0

    def _sweep(self) -> None:
        """Take away the parts of files that dead processes left."""
        self._objects.sweep()
        self._swept = time.monotonic()

    def work(self, job: Job) -> None:
        """Evaluate a job that was claimed, and write down what came of it."""
        LOGGER.info("evaluating %s, attempt %d", job.submission.id, job.fence)
        with scratch("arena-evaluation-") as folder:
            try:
                bundle, options, key = self._fetch(job, folder)
            except (StoreBusy, StorageFull, OSError) as error:
                LOGGER.error("%s cannot be evaluated now: %s", job.submission.id, error)
                self._queue.release(job, _now())
                self._stopping.wait(IDLE)
                return
            except StoreError as error:
                sentence = f"the server cannot read what it needs for this: {error}"
                self._settle(job, EvaluationEnd(Refusal("failed", "lost", sentence), {}))
                return
            out = folder / "out"
            out.mkdir()
            program = self._program if job.kind == "evaluate" else self._trainer
            evaluation = EvaluationProcess(program, bundle, out, options, key)
            try:
                verdict = self._watch(job, evaluation, out)
            finally:
                said = evaluation.end()
            if verdict is not None:
                self._settle(job, verdict)
            if said:
                LOGGER.info("the evaluation of %s said: %s", job.submission.id, said)

    def _fetch(self, job: Job, folder: Path) -> tuple[Path, list[str], Key | None]:
        """The bundle and the judge as files, the options that say so, and the contest's key."""
        contest = self._contest()
        content = self._objects.read(job.submission.digest)
        bundle = folder / ("submission.zip" if content.startswith(b"PK") else "submission.py")
        bundle.write_bytes(content)
        if job.kind == "retrain":
            return bundle, training_options(contest, workshop(job.id)), self._store.rules.key(contest, _now())
        options = options_of(contest.eligibility)
        options += ["--threads", str(self._threads)] if self._threads else []
        if job.judge != "official":
            judge = folder / f"judge-{job.judge[:12]}.safetensors"  # a judge's file is named by its hash
            judge.write_bytes(self._objects.read(job.judge))
            options += ["--judge", str(judge)]
        return bundle, options, self._store.rules.key(contest, _now())

    def _contest(self) -> Contest:
        content = self._store.rules.contest()
        if content is None:
            raise ConfigError("the database holds no contest; start arena serve CONTEST on it first")
        return kept_contest(content)

    def _watch(self, job: Job, evaluation: EvaluationProcess, out: Path) -> EvaluationEnd | None:
        """What a running evaluation came to; None where it was given back, lost or died, which the queue then knows."""
        every = self._queue.lease.total_seconds() / 3
        renewed = looked = time.monotonic()
        patience, training = self._patience, job.kind == "retrain"
        if training:
            patience = 60 * (self._contest().certify or Certify()).minutes
        while (status := evaluation.wait(TICK)) is None:
            due = training and time.monotonic() - looked > ASIDE
            looked = time.monotonic() if due else looked
            if self.stopping or (due and self._steps_aside()):
                self._queue.release(job, _now())
                return None
            if time.monotonic() - evaluation.began > patience:
                said = f"its evaluation took more than {patience:g} seconds; make the model smaller or its steps fewer"
                return EvaluationEnd(Refusal("refused", "timeout", said), {})
            if time.monotonic() - renewed > every:
                if not self._renew(job):
                    LOGGER.warning("the lease on %s is lost; its evaluation is ended", job.submission.id)
                    return None
                renewed = time.monotonic()
        verdict = (certificate_left_in if training else verdict_in)(out) or crash_of(status)
        if verdict is None:
            LOGGER.warning("the evaluation of %s ended with status %d and no verdict", job.submission.id, status)
            self._queue.died(job, _now())
        return verdict

    def _steps_aside(self) -> bool:
        """Whether an entry waits to be evaluated."""
        try:
            return self._queue.evaluation_waits(_now())
        except StoreError as error:
            LOGGER.warning("the queue does not answer: %s", error)
            return False

    def _renew(self, job: Job) -> bool:
        try:
            return self._queue.renew(job, _now())
        except StoreError as error:  # whether the lease still holds is seen when the result is written
            LOGGER.warning("the lease on %s was not renewed: %s", job.submission.id, error)
            return True

    def _settle(self, job: Job, verdict: EvaluationEnd) -> None:
        """Write a verdict down; a database or disk that cannot take it now is asked again."""
        until, pause = time.monotonic() + PERSISTENCE, 0.25
        while True:
            try:
                kept = {name: self._objects.put(path.read_bytes()) for name, path in verdict.files.items()}
                end = replace(verdict.end, files=kept) if isinstance(verdict.end, Outcome) else verdict.end
                if not self._queue.finish(job, end, _now()):
                    LOGGER.warning("the lease on %s was lost; what it came to is dropped", job.submission.id)
                    self._drop(kept)
                elif job.kind == "retrain":
                    shutil.rmtree(workshop(job.id), ignore_errors=True)
                else:
                    self._put_again(verdict, kept)
                return
            except (StoreBusy, StorageFull) as error:
                LOGGER.warning("what %s came to cannot be kept yet: %s", job.submission.id, error)
                if time.monotonic() > until or self._stopping.wait(pause):
                    return  # its lease runs out, and it is evaluated again
                pause = min(2 * pause, 30.0)

    def _put_again(self, verdict: EvaluationEnd, kept: Mapping[str, str]) -> None:
        """Files that were another entry's too, which was erased before these were noted."""
        for name, digest in kept.items():
            if not self._objects.has(digest):
                self._objects.put(verdict.files[name].read_bytes())

    def _drop(self, kept: Mapping[str, str]) -> None:
        """Take away the files of an evaluation that nobody wants, unless they are another one's too."""
        for digest in kept.values():
            with suppress(StoreError):
                self._store.references.discard(digest, self._objects.remove)


def _now() -> datetime:
    return datetime.now(UTC)
