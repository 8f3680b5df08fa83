"""Two finished studies beside each other: arms of one name, figure by figure, and claims that both decided."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

from latentarena.card.catalogue import METRICS
from latentarena.card.figure import Better, Figure
from latentarena.documents import read_json
from latentarena.errors import ConfigError
from latentarena.study.found import Plain
from latentarena.study.page import FILES, shown_figure, table

DATA = next(name for name in FILES if name.endswith(".json"))
LARGEST = 1 << 24  # bytes of a study's data
KEYS = ("title", "command", "data", "judge", "source", "verdicts", "arms")
SAME = {"data": "data", "judge": "judge", "source": "code"}


def read_found(path: Path) -> Plain:
    """What a finished study found.

    Args:
        path: its folder, or its `study.json`.

    Raises:
        ConfigError: there is none, or it is of another kind.
    """
    file = path / DATA if path.is_dir() else path
    found = read_json(file, LARGEST, "study", f"give a finished study's folder, or its {DATA}")
    lacking = [key for key in KEYS if not isinstance(found, dict) or key not in found]
    if lacking:
        raise ConfigError(f"{file} is no finished study, for it lacks {', '.join(lacking)}; give a study's {DATA}")
    return cast(Plain, found)


def comparison(first: Plain, second: Plain) -> str:
    """Two studies beside each other, as Markdown.

    Raises:
        ConfigError: they have no arm of one name.
    """
    arms = [{one["arm"]: one for one in found["arms"]} for found in (first, second)]
    shared = [arm for arm in arms[0] if arm in arms[1]]
    if not shared:
        names = " and ".join(", ".join(known) for known in arms)
        raise ConfigError(f"the studies share no arm: they have {names}; compare studies with arms of one name")
    lines = [f"# {first['title']}: two studies", ""]
    lines += [f"- {letter}: `{one['command']}`, {one['title']}" for letter, one in (("A", first), ("B", second))]
    lines += [f"- Not of the same {what}: their figures differ for that too." for what in unlike(first, second)]
    lines += ["", *table(["arm", "figure", "A", "B", "B - A", ""], _rows(arms[0], arms[1], shared)), ""]
    lines += ["Means over seeds with 95 % t intervals; the difference is that of independent trainings."]
    for letter, own, other in (("A", arms[0], arms[1]), ("B", arms[1], arms[0])):
        alone = [arm for arm in own if arm not in other]
        lines += ["", f"Only in {letter}: {', '.join(alone)}."] if alone else []
    verdicts = list(_verdicts(first, second))
    lines += ["", *table(["claim", "A", "B"], verdicts)] if verdicts else []
    return "\n".join(lines) + "\n"


def unlike(first: Plain, second: Plain) -> list[str]:
    """What the figures of both rest on and is not the same: data, judge, code."""
    return [what for key, what in SAME.items() if first[key] != second[key]]


def difference(first: Plain, second: Plain) -> Figure | None:
    """Second minus first with its 95 % interval; None where one was trained with a single seed."""
    if min(len(first["values"]), len(second["values"])) < 2:
        return None
    one, other = (Figure(value=each["value"], low=each["low"], high=each["high"]) for each in (first, second))
    return other.minus(one)


def _rows(first: Plain, second: Plain, arms: list[str]) -> Iterator[list[str]]:
    for arm in arms:
        figures, others = first[arm]["figures"], second[arm]["figures"]
        for name in figures:
            one, other = figures[name], others.get(name)
            if one is None or other is None:
                continue
            apart = difference(one, other)
            cells = [arm, METRICS[name].title, shown_figure(one), shown_figure(other)]
            yield [*cells, "–" if apart is None else f"{apart:+.3g}", _word(apart, METRICS[name].better)]


def _word(apart: Figure | None, better: Better) -> str:
    """Which of the two is better, where that is shown."""
    if apart is None or better not in (Better.LOWER, Better.HIGHER):
        return ""
    if apart.low <= 0 <= apart.high:
        return "no difference shown" if apart.low < apart.high else "equal"
    return "B is better" if (apart.high < 0) == (better is Better.LOWER) else "A is better"


def _verdicts(first: Plain, second: Plain) -> Iterator[list[str]]:
    words = {one["claim"]: one["word"] for one in second["verdicts"]}
    for one in first["verdicts"]:
        if one["claim"] in words:
            yield [f"`{one['claim']}`", one["word"], words[one["claim"]]]
