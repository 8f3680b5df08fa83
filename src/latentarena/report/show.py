"""Pictures of a model from inside: its latent space, its field, ways from noise to image; see `views`."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from latentarena.bundle import NativeBundle
from latentarena.data import Dataset
from latentarena.distill import straightness
from latentarena.errors import ConfigError
from latentarena.files import make_folder, write_atomically
from latentarena.model.config import JUMP, SamplingConfig
from latentarena.model.latent_model import LatentModel, labels_for
from latentarena.pictures import MOVING, blank, evenly, grid, plain, refuse_suffix, save_animation
from latentarena.process import Straight
from latentarena.registry import Registry
from latentarena.report.charts import ACCENT, INK, SOFT
from latentarena.sample import ALWAYS
from latentarena.use.sampling import chosen_labels
from latentarena.use.uses import slerp
from latentarena.use.views import Plane, decoded, estimate, field, states

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg", ".pdf")
DOTS = 2000  # test images of a map
LATTICE, ARROWS = 15, 17  # decoded images, and arrows, along a side
REACH = 2.5  # standard deviations to each side
DIRECTIONS, PLACES = 8, 11  # of a traverse, and images along each
WALKED = 16  # noises whose ways are drawn
FINE = 64  # steps of the way that solvers are held against
TIMES = (0.95, 0.65, 0.35, 0.1)  # of the field
SCALES, GUIDED = (0.0, 1.0, 2.0, 4.0, 7.0), 10  # of guidance, and noises of each
SAMPLES, MOMENTS = 6, 9  # of a picture of denoising
COMPARED = ("euler", "heun", "rk4", "ddim", "ddpm", "dpm_solver_pp")
DRIFT = 3.0  # standardised numbers from black to white, to each side


@dataclass(frozen=True)
class ShownModel:
    """A model that is looked at, with what its pictures are made for.

    Attributes:
        latents: of test images, standardised, (N, *latent), and their labels int64 (N,).
        label: the class that is drawn, by number; None for all, and for unconditional models.
        scales: of guidance, where that is drawn.
    """

    bundle: NativeBundle
    data: Dataset
    latents: Tensor
    labels: Tensor
    label: int | None
    seed: int
    scales: tuple[float, ...] = SCALES

    @classmethod
    def of(
        cls, bundle: NativeBundle, data: Dataset, label: str | None, seed: int, scales: tuple[float, ...] = SCALES
    ) -> ShownModel:
        """The model with the latents of up to `DOTS` test images.

        Raises:
            ConfigError: a label for an unconditional model, or one that it does not know.
        """
        model = bundle.model
        chosen = None if label is None else chosen_labels(model, 1, label, "--label")
        some = torch.arange(0, len(data.test), max(1, len(data.test) // DOTS))[:DOTS]
        latents = model.scale(model.encode(data.test.batch(some)).to(model.device)).cpu()
        number = None if chosen is None else int(chosen[0])
        return cls(bundle, data, latents, data.test.labels[some], number, seed, scales)

    @property
    def model(self) -> LatentModel:
        """The model."""
        return self.bundle.model

    def plane(self) -> Plane:
        """The plane in which pictures are drawn.

        Raises:
            ConfigError: latents of one number have none.
        """
        if self.latents[0].numel() < 2:
            raise ConfigError(f"{self.bundle.card.name!r} has a latent of one number, which has no plane; try traverse")
        return Plane.of(self.latents)

    def asked(self, n: int) -> Tensor | None:
        """Labels of n samples: the one asked for, else all classes in turn."""
        return labels_for(self.model, n) if self.label is None else torch.full((n,), self.label)

    @property
    def about(self) -> str:
        """Which model, and class, a picture is of."""
        named = "" if self.label is None else f", class {self.model.classes[self.label]}"
        return plain(f"{self.bundle.card.name}{named}")


def latent_map(subject: ShownModel) -> Figure:
    """Test images where the encoder puts them, by class, and what the decoder makes of the same plane."""
    model, plane = subject.model, subject.plane()
    places = plane.project(subject.latents)
    figure = blank(13, 6.2)
    left, right = figure.subplots(1, 2)
    _dots(left, places, subject)
    left.set_title("posterior means of test images, by class", fontsize=10)
    images = decoded(model, plane.lift(plane.lattice(LATTICE, REACH)))
    across, up = (float(REACH * spread) * (1 + 1 / (LATTICE - 1)) for spread in plane.spread)
    sheet = grid(images, LATTICE, zoom=1, gap=0)
    right.imshow(sheet, extent=(-across, across, -up, up), cmap="gray", vmin=0, vmax=255, aspect="auto")
    right.set_title("what is decoded from the same plane", fontsize=10)
    for axes in (left, right):
        _in_plane(axes)
        axes.set_xlim(-across, across)
        axes.set_ylim(-up, up)
    total = float(subject.latents.flatten(1).var(0).sum())
    share = float(plane.spread.square().sum()) / max(total, 1e-12)
    figure.suptitle(f"{subject.about}: two principal directions, {share:.0%} of the latents' variance", color=INK)
    return figure


def field_slices(subject: ShownModel) -> Figure:
    """The flow's velocity in the plane at four times, over the ways of some noises, from the same noise in each."""
    model, plane = subject.model, subject.plane()
    how, (first, last) = model.architecture.sampling, model.path.span
    ways = _way(subject, plane, how, model.noise(WALKED, subject.seed), subject.asked(WALKED))
    places = plane.lattice(ARROWS, REACH)
    figure = blank(14, 4.4)
    for axes, time in zip(figure.subplots(1, len(TIMES)), TIMES, strict=True):
        t = first + (last - first) * time
        arrows = field(model, plane, places, t, how, subject.label)
        axes.quiver(*places.T, *arrows.T, arrows.norm(dim=1), cmap="viridis", width=0.004)
        axes.plot(*ways.unbind(2), color=SOFT, linewidth=0.5, alpha=0.6)
        axes.scatter(*ways[-1].T, color=ACCENT, s=8, zorder=3)
        axes.set_title(f"t = {t:.2f}", fontsize=10)
        _in_plane(axes)
    exact = subject.latents[0].numel() == 2
    words = "" if exact else "; a slice with the mean in all other directions, ways projected onto it"
    figure.suptitle(f"{subject.about}: velocity towards the data, t = 1 is noise{words}", color=INK)
    return figure


def solver_paths(subject: ShownModel) -> Figure:
    """Ways of the same noises by each solver, beside those in many small steps."""
    model, plane = subject.model, subject.plane()
    own, noise, labels = model.architecture.sampling, model.noise(WALKED, subject.seed), subject.asked(WALKED)
    if own.solver == JUMP:
        own = own.but("euler")
    exact = _way(subject, plane, own.but("heun", FINE), noise, labels)
    names = [*([own.solver] if own.solver not in COMPARED else []), *COMPARED]
    figure = blank(4 * math.ceil(len(names) / 2), 8.2)
    for axes, name in zip(figure.subplots(2, math.ceil(len(names) / 2)).flat, names, strict=False):
        axes.plot(*exact.unbind(2), color="#c9ced6", linewidth=1.5)
        way = _way(subject, plane, own.but(name), noise, labels)
        axes.plot(*way.unbind(2), color=ACCENT, linewidth=0.9, marker=".", markersize=3)
        axes.scatter(*way[-1].T, color=INK, s=9, zorder=3)
        gap = float((way[-1] - exact[-1]).norm(dim=1).mean())
        axes.set_title(f"{name} x {own.steps}: ends {gap:.2g} away", fontsize=10)
        _in_plane(axes)
    bend = ""
    if isinstance(model.path, Straight):
        asked = None if labels is None else labels.to(model.device)
        found = straightness(model.path, model.denoiser(own), noise.to(model.device), asked, FINE)
        bend = f"; straightness {found:.3g}, 0 is straight"
    figure.suptitle(f"{subject.about}: {WALKED} noises by each solver; grey, by Heun in {FINE} steps{bend}", color=INK)
    return figure


def traverses(subject: ShownModel) -> Figure:
    """Images along principal directions of the latents, and between noises along lines and arcs."""
    model = subject.model
    lines = Plane.of(subject.latents, DIRECTIONS)
    shares = torch.linspace(-REACH, REACH, PLACES)
    along = torch.diag(lines.spread)[:, None] * shares[:, None]  # (k, F, k)
    rows = decoded(model, lines.lift(along.flatten(0, 1)))
    ends = model.noise(2, subject.seed, "ends")
    weights = torch.linspace(0, 1, PLACES)
    straight = torch.lerp(ends[:1], ends[1:], weights.reshape(-1, *(1 for _ in ends.shape[1:])))
    asked = None if (one := subject.asked(1)) is None else one.expand(PLACES)
    between = [model.generate(x, asked, seed=subject.seed) for x in (straight, slerp(ends[:1], ends[1:], weights)[0])]
    names = [f"direction {i + 1}" for i in range(len(along))] + ["noise: line", "noise: arc"]
    title = f"{subject.about}: {REACH:g} deviations to each side along principal directions; below, two noises joined"
    return _strip(torch.cat([rows, *between]), PLACES, names, [f"{share:+.1f}" for share in shares], title)


def denoising(subject: ShownModel) -> Figure:
    """States from noise to data: their numbers, what is decoded from them, and what the model expects to come out."""
    frames, times = _moments(subject, SAMPLES // 2, MOMENTS)
    rows = torch.stack(frames, 1)  # (3 n, F, C, H, W)
    names = [f"{what} {i + 1}" for i in range(SAMPLES // 2) for what in ("state", "decoded", "expected")]
    order = torch.arange(3 * (SAMPLES // 2)).reshape(3, -1).T.flatten()
    title = f"{subject.about}: from noise (t = 1) to data (t = 0)"
    return _strip(rows[order].flatten(0, 1), len(frames), names, [f"t = {t:.2f}" for t in times], title)


def guidance_scales(subject: ShownModel) -> Figure:
    """Samples of the same noises at several scales of guidance, a row each.

    Raises:
        ConfigError: the model has nothing to be guided by.
    """
    model, generator = subject.model, subject.model.architecture.generator
    if not generator.guided:
        raise ConfigError(
            f"guidance: {subject.bundle.card.name!r} has nothing to be guided by; it takes a model of "
            "generator.conditional, classifier or weaker, such as recipe digitdreamer"
        )
    if generator.classifier is not None:
        kind, none, one = "classifier guidance", "no label", "the classifier's gradient as it is"
    elif generator.weaker is not None:
        kind, none, one = "autoguidance", "the weaker network alone", "no guidance"
    else:
        kind, none, one = "classifier-free guidance", "no label", "the label without guidance"
    how, noise, labels = model.architecture.sampling, model.noise(GUIDED, subject.seed), subject.asked(GUIDED)
    drawn = [model.generate(noise, labels, how.but(guidance=scale), subject.seed) for scale in subject.scales]
    first, last = how.interval
    when = "" if how.interval == ALWAYS else f", at t from {first:g} to {last:g} only"
    title = f"{subject.about}: {kind}{when}, the same noises in each row\nscale 0: {none}; 1: {one}"
    heads = [f"noise {i + 1}" for i in range(GUIDED)]
    return _strip(torch.cat(drawn), GUIDED, [f"scale {scale:g}" for scale in subject.scales], heads, title)


VIEWS: Registry[Callable[[ShownModel], Figure]] = Registry(
    "view",
    latent=latent_map,
    field=field_slices,
    paths=solver_paths,
    traverse=traverses,
    denoise=denoising,
    guidance=guidance_scales,
)
ANIMATED = "denoise"  # the one that is an animation too


def chosen_scales(text: str) -> tuple[float, ...]:
    """Scales of guidance such as `0,1,2`.

    Raises:
        ConfigError: one is no number that can be a scale.
    """
    try:
        return tuple(SamplingConfig().but(guidance=float(word)).guidance for word in text.split(","))
    except (ValueError, ConfigError):
        raise ConfigError(f"--scales {text}: give numbers from 0 to 100, such as 0,1,2,4,7") from None


def show_to_file(
    bundle: NativeBundle,
    data: Dataset,
    view: str,
    path: Path,
    label: str | None,
    seed: int,
    scales: tuple[float, ...] = SCALES,
) -> str:
    """Draw a view of a model; returns a line that says what was drawn.

    Raises:
        ConfigError: an unknown view, suffix or label, or a view that this model does not have.
        OutputError: the file cannot be written.
    """
    draw = VIEWS[view]
    refuse_suffix(path, *SUFFIXES, *(MOVING if view == ANIMATED else []))
    subject = ShownModel.of(bundle, data, label, seed, scales)
    make_folder(path.parent)
    if path.suffix.lower() in MOVING:
        frames, times = _moments(subject, SAMPLES, 25)
        save_animation(path, frames, [f"t = {t:.2f}" for t in times], columns=SAMPLES)
    else:
        buffer = io.BytesIO()
        draw(subject).savefig(buffer, format=path.suffix[1:].lower(), dpi=150, bbox_inches="tight")
        write_atomically(path, buffer.getvalue())
    return f"{view} of {bundle.card.name}, seed {seed}"


def _moments(subject: ShownModel, n: int, most: int) -> tuple[list[Tensor], list[float]]:
    """At evenly chosen times: n states' numbers, decoded and expected images, (3 n, C, H, W); and these times."""
    model, how = subject.model, subject.model.architecture.sampling
    labels = subject.asked(n)
    if how.solver == JUMP:
        how = how.but("euler", most - 1)
    walked, times = states(model, model.noise(n, subject.seed), labels, how, subject.seed), model.times(how)
    frames = []
    for i in (chosen := evenly(len(walked), most)):
        expected = estimate(model, walked[i], times[i], labels, how)
        frames.append(torch.cat([_numbers(walked[i], model.image_shape), decoded(model, walked[i]), expected]))
    return frames, [times[i] for i in chosen]


def _numbers(latents: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Pictures (N, C, H, W) of the numbers of standardised latents (N, *latent), grey for 0: noise looks like noise."""
    channels, height, width = shape
    rows = latents.flatten(1) / (2 * DRIFT) + 0.5
    if latents[0].numel() == channels * height * width:
        return rows.reshape(-1, *shape).clamp(0, 1)
    side = math.ceil(math.sqrt(rows.shape[1]))
    tiles = torch.nn.functional.pad(rows, (0, side * side - rows.shape[1])).reshape(-1, 1, side, side)
    return torch.nn.functional.interpolate(tiles, (height, width)).expand(-1, channels, -1, -1).clamp(0, 1)


def _way(subject: ShownModel, plane: Plane, how: SamplingConfig, noise: Tensor, labels: Tensor | None) -> Tensor:
    """States (T, N, 2) of noises on the plane."""
    return torch.stack([plane.project(x) for x in states(subject.model, noise, labels, how, subject.seed)])


def _dots(axes: Axes, places: Tensor, subject: ShownModel) -> None:
    names = subject.data.classes
    for k, name in enumerate(names):
        rows = subject.labels == k
        across, up = places[rows].T
        axes.scatter(across, up, s=6, alpha=0.6, label=plain(name))
    if len(names) <= 20:
        axes.legend(fontsize=7, markerscale=2, ncols=1 + len(names) // 11, frameon=False, loc="upper right")


def _in_plane(axes: Axes) -> None:
    axes.set_xlabel("first direction", fontsize=8, color=SOFT)
    axes.set_ylabel("second direction", fontsize=8, color=SOFT)
    axes.tick_params(labelsize=7)


def _strip(images: Tensor, columns: int, rows: list[str], heads: list[str], title: str) -> Figure:
    """Rows of images with a name for each row and column."""
    picture = grid(images, columns, zoom=4)
    figure = blank(1.2 * columns + 1, 1.2 * len(rows) + 0.6)
    axes = figure.subplots()
    axes.imshow(picture, cmap="gray", vmin=0, vmax=255)
    axes.set_xticks([(i + 0.5) * picture.width / columns for i in range(columns)], heads, fontsize=8)
    axes.set_yticks([(i + 0.5) * picture.height / len(rows) for i in range(len(rows))], rows, fontsize=8)
    axes.tick_params(length=0)
    axes.xaxis.tick_top()
    axes.set_title(title, fontsize=10, color=INK)
    return figure
