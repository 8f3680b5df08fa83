"""Measure what the quickstart promises, with the commands a user would run, and write docs/quickstart.md.

    python benchmarks/quickstart.py [--docs DIR] [--work DIR] [--tests]

Needs MNIST (`LATENTARENA_DATA` or the cache). Each figure stands beside its bar; the exit status is the number of
bars that were missed. `--tests` adds the wall time of the default test suite.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latentarena.facts import machine, versions

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Row:
    """One figure and the bar that it is held against."""

    what: str
    figure: float
    bar: float
    higher_is_better: bool = False

    @property
    def met(self) -> bool:
        return self.figure >= self.bar if self.higher_is_better else self.figure <= self.bar

    def cells(self) -> str:
        sign = ">=" if self.higher_is_better else "<="
        return f"| {self.what} | {self.figure:,.6g} | {sign} {self.bar:,.6g} | {'yes' if self.met else '**no**'} |"


def seconds(*command: str | Path, **environment: str) -> float:
    """Wall time of a command in a process of its own."""
    print("+", *command, flush=True)
    start = time.perf_counter()
    subprocess.run([str(part) for part in command], check=True, env=os.environ | environment, cwd=ROOT)
    return time.perf_counter() - start


def quickstart(arena: Callable[..., float], work: Path) -> tuple[list[Row], dict[str, Any]]:
    """Train on MNIST and read the score card."""
    wall = arena("train", "quickstart", "--out", work / "mnist")
    card = json.loads((work / "mnist" / "score.json").read_text())
    scores = card["scores"]
    rows = [
        Row("quickstart on MNIST, whole command (s)", wall, 240),
        Row("stored numbers", sum(card["parameters"].values()), 120_000),
        Row("latent dimension", math.prod(card["latent"]), 49),
        Row("test MSE", scores["mse"]["value"], 0.0042),
        Row("test SSIM", scores["ssim"]["value"], 0.955, higher_is_better=True),
        Row("class KL (nats)", scores["class_kl"]["value"], 0.01),
        Row(
            "confidence, distance to real data",
            abs(scores["confidence"]["value"] - scores["confidence"]["real"]["value"]),
            0.04,
        ),
        Row("Frechet distance", scores["frechet"]["value"], 0.2),
        Row(
            "Frechet distance / that of the prior", scores["frechet"]["value"] / scores["prior_frechet"]["value"], 0.05
        ),
    ]
    return rows, card


def main() -> int:
    """Run everything and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--docs", type=Path, default=ROOT / "docs")
    parser.add_argument("--work", type=Path, default=None, help="keep the runs here instead of a temporary folder")
    parser.add_argument("--tests", action="store_true", help="also time the default test suite")
    options = parser.parse_args()
    work = options.work or Path(tempfile.mkdtemp(prefix="quickstart-"))
    cache = work / "cache"

    def arena(*arguments: str | Path) -> float:
        return seconds(sys.executable, "-m", "latentarena", *arguments, LATENTARENA_CACHE=str(cache))

    rows, card = quickstart(arena, work)
    rows.append(
        Row(
            "quickstart on digits, whole command (s)", arena("train", "quickstart-digits", "--out", work / "digits"), 60
        )
    )
    bundle = work / "mnist" / "bundle"
    rows.append(Row("sample 10,000 images (s)", arena("sample", bundle, "-n", "10000", "--out", work / "x.npz"), 10))
    rows.append(Row("arena --help (s)", min(arena("--help") for _ in range(5)), 0.5))
    if options.tests:
        rows.append(Row("default test suite (s)", seconds("make", "test"), 300))

    text = page(rows, card)
    print(text)
    options.docs.mkdir(exist_ok=True)
    (options.docs / "quickstart.md").write_text(text)
    shutil.copy(work / "mnist" / "samples.png", options.docs / "samples.png")
    return sum(not row.met for row in rows)


def page(rows: list[Row], card: dict[str, Any]) -> str:
    """The table with everything that is needed to judge it."""
    parts = ", ".join(f"{part} {count:,}" for part, count in card["parameters"].items())
    lines = [
        "# The quickstart, measured",
        "",
        "Made by `python benchmarks/quickstart.py`; do not edit.",
        "",
        "| figure | measured | bar | met |",
        "|---|---:|---:|---|",
        *(row.cells() for row in rows),
        "",
        f"Parameters: {parts}. Latent: {'x'.join(map(str, card['latent']))}. "
        f"Sampler: {card['solver']}, {card['steps']} steps. Judge: `{card['judge']}`.",
        "",
        "| metric | this model | 95 % interval | real test data | 95 % interval |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, score in card["scores"].items():
        cells = [cell for one in (score, score["real"]) for cell in estimate(one)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    made = ", ".join(f"{name} {version}" for name, version in versions().items())
    lines += ["", f"Machine: {machine()}. {made}. Code (SHA-256): `{card['source'][:16]}`.", ""]
    return "\n".join(lines)


def estimate(one: dict[str, Any] | None) -> tuple[str, str]:
    """A figure and its interval; empty where there is no such thing."""
    if one is None:
        return "", ""
    exact = one["low"] == one["high"]
    return f"{one['value']:.5f}", "" if exact else f"{one['low']:.5f} to {one['high']:.5f}"


if __name__ == "__main__":
    sys.exit(main())
