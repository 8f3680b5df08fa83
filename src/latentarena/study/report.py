"""The report of one run: a single HTML file that needs neither network nor scripts."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure
from torch import Tensor

from latentarena.bundle import Bundle
from latentarena.data import Dataset
from latentarena.files import write_text
from latentarena.judge.classifier import Judge
from latentarena.judge.score import METRICS, ScoreCard, class_counts
from latentarena.study.pictures import grid, png
from latentarena.study.scoring import SEED, labels_for, prior_images
from latentarena.train.logs import curve
from latentarena.train.model import LatentModel

__all__ = ["Picture", "table_rows", "write_report"]

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
        return "" if value is None else f"{value:,.{decimals}f}"

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


def write_report(path: Path, bundle: Bundle, data: Dataset, judge: Judge, card: ScoreCard, logs: Path) -> None:
    """Write the report.

    Raises:
        OutputError: the file cannot be written.
    """
    model, made = bundle.model, bundle.card.provenance
    environment = Environment(loader=PackageLoader("latentarena.study"), autoescape=True, undefined=StrictUndefined)
    samples = model.generate(model.noise(SHOWN, SEED), labels_for(model, SHOWN))
    html = environment.get_template("report.html").render(
        card=card,
        rows=table_rows(card),
        parameters=f"{sum(card.parameters.values()):,}",
        latent="x".join(map(str, card.latent)),
        seconds=round(sum(made.seconds.values())),
        samples=_sample_pictures(model, data, samples),
        reconstructions=_reconstructions(model, data),
        plots=[_curves(logs), _scatter(model, data), _classes(judge, data, _sample_counts(model, judge))],
        command="arena train recipe.yaml --out again   # with the recipe below saved as recipe.yaml",
        recipe=yaml.safe_dump(made.recipe, sort_keys=False),
        facts=_facts(bundle, card),
    )
    write_text(path, html)


def _facts(bundle: Bundle, card: ScoreCard) -> dict[str, str]:
    made = bundle.card.provenance
    return {
        "parameters": ", ".join(f"{part} {count:,}" for part, count in card.parameters.items()),
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


def _sample_pictures(model: LatentModel, data: Dataset, samples: Tensor) -> list[Picture]:
    real = data.test.batch(slice(0, SHOWN)).cpu()
    pictures = [_pixels(samples, "a grid of generated images", f"Generated from noise, seed {SEED}; not picked.")]
    if any(True for _ in model.autoencoder.parameters()):
        prior = prior_images(model, SHOWN, SEED)
        caption = "Plain Gaussian latents through the same decoder: what the generator has to beat."
        pictures.append(_pixels(prior, "a grid of images decoded from the Gaussian prior", caption))
    pictures.append(_pixels(real, "a grid of real test images", "Real test images, the first in the file."))
    return pictures


def _reconstructions(model: LatentModel, data: Dataset, n: int = 20) -> Picture:
    images = data.test.batch(slice(0, n)).cpu()
    again = model.decode(model.encode(images))
    pairs = torch.cat([images, again, (images - again).abs()])
    caption = "Test images, their reconstructions, and the absolute difference."
    return _pixels(pairs, "three rows: test images, reconstructions, differences", caption, columns=len(images))


def _curves(logs: Path) -> Picture:
    stages = {stage: columns for stage in ("autoencoder", "generator") if (columns := curve(logs, stage))}
    figure = Figure(figsize=(6, 2.4 * max(1, len(stages))))
    for row, (stage, columns) in enumerate(stages.items(), 1):
        axes = figure.add_subplot(len(stages), 1, row)
        axes.plot(columns["seconds"], columns["loss"], color="#0a6e6e", linewidth=1)
        wide = max(columns["loss"]) > 5 * min(columns["loss"])
        axes.set(title=f"{stage} loss", xlabel="seconds", yscale="log" if wide else "linear")
        axes.grid(alpha=0.3)
    figure.tight_layout()
    return _plot(figure, "loss against time for each training stage", "Training loss by stage.")


def _scatter(model: LatentModel, data: Dataset) -> Picture:
    """Test and generated latents in the two leading principal directions of the test latents."""
    test = model.encode(data.test.batch(slice(0, SCATTERED)).cpu()).flatten(1)
    n = len(test)
    *_, generated = model.trajectory(model.noise(n, SEED), labels_for(model, n))
    center = test.mean(0)
    _, _, directions = torch.pca_lowrank(test, q=min(4, test.shape[1]), center=True)
    figure = Figure(figsize=(6, 5))
    axes = figure.add_subplot()
    flat = (generated.cpu().flatten(1) - center) @ directions[:, :2]
    axes.scatter(flat[:, 0], flat[:, 1], s=10, marker="x", color="#999999", linewidths=0.6, label="generated")
    flat = (test - center) @ directions[:, :2]
    colours = data.test.labels[:n].cpu()
    points = axes.scatter(flat[:, 0], flat[:, 1], s=5, c=colours, cmap="tab10", label="test data")
    bar = figure.colorbar(points, ax=axes, ticks=range(len(data.classes)))
    bar.ax.set_yticklabels(data.classes)
    axes.set(xlabel="first principal direction", ylabel="second")
    axes.legend(loc="upper right", fontsize=8)
    caption = f"{n:,} test latents (coloured by class) over as many generated ones (crosses)."
    return _plot(figure, "scatter plot of test latents by class and generated latents", caption)


def _sample_counts(model: LatentModel, judge: Judge, n: int = SCATTERED) -> Tensor:
    """How many of n generated images the judge sees as each class, int64 (K,)."""
    return class_counts(judge, model.generate(model.noise(n, SEED), labels_for(model, n)))


def _classes(judge: Judge, data: Dataset, counts: Tensor) -> Picture:
    """Generated class frequencies over the band in which a perfect sampler of that size would lie."""
    n, known = int(counts.sum()), judge.frequencies.double()
    spread = 1.96 * (known * (1 - known) / n).sqrt()
    figure = Figure(figsize=(6, 3))
    axes = figure.add_subplot()
    position = range(len(known))
    axes.bar(position, (counts / n).tolist(), color="#58c9c1", label="generated")
    axes.errorbar(
        position,
        known.tolist(),
        yerr=spread.tolist(),
        fmt="_",
        color="#1d2330",
        capsize=4,
        label="train split, 95 % band",
    )
    axes.set_xticks(position, data.classes)
    axes.set(ylabel="share", xlabel="class, as the judge sees it")
    axes.set_ylim(0, 1.35 * float(torch.maximum(counts.max() / n, (known + spread).max())))
    axes.legend(fontsize=8, loc="upper right", ncols=2)
    return _plot(figure, "bar chart of generated class shares", f"Classes among {n:,} samples.")
