"""Pictures of a model as rows of images: along directions, between noises, from noise to data, by guidance."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from latentarena.errors import ConfigError
from latentarena.model.config import JUMP
from latentarena.pictures import blank, evenly, grid
from latentarena.report.charts import INK
from latentarena.report.shown import ShownModel
from latentarena.sample import ALWAYS
from latentarena.use.uses import slerp
from latentarena.use.views import Plane, estimate, states

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DIRECTIONS, PLACES = 8, 11  # of a traverse, and images along each
REACH = 2.5  # standard deviations to each side
PAIRS = 2  # of noises that are joined
GUIDED = 10  # noises at each scale of guidance
SAMPLES, MOMENTS = 3, 9  # of a picture of denoising
DRIFT = 3.0  # standardised numbers from black to white, to each side
UNUSED = 0.25  # grey where a latent has no number


def traverses(subject: ShownModel) -> Figure:
    """Images along principal directions of the latents; and between noises, along lines and arcs."""
    lines = Plane.of(subject.latents, DIRECTIONS)
    shares = torch.linspace(-REACH, REACH, PLACES)
    along = torch.diag(lines.spread)[:, None] * shares[:, None]  # (k, F, k)
    weights = torch.linspace(0, 1, PLACES)
    rows, names = [], []
    for number in range(PAIRS):
        start, end = torch.tensor_split(subject.model.noise(2, subject.seed + number, "ends"), 2)
        straight = torch.lerp(start, end, weights.reshape(-1, *(1 for _ in start.shape[1:])))
        asked = None if (one := subject.asked(PAIRS)) is None else one[number].expand(PLACES)
        for name, noise in (("line", straight), ("arc", slerp(start, end, weights)[0])):
            rows.append(subject.model.generate(noise, asked, seed=subject.seed))
            shortest = float((noise.flatten(1).norm(dim=1) / start.norm()).min())
            names.append(f"{name} {number + 1}, norm ≥ {shortest:.2f}")
    figure = blank(1.2 * PLACES + 1, 1.2 * (len(along) + len(rows)) + 1.6)
    figure.set_layout_engine("constrained")
    above, below = figure.subplots(2, 1, height_ratios=[len(along), len(rows)])
    heads = [f"{share:+.1f}" for share in shares]
    _rows(
        above,
        subject.decoded(lines.lift(along.flatten(0, 1))),
        [f"direction {i + 1}" for i in range(len(along))],
        heads,
    )
    above.set_title("along principal directions of the latents, in standard deviations", fontsize=10, color=INK)
    _rows(below, torch.cat(rows), names, [f"{weight:.1f}" for weight in weights])
    below.set_title(
        "from noise to noise by linear and by spherical interpolation; smallest norm, that of the first being 1",
        fontsize=10,
        color=INK,
    )
    figure.suptitle(subject.about, color=INK)
    return figure


def denoising(subject: ShownModel) -> Figure:
    """States from noise to data: their numbers, what is decoded from them, and what the model expects to come out."""
    frames, times = moments(subject, SAMPLES, MOMENTS)
    rows = torch.stack(frames, 1)  # (3 n, F, C, H, W)
    names = [f"{what} {i + 1}" for i in range(SAMPLES) for what in ("state", "decoded", "expected")]
    order = torch.arange(3 * SAMPLES).reshape(3, -1).T.flatten()
    title = (
        f"{subject.about}: from noise (t = 1) to data (t = 0)\nstate: its numbers, grey for 0; "
        "decoded: the image of the state; expected: that of the model's estimate of the data"
    )
    return _strip(rows[order].flatten(0, 1), names, [f"t = {t:.2f}" for t in times], title)


def guidance_scales(subject: ShownModel) -> Figure:
    """Samples of the same noises at several scales of guidance, a row each.

    Raises:
        ConfigError: the model has nothing to be guided by.
    """
    model = subject.native
    generator = model.architecture.generator
    if not generator.guided:
        raise ConfigError(
            f"guidance: {subject.bundle.card.name!r} has nothing to be guided by; it takes a model of "
            "generator.conditional, classifier or weaker, such as recipe digitdreamer"
        )
    if generator.classified:
        kind, none, one = "classifier guidance", "no label", "the classifier's gradient as it is"
    elif generator.weaker is not None:
        kind, none, one = "autoguidance", "the weaker network alone", "no guidance"
    else:
        kind, none, one = "classifier-free guidance", "no label", "the label without guidance"
    how, noise, labels = model.architecture.sampling, model.noise(GUIDED, subject.seed), subject.asked(GUIDED)
    drawn = [model.generate(noise, labels, how.but(guidance=scale), subject.seed) for scale in subject.scales]
    first, last = how.interval
    when = "" if how.interval == ALWAYS else f", at t from {first:g} to {last:g} only"
    if how.guide is not None and how.guide.kind == "with_classifier":
        when += ", and a classifier's as well"
    title = f"{subject.about}: {kind}{when}, the same noises in each row\nscale 0: {none}; 1: {one}"
    heads = [f"noise {i + 1}" for i in range(GUIDED)]
    return _strip(torch.cat(drawn), [f"scale {scale:g}" for scale in subject.scales], heads, title)


def moments(subject: ShownModel, n: int, most: int) -> tuple[list[Tensor], list[float]]:
    """At evenly chosen times: n states' numbers, decoded and expected images, (3 n, C, H, W); and these times."""
    model = subject.native
    how, labels = model.architecture.sampling, subject.asked(n)
    if how.solver == JUMP:
        how = how.but("euler", most - 1)
    walked, times = states(model, model.noise(n, subject.seed), labels, how, subject.seed), model.times(how)
    frames = []
    for i in (chosen := evenly(len(walked), most)):
        expected = estimate(model, walked[i], times[i], labels, how)
        frames.append(torch.cat([numbers(walked[i], model.image_shape), subject.decoded(walked[i]), expected]))
    return frames, [times[i] for i in chosen]


def numbers(latents: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Pictures (N, C, H, W) of the numbers of standardised latents (N, *latent), grey for 0: noise looks like noise.

    The numbers of a vector, and the channels of a map, stand row by row in a rectangle, as nearly square as may be.
    """
    channels, height, width = shape
    values = latents / (2 * DRIFT) + 0.5
    if values[0].numel() == channels * height * width:
        return values.reshape(-1, *shape).clamp(0, 1)
    maps = values.reshape(*values.shape[:2], *(values.shape[2:] or (1, 1)))  # (N, C, h, w)
    n, count, high, wide = maps.shape
    rows = max(k for k in range(1, math.isqrt(count) + 1) if count % k == 0)
    if count // rows * wide > width:  # one of too few divisors
        rows = math.ceil(math.sqrt(count))
    columns = math.ceil(count / rows)
    empty = maps.new_full((n, rows * columns - count, high, wide), UNUSED)
    tiles = torch.cat([maps, empty], 1).reshape(n, rows, columns, high, wide)
    sheet = tiles.transpose(2, 3).reshape(n, 1, rows * high, columns * wide)
    return torch.nn.functional.interpolate(sheet, (height, width)).expand(-1, channels, -1, -1).clamp(0, 1)


def _strip(images: Tensor, rows: list[str], heads: list[str], title: str) -> Figure:
    """Rows of images with a name for each row and column, as a figure."""
    figure = blank(1.2 * len(heads) + 1, 1.2 * len(rows) + 0.6)
    axes = figure.subplots()
    _rows(axes, images, rows, heads)
    axes.set_title(title, fontsize=10, color=INK)
    return figure


def _rows(axes: Axes, images: Tensor, rows: list[str], heads: list[str]) -> None:
    """Rows of images with a name for each row and column."""
    picture = grid(images, len(heads), zoom=4)
    axes.imshow(picture, cmap="gray", vmin=0, vmax=255)
    axes.set_xticks([(i + 0.5) * picture.width / len(heads) for i in range(len(heads))], heads, fontsize=8)
    axes.set_yticks([(i + 0.5) * picture.height / len(rows) for i in range(len(rows))], rows, fontsize=8)
    axes.tick_params(length=0)
    axes.xaxis.tick_top()
