"""The report of one run: a single HTML file that needs neither network nor scripts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import pad

from latentarena.bundle import NativeBundle
from latentarena.card.score_card import SEEDS, ScoreCard
from latentarena.data import Dataset
from latentarena.documents import yaml_text
from latentarena.files import write_text
from latentarena.judge.classifier import Judge
from latentarena.judge.randomness import WITHOUT_BUNDLE
from latentarena.judge.score import Findings
from latentarena.judge.subject import judge_labels
from latentarena.model.latent_model import LatentModel
from latentarena.pictures import Picture, blank, embed_figure, plain
from latentarena.report.charts import ACCENT
from latentarena.report.scorecard import environment, section
from latentarena.report.show import embedded_views
from latentarena.report.shown import ShownModel
from latentarena.sample import last
from latentarena.train.logs import curve

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCATTERED = 2000  # latents in the scatter plot


def write_report(
    path: Path, bundle: NativeBundle, data: Dataset, judge: Judge, card: ScoreCard, findings: Findings, logs: Path
) -> None:
    """Write the report.

    Raises:
        OutputError: the file cannot be written.
    """
    made = bundle.card.provenance
    plots = [_curves(logs, list(made.seconds)), _scatter(bundle.model, data, judge)]
    html = (
        environment()
        .get_template("report.html")
        .render(
            section(card, findings, data),
            stored=f"{sum(card.parameters.values()):,}",
            seconds=round(sum(made.seconds.values())),
            plots=plots,
            views=list(embedded_views(ShownModel.of(bundle, data, None, SEEDS[0]))),
            command="arena train recipe.yaml --out again   # with the recipe below saved as recipe.yaml",
            recipe=yaml_text(made.recipe),
            facts=_facts(bundle, card),
        )
    )
    write_text(path, html)


def _facts(bundle: NativeBundle, card: ScoreCard) -> dict[str, str]:
    made, latents = bundle.card.provenance, bundle.card.provenance.latents
    kl = f", KL divergence {latents.kl:.1f} nats" if latents.kl is not None else ""
    return {
        "stored numbers": ", ".join(f"{part} {count:,}" for part, count in card.parameters.items()),
        "latents": f"{latents.dimensions} dimensions, {latents.dead} of them dead, standard deviations "
        f"{latents.smallest:.3g} to {latents.largest:.3g}{kl}",
        "training": ", ".join(f"{stage} {seconds:.0f} s" for stage, seconds in made.seconds.items()),
        "final losses": ", ".join(f"{stage} {loss:.5f}" for stage, loss in made.losses.items()),
        "machine": made.machine,
        "versions": ", ".join(f"{name} {version}" for name, version in made.versions.items()),
        "seed": str(made.recipe["seed"]),
    }


def loss_figure(stages: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> Figure:
    """Loss against time by training stage, given as seconds and losses."""
    figure = blank(6, 2.6 * max(1, len(stages)))
    for row, (stage, (seconds, losses)) in enumerate(stages.items(), 1):
        axes = figure.add_subplot(len(stages), 1, row)
        axes.plot(seconds, losses, color=ACCENT, linewidth=1)
        wide = max(losses) > 5 * min(losses)
        axes.set(xlabel="seconds", ylabel="loss", yscale="log" if wide else "linear")
        axes.set_title(f"{plain(stage)}: {losses[-1]:.4g} at the end")
        axes.grid(alpha=0.3)
    figure.tight_layout()
    return figure


def _curves(logs: Path, names: Sequence[str]) -> Picture:
    stages = {stage: (found["seconds"], found["loss"]) for stage in names if (found := curve(logs, stage))}
    return embed_figure(loss_figure(stages), "loss against time for each training stage", "Training loss by stage.")


def _scatter(model: LatentModel, data: Dataset, judge: Judge) -> Picture:
    """Test and generated latents in the two leading principal directions of the test latents."""
    from matplotlib import colormaps

    test = model.encode(data.test.batch(slice(0, SCATTERED)).cpu())
    n, seed = len(test), SEEDS[0]
    labels = judge_labels(judge.frequencies, n, WITHOUT_BUNDLE.stream("labels")) if model.conditional else None
    generated = last(model.trajectory(model.noise(n, seed), labels, seed=seed)).cpu()
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
    figure = blank(9, 4.2)
    left, right = figure.subplots(1, 2, sharex=True, sharey=True)
    flat = (test.flatten(1) - center) @ directions
    left.scatter(flat[:, 0].numpy(), flat[:, 1].numpy(), c=data.test.labels[:n].cpu().numpy(), **style)
    left.set(title="test images, by class", xlabel="first principal direction", ylabel="second")
    flat = (generated.flatten(1) - center) @ directions
    seen = judge.look(model.decode(generated)).labels
    points = right.scatter(flat[:, 0].numpy(), flat[:, 1].numpy(), c=seen.numpy(), **style)
    right.set(title="generated, by judged class", xlabel="first principal direction")
    bar = figure.colorbar(points, ax=[left, right], ticks=range(k))
    bar.ax.set_yticklabels([plain(name) for name in data.classes])
    caption = f"{n:,} test latents and as many generated ones, in the test latents' principal directions."
    return embed_figure(figure, "two scatter plots: test latents by class, generated latents by judged class", caption)
