"""Every recipe once on a GPU, from raw data to a judged bundle; makes the GPU columns of docs/results.md.

    python benchmarks/gpu.py [RECIPE ...] [--runs DIR] [--docs DIR] [--accelerator cuda] [--precision 32-true]

A run is made by `arena train` in a process of its own, with nothing taken from the cache of stages. Its bundle is then
judged on the GPU and on the CPU, and the two cards are compared: how many of the figures lie within each other's error
bars. What is measured goes into gpu.json beside the page, of which `benchmarks/results.py --render` makes the columns;
where nothing was measured they stay empty. The exit status is the number of recipes whose two cards disagree, or 1
where there is no such device.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from latentarena.card.score_card import ScoreCard, read_card
from latentarena.errors import ArenaError
from latentarena.facts import machine
from latentarena.files import cache_folder, make_folder, write_json
from latentarena.train.fabric import make_fabric
from latentarena.train.recipe import load_recipe
from latentarena.train.shelf import recipe_names

ROOT = Path(__file__).resolve().parents[1]
FIGURES = "gpu.json"


def arena(*words: str, cache: str | None = None) -> None:
    """One command of a user."""
    environment = os.environ | ({"LATENTARENA_CACHE": cache} if cache else {})
    subprocess.run([sys.executable, "-m", "latentarena", *words], check=True, env=environment)


def agreement(one: ScoreCard, other: ScoreCard) -> tuple[int, int]:
    """How many figures of two cards of one bundle lie within each other's intervals, and of how many."""
    pairs = [(one.scores[name], other.scores[name]) for name in one.scores if name in other.scores]
    return sum(a.meets(b) for a, b in pairs), len(pairs)


def measure(name: str, folder: Path, accelerator: str, precision: str) -> dict[str, Any]:
    """The whole command's seconds, and the cards of GPU and CPU."""
    where = ("--accelerator", accelerator, "--precision", precision)
    with tempfile.TemporaryDirectory() as cache:  # the judge's own preparations stay: they are of the data
        link_cache(Path(cache))
        began = time.perf_counter()
        arena("train", name, "--out", str(folder), *where, cache=cache)
        seconds = time.perf_counter() - began
    cards = {}
    for device in (accelerator, "cpu"):
        card = folder / f"judged-{device}.json"
        arena("judge", str(folder / "bundle"), "--json", str(card), "--accelerator", device)
        cards[device] = read_card(card)
    within, figures = agreement(cards[accelerator], cards["cpu"])
    frechet = {device: card.scores["frechet"].model_dump() for device, card in cards.items()}
    return {"seconds": seconds, "frechet": frechet, "within": within, "figures": figures, "precision": precision}


def link_cache(cache: Path) -> None:
    """A cache without stages and latents, so that nothing is taken from an earlier training."""
    for part in cache_folder().iterdir():
        if part.name not in ("stages", "latents"):
            (cache / part.name).symlink_to(part)


def main() -> int:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "gpu")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs")
    parser.add_argument("--accelerator", default="cuda")
    parser.add_argument("--precision", default="32-true")
    asked = parser.parse_args()
    try:
        make_fabric(asked.accelerator, "1", 1, asked.precision, "auto")
        names = [load_recipe(name).name for name in asked.recipes or recipe_names()]
    except ArenaError as error:
        print(f"nothing is measured: {error}", file=sys.stderr)
        return 1
    kept = asked.docs / FIGURES
    found: dict[str, Any] = json.loads(kept.read_bytes()) if kept.exists() else {"recipes": {}}
    device = torch.cuda.get_device_name() if asked.accelerator == "cuda" else asked.accelerator
    found["machine"] = f"{device}, {machine()}"
    for name in names:
        found["recipes"][name] = measure(name, make_folder(asked.runs / name), asked.accelerator, asked.precision)
        print(name, found["recipes"][name], flush=True)
        write_json(kept, found)
    return sum(one["within"] < 0.95 * one["figures"] for one in found["recipes"].values())


if __name__ == "__main__":
    sys.exit(main())
