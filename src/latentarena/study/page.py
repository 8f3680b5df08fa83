"""What a study found, for people and for programs: verdicts first, then the figures of every arm."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from latentarena.card.catalogue import METRICS
from latentarena.card.figure import Figure
from latentarena.card.trainings import over_trainings
from latentarena.facts import machine
from latentarena.files import write_json, write_text
from latentarena.pictures import Picture, embed_file
from latentarena.report.scorecard import environment
from latentarena.run.pipeline import PICTURE, finished
from latentarena.study.claims import Verdict, named
from latentarena.study.plan import Study
from latentarena.study.runs import State, StudyRuns

ALWAYS = ("parameters", "mse", "frechet")  # figures that every page shows where they are known
FILES = ("study.md", "study.html", "study.json", "study.csv")


def write_study(progress: StudyRuns, command: str) -> None:
    """Write page, data and table into the study's folder.

    Args:
        command: that makes the study again.

    Raises:
        OutputError: a file cannot be written.
    """
    found = _found(progress, command)
    page, report, data, table = (progress.folder / name for name in FILES)
    write_text(page, markdown(found))
    template = environment().get_template("study.html")
    write_text(report, template.render(found, pictures=_pictures(progress), cell=shown_figure))
    write_json(data, found)
    write_text(table, _csv(progress))


def markdown(found: dict[str, Any]) -> str:
    """The page in Markdown, of what was found, as study.json has it."""
    lines = [f"# {found['title']}", "", f"Made by `{found['command']}` on {found['machine']}.", ""]
    lines += [found["about"], ""] if found["about"] else []
    for one in found["verdicts"]:
        lines.append(
            f"- **{one['word']}**: `{one['claim']}`: {'; '.join(filter(None, [*one['effects'], one['beside']]))}"
        )
    lines += ["", found["rule"], "", *_table(["arm", "seeds", *found["columns"].values()], _arm_rows(found))]
    lines += ["", "Means over seeds, with the 95 % t interval of the mean.", "", "## What the arms differ in", ""]
    arms = [one["arm"] for one in found["arms"]]
    rows = [[f"`{key}`", *(values[arm] for arm in arms)] for key, values in found["factors"].items()]
    lines += [*_table(["key", *arms], rows), "", f"Asked about: {', '.join(found['asks']) or 'nothing'}."]
    return "\n".join([*lines, *(["", *found["failures"]] if found["failures"] else [])]) + "\n"


def _found(progress: StudyRuns, command: str) -> dict[str, Any]:
    """Everything that the pages say, as plain data."""
    study, verdicts = progress.study, progress.verdicts
    done = [run for run in progress.runs if run.figures]
    known = {name for run in done for name in run.figures}
    names = [name for name in dict.fromkeys([*ALWAYS, *named(study.claims)]) if name in known]
    first = next((finished(run.folder) for arm in study.recipes for run in done if run.arm == arm), None)
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
        "verdicts": [_said(one, study) for one in verdicts],
        "rule": _rule(progress),
        "columns": {name: METRICS[name].title for name in names},
        "arms": [
            {
                "arm": arm,
                "seeds": [*found],
                "figures": {name: _over([one.get(name) for one in found.values()]) for name in names},
            }
            for arm, found in progress.figures.items()
        ],
        "factors": study.factors,
        "asks": list(study.config.asks),
        "failures": [
            f"{run.arm} with seed {run.seed} failed: {run.last_line}"
            for run in progress.runs
            if run.state is State.FAILED
        ],
    }


def _said(verdict: Verdict, study: Study) -> dict[str, Any]:
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


def _over(values: list[float | None]) -> dict[str, Any] | None:
    there = [value for value in values if value is not None]
    if not there:
        return None
    figure = over_trainings(there) if len(there) > 1 else Figure.of(there[0])
    return figure.model_dump() | {"values": there}


def _arm_rows(found: dict[str, Any]) -> Iterator[list[str]]:
    for one in found["arms"]:
        cells = [shown_figure(figure) for figure in one["figures"].values()]
        yield [one["arm"], str(len(one["seeds"])), *cells]


def shown_figure(figure: dict[str, Any] | None) -> str:
    """A cell: mean and interval; the value alone where all seeds agree."""
    if figure is None:
        return "–"
    one = Figure.of(figure["value"], figure["low"], figure["high"])
    form = ",.0f" if one.value >= 1000 else ".4g"
    return f"{one.value:{form}}" if one.low == one.high else f"{one:{form}}"


def _table(head: list[str], rows: Any) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]


def _csv(progress: StudyRuns) -> str:
    """A line by run: arm, seed, state, folder, command's recipe and every figure."""
    names = [name for name in METRICS if any(name in run.figures for run in progress.runs)]
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(["arm", "seed", "state", "folder", *names])
    for run in progress.runs:
        table.writerow([run.arm, run.seed, run.state, run.folder, *(run.figures.get(name, "") for name in names)])
    return out.getvalue()


def _pictures(progress: StudyRuns) -> list[Picture]:
    """The samples of each arm's first seed."""
    first = {run.arm: run.folder / PICTURE for run in reversed(progress.runs) if (run.folder / PICTURE).exists()}
    return [embed_file(first[arm], f"samples of {arm}", arm) for arm in progress.study.recipes if arm in first]
