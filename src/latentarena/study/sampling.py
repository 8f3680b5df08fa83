"""From a bundle to a file of images."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from latentarena.bundle import Bundle
from latentarena.errors import ConfigError
from latentarena.files import make_folder
from latentarena.study.pictures import FORMATS, refuse_suffix, save_animation, save_images
from latentarena.study.scoring import labels_for
from latentarena.train.model import LatentModel
from latentarena.train.recipe import SamplingConfig

__all__ = ["chosen_labels", "refuse_unguided", "sample_to_file"]


def sample_to_file(bundle: Bundle, path: Path, n: int, seed: int, labels: str | None, sampling: SamplingConfig) -> str:
    """Draw n images and write them as PNG, GIF (the trajectory) or NPZ.

    Returns:
        A line that says what was drawn.

    Raises:
        ConfigError: unknown suffix or label, or guidance without labels.
        OutputError: the file cannot be written.
    """
    refuse_suffix(path, *FORMATS)
    model = bundle.model
    refuse_unguided(model, sampling)
    classes = chosen_labels(model, n, labels)
    noise = model.noise(n, seed)
    make_folder(path.parent)
    if path.suffix.lower() == ".gif":
        frames = [model.decode(latents) for latents in model.trajectory(noise, classes, sampling, seed)]
        save_animation(path, frames)
    else:
        save_images(path, model.generate(noise, classes, sampling, seed), classes)
    guided = f", guidance {sampling.guidance}" if sampling.guidance != 1 else ""
    return f"{n:,} images of {bundle.card.name}, {sampling.solver} x {sampling.steps}{guided}, seed {seed}"


def refuse_unguided(model: LatentModel, sampling: SamplingConfig) -> None:
    """Raise a ConfigError where guidance is asked of a model that has none."""
    if sampling.guidance != 1 and not model.architecture.generator.guided:
        raise ConfigError(
            f"--guidance {sampling.guidance}: this model has nothing to be guided by; leave --guidance out"
        )


def chosen_labels(model: LatentModel, n: int, text: str | None) -> Tensor | None:
    """The classes to draw, int64 (n,): those in `text` in turn, else all in turn; None if unconditional.

    Raises:
        ConfigError: labels for an unconditional model, or labels it does not know.
    """
    if text is None:
        return labels_for(model, n)
    names = model.architecture.classes
    if not model.conditional:
        raise ConfigError(f"--labels {text}: this model is unconditional; leave --labels out")
    words = [word.strip() for word in text.split(",")]
    unknown = [word for word in words if word not in names]
    if unknown:
        raise ConfigError(f"--labels {unknown[0]}: no such class; choose from {', '.join(names)}")
    turn = torch.tensor([names.index(word) for word in words])
    return turn.repeat(-(-n // len(turn)))[:n]
