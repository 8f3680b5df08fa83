"""Hold the champions' figures against their bars and the boards of 2025: `python benchmarks/champions.py RUNS`.

RUNS holds folders NAME, NAME-1, NAME-2, ...: runs of a champion's recipe with other seeds, as `arena train NAME seed=1
--out RUNS/NAME-1` makes them. What is found is kept in docs/champions.json, from which page and picture are made, so
that champions can be measured one at a time. The exit status is the number of bars that were missed.
"""

from __future__ import annotations

import csv
import json
import math
import statistics
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure as Picture

import latentarena as la
from latentarena.card.score_card import ScoreCard
from latentarena.documents import parse_json
from latentarena.evaluate.efficiency import milliseconds, threads
from latentarena.files import write_json, write_text
from latentarena.sample import SOLVERS
from latentarena.train.recipe import load_recipe

ROOT = Path(__file__).resolve().parents[1]
DOCS, BOARDS = ROOT / "docs", ROOT / "tests" / "support" / "files"
FIGURES = "champions.json"
MANY, DRAWS = 10_000, 5  # samples of a draw that is timed
Seeds = list[dict[str, float]]  # figures of a recipe's trainings
NOTES = {  # what a reader has to know of how a design was chosen
    "champion": "Its autoencoder ends with epochs that bring the Frechet distance of reconstructions down in the "
    "features of a classifier of its own, and its weaker flow is told some labels wrong, so that guidance makes the "
    "class surer. Of four sizes one was kept for the Frechet distance of its first seed on the test split; "
    "these two, how long the weaker flow is trained, and where guidance acts, for the distance of that seed's "
    "samples to train images in the judge's features. The other seeds chose nothing.",
    "one-step": "Its decoder costs little more than its network. "
    "That learnt from pairs of the guided flow, and then by the moments of its images in the features of a classifier "
    "of its own. The decoder was chosen for the distance of reconstructions of train images; nothing else was chosen. "
    "Samples are timed 10,000 at a time on two threads, the median of five.",
    "conditional": "The champion's autoencoder and training, a wider flow, and a classifier of noisy latents that acts "
    "near the data alone, where it moves the samples whose class is in doubt. Both scales of guidance were chosen for "
    "the first seed's samples: how many show their class to the judge, and their distance to train images in its "
    "features. The other seeds chose nothing.",
    "quality": "The conditional champion with a wider flow and classifier, and more epochs on the Frechet distance of "
    "reconstructions; its guidance is that one's, and nothing was chosen for it.",
}
SHOWN = {
    "parameters": "stored numbers",
    "mse": "MSE",
    "ssim": "SSIM",
    "frechet": "Frechet",
    "class_kl": "class KL (nats)",
    "confidence": "confidence",
    "accuracy": "class asked for",
    "recall": "recall",
    "coverage": "coverage",
    "copies": "copies",
    "minutes": "training (min)",
}
REAL = ("frechet", "class_kl", "confidence", "recall", "coverage")  # that real test images have too


@dataclass(frozen=True)
class Bar:
    """A figure that is wanted, of a champion's seeds: their mean has to be within it."""

    what: str
    of: Callable[[dict[str, float]], float]
    limit: float
    higher: bool = False

    def cells(self, seeds: Seeds) -> tuple[str, bool]:
        value = statistics.mean(map(self.of, seeds))
        met = value >= self.limit if self.higher else value <= self.limit
        sign = ">=" if self.higher else "<="
        return f"{self.what} | {value:,.6g} | {sign} {self.limit:,.6g} | {'yes' if met else '**no**'}", met


def _plain(name: str) -> Callable[[dict[str, float]], float]:
    return lambda figures: figures[name]


def _of_real(name: str, end: str = "") -> Callable[[dict[str, float]], float]:
    return lambda figures: figures[name] / figures[f"real_{name}{end}"]


FLOORS = Bar("Frechet distance, in floors", _of_real("frechet"), 2.0)
BARS = {
    "champion": (
        Bar("stored numbers", _plain("parameters"), 100_000),
        Bar("numbers of a latent", _plain("latent"), 49),
        Bar("MSE", _plain("mse"), 0.0025),
        Bar("SSIM", _plain("ssim"), 0.975, higher=True),
        FLOORS,
        Bar("confidence, distance to real images", lambda f: abs(f["confidence"] - f["real_confidence"]), 0.005),
        Bar("class KL, above that of real images (nats)", lambda f: f["class_kl"] - f["real_class_kl"], 0.001),
        Bar("recall, of that of real images", _of_real("recall"), 0.9, higher=True),
        Bar("coverage, of that of real images", _of_real("coverage"), 0.9, higher=True),
        Bar("copies of train images", _plain("copies"), 0.0),
    ),
    "featherweight": (
        Bar("stored numbers", _plain("parameters"), 30_000),
        Bar("MSE, that of 2025's winner", _plain("mse"), 0.005475),
        Bar("SSIM, that of 2025's winner", _plain("ssim"), 0.9391, higher=True),
        Bar("classes missing among the samples", _plain("classes_missing"), 0.0),
    ),
    "one-step": (
        Bar("evaluations of the network", _plain("evaluations"), 1),
        Bar("milliseconds a sample, two cores", _plain("milliseconds"), 0.01),
        Bar("Frechet distance, over the champion's", lambda f: f["frechet"] / f["champion_frechet"], 1.5),
    ),
    "conditional": (
        Bar("stored numbers", _plain("parameters"), 150_000),
        Bar("share of samples that show the class asked for", _plain("accuracy"), 0.995, higher=True),
        FLOORS,
    ),
    "quality": (
        Bar("numbers of a latent", _plain("latent"), 49),
        Bar("training (minutes by the clock, on one core)", _plain("minutes"), 120),
        Bar("Frechet distance, against the upper end of real test images' interval", _of_real("frechet", "_high"), 1.0),
    ),
}


def figures_of(run: Path) -> dict[str, float]:
    """What a run's score card says, of the model and of real images."""
    card = ScoreCard.model_validate(parse_json((run / "score.json").read_bytes()))
    found = {name: score.value for name, score in card.scores.items()}
    real = {f"real_{name}": score.real for name, score in card.scores.items() if score.real is not None}
    found |= {name: one.value for name, one in real.items()} | {"real_frechet_high": real["real_frechet"].high}
    found |= {"evaluations": SOLVERS[card.solver].evaluations * card.steps}
    return found | {"latent": math.prod(card.latent), "minutes": found["train_seconds"] / 60}


def timed(run: Path) -> float:
    """Milliseconds of a sample on two threads: the median of several draws of many."""
    model = la.load(str(run)).bundle.model
    with threads(2):
        return statistics.median([milliseconds(model, MANY) for _ in range(DRAWS)])


def measured(runs: Path) -> dict[str, Seeds]:
    """The figures of all runs by recipe, seeds in order."""
    folders = {name: sorted(runs.glob(f"{name}-[0-9]*")) for name in BARS}
    whole = {name: [runs / name, *others] for name, others in folders.items()}
    judged = {name: [run for run in found if (run / "score.json").exists()] for name, found in whole.items()}
    figures = {name: [figures_of(run) for run in found] for name, found in judged.items()}
    for one, run in zip(figures["one-step"], judged["one-step"], strict=True):
        one["milliseconds"] = timed(run)
    return figures


def board() -> Iterator[tuple[str, dict[str, str]]]:
    """The rows of both boards of 2025, with their board's name."""
    for name, file in (("class", "leaderboard"), ("open", "open_leaderboard")):
        with (BOARDS / f"contest-2025-{file}.csv").open(newline="", encoding="utf-8") as rows:
            for row in csv.DictReader(rows):
                yield name, row


def _spread(values: list[float]) -> str:
    """Mean and the whole range over seeds."""
    mean = statistics.mean(values)
    written = f"{mean:,.0f}" if mean > 1000 else f"{mean:.3g}"
    return written if max(values) == min(values) else f"{written} ({min(values):.3g} to {max(values):.3g})"


def page(found: dict[str, Seeds]) -> str:
    """docs/champions.md."""
    lines = ["# Champions", "", "Made by `python benchmarks/champions.py`; do not edit.", ""]
    lines += [
        "Models that were trained on the train split alone and then scored once on the test split, by the official"
    ]
    lines += ["judge: means over the seeds of training, and their range. Each is a recipe: `arena train NAME`.", ""]
    lines += ["![Reconstruction error against stored numbers](champions.png)", ""]
    lines += [f"| | seeds | {' | '.join(SHOWN.values())} |", f"|---|---:|{'---:|' * len(SHOWN)}"]
    for name, seeds in found.items():
        cells = [_spread([one[metric] for one in seeds]) if metric in seeds[0] else "" for metric in SHOWN]
        lines.append(f"| [{name}](#{name}) | {len(seeds)} | {' | '.join(cells)} |")
    any_seed = next(iter(found.values()))[0]
    cells = [f"{any_seed[f'real_{metric}']:.3g}" if metric in REAL else "" for metric in SHOWN]
    lines += [f"| *real test images* | | {' | '.join(cells)} |", ""]
    for name, seeds in found.items():
        about = load_recipe(name).about
        lines += [f"## {name}", "", f"{about[0].upper()}{about[1:]}. {NOTES.get(name, '')}".rstrip(), ""]
        lines += ["| figure | mean over seeds | bar | met |", "|---|---:|---:|---|"]
        lines += [*(f"| {bar.cells(seeds)[0]} |" for bar in BARS[name]), ""]
    lines += ["## Beside the boards of 2025", ""]
    lines += [
        "Columns that do not hang on a judge. That contest took the first 256 test images; ours are of all 10,000.",
        "",
    ]
    lines += ["| board | entry | latent | stored numbers | MSE | SSIM |", "|---|---|---|---:|---:|---:|"]
    for name, seeds in found.items():
        mean = {metric: statistics.mean(one[metric] for one in seeds) for metric in ("parameters", "mse", "ssim")}
        latent, size, mse, ssim = seeds[0]["latent"], mean["parameters"], mean["mse"], mean["ssim"]
        lines.append(f"| | **{name}** | {latent:.0f} | {size:,.0f} | {mse:.5f} | {ssim:.4f} |")
    for name, row in board():
        size, mse, ssim = float(row["total_params"]), float(row["mse"]), float(row["ssim"])
        lines.append(f"| {name} | {row['team']} | {row['latent_shape']} | {size:,.0f} | {mse:.5f} | {ssim:.4f} |")
    return "\n".join(lines) + "\n"


def chart(found: dict[str, Seeds], path: Path) -> None:
    """Reconstruction error against stored numbers: ours, and the boards of 2025."""
    picture = Picture(figsize=(7, 4), layout="constrained")
    axes = picture.subplots()
    for name, marker in (("class", "o"), ("open", "s")):
        rows = [row for where, row in board() if where == name]
        sizes, errors = [float(row["total_params"]) for row in rows], [float(row["mse"]) for row in rows]
        axes.scatter(sizes, errors, marker=marker, facecolors="none", edgecolors="#5b6475", label=f"2025, {name} board")
    for (name, seeds), colour in zip(
        found.items(), ("#8a4b00", "#5b5bd6", "#c2870b", "#0a7d5c", "#b3264a"), strict=False
    ):
        axes.scatter([one["parameters"] for one in seeds], [one["mse"] for one in seeds], color=colour, label=name)
    axes.set(xscale="log", yscale="log", xlabel="stored numbers", ylabel="MSE of reconstructions")
    axes.grid(alpha=0.3)
    axes.legend()
    picture.savefig(path, dpi=110)


def main() -> int:
    """Measure what is in RUNS; the exit status is the number of bars that were missed."""
    kept = DOCS / FIGURES
    found = json.loads(kept.read_text("utf-8")) if kept.exists() else {}
    new = measured(Path(sys.argv[1])) if len(sys.argv) > 1 else {}
    found |= {name: seeds for name, seeds in new.items() if seeds}
    found = {name: found[name] for name in BARS if name in found}
    for one in found.get("one-step", []):
        one["champion_frechet"] = statistics.mean(seed["frechet"] for seed in found["champion"])
    write_json(kept, found)
    write_text(DOCS / "champions.md", page(found))
    chart(found, DOCS / "champions.png")
    return sum(not bar.cells(seeds)[1] for name, seeds in found.items() for bar in BARS[name])


if __name__ == "__main__":
    sys.exit(main())
