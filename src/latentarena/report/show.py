"""Pictures of a model from inside: its latent space, its field, trajectories from noise to image; see `views`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from latentarena.bundle import AnyBundle
from latentarena.data import Dataset
from latentarena.errors import ConfigError
from latentarena.files import make_folder, write_atomically
from latentarena.model.config import SamplingConfig
from latentarena.pictures import MOVING, Picture, embed_figure, figure_bytes, refuse_suffix, save_animation
from latentarena.registry import Registry
from latentarena.report.planes import field_slices, latent_map, solver_paths
from latentarena.report.rows import denoising, guidance_scales, moments, traverses
from latentarena.report.shown import SCALES, ShownModel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg", ".pdf")
FRAMES, FILMED = 25, 6  # of an animation of denoising, and its samples


@dataclass(frozen=True)
class View:
    """A picture from inside.

    Attributes:
        draw: makes it, or raises a ConfigError where a model has no such picture.
        alt, caption: of it in a report.
    """

    draw: Callable[[ShownModel], Figure]
    alt: str
    caption: str


VIEWS: Registry[View] = Registry(
    "view",
    latent=View(
        latent_map,
        "latents of test images by class, and images decoded over two principal directions",
        "Map of the latent space: test images where the encoder puts them, and what is decoded from the same plane.",
    ),
    field=View(
        field_slices,
        "arrows of the flow's velocity at four times, with trajectories from noise to data",
        "The flow: arrows are its velocity towards the data at four times, brighter the faster; lines are trajectories "
        "of the same noises, dots where they end.",
    ),
    paths=View(
        solver_paths,
        "trajectories of the same noises by several solvers",
        "Trajectories of the same noises by several solvers, and how far they end from those of many small steps.",
    ),
    traverse=View(
        traverses,
        "rows of images along principal directions, and from noise to noise along lines and arcs",
        "Images along principal directions of the latents; below, two noises joined by linear and by spherical "
        "interpolation. Lines pass through noise of a norm that noise hardly ever has.",
    ),
    denoise=View(
        denoising,
        "rows of states from noise to data, their decoded images and the estimates of the data",
        "From noise to image: the numbers of the state, the image of the state, and the image that the model expects.",
    ),
    guidance=View(
        guidance_scales,
        "samples of the same noises at several scales of guidance",
        "The same noises at several scales of guidance, a row each.",
    ),
)
ANIMATED = "denoise"  # the one that is an animation too


def embedded_views(subject: ShownModel) -> Iterator[Picture]:
    """All pictures that a model has, for a page."""
    for view in VIEWS.values():
        try:
            figure = view.draw(subject)
        except ConfigError:  # such as guidance, where there is none
            continue
        yield embed_figure(figure, view.alt, view.caption, kind="view")


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
    bundle: AnyBundle,
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
    draw = VIEWS[view].draw
    refuse_suffix(path, *SUFFIXES, *(MOVING if view == ANIMATED else []))
    subject = ShownModel.of(bundle, data, label, seed, scales)
    make_folder(path.parent)
    if path.suffix.lower() in MOVING:
        frames, times = moments(subject, FILMED, FRAMES)
        save_animation(path, frames, [f"t = {t:.2f}" for t in times], columns=FILMED)
    else:
        write_atomically(path, figure_bytes(draw(subject), path.suffix[1:].lower()))
    return f"{view} of {bundle.card.name}, seed {seed}"
