"""What the judge is worth, measured: writes docs/judge.md, docs/judge.json and the reference points of the score card.

    python benchmarks/judge.py --runs DIR [--docs DIR] [--only {faults,models,cost}] [--render]

DIR holds at least a dozen runs of `arena train` on MNIST, one folder each, and among them one called `quickstart`.
Needs MNIST (`LATENTARENA_DATA` or the cache). The exit status is the number of promises that were missed.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import skimage.metrics
import torch
from scipy.stats import kendalltau, spearmanr
from torch import Tensor

from judge_bad import FAULTS, FAULTY, PRIOR, moved, tuned
from judge_page import page
from latentarena.bundle import OWN, NativeBundle, native_of, open_bundle
from latentarena.card.score_card import Opinion, Score, ScoreCard, read_card, scored
from latentarena.card.words import REFERENCES
from latentarena.data import DataConfig, Dataset, load_dataset
from latentarena.errors import ArenaError
from latentarena.evaluate.scoring import Panel, judge_bundle
from latentarena.facts import machine, source_digest, versions
from latentarena.files import make_folder, write_json, write_text
from latentarena.judge.classifier import Judge
from latentarena.judge.diagnosis import disagreement
from latentarena.judge.known import known_of
from latentarena.judge.material import Samples
from latentarena.judge.measure import measured
from latentarena.judge.metrics import draws, nearest, ssims
from latentarena.judge.randomness import WITHOUT_BUNDLE
from latentarena.judge.score import SAMPLES, score
from latentarena.judge.subject import Subject
from latentarena.judge.training import judge_for, opinions_for
from latentarena.train.recipe import load_recipe
from latentarena.train.shelf import recipe_names

ROOT = Path(__file__).resolve().parents[1]
FAULTY_SAMPLES = 4000  # so that as many test images are held out from the floors
TUNED = 500


def faults(data: Dataset, judge: Judge, quick: NativeBundle) -> dict[str, object]:
    """Each faulty sampler's figures beside the floors, and which metrics moved."""
    (known, floors), found = known_of(judge, data, FAULTY_SAMPLES), {}
    makers = FAULTY | {
        PRIOR: lambda _, n: quick.model.decode(WITHOUT_BUNDLE.noise(n, quick.model.latent_shape, "prior"))
    }
    for name, (needed, barred) in FAULTS.items():
        print("fault:", name, flush=True)
        images = makers[name](data, FAULTY_SAMPLES)
        seen, near = judge.look(images), nearest(images, data.train.pixels)
        scores = scored(measured({"samples": Samples(draws(len(images)), images, seen, near, known)}), floors)
        saw = moved(scores)
        found[name] = {
            "scores": {metric: one.model_dump() for metric, one in scores.items()},
            "moved": sorted(saw),
            "missed": sorted(needed - saw),
            "false": sorted(barred & saw),
        }
    return {"samples": FAULTY_SAMPLES, "judge": judge.name, "found": found}


def models(data: Dataset, judge: Judge, opinions: list[Judge], runs: Path) -> dict[str, object]:
    """What all judges find in every model at hand, and in one that was tuned to the official judge."""
    found = {}
    for folder in sorted(runs.iterdir()):
        if (folder / "bundle" / "card.json").exists():
            card = card_of(folder, data, judge, opinions)
            if card is not None:
                print("model:", folder.name, flush=True)
                found[folder.name] = _opinions(card.scores, card.opinions) | {
                    "points": card.points,
                    "whole": trained_in_full(folder),
                    "advice": [one.fault for one in card.advice],
                }
    print("model: tuned to the official judge", flush=True)
    images = _prior(native_of(open_bundle(runs / "quickstart" / "bundle", trust=OWN)), TUNED)
    before, after = (_found(some, data, judge, opinions) for some in (images, tuned(judge, images, data)))
    return {"models": found, "untuned": before, "tuned": after, "agreement": _agreement(found)}


def trained_in_full(folder: Path) -> bool:
    """Whether a run is that of a recipe as it ships: only such a one may stand for it on score cards."""
    recipe = native_of(open_bundle(folder / "bundle", trust=OWN)).card.provenance.recipe
    shipped = recipe["name"] in recipe_names() and load_recipe(recipe["name"]).model_dump(mode="json")
    return folder.name == recipe["name"] and bool(shipped) and shipped["training"] == recipe["training"]


def card_of(folder: Path, data: Dataset, judge: Judge, opinions: list[Judge]) -> ScoreCard | None:
    """A run's score card: its own where this code and these judges made it, else made now; None for other data."""
    bundle = native_of(open_bundle(folder / "bundle", trust=OWN))
    if bundle.card.provenance.data != data.digest:
        return None
    judges = [one.digest for one in (judge, *opinions)]
    with suppress(ArenaError):
        card = read_card(folder / "score.json")
        made_by = [card.judge_hash, *(one.digest for one in card.opinions)]
        if (card.source, card.bundle, made_by) == (source_digest(), bundle.digest, judges):
            return card
    return judge_bundle(bundle, Panel(data, judge, opinions), timed=False).card


def _prior(bundle: NativeBundle, n: int) -> Tensor:
    return bundle.model.decode(WITHOUT_BUNDLE.noise(n, bundle.model.latent_shape, "prior"))


def _found(images: Tensor, data: Dataset, judge: Judge, opinions: list[Judge]) -> dict[str, object]:
    """The judges on images that are handed out in turn, whatever the noise."""
    left = list(images)
    subject = Subject(
        noise=(1,),
        conditional=False,
        generate=lambda noise, labels, seed: torch.stack([left.pop() for _ in noise]),
        encode=None,
        decode=lambda latents: latents,
        repeatable=False,
    )
    findings = score(subject, data, judge, opinions, len(images), seeds=(0,))
    return _opinions(findings.scores, findings.opinions)


def _opinions(scores: dict[str, Score], others: tuple[Opinion, ...]) -> dict[str, object]:
    official = scores["frechet"]
    over = [one.value / one.real.value for one in (official, *(other.frechet for other in others))]
    return {
        "frechet": [official.value, *(other.frechet.value for other in others)],
        "over floor": over,
        "agreement": [other.agreement for other in others],
        "disagreement": disagreement(others, scores),
    }


def _agreement(found: dict[str, dict[str, object]]) -> dict[str, object]:
    """Rank correlations between the official judge and each other one, and between the others."""
    columns = list(zip(*(one["frechet"] for one in found.values()), strict=True))
    pairs = [(i, j) for i in range(len(columns)) for j in range(i)]
    return {
        f"{j} and {i}": {
            "kendall": float(kendalltau(columns[i], columns[j]).statistic),
            "spearman": float(spearmanr(columns[i], columns[j]).statistic),
        }
        for i, j in pairs
    }


def cost(data: Dataset, runs: Path) -> dict[str, float]:
    """Seconds and memory of a whole card by a process of its own, cold and warm, and of structural similarity."""
    images = data.test.batch(slice(None))
    again = (images + 0.1 * torch.randn_like(images)).clamp(0, 1)
    pairs = list(zip(images[:, 0].numpy(), again[:, 0].numpy(), strict=True))
    ssims(images[:256], again[:256])  # warms up
    own = min(_seconds(lambda: ssims(images, again)) for _ in range(5))
    loop = _seconds(lambda: [skimage.metrics.structural_similarity(a, b, data_range=1.0) for a, b in pairs])
    found = {"ssim": own, "scikit-image": loop, "threads": torch.get_num_threads()}
    for name in ("cold", "warm"):
        command = [sys.executable, __file__, "--card", str(runs / "quickstart" / "bundle")]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found |= {f"{name} {key}": value for key, value in json.loads(done.stdout.splitlines()[-1]).items()}
    return found


def card_alone(folder: Path) -> dict[str, float]:
    """Seconds of a full card beyond the model's own sampling, and the peak of memory, of this process."""
    bundle, data = native_of(open_bundle(folder, trust=OWN)), load_dataset(DataConfig())
    start = time.perf_counter()
    judge = judge_for(data)
    judge_bundle(bundle, Panel(data, judge, opinions_for(data)), timed=False)
    whole = time.perf_counter() - start
    sampling = _seconds(lambda: bundle.model.generate(bundle.model.noise(SAMPLES, 0)))
    return {
        "seconds": whole - sampling,
        "sampling": sampling,
        "gigabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> int:
    """Measure what was asked for and render."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=Path, default=ROOT / "runs")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs")
    parser.add_argument("--only", choices=("faults", "models", "cost"), action="append")
    parser.add_argument("--render", action="store_true", help="measure nothing")
    parser.add_argument("--card", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.card:
        print(json.dumps(card_alone(options.card)))
        return 0
    path = make_folder(options.docs) / "judge.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    parts = [] if options.render else options.only or ["cost", "faults", "models"]
    data = load_dataset(DataConfig())
    judge, opinions = judge_for(data), opinions_for(data)
    for part in parts:
        if part == "faults":
            known[part] = faults(data, judge, native_of(open_bundle(options.runs / "quickstart" / "bundle", trust=OWN)))
        elif part == "models":
            known[part] = models(data, judge, opinions, options.runs)
            found = known[part]["models"]
            write_json(REFERENCES / "mnist.json", {name: one["points"] for name, one in found.items() if one["whole"]})
        else:
            known[part] = cost(data, options.runs)
        facts = {"machine": machine(), "versions": versions(), "source": source_digest("judge")}
        known[part] |= {"measured": facts}
        write_json(path, known)
    known["judges"] = [one.facts.model_dump(mode="json") | {"name": one.name} for one in (judge, *opinions)]
    write_json(path, known)
    text, missed = page(known)
    write_text(options.docs / "judge.md", text)
    print(*missed, sep="\n")
    return len(missed)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ArenaError as error:
        sys.exit(f"error: {error}")
