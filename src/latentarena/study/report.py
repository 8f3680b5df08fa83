"""The report of one run: a single HTML file that needs neither network nor scripts."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib import colormaps
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import pad

from latentarena.bundle import Bundle
from latentarena.data import Dataset
from latentarena.files import write_text
from latentarena.judge.classifier import Judge
from latentarena.judge.score import METRICS, Findings, ScoreCard
from latentarena.sample import last
from latentarena.study.pictures import grid, png
from latentarena.study.scoring import SEED, labels_in_proportion
from latentarena.train.logs import curve
from latentarena.train.model import LatentModel

__all__ = ["SHOWN", "Picture", "table_rows", "verdict", "write_report"]

SHOWN = 64  # samples in a grid
SCATTERED = 2000  # latents in the scatter plot


@dataclass(frozen=True)
class Picture:
    """An embedded image, its caption and its text for those who do not see it."""

    source: str
    alt: str
    caption: str


def table_rows(card: ScoreCard) -> list[dict[str, str]]:
    """The score card as text cells: title, value, real, prior, better."""

    def text(value: float | None, decimals: int) -> str:
        return "–" if value is None else f"{value:,.{decimals}f}"

    return [
        {
            "title": METRICS[name].title,
            "value": text(score.value, METRICS[name].decimals),
            "real": text(score.real, METRICS[name].decimals),
            "prior": text(score.prior, METRICS[name].decimals),
            "better": METRICS[name].better,
        }
        for name, score in card.scores.items()
    ]


def write_report(
    path: Path, bundle: Bundle, data: Dataset, judge: Judge, card: ScoreCard, findings: Findings, logs: Path
) -> None:
    """Write the report.

    Raises:
        OutputError: the file cannot be written.
    """
    made = bundle.card.provenance
    environment = Environment(loader=PackageLoader("latentarena.study"), autoescape=True, undefined=StrictUndefined)
    html = environment.get_template("report.html").render(
        card=card,
        rows=table_rows(card),
        verdict=verdict(card),
        parameters=f"{sum(card.parameters.values()):,}",
        latent="x".join(map(str, card.latent)),
        seconds=round(sum(made.seconds.values())),
        samples=_sample_pictures(findings, data),
        reconstructions=_reconstructions(findings, data),
        plots=[
            _curves(logs, list(made.seconds)),
            _scatter(bundle.model, data, judge),
            _classes(judge, data, findings.labels),
        ],
        command="arena train recipe.yaml --out again   # with the recipe below saved as recipe.yaml",
        recipe=yaml.safe_dump(made.recipe, sort_keys=False),
        facts=_facts(bundle, card),
    )
    write_text(path, html)


def verdict(card: ScoreCard) -> str:
    """The score card in a sentence."""
    frechet = card.scores["frechet"]
    if not frechet.prior or frechet.value <= 0:
        return ""
    ratio = frechet.prior / frechet.value
    if ratio <= 1:
        return "The generator does not beat plain Gaussian latents: its Frechet distance is no smaller."
    return f"Plain Gaussian latents have {ratio:,.1f} times the generator's Frechet distance."


def _facts(bundle: Bundle, card: ScoreCard) -> dict[str, str]:
    made, latents = bundle.card.provenance, bundle.card.provenance.latents
    kl = f", KL divergence {latents.kl:.1f} nats" if latents.kl is not None else ""
    return {
        "parameters": ", ".join(f"{part} {count:,}" for part, count in card.parameters.items()),
        "latents": f"{latents.dimensions} dimensions, {latents.dead} of them dead, standard deviations "
        f"{latents.smallest:.3g} to {latents.largest:.3g}{kl}",
        "training": ", ".join(f"{stage} {seconds:.0f} s" for stage, seconds in made.seconds.items()),
        "final losses": ", ".join(f"{stage} {loss:.5f}" for stage, loss in made.losses.items()),
        "machine": made.machine,
        "versions": ", ".join(f"{name} {version}" for name, version in made.versions.items()),
        "seed": str(made.recipe["seed"]),
        "bundle (SHA-256)": card.bundle,
        "data (SHA-256)": card.data,
        "judge (SHA-256)": card.judge_hash,
        "judging code (SHA-256)": card.source,
    }


def _pixels(images: Tensor, alt: str, caption: str, columns: int | None = None) -> Picture:
    encoded = base64.b64encode(png(grid(images, columns, zoom=1))).decode()
    return Picture(f"data:image/png;base64,{encoded}", alt, caption)


def _plot(figure: Figure, alt: str, caption: str) -> Picture:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130, bbox_inches="tight")
    return Picture(f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}", alt, caption)


def _sample_pictures(findings: Findings, data: Dataset) -> list[Picture]:
    real = data.test.batch(slice(0, SHOWN)).cpu()
    caption = "Generated from noise; the first of those that were judged, not picked."
    pictures = [_pixels(findings.generated[:SHOWN], "a grid of generated images", caption)]
    if findings.prior is not None:
        caption = "Plain Gaussian latents through the same decoder: what the generator has to beat."
        pictures.append(_pixels(findings.prior[:SHOWN], "a grid of images decoded from the Gaussian prior", caption))
    pictures.append(_pixels(real, "a grid of real test images", "Real test images, the first in the file."))
    return pictures


def _reconstructions(findings: Findings, data: Dataset, n: int = 20) -> Picture:
    images, again = data.test.batch(slice(0, n)).cpu(), findings.reconstructed[:n]
    pairs = torch.cat([images, again, 4 * (images - again).abs()])
    caption = "Test images, their reconstructions, and four times the absolute difference."
    return _pixels(pairs, "three rows: test images, reconstructions, differences", caption, columns=len(images))


def _curves(logs: Path, names: Sequence[str]) -> Picture:
    stages = {stage: columns for stage in names if (columns := curve(logs, stage))}
    figure = Figure(figsize=(6, 2.6 * max(1, len(stages))))
    for row, (stage, columns) in enumerate(stages.items(), 1):
        axes = figure.add_subplot(len(stages), 1, row)
        axes.plot(columns["seconds"], columns["loss"], color="#0a6e6e", linewidth=1)
        wide = max(columns["loss"]) > 5 * min(columns["loss"])
        axes.set(xlabel="seconds", ylabel="loss", yscale="log" if wide else "linear")
        axes.set_title(f"{stage}: {columns['loss'][-1]:.4g} at the end")
        axes.grid(alpha=0.3)
    figure.tight_layout()
    return _plot(figure, "loss against time for each training stage", "Training loss by stage.")


def _scatter(model: LatentModel, data: Dataset, judge: Judge) -> Picture:
    """Test and generated latents in the two leading principal directions of the test latents."""
    test = model.encode(data.test.batch(slice(0, SCATTERED)).cpu())
    n, labels = len(test), labels_in_proportion(model, judge.frequencies, len(test))
    generated = last(model.trajectory(model.noise(n, SEED), labels, seed=SEED)).cpu()
    center = test.flatten(1).mean(0)
    _, _, rows = torch.linalg.svd(test.flatten(1) - center, full_matrices=False)
    directions = pad(rows[:2].T, (0, max(0, 2 - len(rows))))  # (D, 2), zeros where there is but one direction
    k = len(data.classes)
    style: dict[str, Any] = {
        "s": 5,
        "cmap": colormaps["tab10" if k <= 10 else "turbo"].resampled(k),
        "vmin": -0.5,
        "vmax": k - 0.5,
    }
    figure = Figure(figsize=(9, 4.2))
    left, right = figure.subplots(1, 2, sharex=True, sharey=True)
    flat = (test.flatten(1) - center) @ directions
    left.scatter(flat[:, 0].numpy(), flat[:, 1].numpy(), c=data.test.labels[:n].cpu().numpy(), **style)
    left.set(title="test images, by class", xlabel="first principal direction", ylabel="second")
    flat = (generated.flatten(1) - center) @ directions
    seen = judge.look(model.decode(generated)).labels
    points = right.scatter(flat[:, 0].numpy(), flat[:, 1].numpy(), c=seen.numpy(), **style)
    right.set(title="generated, by judged class", xlabel="first principal direction")
    bar = figure.colorbar(points, ax=[left, right], ticks=range(k))
    bar.ax.set_yticklabels(_plain(data.classes))
    caption = f"{n:,} test latents and as many generated ones, in the test latents' principal directions."
    return _plot(figure, "two scatter plots: test latents by class, generated latents by judged class", caption)


def _classes(judge: Judge, data: Dataset, labels: Tensor) -> Picture:
    """Generated class frequencies over the band in which a perfect sampler of that size would lie."""
    n, known = len(labels), judge.frequencies.double()
    shares = torch.bincount(labels, minlength=len(known)) / n
    spread = 1.96 * (known * (1 - known) / n).sqrt()
    figure = Figure(figsize=(6, 3.4))
    axes = figure.add_subplot()
    position = range(len(known))
    axes.bar(position, shares.tolist(), color="#58c9c1", label="generated")
    band: dict[str, Any] = {"fmt": "_", "color": "#1d2330", "capsize": 4, "label": "train split, 95 % band"}
    axes.errorbar(position, known.tolist(), yerr=spread.tolist(), **band)
    axes.set_xticks(position, _plain(data.classes))
    axes.set(ylabel="share", xlabel="class, as the judge sees it")
    axes.set_ylim(0, 1.35 * max(float(shares.max()), float((known + spread).max())))
    axes.legend(fontsize=8, loc="upper right", ncols=2)
    return _plot(figure, "bar chart of generated class shares", f"Classes among {n:,} samples.")


def _plain(names: Sequence[str]) -> list[str]:
    """Names that matplotlib does not take for mathematics."""
    return [name.replace("$", r"\$") for name in names]
