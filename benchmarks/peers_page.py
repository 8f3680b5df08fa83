"""docs/peers.md and its picture, made of docs/peers.json alone."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure as Picture

OURS = "latentarena"
EPOCH = 469  # steps of 128 images, the peers' largest batch, in a pass through MNIST
ORDER = ("training", "sampling", "coupling", "judging")
SURE, CLEARLY = 1.0, 1.05  # a peer is faster where its 10 % quantile is above the one and its median above the other
HEADS = {
    "training": "Training: the same network, batch, optimizer and data in memory",
    "sampling": "Sampling: the same network, noise, solver and steps",
    "coupling": "Mini-batch optimal transport",
    "judging": "Judging",
}
NOTES = {
    "training": "Ours is the loop behind `la.fit`, with its checkpoints and logged losses; the row *arena train* is "
    "the stage that trains a recipe's flow of latents, which draws these from posteriors too. Each peer "
    "has a plain loop with its own path objects; AdamW everywhere. A step is counted as three evaluations "
    "of the batch. Of diffusers it is the DDPM loss.",
    "sampling": "DDIM runs on each program's own grid of times, so that its samples are not compared.",
    "coupling": "Ours permutes the noise by scipy's Hungarian method; torchcfm's sampler solves the linear program "
    "with POT and draws pairs from the plan. Distances are of the plan's pairs.",
    "judging": "Of torch-fidelity the functions from features to the distance; of scikit-image one call for each "
    "pair, as it has no other.",
}
VALUES = {"sampling": "furthest from ours", "coupling": "mean squared distance", "judging": "figure"}


def faster(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of peers that are clearly faster than ours."""
    return [row for row in rows if not row["who"].startswith(OURS) and row["low"] > SURE and row["ratio"] > CLEARLY]


def page(found: dict[str, Any]) -> str:
    """docs/peers.md."""
    lines = ["# Beside other projects", "", "Made by `python benchmarks/peers.py`; do not edit. `make peers` installs"]
    lines += ["the others first. One thread everywhere; seconds are of processor time, so that other programs on the"]
    lines += ["machine slow all down alike, by the caches that they take.", ""]
    if "timed" in found:
        lines += list(_losses(found["timed"]["rows"]))
    if "race" in found:
        lines += list(_race(found["race"]))
    if "timed" in found:
        lines += list(_timed(found["timed"]))
    return "\n".join(lines) + "\n"


def _losses(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Where ours is slower, first of all."""
    slow = faster(rows)
    yield "## Where ours is slower"
    yield ""
    for row in slow:
        yield f"- {row['part']}, {row['work']}: {row['who']} does {_ratio(row)} times as many {row['unit']} a second."
    if not slow:
        yield "Nowhere by more than a twentieth."
    yield ""


def _race(race: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Settings and points of the curves."""
    yield "## Result per minute"
    yield ""
    yield (
        "Each example is trained on MNIST's train split by one core, for a time that is little for networks of pixels, "
        "and interrupted for samples. Our judge looks at them: the Frechet distance of as many test images stands "
        "beside, and intervals are over images. Ours was tuned on MNIST; the peers' are examples of how a library is "
        "used, and made for GPUs."
    )
    yield ""
    if any(point["steps"] < EPOCH and point["who"] != OURS for point in _points(race)):
        yield (
            f"**A peer that made fewer than {EPOCH} steps has not seen the train split once**: its figure says how far "
            "a core gets in the time, not how good the example becomes. `--minutes` gives more."
        )
        yield ""
    yield "![Frechet distance by seconds of training](peers.png)"
    yield ""
    yield "| | seed | training (s) | steps | samples | Frechet | 95 % interval | real images | sampling (s) |"
    yield "|---|---:|---:|---:|---:|---:|---:|---:|---:|"
    for p in _points(race):
        figures = f"{p['frechet']:.3g} | {p['low']:.3g} to {p['high']:.3g} | {p['real']:.2g} | {p['sampling']:.3g}"
        yield f"| {p['who']} | {p['seed']} | {p['seconds']:.0f} | {p['steps']:,} | {p['samples']:,} | {figures} |"
    yield ""
    for who, one in race.items():
        yield f"- **{who}**, {60 * one['minutes']:g} s: {one['about']}."
    yield ""
    for facts in dict.fromkeys(map(_facts, race.values())):
        yield from (facts, "")


def _points(race: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [point for one in race.values() for point in one["curve"]]


def _timed(timed: dict[str, Any]) -> Iterator[str]:
    """A table for each part."""
    for part in ORDER:
        rows = [row for row in timed["rows"] if row["part"] == part]
        if not rows:
            continue
        yield from (f"## {HEADS[part]}", "", NOTES[part], "")
        for work, group in groupby(rows, key=lambda row: row["work"]):
            yield from _table(work, list(group))
    yield (
        f"Medians over {timed['rounds']} rounds of alternating blocks. The ratio is to our block of the same round, in "
        "brackets its 10 % and 90 % quantiles; above 1 is faster than ours. The share is of the multiply-adds a second "
        "that products of two matrices of 256 rows and columns reach in the same rounds."
    )
    yield ""
    yield _facts(timed)


def _table(work: str, rows: list[dict[str, Any]]) -> Iterator[str]:
    shares, values = (any(row[key] is not None for row in rows) for key in ("share", "value"))
    heads = [work, f"{rows[0]['unit']} a second", "beside ours"]
    yield (
        "| "
        + " | ".join(heads + ["share of the matrix rate"] * shares + [VALUES.get(rows[0]["part"], "value")] * values)
        + " |"
    )
    yield "|---|" + "---:|" * (len(heads) - 1 + shares + values)
    for row in rows:
        cells = [row["who"], f"{row['speed']:,.3g}" if row["speed"] < 1000 else f"{row['speed']:,.0f}", _ratio(row)]
        cells += [f"{100 * row['share']:.0f} %"] if shares else []
        cells += [f"{row['value']:{'.1g' if row['part'] == 'sampling' else '.6g'}}"] if values else []
        yield f"| {' | '.join(cells)} |"
    yield ""


def _ratio(row: dict[str, Any]) -> str:
    return f"{row['ratio']:.2f} ({row['low']:.2f} to {row['high']:.2f})"


def _facts(part: dict[str, Any]) -> str:
    made = ", ".join(f"{name} {version}" for name, version in part["versions"].items())
    return f"{part['machine']}; {part['threads']} thread; code {part['code']}. {made}."


def picture(found: dict[str, Any], path: Path) -> None:
    """Frechet distance by seconds of training, a curve for each contender; nothing without a race."""
    race = found.get("race", {})
    if not race:
        return
    chart = Picture(figsize=(6.4, 3.6), layout="constrained")
    axes = chart.subplots()
    curves: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for point in _points(race):
        curves.setdefault((point["who"], point["seed"]), []).append(point)
    names = list(race)
    for (who, seed), curve in curves.items():
        x, y = [one["seconds"] for one in curve], [one["frechet"] for one in curve]
        errors = [[one["frechet"] - one["low"] for one in curve], [one["high"] - one["frechet"] for one in curve]]
        label = who if seed == 0 else None
        axes.errorbar(x, y, errors, marker="o", capsize=3, color=f"C{names.index(who)}", label=label)
    axes.axhline(_points(race)[0]["real"], color="grey", linestyle=":", label="real images")
    axes.set(yscale="log", xlabel="training, seconds of one core", ylabel="Frechet distance")
    axes.grid(alpha=0.3)
    axes.legend()
    chart.savefig(path, dpi=110)
