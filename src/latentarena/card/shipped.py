"""The judges that ship with the package, known by the names of their files."""

from __future__ import annotations

from pathlib import Path

SHIPPED = Path(__file__).parents[1] / "judge" / "weights"


def official(dataset: str, judge_hash: str) -> bool:
    """Whether a judge is the one shipped for a dataset, by its hash; any will do where none is shipped."""
    shipped = list(SHIPPED.glob(f"{dataset}-*.safetensors"))
    return not shipped or any(judge_hash.startswith(path.stem.rpartition("-")[2]) for path in shipped)
