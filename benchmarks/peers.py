"""Latent Arena beside torchcfm, flow_matching, diffusers, torch-fidelity, scikit-image and a loop written by hand.

    make peers    # installs the peers without what they depend on, then runs
    python benchmarks/peers.py [--out DIR] [--quick] [--only timed race] [--who NAME ...] [--minutes M] ...

One thread. `timed` compares the cost of equal work, in alternating blocks of one process; `race` trains each peer's own
example for so many minutes of processor time and has our own judge look at its samples. Needs MNIST. Writes peers.json,
peers.md and peers.png into DIR, docs/ unless given; every figure of the page comes from the JSON file, where what was
measured before stays until it is measured again.
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
from peers_race import OURS, PEERS, about, curve
from peers_timed import timed

ROOT = Path(__file__).resolve().parents[1]
NAMED = ("torchcfm", "flow_matching", "diffusers", "torchdiffeq", "POT", "torch_fidelity", "scikit-image")
ROUNDS, MINUTES, POINTS, SAMPLES, EVALUATIONS = 7, 3.0, 3, 200, 20
QUICK = {"rounds": 2, "minutes": 0.2, "points": 1, "samples": 100}


def facts() -> dict[str, Any]:
    """What is recorded with every part: machine, threads, code and versions."""
    named = versions() | {name: version(name) for name in NAMED}
    return {"machine": machine(), "threads": torch.get_num_threads(), "code": source_digest()[:12], "versions": named}


def measured(rounds: int) -> Iterator[dict[str, Any]]:
    """The part `timed`, again after each row."""
    found: dict[str, Any] = facts() | {"rounds": rounds, "rows": []}
    for row in timed(rounds):
        found["rows"].append(row)
        yield found


def raced(who: str, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A contender of the part `race`, again after each point."""
    how = {name: getattr(options, name) for name in ("minutes", "samples", "evaluations")}
    found: dict[str, Any] = facts() | how | {"about": about(who, options.evaluations), "curve": []}
    ends = 60 * options.minutes, options.points, options.samples, options.seeds
    for point in curve(who, *ends, options.evaluations):
        found["curve"].append(point)
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
    parser.add_argument("--evaluations", type=int, default=EVALUATIONS, help="of a peer's network, for a sample")
    parser.add_argument("--who", nargs="*", choices=(OURS, *PEERS), default=(OURS, *PEERS), help="who races; all do")
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each contender")
    options = parser.parse_args()
    if options.quick:
        vars(options).update(QUICK)
    torch.set_num_threads(1)
    kept = make_folder(options.out) / "peers.json"
    found: dict[str, Any] = json.loads(kept.read_text("utf-8")) if kept.exists() else {}
    if "timed" in options.only:
        for part in measured(options.rounds):
            write_json(kept, found := found | {"timed": part})
    for who in options.who if "race" in options.only else ():
        for part in raced(who, options):
            write_json(kept, found := found | {"race": found.get("race", {}) | {who: part}})
    write_text(options.out / "peers.md", page(found))
    picture(found, options.out / "peers.png")


if __name__ == "__main__":
    sys.exit(main())
