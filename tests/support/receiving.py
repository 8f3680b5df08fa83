"""A contest that receives entries, and what its object store holds."""

from __future__ import annotations

from pathlib import Path

from arena_site import Site
from latentarena.evaluate.contests import CONTESTS


def a_contest(folder: Path, **lines: str) -> str:
    """The contest `open` with other lines."""
    text = (CONTESTS / "open.yaml").read_text()
    kept = [line for line in text.splitlines() if line.partition(":")[0] not in lines]
    path = folder / "contest.yaml"
    path.write_text("\n".join([*kept, *(f"{key}: {value}" for key, value in lines.items()), ""]))
    return str(path)


def objects(site: Site) -> list[Path]:
    return [path for path in (site.folder / "objects").rglob("*") if path.is_file()]
