"""From a bundle to a file of images."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from latentarena.bundle import AnyBundle
from latentarena.errors import ConfigError, ModelError
from latentarena.files import make_folder
from latentarena.model.config import SamplingConfig
from latentarena.model.latent_model import AnyModel, LatentModel, labels_for
from latentarena.pictures import FORMATS, MOVING, refuse_suffix, save_animation, save_images
from latentarena.text import listed, meant
from latentarena.use.history import refuse_more_steps

ROUND = 36  # frames of a walk through noise that ends where it began
MOST_SHOWN, MOST_MOVING = 10_000, 1_000  # images in a picture, and in an animation
LARGEST_ARRAYS = 1 << 30  # bytes of images in a file


def chosen_sampling(
    bundle: AnyBundle,
    solver: str | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    grid: str | None = None,
    eta: float | None = None,
) -> SamplingConfig | None:
    """The bundle's own sampling with what is given changed; None for a portable bundle, where nothing can be.

    Raises:
        ConfigError: naming the option, where it is impossible.
    """
    if bundle.model.native is not None:
        refuse_more_steps(bundle, steps or 1)
        return bundle.model.native.architecture.sampling.but(solver, steps, guidance, grid, eta)
    options = {"--solver": solver, "--steps": steps, "--guidance": guidance, "--grid": grid, "--eta": eta}
    for option, value in options.items():
        if value is not None:
            raise ConfigError(
                f"{option} {value}: the sampler of portable bundle {bundle.card.name!r} is part of its graph; leave "
                f"{option} out, or name the native bundle"
            )
    return None


def sample_to_file(
    bundle: AnyBundle,
    path: Path,
    n: int,
    seed: int,
    labels: str | Tensor | None,
    sampling: SamplingConfig | None = None,
    scale: int | None = None,
) -> str:
    """Draw n images into a PNG, NPZ, or a GIF or MP4: the trajectory, or of a portable bundle a walk through noise.

    Args:
        labels: classes in turn, by name as `chosen_labels` takes them, or int64 (n,).
        sampling: how, for a native bundle; its own unless given.
        scale: pixels of the picture for each of an image.

    Returns:
        A line that says what was drawn.

    Raises:
        ConfigError: unknown suffix or label, or guidance without labels.
        OutputError: the file cannot be written.
    """
    refuse_suffix(path, *FORMATS)
    refuse_many(path, n, bundle.card.shape)
    model, how = bundle.model, sampling or bundle.card.sampling
    animated = path.suffix.lower() in MOVING
    if model.native is not None:
        refuse_unguided(model.native, how.guidance)
    classes = labels if isinstance(labels, Tensor) else chosen_labels(model, n, labels)
    noise = model.noise(n, seed)
    make_folder(path.parent)
    if animated and model.native is not None:
        native = model.native
        frames = [model.decode(latents) for latents in native.trajectory(noise, classes, sampling, seed)]
        times = native.times(sampling or native.architecture.sampling)
        save_animation(path, frames, [f"t = {t:.2f}" for t in times], scale=scale)
    elif animated:  # from noise to image at once: what moves is the noise
        rounds = turning(noise, model.noise(n, seed, "turned"), ROUND)
        frames = [drawn(model, turned, classes, sampling, seed) for turned in rounds]
        turns = [f"noise turned by {360 * i // ROUND} degrees" for i in range(ROUND)]
        save_animation(path, frames, turns, scale=scale)
    else:
        words = [] if classes is None else [bundle.card.classes[k] for k in classes.tolist()]
        save_images(path, drawn(model, noise, classes, sampling, seed), classes, words, scale)
    guided = f", guidance {how.guidance}" if how.guidance != 1 else ""
    return f"{n:,} images of {bundle.card.name}, {how.solver} x {how.steps}{guided}, seed {seed}"


def drawn(model: AnyModel, noise: Tensor, labels: Tensor | None, how: SamplingConfig | None, seed: int) -> Tensor:
    """Images (N, C, H, W) of a model; `how` is for one whose sampler can be steered.

    Raises:
        ModelError: there are none: values that are not finite.
    """
    native = model.native
    images = native.generate(noise, labels, how, seed) if native else model.generate(noise, labels, seed=seed)
    if not bool(images.isfinite().all()):
        raise ModelError(
            "the samples hold values that are not finite; choose another --solver or --grid, or more --steps"
        )
    return images


def turning(start: Tensor, across: Tensor, n: int) -> Iterator[Tensor]:
    """n noises (N, ...) on a circle through `start`; each is standard normal where both ends are."""
    for i in range(n):
        angle = 2 * math.pi * i / n
        yield math.cos(angle) * start + math.sin(angle) * across


def refuse_many(path: Path, n: int, shape: tuple[int, int, int]) -> None:
    """Raise a ConfigError where n images (C, H, W) are more than a picture shows or a file of arrays should hold."""
    suffix = path.suffix.lower()
    arrays = LARGEST_ARRAYS // (4 * math.prod(shape))
    most = {".png": MOST_SHOWN, **dict.fromkeys(MOVING, MOST_MOVING)}.get(suffix, arrays)
    if n > most:
        kind, way_out = (
            ("picture", "choose --out FILE.npz, or fewer") if suffix != ".npz" else ("file", "take several seeds")
        )
        raise ConfigError(f"-n {n}: a {suffix} {kind} of these images holds at most {most:,}; {way_out}")


def refuse_unguided(model: LatentModel, guidance: float) -> None:
    """Raise a ConfigError where guidance is asked of a model that has none."""
    if guidance != 1 and not model.architecture.generator.guided and model.architecture.sampling.guide is None:
        raise ConfigError(f"--guidance {guidance}: this model has nothing to be guided by; leave --guidance out")


def chosen_labels(model: AnyModel, n: int, text: str | None, option: str = "--labels") -> Tensor | None:
    """The classes to draw, int64 (n,): those in `text` in turn, else all in turn; None if unconditional.

    Raises:
        ConfigError: labels for an unconditional model, or labels it does not know.
    """
    if text is None:
        return labels_for(model, n)
    names = model.classes
    if not model.conditional:
        raise ConfigError(
            f"{option} {text}: this model is unconditional; leave {option} out, or train one with "
            "generator.conditional=true, in Python la.save(..., conditional=True)"
        )
    words = listed(text)
    unknown = [word for word in words if word not in names]
    if unknown:
        choices = f"{meant(unknown[0], names)}choose from {', '.join(names)}"
        raise ConfigError(f"{option} {unknown[0]}: no such class; {choices}")
    turn = torch.tensor([names.index(word) for word in words])
    return turn.repeat(-(-n // len(turn)))[:n]
