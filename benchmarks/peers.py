"""Latent Arena beside torchcfm, flow_matching, diffusers, torch-fidelity, scikit-image and a loop written by hand.

    make peers    # installs the peers without what they depend on, then runs
    python benchmarks/peers.py [--out DIR] [--quick] [--only timed race] [--minutes M] [--points N] [--samples N]

One thread. `timed` compares the cost of equal work, in alternating blocks of one process; `race` trains each peer's own
example for so many minutes of processor time and has our own judge look at its samples. Needs MNIST. Writes peers.json,
peers.md and peers.png into DIR, docs/ unless given; every figure of the page comes from the JSON file, where what was
measured before stays until its part is measured again.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from latentarena.facts import machine, source_digest, versions
from latentarena.files import make_folder, write_json, write_text
from peers_page import page, picture
from peers_race import race, told
from peers_timed import timed

ROOT = Path(__file__).resolve().parents[1]
PEERS = ("torchcfm", "flow_matching", "diffusers", "torchdiffeq", "POT", "torch_fidelity", "scikit-image")
ROUNDS, MINUTES, POINTS, SAMPLES = 7, 2.0, 3, 200
QUICK = {"rounds": 2, "minutes": 0.2, "points": 1, "samples": 100}


def facts() -> dict[str, Any]:
    """What is recorded with every part: machine, threads, code and versions."""
    named = versions() | {name: version(name) for name in PEERS}
    return {"machine": machine(), "threads": torch.get_num_threads(), "code": source_digest()[:12], "versions": named}


def measured(rounds: int) -> Iterator[dict[str, Any]]:
    """The part `timed`, again after each row."""
    found: dict[str, Any] = facts() | {"rounds": rounds, "rows": []}
    for row in timed(rounds):
        found["rows"].append(row)
        yield found


def raced(minutes: float, points: int, samples: int, seeds: int) -> Iterator[dict[str, Any]]:
    """The part `race`, again after each point."""
    found: dict[str, Any] = facts() | {"minutes": minutes, "settings": told(), "points": []}
    for point in race(60 * minutes, points, samples, seeds):
        found["points"].append(point)
        yield found


def main() -> None:
    """Measure the parts that were asked for and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "docs")
    parser.add_argument("--quick", action="store_true", help="few rounds and a short race: does it all run")
    parser.add_argument("--only", nargs="*", choices=("timed", "race"), default=["timed", "race"])
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of alternating blocks")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="of processor time, for each training")
    parser.add_argument("--points", type=int, default=POINTS, help="of each curve")
    parser.add_argument("--samples", type=int, default=SAMPLES, help="judged at each point")
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each contender")
    options = parser.parse_args()
    if options.quick:
        vars(options).update(QUICK)
    torch.set_num_threads(1)
    kept = make_folder(options.out) / "peers.json"
    found: dict[str, Any] = json.loads(kept.read_text("utf-8")) if kept.exists() else {}
    parts = {
        "timed": lambda: measured(options.rounds),
        "race": lambda: raced(options.minutes, options.points, options.samples, options.seeds),
    }
    for name in options.only:
        for part in parts[name]():
            found[name] = part
            write_json(kept, found)
    write_text(options.out / "peers.md", page(found))
    picture(found, options.out / "peers.png")


if __name__ == "__main__":
    sys.exit(main())
