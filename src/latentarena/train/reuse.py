"""Stages that were trained before, by the same code on the same data, are not trained again.

So `fm-small`, `fm-base` and `fm-large` stand on one autoencoder, and a second recipe on the same generator starts
from it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout
from pydantic import BaseModel

from latentarena.data import Dataset
from latentarena.errors import ArenaError
from latentarena.facts import source_digest
from latentarena.files import cache_folder, digest_json, make_folder, prune, write_text
from latentarena.train.averages import LONGEST
from latentarena.train.checkpoint import Checkpoint, Checkpoints
from latentarena.train.loop import FitConfig
from latentarena.train.recipe import Recipe, trained_with
from latentarena.train.shelter import Reach, plainly

if TYPE_CHECKING:
    from lightning_fabric import Fabric

log = logging.getLogger(__name__)
WORTHWHILE = 60.0  # seconds: what is trained faster is not kept
KEPT = 32  # stages
PATIENCE = 5.0  # seconds of waiting of which nothing is said


class Reuse:
    """The finished stages in the cache, named by all that determines them, as they concern one run."""

    def __init__(self, recipe: Recipe, data: Dataset, fabric: Fabric, folder: Path, reach: Reach = plainly) -> None:
        self.recipe, self.folder, self.first, self.reach = recipe, folder, fabric.is_global_zero, reach
        self.cache = cache_folder() / "stages"
        how = fabric.strategy
        computed = [fabric.world_size, type(how).__name__, fabric.device.type, how.precision.precision]
        foreign = [part.digest for part in trained_with(recipe)]
        self.common = [source_digest(), *foreign, data.digest, recipe.seed, *computed]

    @contextmanager
    def shared(self, stage: str) -> Iterator[None]:
        """Train a stage inside of this: what another run has trained is taken from the cache, and the other way round.

        While a run trains a stage, those that want the same one wait for it.
        """
        with self._alone(stage):
            self._fetch(stage)
            yield
            self._keep(stage)

    @contextmanager
    def _alone(self, stage: str) -> Iterator[None]:
        """Hold a stage's name in the cache, if it can be held; the lock dies with its process."""
        if not self.first:
            yield
            return
        with ExitStack() as held:
            try:
                lock = FileLock(make_folder(self.cache) / f".{self._key(stage)}.lock", thread_local=False)
                try:
                    held.enter_context(lock.acquire(timeout=PATIENCE))
                except Timeout:
                    log.warning("%s: another run trains it with the same settings; waiting for that", stage)
                    held.enter_context(lock.acquire())
            except (ArenaError, OSError, NotImplementedError) as error:  # a folder that holds no locks
                log.debug("the stage %s is not locked: %s", stage, error)
            yield

    def _fetch(self, stage: str) -> None:
        """Put a finished stage from the cache into the run's folder, where the loop goes on from: at its end."""
        store = self._store(stage)
        if not self.first or store.begun():
            return
        try:
            found = Checkpoints(self.cache, self._key(stage)).latest()
        except ArenaError:  # damaged: trained anew
            return
        if found is not None:
            facts = dict(found.facts)
            log_text = facts.pop("log")
            self.reach(self.folder / "logs", lambda logs: write_text(make_folder(logs) / f"{stage}.csv", log_text))
            store.save(Checkpoint(found.step, found.tensors, facts))
            log.warning("%s: trained before by this code with the same settings, taken from %s", stage, self.cache)

    def _keep(self, stage: str) -> None:
        """Put a stage that took its time into the cache; where that cannot be written, go on without."""
        done = self._store(stage).latest() if self.first else None
        if done is None or done.facts["seconds"] < WORTHWHILE:
            return
        store = Checkpoints(self.cache, self._key(stage))
        try:
            if store.latest() is None:
                curve = self.reach(
                    self.folder / "logs", lambda logs: (logs / f"{stage}.csv").read_text(encoding="utf-8")
                )
                store.save(Checkpoint(done.step, done.tensors, done.facts | {"log": curve}))
                prune(self.cache, KEPT)
        except (ArenaError, OSError) as error:
            log.warning("the finished stage %s is not cached: %s", stage, error)

    def _store(self, stage: str) -> Checkpoints:
        return Checkpoints(self.folder / "checkpoints", stage, self.reach)

    def _key(self, stage: str) -> str:
        parts = [
            part.model_dump(mode="json") if part is not None else None for part in determinants(self.recipe, stage)
        ]
        return digest_json([*self.common, stage, parts])[:32]


def determinants(recipe: Recipe, stage: str) -> list[BaseModel | None]:
    """The parts of a recipe that the weights after a stage depend on."""
    training = recipe.training
    parts: list[BaseModel | None] = [recipe.data, recipe.autoencoder, training.features, training.autoencoder]
    if stage in ("features", "autoencoder"):
        return parts
    parts += [training.finetune]
    if stage == "finetune":
        return parts
    alone = recipe.generator.model_copy(update={"classifier": None, "weaker": None})
    if stage == "generator":
        return [*parts, alone, _of_any_length(training.generator)]
    return [*parts, alone, training.generator, recipe.generator, training]


def _of_any_length(config: FitConfig) -> FitConfig:
    """A stage's config whatever the length of its average, which its checkpoint leaves open."""
    return config.model_copy(update={"ema_length": LONGEST}) if config.ema_length else config
