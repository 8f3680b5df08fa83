"""`docs/results.md` and its two pictures: pure functions of the measured entries."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont

from latentarena.pictures import png
from results_bars import Entries, bars, minutes
from results_measured import STEPS, Entry, Sweep

__all__ = ["chart", "page", "shown", "strips"]

ROW, NAMES = 46, 210  # pixels: height of a row of the strips, width of the names beside it
NOTES = {  # what figures do not say
    "contest-sample": "size and latent of the 2025 contest's sample, kept as they were",
    "meanflow-latent": "has no teacher; what it is held against is its own velocity at a single time, by Heun",
    "quickstart-digits": "other images and a judge of their own: not to be compared with the MNIST recipes",
    "rgb-folder": "other images and a judge of their own: not to be compared with the MNIST recipes",
}
INTRO = """\
Each recipe is trained as it ships and scored by the judge of its data. The **Frechet distance** is taken in the judge's
features between the samples and the train split, so real test images do not score zero but the *floor*: their own
distance from the train split. A generator is good where it comes near the floor, and has learned nothing where it does
not beat the *prior*, plain Gaussian latents through the same decoder."""
SWEEP = """\
Every recipe with its own solver at other numbers of steps, and what it has to be compared with. A step costs as many
evaluations of the network as the second column says. The floor is that of as many real test images as there are samples
(of all there are, where the test split is smaller). Straightness is 0 for a flow that one step solves."""
CLOCK = """\
Several recipes may have been trained at a time, and each run then waits for the others. So the minutes above and here
are those at the speed of every stage's fastest twentieth, from its log; those by the clock stand behind them."""
GUIDANCE = """\
Diversity is the mean distance between samples of a class in the judge's features, that between real images of the class
being 1: guidance that collapses a class onto few pictures shows here."""


def page(entries: Entries, gpu: Mapping[str, Any] | None = None) -> str:
    """The whole document as Markdown.

    Args:
        gpu: what `benchmarks/gpu.py` found, if it was run.
    """
    lines = ["# The recipes, measured", "", "Made by `python benchmarks/results.py`; do not edit.", "", INTRO, ""]
    lines += ["![The first samples of every recipe](recipes.png)", ""]
    lines += ["*The first samples of every recipe, not picked; every class in turn where it can be asked for.*", ""]
    lines += ["## Score cards", "", *_cards(entries), "", *_notes(entries)]
    lines += ["## Few steps and many", "", SWEEP, ""]
    lines += ["![Frechet distance over the floor against steps](results.png)", "", *_sweeps(entries), ""]
    lines += ["## Guidance", "", GUIDANCE, "", *_guidance(entries), ""]
    lines += ["## Promises", "", *_promises(entries), ""]
    lines += ["## On a GPU", "", *_gpu(entries, gpu or {}), ""]
    lines += ["## Training time and machines", "", CLOCK, "", *_training(entries), "", *_machines(entries), ""]
    return "\n".join(lines)


def shown(figure: float | None, digits: int = 3) -> str:
    """A figure in so many significant digits, never in powers of ten."""
    if figure is None:
        return "–"
    size = math.floor(math.log10(abs(figure))) if figure else 0
    return f"{figure:,.{max(0, digits - 1 - size)}f}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> Iterator[str]:
    """Markdown; the first so many columns are words and stand on the left."""
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * words}{'---:|' * (len(head) - words)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)


def _cards(entries: Entries) -> Iterator[str]:
    head = ["recipe", "latent", "stored numbers", "training (min)", "MSE", "SSIM", "dead dimensions", "class KL (nats)"]
    head += ["confidence", "of real data", "Frechet", "floor", "prior", "class asked for"]
    return _table(head, map(_card, entries.values()))


def _card(entry: Entry) -> list[str]:
    card, scores = entry.card, entry.card.scores
    latent = "pixels" if entry.autoencoder == "identity" else "x".join(map(str, card.latent))
    learned = entry.autoencoder != "identity"
    exact = [shown(scores[name].value) if learned else "–" for name in ("mse", "ssim")]
    frechet, confidence = scores["frechet"], scores["confidence"]
    figures = [scores["class_kl"].value, confidence.value, confidence.real]
    figures += [frechet.value, frechet.real, frechet.prior]
    return [
        entry.name,
        latent,
        f"{sum(card.parameters.values()):,}",
        shown(minutes(entry)),
        *exact,
        "–" if entry.dead is None else str(entry.dead),
        *map(shown, figures),
        shown(entry.accuracy, 4),
    ]


def _notes(entries: Entries) -> list[str]:
    told = [f"- `{name}`: {NOTES[name]}." for name in entries if name in NOTES]
    return [*told, ""] if told else []


def _sweeps(entries: Entries) -> Iterator[str]:
    head = ["recipe", "solver x evaluations", "samples", "floor", *map(str, STEPS), "straightness"]
    rows = []
    for entry in entries.values():
        for title, sweep in entry.sweeps.items():
            how = f"{sweep.solver} x {sweep.evaluations:g}"
            points = [shown(sweep.points[steps].frechet) for steps in STEPS]
            rows.append([title, how, f"{sweep.samples:,}", shown(sweep.floor), *points, shown(sweep.straightness)])
    return _table(head, rows, words=2)


def _guidance(entries: Entries) -> Iterator[str]:
    rows = []
    for entry in entries.values():
        for one in entry.guided:
            own = " (own)" if one.scale == entry.scale else ""
            figures = [shown(one.frechet), shown(one.accuracy, 4), shown(one.diversity)]
            rows.append([entry.name, entry.guide or "", f"{one.scale:g}{own}", f"{one.samples:,}", *figures])
    head = ["recipe", "guided by", "scale", "samples", "Frechet", "class asked for", "diversity"]
    return _table(head, rows, words=2)


def _promises(entries: Entries) -> Iterator[str]:
    judged = list(bars(entries))
    said = {True: "yes", False: "**no**", None: "not measured"}
    rows = [[bar.recipe or "–", bar.what, shown(bar.figure, 4), bar.wanted, said[bar.reached]] for bar in judged]
    yield from _table(["recipe", "figure", "measured", "bar", "reached"], rows, words=2)
    missed = [bar for bar in judged if bar.reached is False]
    if missed:
        yield from ("", "Not reached:", "")
    for bar in missed:
        note = f"; {bar.recipe} {NOTES[bar.recipe]}" if bar.recipe in NOTES else ""
        yield f"- {bar.recipe}, {bar.what}: {shown(bar.figure, 4)} where {bar.wanted} was promised{note}."
    yield from (line for entry in entries.values() if entry.shorter for line in ("", _longer(entry)))


def _longer(entry: Entry) -> str:
    """What more training is worth: the power law of the distance over the floor, from the least training to all."""
    swept = entry.sweeps[entry.name]
    (share, least), whole = next(iter(entry.shorter.items())), swept.points[entry.card.steps].frechet
    over = max(whole - swept.floor, 1e-9)
    slope = math.log(max(least - swept.floor, 1e-9) / over) / -math.log(float(share))
    steps = ", ".join(f"{shown(value)} after {name} of its training" for name, value in entry.shorter.items())
    told = f"{steps} and {shown(whole)} after all of it, {swept.samples:,} samples each"
    law = f"what is over the floor of {shown(swept.floor)} falls as the training to the power of -{shown(slope, 2)}"
    twice, tenfold = (shown(over * factor**-slope) for factor in (2, 10))
    ahead = f"{twice} would be left of it after twice, {tenfold} after ten times as much"
    return f"More training of {entry.name}: Frechet distance {told}; {law}, and if that goes on, {ahead}."


def _gpu(entries: Entries, gpu: Mapping[str, Any]) -> Iterator[str]:
    """Raw data to judged bundle, and both devices' cards of one bundle; empty cells where nothing was measured."""
    found = gpu.get("recipes", {})
    yield (
        f"Measured on {gpu['machine']}." if found else "Not measured yet: `python benchmarks/gpu.py` fills the columns."
    )
    yield ""
    rows = []
    for name in entries:
        one = found.get(name)
        distances = [one["frechet"][device]["value"] for device in one["frechet"]] if one else [None, None]
        agreeing = f"{one['within']} of {one['figures']}" if one else "–"
        rows.append([name, shown(one and one["seconds"]), *map(shown, distances), agreeing])
    yield from _table(
        ["recipe", "whole command (s)", "Frechet", "of that bundle on the CPU", "figures that agree"], rows
    )


def _training(entries: Entries) -> Iterator[str]:
    for name, entry in entries.items():
        stages = ", ".join(f"{stage} {shown(seconds / 60)}" for stage, seconds in entry.undisturbed.items())
        yield f"- {name}: {stages} minutes; {shown(sum(entry.seconds.values()) / 60)} by the clock."


def _machines(entries: Entries) -> Iterator[str]:
    """Who trained, who measured and with what code, each once with the recipes that it goes for."""
    for title, of in (
        ("Trained on", lambda entry: entry.trained),
        ("Measured on", lambda entry: entry.measured),
        ("With", lambda entry: ", ".join(f"{name} {version}" for name, version in entry.versions.items())),
        ("Code (SHA-256)", lambda entry: f"`{entry.card.source[:16]}`"),
    ):
        groups: dict[str, list[str]] = {}
        for name, entry in entries.items():
            groups.setdefault(of(entry), []).append(name)
        for what, names in groups.items():
            yield f"- {title} {what}" + (f": {', '.join(names)}." if len(groups) > 1 else ".")


def family(entry: Entry) -> str:
    """The panel that an entry is drawn in."""
    if len(entry.sweeps) > 1:
        return "few steps, and what they are held against"
    if entry.guide:
        return "guided"
    return "pixels" if entry.autoencoder == "identity" else "latents"


def chart(entries: Entries) -> bytes:
    """Frechet distance over the floor of as many images, against steps; a panel a family, a line a sweep, as PNG."""
    families: dict[str, list[Entry]] = {}
    for entry in entries.values():
        families.setdefault(family(entry), []).append(entry)
    figure = Figure(figsize=(9, 0.6 + 4.4 * math.ceil(len(families) / 2)), dpi=100, layout="constrained")
    panels = [*figure.subplots(math.ceil(len(families) / 2) or 1, 2, sharey=True, squeeze=False).flat]
    for spare in panels[len(families) :]:
        spare.set_axis_off()
    for panel, (title, members) in zip(panels, families.items(), strict=False):
        _panel(panel, title, [named for entry in members for named in entry.sweeps.items()])
    figure.supxlabel("steps", fontsize=10)
    figure.supylabel("Frechet distance over that of real test images", fontsize=10)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return png(Image.open(buffer).convert("RGB").quantize(128))


def _panel(axes: Axes, title: str, sweeps: Sequence[tuple[str, Sweep]]) -> None:
    recipes = list(dict.fromkeys(name.split(",")[0] for name, _ in sweeps))
    for name, sweep in sweeps:
        steps = sorted(sweep.points)
        heights = [sweep.points[count].frechet / sweep.floor for count in steps]
        color, line = colormaps["tab10"](recipes.index(name.split(",")[0]) % 10), "--" if "," in name else "-"
        axes.plot(steps, heights, line, label=name, color=color, marker="o", markersize=3, linewidth=1.3)
    axes.axhline(1, color="#1d2330", linewidth=1, linestyle=":", label="real test images")
    axes.set(xscale="log", yscale="log", title=title)
    axes.title.set_fontsize(10)
    axes.set_xticks(STEPS, [str(count) for count in STEPS])
    axes.yaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=2, frameon=False)


def strips(entries: Entries) -> bytes:
    """The first samples of every recipe, a row each beside its name, as PNG of few colours."""
    pictures = {name: Image.open(io.BytesIO(base64.b64decode(entry.strip))) for name, entry in entries.items()}
    sizes = {name: round(picture.width * ROW / picture.height) for name, picture in pictures.items()}
    sheet = Image.new("RGB", (NAMES + max(sizes.values(), default=0), ROW * max(1, len(pictures))), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for row, (name, picture) in enumerate(pictures.items()):
        draw.text((8, row * ROW + ROW // 2), name, fill="#1d2330", font=font, anchor="lm")
        sheet.paste(picture.convert("RGB").resize((sizes[name], ROW), Image.Resampling.LANCZOS), (NAMES, row * ROW))
    return png(sheet.quantize(32))
