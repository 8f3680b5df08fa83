"""What training costs as data, network and processes grow, and write docs/scaling.json and docs/scaling.md.

    python benchmarks/scaling.py [--docs DIR] [--seconds N] [--render]

Every figure is of a process of its own, `arena train` as a user types it; speeds are the median of the second half of
its log. Needs MNIST, and a machine with nothing else to do.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from latentarena.data import DataConfig, load_dataset
from latentarena.facts import machine
from latentarena.files import write_json, write_text
from latentarena.model.latent_model import LatentModel
from latentarena.run.training_cost import training_cost
from latentarena.train.recipe import load_recipe

ROOT = Path(__file__).resolve().parents[1]
WIDTHS = (64, 128, 256, 512)
SIZES = (1_000, 10_000, 100_000)  # images
PROCESSES = {  # name: options, threads of each process
    "one process, one thread": ((), 1),
    "one process, two threads": ((), 2),
    "two processes, ddp": (("--devices", "2", "--strategy", "ddp"), 1),
    "two processes, fsdp": (("--devices", "2", "--strategy", "fsdp"), 1),
}
NETWORKS = {"quickstart": "a network of linear layers", "ldm-spatial": "a U-Net"}
BRIEF = ["training.autoencoder.epochs=0.05"]
READ = """
import json, resource, sys, time
from latentarena.data import DataConfig, load_dataset
begun = time.perf_counter()
data = load_dataset(DataConfig(name=f"folder:{sys.argv[1]}"))
seconds = time.perf_counter() - begun
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"seconds": seconds, "images": len(data.train), "peak": peak}))
"""
HEAD = """# What more costs

Made by `python benchmarks/scaling.py` on {machine}. Speeds are what `arena train` logs of the generator's stage, each
the median of half a training.

## A wider network

The quickstart's network at other widths, on one thread. G are thousand million multiply-adds, forwards and backwards.

| width | parameters | multiply-adds of a latent | latents a second | G a second |
|---|---|---|---|---|
"""
DATA = """
## More images

Own images of 28 x 28 in one `.npz` file, opened for the first time and again. Memory is the most that the whole program
held, {empty:,.0f} MB of which it takes with the fewest images.

| images | seconds, first | seconds, again | memory, first, MB | memory, again, MB |
|---|---|---|---|---|
"""
MANY = """
## More processes

With `--devices 2` each process takes half of every batch. Efficiency is the speed over twice that of one process with
one thread. `ddp` adds the slopes up; `fsdp` also divides weights, slopes, averages and the optimizer's memory among the
processes, and gathers the weights for every step: it is for networks that one device cannot hold.

| network | how | latents a second | efficiency |
|---|---|---|---|
"""
PLAN = """
## From one machine to many

1. **One device first.** Take the largest batch that still learns as well: a wider network and a larger batch both fill
   the device better, and neither waits for anyone. `--precision bf16-mixed` on a GPU.
2. **Several trainings, not one on several devices.** Seeds, arms of a study and trials of a search need not wait for
   each other: `arena study STUDY --on ray --jobs 8` or `--on slurm://PARTITION` ([Studies](studies.md#on-a-cluster)).
3. **`--devices N --strategy ddp`** once a single training takes too long on a GPU, where a step takes much longer than
   adding up the slopes. On one CPU threads do better than processes (above): leave it at one.
4. **`--nodes M`**: the same command on every machine, which see the run's folder by the same path. The first saves for
   all.
5. **`--strategy fsdp`** once weights, averages and optimizer do not fit into one device. Checkpoints stay whole: a run
   goes on with `--resume` with any number of processes, or with one.

Data larger than memory needs no plan: images are decoded once, row by row, into a file of the cache that is mapped into
memory ([Train](train.md)).
"""


def environment(threads: int, cache: Path) -> dict[str, str]:
    """Of a process with so many threads and a cache of its own."""
    return os.environ | {"OMP_NUM_THREADS": str(threads), "LATENTARENA_CACHE": str(cache)}


def speed(recipe: str, home: Path, threads: int, options: tuple[str, ...], *overrides: str) -> float:
    """Latents that the generator's stage takes in a second."""
    out = home / "run"
    words = [sys.executable, "-m", "latentarena", "train", recipe, *BRIEF, *overrides, *options]
    words += ["--accelerator", "cpu", "--no-judge", "--out", str(out)]
    subprocess.run(words, check=True, env=environment(threads, home / "cache"), stdout=subprocess.DEVNULL)
    with (out / "logs" / "generator.csv").open(newline="") as file:
        found = [float(row["samples_per_second"]) for row in csv.DictReader(file)]
    return median(found[len(found) // 2 :])


def epochs_for(recipe: str, seconds: float, *overrides: str) -> str:
    """The override that makes the generator's stage last about so long on one thread."""
    with tempfile.TemporaryDirectory() as home:
        probe = speed(recipe, Path(home), 1, (), "training.generator.epochs=0.2", *overrides)
    return f"training.generator.epochs={max(0.2, seconds * probe / 60_000):.3g}"


def widths(seconds: float) -> list[dict[str, float]]:
    """Speeds of the quickstart's network at several widths."""
    data, found = load_dataset(DataConfig()), []
    for width in WIDTHS:
        how = f"generator.backbone.width={width}"
        recipe = load_recipe("quickstart", [how])
        cost = training_cost(recipe, data.shape, data.classes, len(data.train))["generator"]
        config = recipe.training.generator
        forward = cost.total / 3 / config.batch / config.steps(len(data.train))
        with tempfile.TemporaryDirectory() as home:
            rate = speed("quickstart", Path(home), 1, (), how, epochs_for("quickstart", seconds, how))
        network = LatentModel(recipe.architecture(data.shape, data.classes)).network
        parameters = sum(one.numel() for one in network.parameters())
        found.append({"width": width, "parameters": parameters, "macs": forward, "speed": rate})
        print(found[-1], flush=True)
    return found


def sizes() -> list[dict[str, float]]:
    """Seconds and memory that own images take to be read, for the first time and again."""
    found = []
    for size in SIZES:
        with tempfile.TemporaryDirectory() as home:
            file, drawn = Path(home, "images.npz"), np.random.default_rng(0)
            images = drawn.integers(0, 256, (size + size // 10, 28, 28), dtype=np.uint8)
            labels = drawn.integers(0, 10, len(images))
            train, test = slice(0, size), slice(size, None)
            split = {"x_train": images[train], "y_train": labels[train], "x_test": images[test], "y_test": labels[test]}
            np.savez(file, **split)
            entry: dict[str, float] = {"images": size}
            for which in ("first", "again"):
                words = [sys.executable, "-c", READ, str(file)]
                done = subprocess.run(
                    words, check=True, capture_output=True, text=True, env=environment(1, Path(home, "cache"))
                )
                said = json.loads(done.stdout)
                entry |= {which: said["seconds"], f"{which} peak": said["peak"] / 1024}
            found.append(entry)
        print(entry, flush=True)
    return found


def processes(seconds: float) -> dict[str, dict[str, float]]:
    """Speeds of two networks by the processes and threads that train them."""
    found: dict[str, dict[str, float]] = {}
    for recipe in NETWORKS:
        how = epochs_for(recipe, seconds)
        for name, (options, threads) in PROCESSES.items():
            with tempfile.TemporaryDirectory() as home:
                found.setdefault(recipe, {})[name] = speed(recipe, Path(home), threads, options, how)
            print(recipe, name, found[recipe][name], flush=True)
    return found


def page(found: dict[str, Any]) -> str:
    """The page of what was measured."""
    text = HEAD.format(machine=found["machine"])
    for one in found["widths"]:
        work = 3 * one["macs"] * one["speed"] / 1e9
        text += f"| {one['width']} | {one['parameters']:,} | {one['macs']:,.0f} | {one['speed']:,.0f} | {work:.1f} |\n"
    text += DATA.format(empty=min(one["again peak"] for one in found["sizes"]))
    for one in found["sizes"]:
        cells = [f"{one[name]:.2f}" for name in ("first", "again")]
        cells += [f"{one[f'{name} peak']:,.0f}" for name in ("first", "again")]
        text += f"| {one['images']:,} | {' | '.join(cells)} |\n"
    text += MANY
    for recipe, by_how in found["processes"].items():
        single = next(iter(by_how.values()))
        for how, rate in by_how.items():
            share = "" if rate == single else f"{rate / single / 2:.0%}"
            text += f"| {recipe}, {NETWORKS[recipe]} | {how} | {rate:,.0f} | {share} |\n"
    return text + PLAN


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--docs", type=Path, default=ROOT / "docs")
    parser.add_argument("--seconds", type=float, default=15, help="of every training, about")
    parser.add_argument("--render", action="store_true", help="measure nothing")
    arguments = parser.parse_args()
    kept = arguments.docs / "scaling.json"
    if not arguments.render:
        measured = {"widths": widths(arguments.seconds), "sizes": sizes(), "processes": processes(arguments.seconds)}
        write_json(kept, {"machine": machine()} | measured)
    write_text(arguments.docs / "scaling.md", page(json.loads(kept.read_bytes())))


if __name__ == "__main__":
    main()
