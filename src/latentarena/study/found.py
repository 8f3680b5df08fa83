"""What a study found, as plain data: what all its pages are made of, and what `study.json` holds."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

from latentarena.bundle import OWN, open_bundle
from latentarena.card.catalogue import METRICS
from latentarena.card.figure import Figure
from latentarena.card.score_card import ScoreCard, read_card
from latentarena.card.trainings import over_trainings
from latentarena.facts import machine
from latentarena.pictures import evenly
from latentarena.run.judging import BUNDLE, SCORE
from latentarena.run.training_cost import TRAINED, StageCost, training_cost
from latentarena.study.claims import Verdict, named
from latentarena.study.plan import Study
from latentarena.study.runs import Run, State, StudyRuns
from latentarena.train.logs import curve

Plain = dict[str, Any]
ALWAYS = ("parameters", "mse", "frechet")  # figures that every page shows where they are known
KEPT = 40  # points of a learning curve
EXAMPLES = 60_000  # any number: what one example costs is asked for


def found_in(progress: StudyRuns, command: str) -> Plain:
    """Everything that the pages say.

    Args:
        command: that makes the study again.
    """
    study, done = progress.study, [run for run in progress.runs if run.figures]
    cards = {(run.arm, run.seed): read_card(run.folder / SCORE) for run in done}
    first = next(iter(cards.values()), None)
    return {
        "title": study.config.title,
        "about": study.config.about,
        "origin": study.config.origin,
        "command": command,
        "machine": machine(),
        "source": first.source if first else "",
        "data": f"{first.dataset} {first.data}" if first else "",
        "judge": f"{first.judge} {first.judge_hash}" if first else "",
        "notice": first.notice if first else "",
        "verdicts": [_said(one, study) for one in progress.verdicts],
        "rule": _rule(progress),
        **_figures(progress, done),
        "waterfalls": _waterfalls(study, cards),
        "factors": study.factors,
        "asks": list(study.config.asks),
        "runs": [_run(run, progress, cards.get((run.arm, run.seed))) for run in progress.runs],
        "curves": list(_curves(study, done)),
        "failures": [
            f"{run.arm} with seed {run.seed} failed: {run.last_line}"
            for run in progress.runs
            if run.state is State.FAILED
        ],
    }


def _figures(progress: StudyRuns, done: list[Run]) -> Plain:
    """The figures that are shown, by name, and by arm what they come to over its seeds."""
    known = {name for run in done for name in run.figures}
    names = [name for name in dict.fromkeys([*ALWAYS, *named(progress.study.claims)]) if name in known]
    arms = [
        {
            "arm": arm,
            "seeds": [*found],
            "figures": {name: over_seeds([one.get(name) for one in found.values()]) for name in names},
        }
        for arm, found in progress.figures.items()
    ]
    return {"columns": {name: METRICS[name].title for name in names}, "arms": arms}


def _said(verdict: Verdict, study: Study) -> Plain:
    """A verdict in words; `beside` says what its arms differ in though it is not asked about."""
    unasked, asked = study.unasked(verdict.claim), ", ".join(study.config.asks)
    beside = (
        f"not controlled: beside {asked or 'nothing that is asked about'} also {', '.join(unasked)}" if unasked else ""
    )
    effects = [effect.words for effect in verdict.effects]
    return {"claim": verdict.claim.text, "word": str(verdict.word), "effects": effects, "beside": beside}


def _rule(progress: StudyRuns) -> str:
    config = progress.study.config
    if not config.claims:
        return "The study makes no claim."
    return (
        f"Pairs are trainings with one seed. After the third seed and after each one that follows, a comparison is "
        f"decided if the t interval of its mean difference, at the level that this look may spend, leaves out zero; "
        f"with at most {config.most} seeds, the chance that any claim is decided wrongly is at most {config.error:g}."
    )


def over_seeds(values: list[float | None]) -> Plain | None:
    """Mean and t interval over the seeds that have a value, and these values; None where none has."""
    there = [value for value in values if value is not None]
    if not there:
        return None
    figure = over_trainings(there) if len(there) > 1 else Figure.of(there[0])
    return figure.model_dump() | {"values": there}


def _waterfalls(study: Study, cards: dict[tuple[str, int], ScoreCard]) -> Plain:
    """By arm the stages of the error waterfall over its seeds, where the judge was asked for them."""
    found = {}
    for arm in study.recipes:
        falls = [card.waterfall for (of, _), card in cards.items() if of == arm and card.waterfall is not None]
        if falls:
            found[arm] = [
                {
                    "stage": stages[0].title,
                    "frechet": over_seeds([stage.frechet.value for stage in stages]),
                    "added": over_seeds([None if stage.added is None else stage.added.value for stage in stages]),
                }
                for stages in zip(*(fall.stages for fall in falls), strict=True)
            ]
    return found


def _run(run: Run, progress: StudyRuns, card: ScoreCard | None) -> Plain:
    """Where a run is, below the study's folder; how it is made again; what it came to."""
    folder = f"{run.arm}/seed-{run.seed}"
    words = ["arena", "train", f"{run.arm}/recipe.yaml", f"seed={run.seed}", "--out", folder]
    words += ["--samples", str(progress.study.config.samples), *(["--waterfall"] * progress.study.config.waterfall)]
    figures = dict(run.figures)
    if card is not None:
        figures |= {"steps": card.steps} | ({} if card.timing is None else {"ms": card.timing.ms_per_sample.value})
    said = {"arm": run.arm, "seed": run.seed, "state": str(run.state), "folder": folder}
    return said | {"command": shlex.join(words), "figures": figures}


def _curves(study: Study, done: list[Run]) -> Iterator[Plain]:
    """The loss of every stage of every run, at some of its steps, and the multiply-adds of the stage until then."""
    costs: dict[str, dict[str, StageCost]] = {}
    for run in done:
        recipe, logs = study.recipes[run.arm], run.folder / "logs"
        found = {stage: columns for stage in recipe.training.stages() if (columns := curve(logs, stage))}
        if found and run.arm not in costs:
            bundle = open_bundle(run.folder / BUNDLE, trust=OWN).card
            costs[run.arm] = training_cost(recipe, bundle.shape, bundle.classes, EXAMPLES)
        for stage, columns in found.items():
            cost, kept = costs[run.arm][stage], evenly(len(columns["step"]), KEPT)
            macs = [cost.prepared + TRAINED * cost.forward * columns["samples"][i] for i in kept]
            yield {
                "arm": run.arm,
                "seed": run.seed,
                "stage": stage,
                "steps": [int(columns["step"][i]) for i in kept],
                "macs": [float(f"{value:.4g}") for value in macs],
                "losses": [float(f"{columns['loss'][i]:.4g}") for i in kept],
            }
