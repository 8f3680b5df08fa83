"""Forged models and honest ones before the judge's checks: who is caught, who is accused wrongly, what the checks cost.

    python benchmarks/forgeries.py BUNDLE [--honest DIR] [--images FOLDER] [--samples N] [--docs DIR] [--only NAME ...]

BUNDLE is a trained native bundle of linear latents, such as the quickstart's, of which the forged models of `forged.py`
are made. DIR holds a run by folder, such as `benchmarks/honest.py` makes: none of them may be refused or kept from
being ranked. So that some forty models are done in minutes, only what the checks and a few figures need is computed, on
the whole splits; `--cost` judges BUNDLE in full and prints the checks' share of that. Writes docs/forgeries.md as
far as it got. The exit status is the number of models that got the wrong verdict.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from forged import FORGERIES, Parts
from latentarena.bundle import OWN, native_of, open_bundle
from latentarena.card.figure import Figure
from latentarena.card.finding import Finding, gravest
from latentarena.card.score_card import Score, scored
from latentarena.data import FOLDER, Dataset
from latentarena.errors import ConfigError, GateError
from latentarena.evaluate.scoring import data_of, judge_bundle, panel_for, subject_of
from latentarena.facts import machine, source_digest
from latentarena.files import write_text
from latentarena.judge import score as scoring
from latentarena.judge.classifier import Judge
from latentarena.judge.known import known_of
from latentarena.judge.material import Errors, Known
from latentarena.judge.measure import measured
from latentarena.judge.metrics import draws, exactly, squared_errors
from latentarena.judge.randomness import Randomness
from latentarena.judge.score import SAMPLES, SEEDS
from latentarena.judge.subject import (
    Coded,
    Sampled,
    Subject,
    chosen_train,
    code,
    generate_samples,
    generator_of,
    hand_out,
)
from latentarena.judge.training import judge_for

ROOT = Path(__file__).resolve().parents[1]
FIGURES = ("frechet", "prior_frechet", "mse")
FEW = 1000  # samples of an evaluation that only fills the cache
ALLOWED = 0.15  # of an evaluation
GAIN = 0.9  # of the figure of the honest parent


@dataclass(frozen=True)
class Bench:
    """Where models are examined: splits of equally many images, the judge, what it knows, and how many samples."""

    data: Dataset
    judge: Judge
    known: Known
    floors: dict[str, Figure]
    samples: int

    @classmethod
    def of(cls, data: Dataset, samples: int) -> Bench:
        judge = judge_for(data)
        return cls(data, judge, *known_of(judge, data, SAMPLES), samples)

    def examine(self, subject: Subject, name: str) -> tuple[dict[str, Score], tuple[Finding, ...]]:
        """A few figures and all checks.

        Raises:
            GateError: what the model makes of a row depends on more than that row.
        """
        randomness, data = Randomness(bundle=name), self.data
        parts = list(
            hand_out(
                subject.noise, self.judge.frequencies if subject.conditional else None, self.samples, SEEDS, randomness
            )
        )
        noise = torch.cat([one for one, _ in parts])
        labels = torch.cat([one for _, one in parts if one is not None]) if subject.conditional else None
        images = generate_samples(subject, noise, labels, data.shape, randomness)
        seen, chosen = self.judge.look(images), chosen_train(data, randomness)
        found = {"frechet": exactly(self.judge.distance(seen))}
        coded = code(subject, data, images, chosen, randomness)
        if coded is not None:
            found |= self._reconstructed(coded, chosen)
        sampled = Sampled(generator_of(subject, randomness), noise, labels, images, seen.features)
        scores = scored(found, self.floors)
        return scores, scoring.examine(data, self.known, sampled, coded, chosen, scores, randomness)

    def _reconstructed(self, coded: Coded, chosen: torch.Tensor) -> dict[str, Figure]:
        test, train = self.data.test.batch(slice(None)), self.data.train.batch(chosen)
        errors, train_errors = squared_errors(coded.test_images, test), squared_errors(coded.train_images, train)
        return {
            "prior_frechet": exactly(self.judge.distance(self.judge.look(coded.prior_images))),
            "mse": exactly(float(errors.mean())),
            **measured({"errors": Errors(draws(len(test)), errors, train_errors, draws(len(train)))}),
        }


@dataclass(frozen=True)
class Result:
    """A model's figures as they would have stood, and what the checks say."""

    name: str
    figures: dict[str, float]
    verdict: str
    reason: str

    @property
    def stopped(self) -> bool:
        """Whether it, or the figure that it forges, does not rank."""
        return self.verdict.startswith(("refused", "unranked", "prior not ranked"))

    def gains(self, parent: Result) -> bool:
        """Whether a figure is better than the parent's, beyond chance."""
        return any(value < GAIN * parent.figures[name] for name, value in self.figures.items() if name in FIGURES)

    @property
    def row(self) -> str:
        """Of the table."""
        figures = " | ".join(f"{self.figures[name]:.3g}" if name in self.figures else "–" for name in FIGURES)
        return f"| {self.name} | {figures} | {self.verdict} | {self.reason} |"


def examined(name: str, subject: Subject, bench: Bench) -> Result:
    """What becomes of a model."""
    try:
        found, checks = bench.examine(subject, name)
    except GateError as error:
        return Result(name, {}, "refused", str(error).split(":")[0])
    figures = {metric: one.value for metric, one in found.items()}
    worst, noted = gravest(checks), [one for one in checks if one.verdict == "noted"]
    shown = worst or next((one for one in noted if one.withheld), noted[0] if noted else None)
    verdict = "clear" if shown is None else "prior not ranked" if worst is None and shown.withheld else shown.verdict
    if shown is not None and worst is not None and worst.withheld:
        verdict = f"{worst.verdict}, prior not ranked"
    return Result(name, figures, verdict, "" if shown is None else f"{shown.name}: {shown.sentence}")


def forged(path: Path, samples: int, only: list[str]) -> Iterator[Result]:
    """The honest parent and every forged model."""
    bundle = native_of(open_bundle(path, trust=OWN))
    data = data_of(bundle, None)
    bench = Bench.of(data, samples)
    parts = Parts.of(bundle, data)
    yield examined("(its honest parent)", parts.honest, bench)
    for name, make in FORGERIES.items():
        if not only or name in only:
            yield examined(name, make(parts), bench)


def honest(folder: Path, samples: int, images: Path | None) -> Iterator[Result]:
    """Every run in a folder; `images` are those of models of folders."""
    benches: dict[str, Bench] = {}
    for path in sorted(folder.glob("*/bundle")):
        bundle = native_of(open_bundle(path, trust=OWN))
        if bundle.card.provenance.notice:
            raise ConfigError(f"{path}: {bundle.card.provenance.notice}")
        data = data_of(bundle, images if bundle.card.data.name.startswith(FOLDER) else None)
        if data.digest not in benches:
            benches[data.digest] = Bench.of(data, samples)
        yield examined(path.parent.name, subject_of(bundle), benches[data.digest])


def cost(path: Path) -> float:
    """The checks' share of the processor time of a whole evaluation, as a server's worker makes it."""
    bundle = open_bundle(path, trust=OWN)
    panel = panel_for(data_of(bundle, None))
    spent, examine = [0.0], scoring.examine
    judge_bundle(bundle, panel, FEW, timed=False)  # what is known of real images is computed once, and kept

    def clocked(*handed: object) -> object:
        began = time.process_time()
        found = examine(*handed)  # type: ignore[arg-type]
        spent.append(time.process_time() - began)
        return found

    scoring.examine = clocked  # type: ignore[assignment]
    began = time.process_time()
    judge_bundle(bundle, panel, SAMPLES)
    whole = time.process_time() - began
    scoring.examine = examine
    print(f"an evaluation: {whole:.0f} s of processor time, of which checks {sum(spent):.1f} s", flush=True)
    return sum(spent) / whole


def page(forgeries: list[Result], models: list[Result], samples: int, share: float | None) -> str:
    """docs/forgeries.md."""
    head = "| model | " + " | ".join(FIGURES) + " | verdict | reason |\n|---|" + "---|" * (len(FIGURES) + 2)
    stopped, wrong = [one for one in forgeries[1:] if one.stopped], accused(forgeries[:1] + models)
    poor = [one.name for one in forgeries[1:] if not one.stopped and not one.gains(forgeries[0])]
    lines = [
        "# Forged scores, measured",
        "",
        "Made by `python benchmarks/forgeries.py`; do not edit. How the checks work, what they find and what they do "
        "not: [checks.md](checks.md).",
        "",
        "Models made of a trained one, without an honest generator or with more inside than they may have, as "
        f"functions before the judge: {samples:,} samples; the figures as they would have stood. {len(stopped)} of "
        f"{len(forgeries) - 1} are refused or not ranked with the figure that they forge; without a gain in "
        f"any figure: {', '.join(poor) or 'none'}; missed: {', '.join(missed(forgeries)) or 'none'}.",
        "",
        head,
        *(one.row for one in forgeries),
        "",
        f"Honest models: {len(models)}, recipes of the lab trained for about half a minute each "
        "(`benchmarks/honest.py`), so that they are rough and blurred. Refused or kept from being ranked: "
        f"{', '.join(wrong) or 'none'}.",
        "",
        head,
        *(one.row for one in models),
        "",
        *([] if share is None else [_cost_words(share), ""]),
        f"{machine()}; {torch.get_num_threads()} threads; code {source_digest()[:12]}.",
    ]
    return "\n".join(lines) + "\n"


def _cost_words(share: float) -> str:
    return (
        f"Cost: the checks take {share:.1%} of the processor time of an evaluation of {SAMPLES:,} samples, with other "
        f"judges and timing (allowed {ALLOWED:.0%})."
    )


def missed(forgeries: list[Result]) -> list[str]:
    """Forged models that would be ranked with a better figure than their honest parent, which is the first."""
    return [one.name for one in forgeries[1:] if not one.stopped and one.gains(forgeries[0])]


def accused(results: list[Result]) -> list[str]:
    """Those that are refused or kept from being ranked."""
    return [one.name for one in results if one.verdict.startswith(("refused", "unranked"))]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, metavar="BUNDLE")
    parser.add_argument("--honest", type=Path, metavar="DIR", help="runs of the lab, a folder each")
    parser.add_argument("--images", type=Path, metavar="FOLDER", help="the RGB images of rgb-folder, if that is there")
    parser.add_argument("--samples", type=int, default=4000)
    parser.add_argument("--docs", type=Path, default=ROOT / "docs")
    parser.add_argument("--cost", action="store_true", help="measure the checks' share of an evaluation too")
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME", help="forged models; all unless given")
    chosen = parser.parse_args()
    forgeries: list[Result] = []
    models: list[Result] = []
    share = cost(chosen.bundle) if chosen.cost else None
    runs = honest(chosen.honest, chosen.samples, chosen.images) if chosen.honest else iter(())
    for results, found in ((forgeries, forged(chosen.bundle, chosen.samples, chosen.only)), (models, runs)):
        for one in found:
            results.append(one)
            print(one.row, flush=True)
            write_text(chosen.docs / "forgeries.md", page(forgeries, models, chosen.samples, share))
    through, wrong = missed(forgeries), accused(forgeries[:1] + models)
    print("missed:", ", ".join(through) or "none", "; wrongly accused:", ", ".join(wrong) or "none")
    return len(through) + len(wrong) + (share is not None and share > ALLOWED)


if __name__ == "__main__":
    sys.exit(main())
