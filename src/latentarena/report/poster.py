"""The score card as one picture, to be shown where a page cannot be. Places are in inches from the top left."""

from __future__ import annotations

import io
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor

from latentarena.card.score_card import ScoreCard
from latentarena.card.words import CLEAN, check_words, references, row_of, timing_words
from latentarena.data import Dataset
from latentarena.files import write_atomically
from latentarena.judge.score import Findings
from latentarena.pictures import blank, grid, plain
from latentarena.report.charts import ACCENT, INK, SOFT, draw_classes, draw_radar, draw_steps
from latentarena.report.scorecard import (
    nearest_pairs,
    steps_floor,
    worst_reconstructions,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.projections.polar import PolarAxes

WIDTH = 1600  # pixels
DPI = 100
MARGIN, LINE = 0.4, 0.22
LETTERS = 190  # in a line of text from margin to margin
SAMPLES, PAIRS = 70, 14
MAIN = (
    "mse",
    "ssim",
    "latent_dimension",
    "probe",
    "prior_frechet",
    "frechet",
    "confidence",
    "precision",
    "accuracy",
    "class_kl",
    "recall",
    "coverage",
    "nearest_ratio",
    "copies",
    "parameters",
    "information",
    "operations",
    "train_seconds",
)


def write_poster(path: Path, card: ScoreCard, findings: Findings, data: Dataset) -> None:
    """Write the card as a PNG, `WIDTH` pixels wide.

    Raises:
        OutputError: the file cannot be written.
    """
    buffer = io.BytesIO()
    poster(card, findings, data).savefig(buffer, format="png", dpi=DPI)
    write_atomically(path, buffer.getvalue())


def poster(card: ScoreCard, findings: Findings, data: Dataset) -> Figure:
    """Head and advice, charts, main figures beside samples, reconstructions beside nearest neighbours."""
    lines = _head(card) + _advice(card)
    top = MARGIN + 0.6 + LINE * len(lines) + 0.3
    figure = blank(WIDTH / DPI, top + 4.9 + 5.5 + 1.8, "white")
    _write(figure, MARGIN, plain(card.model), 24, ACCENT)
    for i, (line, color) in enumerate(lines):
        _write(figure, MARGIN + 0.6 + LINE * i, plain(line), 11, color)
    _charts(figure, top, card, findings, data)
    _figures(_place(figure, MARGIN, top + 4.8, 7.5, 5.4), card)
    samples = findings.generated[:SAMPLES]
    _images(_place(figure, 8.4, top + 5.05, 7.2, 5.1), samples, "samples, the first that were judged", columns=10)
    _pairs(figure, top + 10.4, findings, data)
    return figure


def _place(figure: Figure, left: float, top: float, width: float, height: float, polar: bool = False) -> Axes:
    whole, tall = figure.get_size_inches()
    place = (left / whole, 1 - (top + height) / tall, width / whole, height / tall)
    return figure.add_axes(place, projection="polar" if polar else None)


def _write(figure: Figure, top: float, text: str, size: float, color: str) -> None:
    whole, tall = figure.get_size_inches()
    figure.text(MARGIN / whole, 1 - top / tall, text, fontsize=size, color=color, va="top")


def _head(card: ScoreCard) -> list[tuple[str, str]]:
    """Lines and their colours: what was judged, by whom, and what identifies the result."""
    lines = [
        f"on {card.dataset}, judged by {card.judge}: {card.samples:,} samples by {card.solver} in {card.steps} steps, "
        f"seeds {', '.join(map(str, card.seeds))}",
        f"bundle {card.bundle}, judge {card.judge_hash}",
        f"fingerprint {card.fingerprint}",
    ]
    lines += [timing_words(card)] if card.timing else []
    notice = [(line, "#8a4b00") for line in textwrap.wrap(f"NOTE: {card.notice}.", LETTERS)] if card.notice else []
    return [(part, SOFT) for line in lines for part in textwrap.wrap(line, LETTERS)] + notice


def _advice(card: ScoreCard) -> list[tuple[str, str]]:
    words = check_words(card)[1]
    words += [f"{one.fault}: {one.text}. Try: {one.remedy}." for one in card.advice] or [CLEAN]
    return [("", INK), *((line, INK) for each in words for line in textwrap.wrap(each, LETTERS))]


def _charts(figure: Figure, top: float, card: ScoreCard, findings: Findings, data: Dataset) -> None:
    radar = cast("PolarAxes", _place(figure, 1.2, top + 0.5, 3.1, 3.1, polar=True))
    draw_radar(radar, card.model, card.points, references(card.dataset))
    classes = _place(figure, 6.0, top + 0.3, 4.4, 3.7)
    draw_classes(classes, findings.seen.labels, findings.known.frequencies, data.classes)
    _title(classes, "classes of the samples")
    if card.by_steps:  # a graph has its steps inside
        steps = _place(figure, 11.3, top + 0.3, 4.3, 3.7)
        draw_steps(steps, card.by_steps, card.steps, steps_floor(findings, data))
        _title(steps, "quality against solver steps, fewer samples")


def _figures(axes: Axes, card: ScoreCard) -> None:
    """The main figures as a table: title, value, interval, real images."""
    names = [name for name in MAIN if name in card.scores]
    axes.set(xlim=(0, 1), ylim=(len(names) + 1, -0.2))
    axes.set_axis_off()
    places = (0.0, 0.6, 0.84, 1.0)
    for place, word in zip(places, ("", "this model", "95 % interval", "real images"), strict=True):
        axes.text(place, 0, word, ha="left" if place == 0 else "right", va="center", fontsize=11, color=SOFT)
    for i, row in enumerate((row_of(card, name) for name in names), 1):
        axes.axhline(i - 0.5, color="#dcdfe6", linewidth=0.8)
        axes.text(places[0], i, row.title, va="center", fontsize=11.5, color=INK)
        axes.text(places[1], i, row.value, ha="right", va="center", fontsize=11.5, color=ACCENT, fontweight="bold")
        axes.text(places[2], i, row.interval, ha="right", va="center", fontsize=10, color=SOFT)
        axes.text(places[3], i, row.real, ha="right", va="center", fontsize=11.5, color=INK)


def _pairs(figure: Figure, top: float, findings: Findings, data: Dataset) -> None:
    drawn, train, _ = nearest_pairs(findings, data, PAIRS)
    shown: list[tuple[Tensor, str]] = [(torch.cat([drawn, train]), "samples nearest to a train image, and that image")]
    worst = worst_reconstructions(findings, data, PAIRS)
    if worst is not None:
        shown.insert(0, (torch.cat(worst[:2]), "test images with the largest error, and their reconstructions"))
    for left, (images, title) in zip((MARGIN, 8.4), shown, strict=False):
        _images(_place(figure, left, top + 0.3, 7.2, 1.2), images, title, columns=len(images) // 2)


def _images(axes: Axes, images: Tensor, title: str, columns: int) -> None:
    sheet = np.asarray(grid(images, columns, zoom=2))
    axes.imshow(sheet, cmap="gray", vmin=0, vmax=255)
    axes.set_anchor("NW")
    axes.set_axis_off()
    _title(axes, title)


def _title(axes: Axes, words: str) -> None:
    axes.set_title(words, loc="left", fontsize=11.5, color=INK)
