"""The trials of a search: values that Optuna proposes and keeps in a file, scored by trainings on the train split.

What is proposed follows from the seed and the scores before, so a search that was stopped goes on as if it had not
been: the trial that was running is proposed again, and its training goes on from its checkpoints.
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latentarena.data import Dataset
from latentarena.errors import ConfigError, Interrupted, TrainingError, optional
from latentarena.files import digest_json
from latentarena.run.training_cost import training_cost
from latentarena.search.plan import Space, Span
from latentarena.search.record import Ended, Search, Trial, write_results
from latentarena.search.validation import Yardstick, with_validation
from latentarena.text import shown
from latentarena.train.loop import Tick
from latentarena.train.recipe import Recipe, to_yaml
from latentarena.train.shelter import held
from latentarena.train.stages import Watch

if TYPE_CHECKING:
    import optuna
    from lightning_fabric import Fabric
    from optuna.distributions import BaseDistribution

TRIALS, TRIAL = "trials.db", "trial"  # what has ended, and what is being made
USUAL = 20  # trials where no budget is named
RANDOM, COMPARED = 8, 4  # trials before values are chosen by their scores, and before trials are cut short by them


@dataclass(frozen=True)
class Budget:
    """How far a search goes, over all calls of it together: whatever is reached first ends it, or 20 trials.

    Attributes:
        trials: that have ended, pruned and failed ones too.
        minutes: of making trials; one that is running then is broken off.
        macs: multiply-adds of training; a trial that would take more is not begun.
    """

    trials: int | None = None
    minutes: float | None = None
    macs: float | None = None

    @property
    def most(self) -> int | None:
        """Trials that there may be; None where something else ends the search."""
        return USUAL if self.trials is self.minutes is self.macs is None else self.trials


class _TimeUp(Exception):  # noqa: N818 - it says what is the case
    """The minutes are over while a trial is trained."""


def run_search(
    space: Space,
    data: Dataset,
    folder: Path,
    fabric: Fabric,
    budget: Budget,
    seed: int = 0,
    told: Callable[[Search, Trial], None] = lambda search, trial: None,
    watch: Watch = lambda ticks, stage: ticks,
) -> Search:
    """Make trials until the budget is spent, going on with those that the folder holds.

    Args:
        data: the whole dataset; nothing but its train split is looked at.
        folder: gets `trials.db`, which Optuna keeps, and the results after each trial.
        fabric: launched, of one process.
        seed: of what is proposed.
        told: called when a trial has ended.
        watch: wraps the training ticks, to show progress.

    Raises:
        ConfigError: the folder holds another search, or one that is running, or Optuna is missing.
        OutputError: the folder cannot be written.
    """
    _optuna()
    with held(folder):
        config = space.config
        part = with_validation(data, config.validation)
        study = _opened(space, data, seed, folder)
        yardstick = Yardstick(part, data.digest, config.minimise, config.samples, fabric)
        yardstick.prepare()
        maker = _Maker(Search(space, seed, data, folder), study, yardstick, budget, watch)
        for trial in maker.trials():
            told(maker.search, trial)
        return maker.search


def _optuna() -> Any:
    with optional("search", "arena search"):
        import optuna
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def _opened(space: Space, data: Dataset, seed: int, folder: Path) -> optuna.Study:
    """Optuna's study in the folder, made if there is none.

    Raises:
        ConfigError: it is of another space, seed or data.
    """
    library = _optuna()
    from sqlalchemy import URL

    url = URL.create("sqlite", database=str(folder.absolute() / TRIALS)).render_as_string()
    pruner = library.pruners.MedianPruner(n_startup_trials=COMPARED)
    study: optuna.Study = library.create_study(storage=url, study_name="search", pruner=pruner, load_if_exists=True)
    written = space.config.model_dump(mode="json", exclude={"title", "recipe", "set"})
    identity = written | {"recipe": to_yaml(space.recipe), "data": data.digest, "seed": seed}
    before = study.user_attrs.get("identity", identity)
    if changed := [key for key, value in identity.items() if before.get(key) != value]:
        said = ", ".join(
            key
            if key in ("recipe", "data")
            else f"{key} was {shown(before.get(key))} and is now {shown(identity[key])}"
            for key in changed
        )
        raise ConfigError(f"{folder} holds another search ({said}); choose another --out")
    study.set_user_attr("identity", identity)
    return study


class _Maker:
    """Makes the trials of a search, one after the other."""

    def __init__(self, search: Search, study: optuna.Study, yardstick: Yardstick, budget: Budget, watch: Watch) -> None:
        self.search, self.study, self.yardstick, self.budget, self.watch = search, study, yardstick, budget, watch
        self.space, self.began = search.space, time.monotonic()
        self.distributions = {key: _distribution(one) for key, one in search.space.config.ranges.items()}
        for one in study.get_trials(deepcopy=False):
            if not one.state.is_finished():  # that was running when the program was killed
                self._drop(one.number)
        search.trials = self._ended()
        self.before = sum(one.seconds for one in search.trials)

    def trials(self) -> Iterator[Trial]:
        """Each trial as it ends; results are written before."""
        write_results(self.search, _optuna().__version__)
        while not self._spent():
            number = self._make()
            if number is None:
                return
            self.search.trials = self._ended()
            write_results(self.search, _optuna().__version__)
            yield self.search.trials[-1]

    def _spent(self) -> bool:
        most = self.budget.most
        return (most is not None and len(self.search.trials) >= most) or self._late()

    def _late(self) -> bool:
        most = self.budget.minutes
        return most is not None and self.before + time.monotonic() - self.began >= 60 * most

    def _drop(self, number: int) -> None:
        """Put a trial away that is not brought to its end: failed for no reason, it counts for nothing."""
        self.study.tell(number, state=_optuna().trial.TrialState.FAIL)

    def _make(self) -> int | None:
        """Ask for a trial and make it; its number, or None where the budget does not reach for it."""
        library = _optuna()
        drawn = int(digest_json([self.search.seed, len(self.search.trials)])[:8], 16)
        self.study.sampler = library.samplers.TPESampler(seed=drawn, n_startup_trials=RANDOM)
        trial = self.study.ask(self.distributions)
        began, state = time.monotonic(), library.trial.TrialState
        try:
            score, ended, reason = self._score(trial), state.COMPLETE, ""
            if score is None:
                ended = state.PRUNED
        except _TimeUp:
            self._drop(trial.number)
            return None
        except Interrupted as stop:
            said = f"trial {len(self.search.trials)} was interrupted; the same command goes on"
            raise Interrupted(said, stop.number) from None
        except (ConfigError, TrainingError) as error:
            score, ended, reason = None, state.FAIL, str(error)
        trial.set_user_attr("seconds", time.monotonic() - began)
        if reason:
            trial.set_user_attr("reason", reason)
        self.study.tell(trial, score, ended)
        shutil.rmtree(self.search.folder / TRIAL, ignore_errors=True)
        return trial.number

    def _score(self, trial: optuna.Trial) -> float | None:
        """The score of a trial's full training; None where it is pruned after the short one."""
        values, share = self._values(trial.params), self.space.config.prune_after
        recipe = self.space.trial(values)
        lengths = [recipe.scaled(share), recipe] if share else [recipe]
        costs = [self._cost(one) for one in lengths]
        most = self.budget.macs
        if most is not None and sum(one.macs for one in self.search.trials) + sum(costs) > most:
            raise _TimeUp
        score = math.nan
        for step, one in enumerate(lengths):
            trial.set_user_attr("macs", sum(costs[: step + 1]))
            score = self._trained(one)
            if step < len(lengths) - 1:
                trial.report(score, step)
                if trial.should_prune():
                    return None
        return score

    def _cost(self, recipe: Recipe) -> float:
        data = self.yardstick.data
        stages = training_cost(recipe, data.shape, data.classes, len(data.train))
        return self.space.config.seeds * sum(one.total for one in stages.values())

    def _trained(self, recipe: Recipe) -> float:
        """The mean score over the seeds of a trial."""
        seeds = [(recipe.seed + number) % 2**63 for number in range(self.space.config.seeds)]
        several = [recipe.model_copy(update={"seed": seed}) for seed in seeds]
        scores = [self.yardstick.trained(one, self.search.folder / TRIAL, self._in_time) for one in several]
        mean = sum(scores) / len(scores)
        if not math.isfinite(mean):
            raise TrainingError(f"its score is {mean}")
        return mean

    def _in_time(self, ticks: Iterator[Tick], stage: str) -> Iterator[Tick]:
        for tick in self.watch(ticks, stage):
            if self._late():
                raise _TimeUp
            yield tick

    def _values(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Values by key as a recipe has them: of lists Optuna keeps the choice in JSON."""
        ranges = self.space.config.ranges
        return {key: params[key] if isinstance(ranges[key], Span) else json.loads(params[key]) for key in ranges}

    def _ended(self) -> list[Trial]:
        known = self.study.get_trials(deepcopy=False)
        stored = [one for one in known if one.state.name != "FAIL" or one.user_attrs.get("reason")]
        return [self._trial(number, one) for number, one in enumerate(stored)]

    def _trial(self, number: int, stored: optuna.trial.FrozenTrial) -> Trial:
        said, pruned = stored.user_attrs, stored.state.name == "PRUNED"
        done = stored.state.name == "COMPLETE"
        return Trial(
            number=number,
            values=self._values(stored.params),
            state=Ended.PRUNED if pruned else Ended.DONE if done else Ended.FAILED,
            score=stored.value if done else None,
            early=stored.intermediate_values.get(0),
            seconds=said.get("seconds", 0.0),
            macs=said.get("macs", 0.0),
            reason=said.get("reason", ""),
        )


def _distribution(one: Span | tuple[Any, ...]) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if not isinstance(one, Span):
        return CategoricalDistribution([json.dumps(choice) for choice in one])
    if one.whole:
        return IntDistribution(int(one.low), int(one.high), one.log, int(one.step or 1))
    return FloatDistribution(one.low, one.high, one.log, one.step)
