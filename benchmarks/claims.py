"""Write docs/claims.md, the claims ledger, and the README's part of it with a picture: what became of every claim.

    python benchmarks/claims.py

Verdicts come from the results of finished studies in docs/studies/*.json, as `arena study` writes them; a shipped study
without such a file is listed as not yet run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from latentarena.documents import read_yaml
from latentarena.files import write_atomically, write_text
from latentarena.pictures import figure_bytes
from latentarena.study.plan import STUDIES

ROOT = Path(__file__).resolve().parents[1]
DOCS, README = ROOT / "docs", ROOT / "README.md"
FRONT = {  # claims that the README shows, by study
    "prior-flow": "frechet[vae-beta-0.015] < 0.5 * prior_frechet[vae-beta-0.015]",
    "sizes": "frechet[fm-small] > frechet[fm-base] > frechet[fm-large]",
    "coupling": "frechet[transport-labels] < frechet[independent-labels]",
}
BEGIN, END = "<!-- by benchmarks/claims.py -->", "<!-- end of it -->"
TERM = re.compile(r"(\w+)\[([^\]]+)\]")  # a figure of an arm
HEAD = """# Claims

Each row is a claim that somebody makes about designs of small latent generative models, and what became of it: every
arm was trained with several seeds, compared seed by seed, and decided by [a sequential test](studies.md) whose error
rate is stated. An effect is a mean difference over seeds with its 95 % t interval. A verdict holds for the data, the
sizes and the budgets of its study. `python benchmarks/claims.py` makes this page of the studies' results.
"""


def results(folder: Path) -> dict[str, dict[str, Any]]:
    """What finished studies found, by name, as `study.json` has it."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}


def shipped() -> dict[str, dict[str, Any]]:
    """The shipped studies by name, as their files say them."""
    return {name: read_yaml(STUDIES.source(name)) for name in STUDIES.names()}


def page(found: Mapping[str, dict[str, Any]], studies: Mapping[str, dict[str, Any]]) -> str:
    """The page of results and shipped studies, both by name."""
    lines = [HEAD, "## Decided by results", "", *_table("claim", "made by", "verdict", "effect", "seeds", "study")]
    lines += [row for name, one in found.items() for row in _decided(name, one, studies.get(name, {}))]
    lines += ["", "## Not yet run", "", "Shipped with their claims; nothing is said of them until there are results."]
    lines += ["", *_table("study", "claims", "made by", "command", "within an hour on two cores")]
    lines += [_open(name, one) for name, one in studies.items() if name not in found]
    return "\n".join(lines) + "\n"


def front(found: Mapping[str, dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Name, results and verdict of the claims that the README shows and that results are there for."""
    for name, claim in FRONT.items():
        if one := found.get(name):
            yield name, one, next(verdict for verdict in one["verdicts"] if verdict["claim"] == claim)


def with_front(readme: str, found: Mapping[str, dict[str, Any]]) -> str:
    """The README with what became of its claims, between the two marks."""
    lines = [
        f"- [{one['title']}](docs/studies/{name}.md): `{said['claim']}` **{said['word']}**: {said['effects'][0]}."
        for name, one, said in front(found)
    ]
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    made = ["", "", *lines, "", "![A dot for each training, a bar for their mean](docs/claims.png)", "", ""]
    return before + BEGIN + "\n".join(made) + END + after


def picture(found: Mapping[str, dict[str, Any]]) -> Figure:
    """Every training's figure as a dot, a row for each term of a claim and a panel for each claim."""
    shown = list(front(found))
    figure = Figure(figsize=(9, 0.6 + 1.7 * len(shown)), layout="constrained")
    for axes, (_, one, verdict) in zip(figure.subplots(len(shown), 1, squeeze=False)[:, 0], shown, strict=True):
        terms = list(dict.fromkeys(TERM.findall(verdict["claim"])))
        drawn = []
        for row, (name, arm) in enumerate(terms):
            values = [run["figures"][name] for run in one["runs"] if run["arm"] == arm and name in run["figures"]]
            drawn += values
            axes.plot(values, [row] * len(values), "o", color="#3b6ea5", alpha=0.7)
            axes.plot(sum(values) / len(values), row, "|", color="#b3452c", markersize=18)
        wide = max(drawn) > 2 * min(drawn)
        axes.set(ylim=(len(terms) - 0.5, -0.5), xscale="log" if wide else "linear")
        axes.set_yticks(range(len(terms)), [f"{name}[{arm}]" for name, arm in terms])
        axes.set_title(f"{one['title']}: {verdict['word']}", loc="left", fontsize=10)
        if wide:
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_minor_formatter(NullFormatter())
        axes.xaxis.set_major_formatter("{x:g}")
        axes.grid(axis="x", alpha=0.3)
    return figure


def _decided(name: str, found: dict[str, Any], study: dict[str, Any]) -> Iterator[str]:
    """A row for each claim of a finished study."""
    made_by = found.get("origin") or study.get("origin", "")
    link = f"[{found['title']}](studies/{name}.md), `{found['command']}`, {found['machine']}"
    for one in found["verdicts"]:
        effects = "<br>".join(filter(None, [*one["effects"], one["beside"]]))
        arms = [arm for arm in found["arms"] if f"[{arm['arm']}]" in one["claim"]]
        seeds = sorted({len(arm["seeds"]) for arm in arms})
        yield _row(f"`{one['claim']}`", made_by, f"**{one['word']}**", effects, _span(seeds), link)


def _open(name: str, study: dict[str, Any]) -> str:
    """The row of a study without results."""
    claims = "<br>".join(f"`{claim}`" for claim in study["claims"])
    return _row(study["title"], claims, study["origin"], f"`arena study {name}`", f"`--budget {study['quick']:g}`")


def _span(seeds: list[int]) -> str:
    return f"{seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else "".join(map(str, seeds))


def _table(*head: str) -> list[str]:
    return [_row(*head), _row(*["---"] * len(head))]


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    known = results(DOCS / "studies")
    write_text(DOCS / "claims.md", page(known, shipped()))
    write_atomically(DOCS / "claims.png", figure_bytes(picture(known)))
    write_text(README, with_front(README.read_text(encoding="utf-8"), known))
