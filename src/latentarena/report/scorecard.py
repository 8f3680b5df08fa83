"""The page of a score card, and the section of it that the report of a run shows too."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from jinja2 import Environment
from torch import Tensor

from latentarena.card import pages
from latentarena.card.score_card import ScoreCard
from latentarena.card.waterfall import Waterfall
from latentarena.card.words import contest_cells, references
from latentarena.data import Dataset
from latentarena.files import write_text
from latentarena.judge.known import real_index
from latentarena.judge.metrics import confidences, frechet_distance, squared_errors
from latentarena.judge.score import SWEPT, Findings
from latentarena.pictures import Picture, blank, embed_figure, embed_images
from latentarena.report.charts import draw_classes, draw_radar, draw_steps, draw_waterfall

if TYPE_CHECKING:
    from matplotlib.projections.polar import PolarAxes

SHOWN = 64  # samples in a grid
ROW = 20  # images in a row


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
    return frechet_distance(*known.test.rows(index).statistics(), *known.reference)


def environment() -> Environment:
    """The templates of this folder, and the macros of a score card."""
    return pages.environment(Path(__file__).parent / "templates")


def write_page(path: Path, card: ScoreCard, findings: Findings, data: Dataset) -> None:
    """Write the card as one HTML file that needs neither network nor scripts.

    Raises:
        OutputError: the file cannot be written.
    """
    write_text(path, environment().get_template("card.html").render(section(card, findings, data)))


def section(card: ScoreCard, findings: Findings, data: Dataset) -> dict[str, Any]:
    """The variables of the template of the shared section."""
    return {
        "card": card,
        "references": references(card.dataset),
        "contest": contest_cells(card),
        "radar": _radar(card),
        "charts": [_classes(findings, data), *([_steps(findings, card, data)] if card.by_steps else [])],
        "waterfall": None if card.waterfall is None else waterfall_picture(card.waterfall),
        "samples": _samples(findings, data),
        "sorted_samples": _sorted_samples(findings, data),
        "reconstructions": _reconstructions(findings, data),
    }


def _radar(card: ScoreCard) -> Picture:
    figure = blank(5.4, 5.2)
    draw_radar(
        cast("PolarAxes", figure.add_subplot(projection="polar")), card.model, card.points, references(card.dataset)
    )
    beside = " beside those of reference models" if references(card.dataset) else ""
    caption = f"Points by category, 0 to 100{beside}. A category without a figure that counts is left out."
    return embed_figure(figure, "radar chart of the points by category", caption)


def _classes(findings: Findings, data: Dataset) -> Picture:
    figure, labels = blank(6, 3.4), findings.seen.labels
    draw_classes(figure.add_subplot(), labels, findings.known.frequencies, data.classes)
    return embed_figure(figure, "bar chart of generated class shares", f"Classes among {len(labels):,} samples.")


def _steps(findings: Findings, card: ScoreCard, data: Dataset) -> Picture:
    figure = blank(6, 3.4)
    draw_steps(figure.add_subplot(), card.by_steps, card.steps, steps_floor(findings, data))
    caption = (
        f"Frechet distance of {min(card.samples, SWEPT):,} samples against solver steps, and that of as many real test "
        "images. Fewer images have larger distances, so these are not the card's."
    )
    return embed_figure(figure, "line chart of the Frechet distance against solver steps", caption)


def waterfall_picture(found: Waterfall) -> Picture:
    """The error waterfall as a chart."""
    figure = blank(6, 0.5 * len(found.stages) + 1)
    draw_waterfall(figure.add_subplot(), found)
    caption = "A bar reaches from the distance of the stage before to its own; lighter where the distance falls."
    return embed_figure(figure, "waterfall chart of the Frechet distance by stage", caption)


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
