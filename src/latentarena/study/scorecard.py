"""What people see of a score card: its figures in words, and the section that is shared by all pages that show it."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure
from matplotlib.projections.polar import PolarAxes
from torch import Tensor

from latentarena.data import Dataset
from latentarena.files import write_text
from latentarena.judge.card import Opinion, ScoreCard, Timing
from latentarena.judge.catalogue import CATEGORIES, METRICS
from latentarena.judge.contest2025 import COLUMNS
from latentarena.judge.known import real_index
from latentarena.judge.metrics import Estimate, confidences, squared_errors
from latentarena.judge.score import Findings
from latentarena.study.charts import draw_classes, draw_radar, draw_steps
from latentarena.study.pictures import Picture, embed_figure, embed_images
from latentarena.study.scoring import SWEPT

__all__ = [
    "CLEAN",
    "REFERENCES",
    "SHOWN",
    "Row",
    "contest_cells",
    "contest_line",
    "environment",
    "least_sure",
    "nearest_pairs",
    "references",
    "row_of",
    "rows_by_category",
    "section",
    "steps_floor",
    "timing_words",
    "worst_reconstructions",
    "write_page",
]

SHOWN = 64  # samples in a grid
ROW = 20  # images in a row
CLEAN = "Nothing was found that calls for advice."
REFERENCES = Path(__file__).parent / "references"


@dataclass(frozen=True)
class Row:
    """One metric as text: empty where there is no such thing."""

    title: str
    what: str
    value: str
    interval: str
    real: str
    real_interval: str
    better: str
    like_real: bool


def rows_by_category(card: ScoreCard) -> dict[str, list[Row]]:
    """The scores of a card in words, by category, in the order of the catalogue; categories without any left out."""
    rows: dict[str, list[Row]] = {}
    for category in CATEGORIES:
        names = [name for name, metric in METRICS.items() if metric.category == category and name in card.scores]
        if names:
            rows[category] = [row_of(card, name) for name in names]
    return rows


def row_of(card: ScoreCard, name: str) -> Row:
    """A metric of the card in words."""
    metric, score = METRICS[name], card.scores[name]
    return Row(
        title=metric.title,
        what=metric.what,
        value=_text(score.value, metric.decimals),
        interval=_interval(score, metric.decimals),
        real="" if score.real is None else _text(score.real.value, metric.decimals),
        real_interval="" if score.real is None else _interval(score.real, metric.decimals),
        better=metric.better,
        like_real=score.at_floor,
    )


def _text(value: float, decimals: int) -> str:
    return f"{round(value, decimals) + 0.0:,.{decimals}f}"  # + 0.0, for there is a minus zero


def _interval(one: Estimate, decimals: int) -> str:
    """The two ends; empty for a figure that is counted and not estimated."""
    exact = one.low == one.value == one.high
    return "" if exact else f"[{_text(one.low, decimals)}, {_text(one.high, decimals)}]"


def timing_words(timing: Timing) -> str:
    """What sampling took, in a sentence."""
    one, threads = timing.ms_per_sample, f"{timing.threads} thread{'s' if timing.threads > 1 else ''}"
    return (
        f"{one.value:.4g} ms a sample ({one.low:.4g} to {one.high:.4g}) on {threads}, {timing.batch} at a time, median "
        f"of {timing.repeats}; {timing.ratio:.3g} times the reference model's {timing.reference_ms:.4g} ms"
    )


def contest_cells(card: ScoreCard) -> dict[str, str]:
    """The seven columns of the 2025 contest as text, in its order; a dash for a time that was not taken."""

    def text(column: str, value: float | None) -> str:
        if value is None:
            return "–"
        if value == math.inf:
            return "∞"
        digits = {"total_params": ",.0f", "time_per_sample": ".4g"}.get(column, ".5g")
        return f"{value:{digits}}"

    return {column: text(column, value) for column, value in _contest(card).items()}


def contest_line(card: ScoreCard) -> str:
    """A CSV line as in the 2025 contest's leaderboard, without ranks: team, no time, latent, columns."""
    cells = ["" if value is None else f"{value:.16g}" for value in _contest(card).values()]
    team = " ".join(card.model.split())
    team = f"'{team}" if team.startswith(("=", "+", "-", "@")) else team  # or a spreadsheet would compute it
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="").writerow([team, "", "x".join(map(str, card.latent)), *cells])
    return buffer.getvalue()


def _contest(card: ScoreCard) -> dict[str, float | None]:
    """The seven columns in their order; None for a time that was not taken."""
    seconds = None if card.timing is None else card.timing.ms_per_sample.value / 1000
    known = {column: math.inf if value is None else value for column, value in card.contest_2025.items()}
    return {column: seconds if column == "time_per_sample" else known[column] for column in COLUMNS}


def references(dataset: str) -> dict[str, dict[str, float]]:
    """Points of models that are well known, by model and category; empty where none were measured on this data."""
    known = {path.stem: path for path in REFERENCES.glob("*.json")}
    if dataset not in known:
        return {}
    return cast(dict[str, dict[str, float]], json.loads(known[dataset].read_text()))


def worst_reconstructions(findings: Findings, data: Dataset, n: int = ROW) -> tuple[Tensor, Tensor, Tensor] | None:
    """The n test images with the largest error, what became of them, and the errors, worst first; None for pixels.

    Returns:
        (n, C, H, W) twice, and mean squared errors (n,).
    """
    if findings.reconstructed is None:
        return None
    test = data.test.batch(slice(None)).cpu()
    errors = squared_errors(findings.reconstructed, test)
    worst = errors.argsort(descending=True, stable=True)[:n]
    return test[worst], findings.reconstructed[worst], errors[worst]


def least_sure(findings: Findings, n: int = ROW) -> tuple[Tensor, Tensor]:
    """The n samples of which the judge is most sure, and the n of which it is least, each (n, C, H, W)."""
    order = confidences(findings.seen.probabilities).argsort(descending=True, stable=True)
    return findings.generated[order[:n]], findings.generated[order.flip(0)[:n]]


def nearest_pairs(findings: Findings, data: Dataset, n: int = ROW) -> tuple[Tensor, Tensor, float]:
    """The n samples that are nearest to a train image for how far the next one is, and these train images.

    Returns:
        (n, C, H, W) twice, and the smallest ratio of the two distances.
    """
    near = findings.near
    ratios = torch.where(near.first == 0, 0.0, near.first / near.second.clamp(min=1e-12))
    order = ratios.argsort(stable=True)[:n]
    return findings.generated[order], data.train.batch(near.index[order].cpu()).cpu(), float(ratios[order[0]])


def steps_floor(findings: Findings, data: Dataset) -> float:
    """The Frechet distance of as many real test images as there are samples in a card's `by_steps`."""
    known = findings.known
    index = real_index(data, min(len(findings.generated), SWEPT))
    return known.judge.distance(known.test.rows(index))


def environment() -> Environment:
    """Where the pages' templates come from; whatever is put into them is text and no markup."""
    return Environment(loader=PackageLoader("latentarena.study"), autoescape=True, undefined=StrictUndefined)


def write_page(path: Path, card: ScoreCard, findings: Findings, data: Dataset) -> None:
    """Write the card as one HTML file that needs neither network nor scripts.

    Raises:
        OutputError: the file cannot be written.
    """
    write_text(path, environment().get_template("card.html").render(section(card, findings, data)))


def section(card: ScoreCard, findings: Findings, data: Dataset) -> dict[str, Any]:
    """What the template of the shared section asks for."""
    return {
        "card": card,
        "clean": CLEAN,
        "identity": _identity(card),
        "categories": CATEGORIES,
        "rows": rows_by_category(card),
        "points": card.points,
        "references": references(card.dataset),
        "timing": timing_words(card.timing) if card.timing else "",
        "opinions": [_opinion(one) for one in card.opinions],
        "contest": contest_cells(card),
        "by_class": {name: f"{share:.1%}" for name, share in card.by_class.items()},
        "radar": _radar(card),
        "charts": [_classes(findings, data), _steps(findings, card, data)],
        "samples": _samples(findings, data),
        "sorted_samples": _sorted_samples(findings, data),
        "reconstructions": _reconstructions(findings, data),
    }


def _identity(card: ScoreCard) -> dict[str, str]:
    solver = f"{card.solver}, {card.steps} step{'s' if card.steps > 1 else ''}"
    return {
        "model": card.model,
        "dataset": card.dataset,
        "judge": card.judge,
        "samples": f"{card.samples:,}, an equal share from each seed",
        "seeds": ", ".join(map(str, card.seeds)),
        "sampler": solver + (f", guidance scale {card.guidance:g}" if card.guidance != 1 else ""),
        "latent": "x".join(map(str, card.latent)),
        "fingerprint": card.fingerprint,
        "bundle (SHA-256)": card.bundle,
        "judge (SHA-256)": card.judge_hash,
        "data (SHA-256)": card.data,
        "code (SHA-256)": card.source,
        "platform": card.platform,
    }


def _opinion(one: Opinion) -> dict[str, str]:
    floor = one.frechet.real.value if one.frechet.real else 0.0
    return {
        "judge": one.judge,
        "kind": one.kind,
        "frechet": f"{one.frechet.value:.4f}",
        "floor": f"{floor:.4f}",
        "ratio": f"{one.frechet.value / floor:.1f}" if floor > 0 else "–",
        "confidence": f"{one.confidence:.4f}",
        "real_confidence": f"{one.real_confidence:.4f}",
        "agreement": f"{one.agreement:.2%}",
        "real_agreement": f"{one.real_agreement:.2%}",
    }


def _radar(card: ScoreCard) -> Picture:
    figure = Figure(figsize=(5.4, 5.2))
    draw_radar(
        cast(PolarAxes, figure.add_subplot(projection="polar")), card.model, card.points, references(card.dataset)
    )
    beside = " beside those of reference models" if references(card.dataset) else ""
    caption = f"Points by category, 0 to 100{beside}. A category without a figure that counts is left out."
    return embed_figure(figure, "radar chart of the points by category", caption)


def _classes(findings: Findings, data: Dataset) -> Picture:
    figure, labels = Figure(figsize=(6, 3.4)), findings.seen.labels
    draw_classes(figure.add_subplot(), labels, findings.known.judge.frequencies, data.classes)
    return embed_figure(figure, "bar chart of generated class shares", f"Classes among {len(labels):,} samples.")


def _steps(findings: Findings, card: ScoreCard, data: Dataset) -> Picture:
    figure = Figure(figsize=(6, 3.4))
    draw_steps(figure.add_subplot(), card.by_steps, card.steps, steps_floor(findings, data))
    caption = (
        f"Frechet distance of {min(card.samples, SWEPT):,} samples against solver steps, and that of as many real test "
        "images. Fewer images have larger distances, so these are not the card's."
    )
    return embed_figure(figure, "line chart of the Frechet distance against solver steps", caption)


def _samples(findings: Findings, data: Dataset) -> list[Picture]:
    real = data.test.batch(slice(0, SHOWN)).cpu()
    caption = "Generated from noise; the first of those that were judged, not picked."
    pictures = [embed_images(findings.generated[:SHOWN], "a grid of generated images", caption)]
    if findings.prior is not None:
        caption = "Plain Gaussian latents through the same decoder: what the generator has to beat."
        alt = "a grid of images decoded from the Gaussian prior"
        pictures.append(embed_images(findings.prior[:SHOWN], alt, caption))
    pictures.append(embed_images(real, "a grid of real test images", "Real test images, the first in the file."))
    return pictures


def _sorted_samples(findings: Findings, data: Dataset) -> list[Picture]:
    sure, unsure = least_sure(findings)
    drawn, train, ratio = nearest_pairs(findings, data)
    caption = (
        "Above, the samples that are nearest to a train image, for how far they are from the next one; below, these "
        f"train images. The smallest ratio of the two distances is {ratio:.2f}; below a third it would be a copy."
    )
    return [
        embed_images(sure, "the samples that the judge is most sure of", "Most confident.", len(sure)),
        embed_images(unsure, "the samples that the judge is least sure of", "Least confident.", len(unsure)),
        embed_images(torch.cat([drawn, train]), "two rows: samples, their nearest train images", caption, len(drawn)),
    ]


def _reconstructions(findings: Findings, data: Dataset) -> list[Picture]:
    worst = worst_reconstructions(findings, data)
    if worst is None or findings.reconstructed is None:
        return []
    images, again = data.test.batch(slice(0, ROW)).cpu(), findings.reconstructed[:ROW]
    first = torch.cat([images, again, 4 * (images - again).abs()])
    caption = "The first test images, their reconstructions, and four times the absolute difference."
    alt = "three rows: test images, reconstructions, differences"
    originals, made, errors = worst
    errors_text = f"mean squared errors {float(errors[0]):.4f} to {float(errors[-1]):.4f}"
    return [
        embed_images(first, alt, caption, len(images)),
        embed_images(
            torch.cat([originals, made]),
            "two rows: the test images with the largest error, their reconstructions",
            f"The worst: test images above their reconstructions, {errors_text}, largest first.",
            len(originals),
        ),
    ]
