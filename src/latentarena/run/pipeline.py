"""The main job: a recipe in, a trained model, a bundle, a score card and a report out."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from latentarena.bundle import Curve, Provenance, save_bundle
from latentarena.card.score_card import ScoreCard
from latentarena.config import validate
from latentarena.data import Dataset, load_dataset
from latentarena.documents import read_yaml
from latentarena.errors import ConfigError, DataMissing
from latentarena.facts import machine, versions
from latentarena.files import write_text
from latentarena.judge.score import SAMPLES
from latentarena.judge.training import refuse_few
from latentarena.latents import LatentStatistics, encode_all, latent_statistics
from latentarena.model.latent_model import LatentModel
from latentarena.parts import foreign_in, sources_of
from latentarena.run.judging import BUNDLE, Ran, finished, judge_run
from latentarena.train.logs import curve
from latentarena.train.loop import refuse_uneven
from latentarena.train.recipe import Overrides, Recipe, load_recipe, to_yaml, trained_with
from latentarena.train.rehearsal import rehearse
from latentarena.train.shelter import Shelter, go_on, lock_folder
from latentarena.train.stages import Watch, train_model

if TYPE_CHECKING:
    from lightning_fabric import Fabric

log = logging.getLogger(__name__)

RECIPE, DATA = "recipe.yaml", "data.sha256"


@dataclass(frozen=True)
class Prepared:
    """A run that can start: a recipe that fits its data, and a folder that can be written to.

    Attributes:
        notice: what a reader of its figures must know first.
        lock: holds the folder for this process.
    """

    recipe: Recipe
    data: Dataset
    folder: Path
    notice: str
    lock: FileLock | None = None


def prepare(
    name: str | Recipe,
    assignments: Overrides = (),
    folder: Path | None = None,
    root: Path | None = None,
    resume: bool = False,
    budget: float = 1.0,
    processes: int = 1,
) -> Prepared:
    """Do everything that can fail before training starts.

    Args:
        name: recipe name, YAML file, or the recipe itself.
        assignments: overrides; see `load_recipe`.
        folder: output, `runs/<recipe>` unless given; holds a run already only if `resume`.
        root: where to look for data.
        resume: go on with the run in `folder`, if there is one.
        budget: factor on every stage's epochs.
        processes: that share each batch.

    Raises:
        ConfigError, DataError, OutputError: one line each.
    """
    recipe, notice = load_recipe(name, assignments).scaled(budget), ""
    try:
        data = load_dataset(recipe.data, root)
    except DataMissing as missing:
        if recipe.otherwise is None or root is not None:  # a folder that was named is not passed over in silence
            raise
        log.info("%s", missing)
        wanted, recipe = recipe.data.name, load_recipe(recipe.otherwise, assignments).scaled(budget)
        data = load_dataset(recipe.data, root)
        notice = (
            f"{wanted} could be neither found nor downloaded: this run uses the {len(data.train) + len(data.test)} "
            f"embedded {data.name} of scikit-learn instead, resized to {data.shape[1]}x{data.shape[2]}; "
            "its scores say nothing about " + wanted
        )
    refuse_few(data)
    rehearse(recipe, LatentModel(recipe.architecture(data.shape, data.classes)), data)
    for stage, config in recipe.training.stages().items():
        refuse_uneven(config, getattr(config, "pairs", len(data.train)), processes, stage)
    folder = folder or Path("runs") / recipe.name
    from lightning_fabric.utilities.rank_zero import rank_zero_only

    first = getattr(rank_zero_only, "rank", 0) in (0, None)  # set by Fabric from the launcher's environment
    return Prepared(recipe, data, folder, notice, _claim(folder, recipe, data, resume) if first else None)


def _claim(folder: Path, recipe: Recipe, data: Dataset, resume: bool) -> FileLock | None:
    """Take a run's folder: the lock that keeps other runs out, once the folder is known to be this run's."""
    lock = lock_folder(folder)
    try:
        _occupy(folder, recipe, data, resume)
    except BaseException:
        if lock is not None:
            lock.release()
        raise
    return lock


def _occupy(folder: Path, recipe: Recipe, data: Dataset, resume: bool) -> None:
    """Write recipe and data hash into the folder, or make sure that the run found there is the one to go on with."""
    go_on(folder, resume, "add --resume")
    path, content = folder / RECIPE, folder / DATA
    identity = [data.digest, *(f"{part.digest}  {part.kind} {part.name}" for part in trained_with(recipe))]
    if path.exists():
        if not resume:
            raise ConfigError(f"{folder} holds a run already; add --resume to go on with it, or choose another --out")
        old = validate(Recipe, read_yaml(path) | {"metrics": ()}, str(path))  # which may not be loaded any more
        words = {"name", "about", "otherwise", "expected", "length", "parts", "metrics"}  # which change nothing
        before, now = (r.model_dump(mode="json", exclude=words) for r in (old, recipe))
        difference = _first_difference(before, now)
        if difference:
            raise ConfigError(f"{folder} holds a run of another recipe ({difference}); choose another --out")
        found = content.read_text(encoding="utf-8").splitlines() if content.exists() else identity
        if found[:1] != identity[:1]:
            raise ConfigError(f"{folder} holds a run on other content of {data.name}; choose another --out")
        if found != identity:
            changed = ", ".join(dict.fromkeys(part.source for part in trained_with(recipe)))
            raise ConfigError(f"{folder} holds a run with another version of {changed}; choose another --out")
    write_text(path, to_yaml(recipe))
    write_text(content, "\n".join(identity) + "\n")


def _first_difference(old: Any, new: Any, key: str = "") -> str | None:
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted({*old, *new}):
            found = _first_difference(old.get(name), new.get(name), f"{key}.{name}" if key else name)
            if found:
                return found
        return None
    return None if old == new else f"{key} was {old!r} and is now {new!r}"


def prepare_seeds(
    seeds: int,
    name: str,
    assignments: Sequence[str] = (),
    folder: Path | None = None,
    root: Path | None = None,
    resume: bool = False,
    budget: float = 1.0,
    processes: int = 1,
) -> list[Prepared]:
    """Several runs of one recipe that differ by their seed alone, each in a folder `seed-SEED` of its own.

    Args:
        seeds: how many: the recipe's own seed, and those that follow it; for the others see `prepare`.

    Raises:
        ConfigError, DataError, OutputError: one line each.
    """
    recipe = load_recipe(name, assignments)
    home = folder or Path("runs") / recipe.name
    numbers = [(recipe.seed + number) % 2**63 for number in range(seeds)]
    return [
        prepare(name, [*assignments, f"seed={seed}"], home / f"seed-{seed}", root, resume, budget, processes)
        for seed in numbers
    ]


def run_seeds(
    several: Sequence[Prepared],
    fabric: Fabric,
    watch: Watch = lambda ticks, stage: ticks,
    samples: int | None = SAMPLES,
    waterfall: bool = False,
) -> Ran | None:
    """Run all of them; the card and the report of the first one then say what the others came to.

    Args:
        several: of `prepare_seeds`, or a single run; watch, samples, waterfall: as for `run`.

    Returns:
        As `run`, of the first.
    """
    others = {}
    for prepared in several[1:]:
        card = finished(prepared.folder) if fabric.is_global_zero else None
        if card is None:
            _, card = run(prepared, fabric, watch, samples, waterfall=waterfall) or (None, None)
        if card is not None:
            others[prepared.recipe.seed] = card
    return run(several[0], fabric, watch, samples, others, waterfall)


def run(
    prepared: Prepared,
    fabric: Fabric,
    watch: Watch = lambda ticks, stage: ticks,
    samples: int | None = SAMPLES,
    others: Mapping[int, ScoreCard] | None = None,
    waterfall: bool = False,
) -> Ran | None:
    """Train, bundle, judge and report.

    Args:
        watch: wraps the training ticks, to show progress.
        samples: how many images the judge asks for; None for no judging.
        others: score cards of other trainings of the recipe by seed, which card and report then speak of.
        waterfall: whether the judge measures the error waterfall too.

    Returns:
        The folder and the score card; None in the helper processes of a distributed run.
    """
    try:
        return _run(prepared, fabric, watch, samples, others, waterfall)
    finally:
        if prepared.lock is not None:
            prepared.lock.release()


def _run(
    prepared: Prepared,
    fabric: Fabric,
    watch: Watch,
    samples: int | None,
    others: Mapping[int, ScoreCard] | None,
    waterfall: bool,
) -> Ran | None:
    recipe, data, shelter = prepared.recipe, prepared.data, Shelter(prepared.folder)
    if fabric.is_global_zero:
        shelter.remember(RECIPE, DATA)
    model = LatentModel(recipe.architecture(data.shape, data.classes), recipe.seed)
    train_model(recipe, model, data, fabric, shelter, watch)
    if not fabric.is_global_zero:
        return None
    latents = latent_statistics(encode_all(model.cpu().autoencoder, data.train, data.digest))
    folder = shelter.reach(prepared.folder, lambda place: place)
    made = provenance_of(prepared, fabric, latents, folder)
    bundle = shelter.reach(prepared.folder, lambda place: save_bundle(place / BUNDLE, recipe.name, model, made))
    if samples is None:
        return shelter.settle(), None
    return judge_run(bundle, data, shelter, watch, samples, others, recipe.metrics, waterfall)


def _curve(columns: dict[str, list[float]]) -> Curve:
    return Curve(
        steps=tuple(map(int, columns["step"])), seconds=tuple(columns["seconds"]), losses=tuple(columns["loss"])
    )


def provenance_of(prepared: Prepared, fabric: Fabric, latents: LatentStatistics, folder: Path) -> Provenance:
    """How the model of a run came to be, once all its stages are trained; their logs are in `folder`."""
    curves = {stage: curve(folder / "logs", stage) for stage in prepared.recipe.training.stages()}
    recipe = prepared.recipe.model_dump(mode="json", exclude={"metrics"})  # which look at what was made
    recipe["data"]["name"] = prepared.data.name  # a folder by its name, not by where it lies on this machine
    idle = sources_of(foreign_in(prepared.recipe)) - sources_of(trained_with(prepared.recipe))  # the metrics' alone
    recipe["parts"] = [Path(one).name for one in prepared.recipe.parts if one not in idle]
    return Provenance(
        recipe=recipe,
        dataset=prepared.data.name,
        data=prepared.data.digest,
        seconds={stage: columns["seconds"][-1] for stage, columns in curves.items() if columns},
        losses={stage: columns["loss"][-1] for stage, columns in curves.items() if columns},
        curves={stage: _curve(columns) for stage, columns in curves.items() if columns},
        latents=latents,
        machine=f"{machine()}; {fabric.world_size} x {fabric.device.type}, {fabric.strategy.precision.precision}",
        versions=versions(),
        notice=prepared.notice,
    )
