"""Write docs/claims.md, the claims ledger: every claim of the shipped studies, and what became of it.

    python benchmarks/claims.py

Verdicts come from the results of finished studies in docs/studies/*.json, as `arena study` writes them; a shipped study
without such a file is listed as not yet run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from latentarena.documents import read_yaml
from latentarena.files import write_text
from latentarena.study.plan import STUDIES

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
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
    write_text(DOCS / "claims.md", page(results(DOCS / "studies"), shipped()))
