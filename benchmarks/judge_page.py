"""docs/judge.md as a function of docs/judge.json alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from judge_bad import FAULTS, PERFECT
from latentarena.card.catalogue import CATEGORIES, METRICS
from latentarena.judge.diagnosis import DISPUTED

__all__ = ["page"]

Found = Mapping[str, Any]
LIMITS = {"seconds": 60.0, "gigabytes": 2.0, "ssim": 50.0, "models": 12}


def page(found: Found) -> tuple[str, list[str]]:
    """The page, and the promises that were missed, a line each."""
    missed: list[str] = []
    lines = ["# The judge, measured", "", "Made by `python benchmarks/judge.py`; do not edit.", ""]
    lines += [*_metrics(), *_judges(found)]
    if "faults" in found:
        lines += _faults(found["faults"], missed)
    if "models" in found:
        lines += _models(found["models"], missed)
    if "cost" in found:
        lines += _cost(found["cost"], missed)
    lines += ["## Not reached", "", *([f"- {line}" for line in missed] or ["Nothing: every promise was kept."]), ""]
    lines += ["## Where it was measured", ""]
    for part in ("faults", "models", "cost"):
        if part in found:
            facts = found[part]["measured"]
            libraries = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
            lines += [f"- {part}: {facts['machine']}; {libraries}; judging code (SHA-256) `{facts['source'][:16]}`"]
    return "\n".join([*lines, ""]), missed


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A Markdown table whose first column is text."""
    yield f"| {' | '.join(head)} |"
    yield f"|---|{'---:|' * (len(head) - 1)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)
    yield ""


def number(value: float | None, digits: int = 3) -> str:
    """Three digits that count, and no more zeros than needed."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.{digits}g}" if abs(value) < 1000 else f"{value:,.0f}"


def _metrics() -> Iterator[str]:
    yield "## The score set `arena-1`"
    yield ""
    yield (
        "Every figure has a 95 % interval, by bootstrap over the images (of coverage by the jackknife), and "
        "stands beside what as many real test images score: its floor. Samples come from five draws of noise that "
        "follow from a key, which a contest keeps "
        "secret until it has closed. Figures that are best where real images are count by "
        "their distance to the band of real images. A figure is called like real once it is shown to be equivalent to "
        "that of real images: compared at equal numbers of images, the 95 % interval of the difference lies within the "
        "margin (on the side that is worse, or on both where no direction is better). It differs once that interval "
        "leaves 0 out on the worse side, and stands without a mark. Where the interval holds 0 and reaches beyond the "
        "margin, there are too few images to tell, and a `?` says so: few real images beside as many others are mostly "
        "marked so, and that is no fault of theirs."
    )
    yield ""
    yield (
        "A margin is at most half of the entropy that real images have, for the judge is so sure of some data that a "
        "constant would be more than all of it. Margins of distances to real images, of classes and of copies are "
        "constants or shares of the distance of as many real images: what real images have there is nought but for "
        "chance, and falls with their number."
    )
    yield ""
    for category, title in CATEGORIES.items():
        yield f"### {title}"
        yield ""
        rows = [
            [
                f"`{name}`",
                one.title,
                one.what,
                one.better,
                _range(one.smallest, one.largest),
                one.margin.words if one.margin else "",
            ]
            for name, one in METRICS.items()
            if one.category == category
        ]
        yield "| name | metric | what | better is | range | margin |"
        yield "|---|---|---|---|---|---|"
        yield from (f"| {' | '.join(row)} |" for row in rows)
        yield ""


def _range(low: float, high: float) -> str:
    return f"{'-∞' if low == -math.inf else f'{low:g}'} to {'∞' if high == math.inf else f'{high:g}'}"


def _judges(found: Found) -> Iterator[str]:
    yield "## The judges"
    yield ""
    yield (
        "Trained by this project on the MNIST train split alone, each calibrated by temperature scaling on a twelfth "
        "of it that was held out, and tested whenever it is loaded. The first is the official one."
    )
    yield ""
    rows = [
        [
            f"`{one['name']}`",
            one["kind"],
            str(one["seed"]),
            f"{one['accuracy']:.2%}",
            f"{one['calibration_error']:.2%}",
            f"{one['confidence']:.4f}",
            f"{one['entropy']:.4f}",
        ]
        for one in found["judges"]
    ]
    head = ["judge", "architecture", "seed", "accuracy", "calibration error", "confidence", "entropy (nats)"]
    yield from table(head, rows)


def _faults(part: Found, missed: list[str]) -> Iterator[str]:
    yield "## Samplers whose fault is known"
    yield ""
    yield (
        f"{part['samples']:,} samples each, beside as many real test images that no sampler used. **Bold**: worse than "
        "real images by more than both intervals. The perfect sampler, held-out test images, has to be bold nowhere."
    )
    yield ""
    names = list(part["found"])
    metrics = [name for name in METRICS if name in part["found"][PERFECT]["scores"]]
    rows = []
    for metric in metrics:
        floor = part["found"][PERFECT]["scores"][metric]["real"]
        row = [METRICS[metric].title, f"{number(floor['value'])} ({number(floor['low'])} to {number(floor['high'])})"]
        for name in names:
            text = number(part["found"][name]["scores"][metric]["value"])
            row.append(f"**{text}**" if metric in part["found"][name]["moved"] else text)
        rows.append(row)
    yield from table(["metric", "floor", *names], rows)
    yield "What has to move, and what must not:"
    yield ""
    for name, (needed, barred) in FAULTS.items():
        if name == PERFECT:
            continue
        yield f"- {name}: has to move {', '.join(sorted(needed))}; must not move {', '.join(sorted(barred))}."
    yield ""
    for name, one in part["found"].items():
        missed += [f"{name}: {metric} did not move" for metric in one["missed"]]
        missed += [f"{name}: {metric} moved" for metric in one["false"]]


def _models(part: Found, missed: list[str]) -> Iterator[str]:
    yield "## Do three judges agree?"
    yield ""
    yield (
        "Frechet distance of every model in each judge's own features, over that judge's own floor; the share of "
        "samples in which the other judges see the official one's class; and the dispute, how far all others are from "
        "the official one as a multiple of what honest doubt explains. Above "
        f"{DISPUTED:g} the score card warns that the model seems tuned to the official judge."
    )
    yield ""
    judges = range(len(part["tuned"]["over floor"]))
    rows = [_model(name, one) for name, one in part["models"].items()]
    rows += [_model("prior samples", part["untuned"]), _model("the same, tuned to the official judge", part["tuned"])]
    head = [
        "model",
        "official",
        *(f"judge {i}" for i in judges[1:]),
        *(f"agreement {i}" for i in judges[1:]),
        "dispute",
    ]
    yield from table(head, rows)
    short = [name for name, one in part["models"].items() if not one["whole"]]
    if short:
        yield f"Trained for less than their recipes' full budget: {', '.join(short)}."
        yield ""
    yield f"Rank agreement over {len(part['models'])} models of the lab:"
    yield ""
    for pair, one in part["agreement"].items():
        yield f"- judges {pair}: Kendall's tau {one['kendall']:.3f}, Spearman's rho {one['spearman']:.3f}"
    yield ""
    if len(part["models"]) < LIMITS["models"]:
        missed.append(f"judges were compared on {len(part['models'])} models, not on a dozen")
    warned = [name for name, one in part["models"].items() if one["disagreement"] > DISPUTED]
    missed += [f"the judges disagree on {name}, which was tuned to none" for name in warned]
    if part["tuned"]["disagreement"] <= DISPUTED:
        missed.append("the model tuned to the official judge was not found out")


def _model(name: str, one: Found) -> list[str]:
    return [
        name,
        *(number(value) for value in one["over floor"]),
        *(f"{value:.1%}" for value in one["agreement"]),
        number(one["disagreement"]),
    ]


def _cost(part: Found, missed: list[str]) -> Iterator[str]:
    ratio = part["scikit-image"] / part["ssim"]
    yield "## What a card costs"
    yield ""
    rows = [
        ["full card beyond the model's own sampling, first one on a machine (s)", number(part["cold seconds"]), "60"],
        ["the same once real images are known (s)", number(part["warm seconds"]), "60"],
        ["peak memory of the process (GiB)", number(max(part["cold gigabytes"], part["warm gigabytes"])), "2"],
        [f"SSIM of 10,000 images (s), {part['threads']} threads", number(part["ssim"]), ""],
        ["a loop of scikit-image over the same images (s)", number(part["scikit-image"]), ""],
        ["ratio of the two", number(ratio), "at least 50"],
    ]
    yield from table(["figure", "measured", "promised"], rows)
    if max(part["cold seconds"], part["warm seconds"]) > LIMITS["seconds"]:
        missed.append(
            f"a full card took {part['cold seconds']:.0f} s cold and {part['warm seconds']:.0f} s warm, not 60 s"
        )
    if max(part["cold gigabytes"], part["warm gigabytes"]) > LIMITS["gigabytes"]:
        missed.append("a full card took more than 2 GiB")
    if ratio < LIMITS["ssim"]:
        missed.append(f"SSIM is {ratio:.1f} times as fast as a loop of scikit-image, not 50 times")
