"""The pages of a study, for people and for programs: verdicts first, then the figures of every arm."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from latentarena.card.catalogue import METRICS
from latentarena.card.figure import Figure
from latentarena.files import write_json, write_text
from latentarena.report.scorecard import environment
from latentarena.study.charts import fronts, learning_curves, page_of
from latentarena.study.found import found_in
from latentarena.study.grids import same_noise
from latentarena.study.runs import StudyRuns

FILES = ("study.md", "study.html", "study.json", "study.csv")


def write_study(progress: StudyRuns, command: str) -> None:
    """Write page, data and table into the study's folder.

    Args:
        command: that makes the study again.

    Raises:
        OutputError: a file cannot be written.
    """
    found = found_in(progress, command)
    page, report, data, table = (progress.folder / name for name in FILES)
    write_text(page, markdown(found))
    pictures, walks = same_noise(progress)
    drawn = {"fronts": fronts(found), "learning": learning_curves(found), "pictures": pictures, "walks": walks}
    template = environment().get_template("study.html")
    write_text(report, template.render(found, **drawn, cell=shown_figure, page_of=page_of))
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
    lines += ["", found["rule"], "", *table(["arm", "seeds", *found["columns"].values()], _arm_rows(found))]
    lines += ["", "Means over seeds, with the 95 % t interval of the mean."]
    lines += _waterfall_lines(found)
    lines += ["", "## What the arms differ in", ""]
    arms = [one["arm"] for one in found["arms"]]
    rows = [[f"`{key}`", *(values[arm] for arm in arms)] for key, values in found["factors"].items()]
    lines += [*table(["key", *arms], rows), "", f"Asked about: {', '.join(found['asks']) or 'nothing'}."]
    return "\n".join([*lines, *(["", *found["failures"]] if found["failures"] else [])]) + "\n"


def _arm_rows(found: dict[str, Any]) -> Iterator[list[str]]:
    for one in found["arms"]:
        cells = [shown_figure(figure) for figure in one["figures"].values()]
        yield [one["arm"], str(len(one["seeds"])), *cells]


def _waterfall_lines(found: dict[str, Any]) -> list[str]:
    """The error waterfalls as a table, where the judge was asked for them."""
    rows = [
        [arm, stage["stage"], shown_figure(stage["frechet"]), shown_figure(stage["added"])]
        for arm, stages in found["waterfalls"].items()
        for stage in stages
    ]
    head = ["arm", "stage", "Frechet distance", "adds"]
    return ["", "## Where the Frechet distance comes from", "", *table(head, rows)] if rows else []


def shown_figure(figure: dict[str, Any] | None) -> str:
    """A cell: mean and interval; the value alone where all seeds agree."""
    if figure is None:
        return "–"
    one = Figure.of(figure["value"], figure["low"], figure["high"])
    form = ",.0f" if one.value >= 1000 else ".4g"
    return f"{one.value:{form}}" if one.low == one.high else f"{one:{form}}"


def table(head: list[str], rows: Any) -> list[str]:
    """A table in Markdown, line by line."""
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]


def _csv(progress: StudyRuns) -> str:
    """A line by run: arm, seed, state, folder, command's recipe and every figure."""
    names = [name for name in METRICS if any(name in run.figures for run in progress.runs)]
    out = io.StringIO()
    lines = csv.writer(out, lineterminator="\n")
    lines.writerow(["arm", "seed", "state", "folder", *names])
    for run in progress.runs:
        lines.writerow([run.arm, run.seed, run.state, run.folder, *(run.figures.get(name, "") for name in names)])
    return out.getvalue()
