"""The charts of a score card, each drawn into axes that it is handed, so that page and picture share them."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from latentarena.card.catalogue import CATEGORIES
from latentarena.card.waterfall import Waterfall, waterfall_rows
from latentarena.pictures import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.projections.polar import PolarAxes

ACCENT, LIGHT, INK, SOFT = "#0a6e6e", "#58c9c1", "#1d2330", "#5b6475"
OTHERS = ("#8a4b00", "#5b5bd6", "#b0366f", "#5b6475", "#2f7d32", "#a08000")  # lines of reference models
WIDE = 60  # letters of class names that fit beside each other
SMALLEST = 1e-6  # drawn on a logarithmic scale


def draw_radar(
    axes: PolarAxes, name: str, own: Mapping[str, float], references: Mapping[str, Mapping[str, float]]
) -> None:
    """Points by category, 0 to 100: the model as an area, reference models as lines; what a model lacks is left out."""
    angles = {category: 2 * math.pi * i / len(CATEGORIES) for i, category in enumerate(CATEGORIES)}
    axes.set_theta_offset(math.pi / 2)
    axes.set_theta_direction(-1)
    axes.set_xticks(list(angles.values()), [_category(name, own) for name in CATEGORIES])
    axes.tick_params(axis="x", pad=4, labelsize=9)
    for label, angle in zip(axes.get_xticklabels(), angles.values(), strict=True):
        side, height = round(math.sin(angle), 3), round(math.cos(angle), 3)
        label.set_horizontalalignment("left" if side > 0 else "right" if side < 0 else "center")
        label.set_verticalalignment("bottom" if height == 1 else "top" if height == -1 else "center")
    axes.set_ylim(0, 100)
    axes.set_yticks([25, 50, 75, 100], ["25", "50", "75", ""])
    axes.tick_params(axis="y", labelsize=7, labelcolor=SOFT)
    axes.grid(alpha=0.35)
    around = _around(angles, own)
    axes.fill(*around, color=LIGHT, alpha=0.35)
    axes.plot(*around, color=ACCENT, linewidth=2, marker="o", markersize=4, label=plain(name), zorder=3)
    for (other, points), color in zip(references.items(), OTHERS, strict=False):
        axes.plot(
            *_around(angles, points), color=color, linewidth=1.2, linestyle="--", label=f"reference: {plain(other)}"
        )
    axes.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2, frameon=False)


def _category(name: str, own: Mapping[str, float]) -> str:
    title = textwrap.fill(CATEGORIES[name], 14)
    return f"{title}\n{own[name]:.0f}" if name in own else title


def _around(angles: Mapping[str, float], points: Mapping[str, float]) -> tuple[list[float], list[float]]:
    """Angles and radii of the categories that are there, closed."""
    there = [(angle, points[category]) for category, angle in angles.items() if category in points]
    return [angle for angle, _ in there + there[:1]], [radius for _, radius in there + there[:1]]


def draw_classes(axes: Axes, labels: Tensor, frequencies: Tensor, names: Sequence[str]) -> None:
    """Class frequencies of samples, over the band in which a perfect sampler of that size would lie.

    Args:
        labels: int64 (N,); `frequencies`: of the train split, (K,).
    """
    n, known = len(labels), frequencies.double()
    shares = torch.bincount(labels, minlength=len(known)) / n
    spread = 1.96 * (known * (1 - known) / n).sqrt()
    position = range(len(known))
    axes.bar(position, shares.tolist(), color=LIGHT, label="generated")
    band: dict[str, Any] = {"fmt": "_", "color": INK, "capsize": 4, "label": "train split, 95 % band"}
    axes.errorbar(position, known.tolist(), yerr=spread.tolist(), **band)
    axes.set_xticks(position, [plain(name) for name in names], rotation=90 if sum(map(len, names)) > WIDE else 0)
    axes.set(ylabel="share", xlabel="class, as the judge sees it")
    axes.set_ylim(0, 1.35 * max(float(shares.max()), float((known + spread).max())))
    axes.legend(fontsize=8, loc="upper right", ncols=2)


def draw_steps(axes: Axes, by_steps: Mapping[int, float], own: int, floor: float | None = None) -> None:
    """Frechet distance against solver steps, both logarithmic; the model's own steps and the real floor are marked."""
    from matplotlib.ticker import NullLocator

    steps = sorted(by_steps)
    distances = [max(by_steps[count], SMALLEST) for count in steps]
    axes.loglog(steps, distances, color=ACCENT, marker="o", markersize=4, label="this model")
    if own in by_steps:
        marked: dict[str, Any] = {"markersize": 11, "markerfacecolor": "none", "markeredgecolor": INK}
        axes.loglog([own], [max(by_steps[own], SMALLEST)], "o", label=f"its own {own} steps", **marked)
    if floor is not None:
        axes.axhline(max(floor, SMALLEST), color=INK, linestyle=":", label="real test images")
    axes.set_xticks(steps, [str(count) for count in steps])
    axes.xaxis.set_minor_locator(NullLocator())
    plain_logarithmic(axes.yaxis)
    axes.set(xlabel="solver steps", ylabel="Frechet distance")
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize=8, loc="best")


def draw_waterfall(axes: Axes, found: Waterfall) -> None:
    """What each stage adds to the Frechet distance, as a bar from the stage before, with the distance's interval."""
    before = 0.0
    for row, stage in enumerate(found.stages):
        one = stage.frechet
        color = SOFT if stage.added is None else ACCENT if one.value >= before else LIGHT
        axes.barh(row, one.value - before, left=before, color=color, height=0.6)
        ends = [[one.value - one.low], [one.high - one.value]]
        axes.errorbar(one.value, row, xerr=ends, color=INK, capsize=3, linewidth=1)
        before = one.value
    axes.set_yticks(range(len(found.stages)), [title for title, _, _ in waterfall_rows(found)])
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    axes.set(xlabel="Frechet distance")
    axes.grid(alpha=0.3, axis="x")


def plain_logarithmic(axis: Axis) -> None:
    """Ticks of a logarithmic axis at 1, 2 and 5 times powers of ten, as plain numbers."""
    from matplotlib.ticker import LogLocator, NullLocator

    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_locator(NullLocator())
