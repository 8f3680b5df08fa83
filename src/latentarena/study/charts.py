"""The plots of a study's page, made of what was found: quality against cost, and learning curves."""

from __future__ import annotations

from collections.abc import Iterator

from latentarena.report.plots import Drawn, Line, Mark, Plot, draw, pareto
from latentarena.study.found import Plain

COSTS = {
    "parameters": "parameters",
    "steps": "solver steps",
    "macs": "multiply-adds a sample",
    "ms": "milliseconds a sample",
}
"""What quality is held against, by name of a run's figure."""
QUALITY = "frechet"


def fronts(found: Plain) -> list[Drawn]:
    """The Frechet distance of every run against each cost in which runs differ, and the arms that none beats."""
    costs = {cost: {run["figures"].get(cost) for run in found["runs"]} - {None} for cost in COSTS}
    plots = (_front(found, cost, label) for cost, label in COSTS.items() if len(costs[cost]) > 1)
    return [drawn for plot in plots if (drawn := draw(plot)) is not None]


def _front(found: Plain, cost: str, label: str) -> Plot:
    arms = [one["arm"] for one in found["arms"]]
    done = [run for run in found["runs"] if cost in run["figures"] and QUALITY in run["figures"]]
    means = {arm: _mean([run["figures"] for run in done if run["arm"] == arm], cost) for arm in arms}
    known = {arm: mean for arm, mean in means.items() if mean is not None}
    marks = []
    for run in done:
        x, y = (run["figures"][name] for name in (cost, QUALITY))
        words = run_words(run, f"Frechet distance {y:.4g}, {label} {x:,.6g}")
        marks.append(Mark(x, y, words, arms.index(run["arm"]), page_of(run)))
    marks += [
        Mark(x, y, f"{arm}, mean over seeds: Frechet distance {y:.4g}, {label} {x:,.6g}", arms.index(arm), large=True)
        for arm, (x, y) in known.items()
    ]
    front = pareto(list(known.values()))
    names = [arm for arm, mean in known.items() if mean in front]
    line = [Line(front, f"not beaten in both: {', '.join(names)}", dashed=True)] if len(front) > 1 else []
    wide = {x for x, _ in known.values()}
    logarithmic = (bool(wide) and max(wide) > 3 * min(wide) > 0, True)
    caption = f"Not beaten in both by another arm: {', '.join(names)}."
    return Plot(f"Frechet distance against {label}", label, "Frechet distance", arms, marks, line, logarithmic, caption)


def _mean(figures: list[dict[str, float]], cost: str) -> tuple[float, float] | None:
    """Mean cost and mean quality of some runs; None where there are none."""
    if not figures:
        return None
    return tuple(sum(one[name] for one in figures) / len(figures) for name in (cost, QUALITY))  # type: ignore[return-value]


def run_words(run: Plain, said: str) -> str:
    """A run for those who point at it: what is said of it, where it is, and the command that makes it."""
    return f"{run['arm']}, seed {run['seed']}: {said}\n{run['folder']}\n{run['command']}"


def page_of(run: Plain) -> str:
    """The report of a run, beside the study's page."""
    return f"{run['folder']}/report.html"


def learning_curves(found: Plain) -> list[Drawn]:
    """The loss of each stage by optimizer steps and by multiply-adds, a line for each run."""
    plots = (plot for stage in dict.fromkeys(one["stage"] for one in found["curves"]) for plot in _curves(found, stage))
    return [drawn for plot in plots if (drawn := draw(plot)) is not None]


def _curves(found: Plain, stage: str) -> Iterator[Plot]:
    arms = [one["arm"] for one in found["arms"]]
    runs = {(run["arm"], run["seed"]): run for run in found["runs"]}
    curves = [one for one in found["curves"] if one["stage"] == stage]
    for key, label in (("steps", "optimizer steps"), ("macs", "multiply-adds of the stage")):
        lines = []
        for one in curves:
            run = runs[one["arm"], one["seed"]]
            words = run_words(run, f"loss {one['losses'][-1]:.4g} after {one[key][-1]:,.4g} {label}")
            points = list(zip(one[key], one["losses"], strict=True))
            lines.append(Line(points, words, arms.index(one["arm"]), page_of(run)))
        losses = [loss for one in curves for loss in one["losses"]]
        steep = min(losses) > 0 and max(losses) > 5 * min(losses)
        yield Plot(f"{stage}, by {label}", label, "loss", arms, lines=lines, logarithmic=(False, steep))
