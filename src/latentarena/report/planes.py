"""Pictures of a model in the space of its latents: where images lie, the flow's field, trajectories."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from latentarena.distill import straightness_of
from latentarena.errors import ConfigError
from latentarena.model.config import JUMP, SamplingConfig
from latentarena.model.latent_model import LatentModel
from latentarena.pictures import blank, grid, plain
from latentarena.process import Straight
from latentarena.report.charts import ACCENT, INK, LIGHT, SOFT
from latentarena.report.shown import ShownModel
from latentarena.use.views import Plane, field, states

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

LATTICE, ARROWS, ARROWS_3D = 15, 17, 6  # decoded images, and arrows, along a side
REACH = 2.5  # standard deviations to each side
WALKED, SLOW, MANY = 16, 6, 256  # noises whose trajectories are drawn, fewer where a latent has so many numbers
FINE = 64  # steps of the trajectories that solvers are held against
FEW = 8  # steps of solvers, for a model that needs none
TIMES = (0.95, 0.65, 0.35, 0.1)  # of the field
COMPARED = ("euler", "heun", "rk4", "ddim", "ddpm", "dpm_solver_pp")
BEHIND = "#c9ced6"  # of what trajectories are held against
Panel = tuple[str, Tensor, Tensor]  # title, trajectories (T, N, k), and those that are drawn behind them


def latent_map(subject: ShownModel) -> Figure:
    """Test images where the encoder puts them, by class, and what the decoder makes of the same plane."""
    plane = subject.plane()
    places = plane.project(subject.latents)
    figure = _figure(13, 6.2)
    left, right = figure.subplots(1, 2)
    _dots(left, places, subject)
    images = subject.decoded(plane.lift(plane.lattice(LATTICE, REACH)))
    across, up = (float(REACH * spread) * (1 + 1 / (LATTICE - 1)) for spread in plane.spread)
    sheet = grid(images, LATTICE, zoom=1, gap=0)
    right.imshow(sheet, extent=(-across, across, -up, up), cmap="gray", vmin=0, vmax=255, aspect="auto")
    right.set_title("decoded from the same plane", fontsize=10)
    outside = int((places.abs() > torch.tensor([across, up])).any(1).sum())
    beyond = f"; {outside} of {len(places):,} lie outside" if outside else ""
    left.set_title(f"posterior means of test images, by class{beyond}", fontsize=10)
    for axes in (left, right):
        _named(axes)
        axes.set(xlim=(-across, across), ylim=(-up, up))
    total = float(subject.latents.flatten(1).var(0).sum())
    share = float(plane.spread.square().sum()) / max(total, 1e-12)
    figure.suptitle(f"{subject.about}: two principal directions, {share:.0%} of the latents' variance", color=INK)
    return figure


def field_slices(subject: ShownModel) -> Figure:
    """The flow's velocity at four times in the plane, or in a space of three numbers, over trajectories to the data.

    Of a model of few steps, whose network is no flow's, it is that of the flow before.

    Raises:
        ConfigError: that flow is not there.
    """
    model, space, whose = subject.native, subject.space(), ""
    how = model.architecture.sampling
    if subject.student:
        if not subject.before:
            raise ConfigError(
                f"field: {subject.bundle.card.name!r} goes from noise to data in few steps by a network that is no "
                "flow's; the flow it was made of is in the checkpoints of its run, so name the bundle in there"
            )
        name, model = list(subject.before.items())[-1]
        how, whose = _finely(model), f" {name}, which it was distilled from;"
    first, last = model.path.span
    trajectories = _placed(space, _walked(subject, model, how))
    flat, exact = len(space.directions) == 2, subject.latents[0].numel() == len(space.directions)
    places = space.lattice(ARROWS if flat else ARROWS_3D, REACH)
    figure = _figure(14, 4.2)
    for axes, time in zip(_axes(figure, len(TIMES), [places, trajectories]), TIMES, strict=True):
        t = first + (last - first) * time
        _arrows(axes, places, field(model, space, places, t, how, subject.label))
        _lines(axes, trajectories, color=SOFT, linewidth=0.5, alpha=0.6)
        axes.scatter(*trajectories[-1].T, color=ACCENT, s=8, zorder=3)
        axes.set_title(f"t = {t:.2f}", fontsize=10)
    words = "" if exact else "; a slice at the mean of all other directions, trajectories projected onto it"
    if model.conditional and subject.label is None:
        words += "\nvelocity without a class, trajectories of all classes in turn"
    figure.suptitle(f"{subject.about}:{whose} velocity towards the data, t = 1 is noise{words}", color=INK)
    return figure


def solver_paths(subject: ShownModel) -> Figure:
    """Trajectories of the same noises by each solver, beside those in many small steps.

    Of a model that was reflowed or distilled, the trajectories of the flows before stand above them, with how straight
    they are; and of a model of few steps, whose network is no flow's, these and its own are all.
    """
    model, space, own = subject.native, subject.space(), subject.native.architecture.sampling
    walked = {name: _fine(subject, flow) for name, flow in subject.before.items()}
    if not subject.student:
        walked[f"Flow-{len(walked) + 1}"] = _fine(subject, model)
    rows, said = [], []
    if subject.before or subject.student:
        rows.append([_over_chord(space, f"{name}{bend}", x) for name, (x, bend) in walked.items()])
        said.append("above, flows over their chords in grey; straightness 0 is straight")
    if subject.student:
        rows[0].append(_over_chord(space, f"this model, {own.solver} x {own.steps}", _walked(subject, model, own)))
        said[0] = "flows, and what was distilled of them, over their chords in grey; straightness 0 is straight"
    else:
        exact, bend = list(walked.values())[-1]
        panels = _solvers(subject, space, exact)
        half = math.ceil(len(panels) / 2)
        rows += [panels[:half], panels[half:]]
        said.append(f"by each solver, grey by Heun in {FINE} steps{'' if subject.before else bend}")
    figure = _figure(4 * max(3, *map(len, rows)), 4.1 * len(rows) + 0.3)
    places = [trajectories for row in rows for _, trajectories, _ in row]
    parts = figure.subfigures(len(rows), 1, squeeze=False)[:, 0]
    for row, part in zip(rows, parts, strict=True):
        for axes, (title, trajectories, behind) in zip(_axes(part, len(row), places), row, strict=True):
            _lines(axes, behind, color=BEHIND, linewidth=1.5)
            _lines(axes, trajectories, color=ACCENT, linewidth=0.9, marker="." if len(trajectories) < FINE else "")
            axes.scatter(*trajectories[-1].T, color=INK, s=9, zorder=3)
            axes.set_title(title, fontsize=10)
    figure.suptitle(f"{subject.about}: {_noises(subject)} noises; {'; '.join(said)}", color=INK)
    return figure


def _solvers(subject: ShownModel, space: Plane, exact: Tensor) -> list[Panel]:
    """Each solver's trajectories over the exact ones; a network that jumps does so in its own steps too."""
    model, own = subject.native, subject.native.architecture.sampling
    flow = own.but("euler", max(own.steps, FEW)) if own.solver == JUMP else own
    choices = [*([own] if own.solver not in COMPARED else []), *(flow.but(name) for name in COMPARED)]
    panels = []
    for how in choices:
        trajectories = _walked(subject, model, how)
        gap = float((trajectories[-1] - exact[-1]).flatten(1).norm(dim=1).mean())
        title = f"{how.solver} x {how.steps}: ends {gap:.2g} away"
        panels.append((title, _placed(space, trajectories), _placed(space, exact)))
    return panels


def _fine(subject: ShownModel, flow: LatentModel) -> tuple[Tensor, str]:
    """Trajectories of a flow in many small steps (T, N, *latent), and words on how straight they are on that path."""
    how = _finely(flow)
    trajectories = _walked(subject, flow, how)
    if not isinstance(flow.path, Straight):
        return trajectories, ""
    labels, times = subject.asked(_noises(subject)), torch.tensor(flow.times(how), device=flow.device)
    asked = None if labels is None else labels.to(flow.device)
    bend = straightness_of(flow.path, flow.denoiser(how), list(trajectories.to(flow.device)), times, asked)
    return trajectories, f"; straightness {bend:.3g}"


def _finely(flow: LatentModel) -> SamplingConfig:
    return flow.architecture.sampling.but("heun", FINE)


def _noises(subject: ShownModel) -> int:
    """How many noises are followed: few of as many numbers as images have, whose networks are slow."""
    return WALKED if subject.latents[0].numel() < MANY else SLOW


def _walked(subject: ShownModel, model: LatentModel, how: SamplingConfig) -> Tensor:
    """States (T, N, *latent) of the noises that all these pictures follow."""
    n = _noises(subject)
    return torch.stack(states(model, model.noise(n, subject.seed), subject.asked(n), how, subject.seed))


def _placed(space: Plane, trajectories: Tensor) -> Tensor:
    """Where states (T, N, *latent) stand, (T, N, k)."""
    return torch.stack([space.project(x) for x in trajectories])


def _over_chord(space: Plane, title: str, trajectories: Tensor) -> Panel:
    return title, _placed(space, trajectories), _placed(space, trajectories[[0, -1]])


def _figure(width: float, height: float) -> Figure:
    figure = blank(width, height)
    figure.set_layout_engine("constrained")
    return figure


def _axes(figure: Figure | SubFigure, n: int, places: Sequence[Tensor]) -> list[Any]:
    """So many axes of two or three dimensions beside each other, all of which hold these places (..., k)."""
    rows = torch.cat([one.flatten(0, -2) for one in places])
    low, high = rows.min(0).values, rows.max(0).values
    margin = 0.04 * (high - low).clamp(min=1e-6)
    limits = torch.stack([low - margin, high + margin], 1).tolist()
    spatial = {"projection": "3d"} if len(limits) == 3 else {}
    made: list[Any] = figure.subplots(1, n, squeeze=False, subplot_kw=spatial)[0].tolist()
    for number, axes in enumerate(made):
        axes.set(**dict(zip(("xlim", "ylim", "zlim"), limits, strict=False)))
        _named(axes, number == 0)
    return made


def _lines(axes: Any, trajectories: Tensor, **style: Any) -> None:
    """Trajectories (T, N, k) as lines."""
    for one in trajectories.unbind(1):
        axes.plot(*one.T, **style)


def _arrows(axes: Any, places: Tensor, arrows: Tensor) -> None:
    """Arrows (N, k) at places (N, k), coloured by their length in two dimensions."""
    if places.shape[1] == 2:
        axes.quiver(*places.T, *arrows.T, arrows.norm(dim=1), cmap="viridis", width=0.004)
        return
    cell = (places.max(0).values - places.min(0).values).min() / ARROWS_3D
    axes.quiver(*places.T, *(arrows * cell / arrows.norm(dim=1).max()).T, color=LIGHT, linewidth=0.6)


def _dots(axes: Axes, places: Tensor, subject: ShownModel) -> None:
    names = subject.data.classes
    for k, name in enumerate(names):
        across, up = places[subject.labels == k].T
        axes.scatter(across, up, s=6, alpha=0.6, label=plain(name))
    if len(names) <= 20:
        axes.legend(fontsize=7, markerscale=2, ncols=1 + len(names) // 11, frameon=False, loc="upper right")


def _named(axes: Any, first: bool = True) -> None:
    axes.set_xlabel("first direction", fontsize=8, color=SOFT)
    if first:
        axes.set_ylabel("second direction", fontsize=8, color=SOFT)
    axes.tick_params(labelsize=7)
