"""Train students of one or a few steps on one autoencoder, several seeds each, and write docs/few-steps.md.

    python benchmarks/few_steps.py BUNDLE [--recipes NAME ...] [--seeds N ...] [--runs DIR] [--docs DIR] [--render]

BUNDLE is a native bundle whose autoencoder all of them share; its own recipe is of no matter. Flow and student are
trained for every seed by the stages of the product. A run that is in docs/few-steps.json already is not made anew.
Needs MNIST (`LATENTARENA_DATA` or the cache). The exit status is the number of recipes that miss the goal.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from itertools import chain
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from lightning_fabric import Fabric

from latentarena.bundle import OWN, native_of, open_bundle
from latentarena.data import Dataset
from latentarena.evaluate.scoring import data_of
from latentarena.facts import machine
from latentarena.files import write_json, write_text
from latentarena.judge.classifier import Judge
from latentarena.judge.training import judge_for
from latentarena.latents import encode_all
from latentarena.model.config import SamplingConfig
from latentarena.model.latent_model import LatentModel
from latentarena.train.loop import fit
from latentarena.train.recipe import load_recipe
from latentarena.train.stages import Critics, features_stage, latent_stages

ROOT = Path(__file__).resolve().parents[1]
SAMPLES, STEPS = 10_000, 50  # of the Frechet distances; Heun steps of the teacher
RATIO, MINUTES = 1.2, 10.0  # the goal
HEAD = """# Few steps

Made by `python benchmarks/few_steps.py BUNDLE`. One autoencoder, that of the quickstart; flow and student are trained
anew for every seed. Frechet distances are of {samples:,} samples in the judge's features, teacher and student from the
same noise. Minutes are processor time on one core, on top of the teacher: pairs included, judging excluded. `after`
says how far the training had come. Mean over the seeds, and their standard deviation. The flow of `onestep-latent`
has six blocks with weights of their own where the quickstart passes three times through two: 173,398 numbers for
72,150, at the same cost, and a better teacher to be held against.

The goal: one network evaluation, at most {ratio:g} times the teacher's Frechet distance in {steps} Heun steps ({evals}
evaluations), in at most {minutes:g} minutes.

| recipe | after | seeds | teacher, {steps} steps | one step | ratio | worst ratio | minutes |
|---|---|---|---|---|---|---|---|
"""


def distance(model: LatentModel, judge: Judge, sampling: SamplingConfig) -> float:
    """Frechet distance of samples from the benchmark's own noise."""
    return judge.distance(judge.look(model.generate(model.noise(SAMPLES, 0, "few steps"), None, sampling)))


def run(name: str, seed: int, giver: LatentModel, data: Dataset, judge: Judge, folder: Path) -> dict[str, Any]:
    """The Frechet distances after every stage of a recipe, with its minutes; kept in the folder as they come."""
    recipe = load_recipe(name, [f"seed={seed}"])
    model = LatentModel(recipe.architecture(data.shape, data.classes), seed)
    model.autoencoder.load_state_dict(giver.autoencoder.state_dict())
    model.requires_grad_(False)
    latents = encode_all(model.autoencoder, data.train, data.digest)
    own, configs, fabric = recipe.sampling, recipe.training.stages(), Fabric(accelerator="cpu", devices=1)
    kept = folder / "entry.json"
    entry: dict[str, Any] = json.loads(kept.read_bytes()) if kept.exists() else {"machine": machine(), "stages": {}}
    begun = time.process_time()
    critics = Critics.of(recipe, data.shape, len(data.classes))
    of_student = latent_stages(recipe, model, latents, data.train, critics)
    for stage, objective in chain(features_stage(recipe, data.train, critics), of_student):
        for _ in fit(objective, configs[stage], fabric, folder / "checkpoints", (seed, stage)):
            pass
        if stage in entry["stages"]:  # trained before: its minutes were taken then
            begun = time.process_time()
            continue
        entry["stages"][stage] = {"minutes": (time.process_time() - begun) / 60}
        if stage != "features":
            flow = stage == "generator" and not recipe.generator.average
            how = own.but(solver="heun", steps=STEPS) if flow else own
            entry["stages"][stage]["frechet"] = distance(model, judge, how)
        if recipe.generator.average:  # has no teacher; its velocity at a single time is a flow
            entry["as a flow"] = distance(model, judge, own.but(solver="heun", steps=STEPS))
        print(name, seed, stage, entry["stages"][stage], flush=True)
        write_json(kept, entry)
        begun = time.process_time()
    return entry


def rows(name: str, entries: list[dict[str, Any]]) -> list[tuple[str, bool]]:
    """A line for each stage of a recipe that made a student, and whether it meets the goal."""
    lines = []
    names = list(entries[0]["stages"])
    students = names[names.index("generator") + 1 :] or ["generator"]
    for stage in students:
        until = [name for name in names[: names.index(stage) + 1] if name != "generator"] or [stage]
        one = [entry["stages"][stage]["frechet"] for entry in entries]
        teacher = [entry.get("as a flow", entry["stages"]["generator"]["frechet"]) for entry in entries]
        minutes = [sum(entry["stages"][each]["minutes"] for each in until) for entry in entries]
        ratios = [a / b for a, b in zip(one, teacher, strict=True)]
        figures = [spread(values) for values in (teacher, one, ratios)]
        met = mean(ratios) <= RATIO and mean(minutes) <= MINUTES
        cells = [name, stage, str(len(entries)), *figures, f"{max(ratios):.2f}", spread(minutes, ".1f")]
        lines.append((f"| {' | '.join(cells)} |", met))
    return lines


def spread(values: list[float], form: str = ".3f") -> str:
    """Mean and, of several, standard deviation."""
    return f"{mean(values):{form}}" + (f" ± {stdev(values):{form}}" if len(values) > 1 else "")


def page(entries: dict[str, dict[str, Any]]) -> tuple[str, int]:
    """The page, and how many recipes miss the goal."""
    text = HEAD.format(samples=SAMPLES, ratio=RATIO, steps=STEPS, evals=2 * STEPS, minutes=MINUTES)
    missed = []
    for name, by_seed in entries.items():
        lines = rows(name, list(by_seed.values()))
        text += "".join(f"{line}\n" for line, _ in lines)
        missed += [] if lines[-1][1] else [name]
    ends = f"The goal is missed by: {', '.join(missed)}." if missed else "The goal is met by all."
    return f"{text}\n{ends}\n", len(missed)


def main() -> int:
    """Train what is missing and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bundle", type=Path, nargs="?")
    parser.add_argument("--recipes", nargs="+", default=["onestep-latent"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "few-steps")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs")
    parser.add_argument("--render", action="store_true", help="train nothing")
    arguments = parser.parse_args()
    kept = arguments.docs / "few-steps.json"
    entries: dict[str, dict[str, Any]] = json.loads(kept.read_bytes()) if kept.exists() else {}
    if not arguments.render:
        torch.set_num_threads(1)
        bundle = native_of(open_bundle(arguments.bundle, trust=OWN))
        data = data_of(bundle, None)
        judge = judge_for(data)
        for seed in arguments.seeds:
            for name in arguments.recipes:
                if str(seed) not in entries.setdefault(name, {}):
                    folder = arguments.runs / f"{name}-{seed}"
                    entries[name][str(seed)] = run(name, seed, bundle.model, data, judge, folder)
                    write_json(kept, entries)
    text, missed = page(entries)
    write_text(arguments.docs / "few-steps.md", text)
    return missed


if __name__ == "__main__":
    sys.exit(main())
