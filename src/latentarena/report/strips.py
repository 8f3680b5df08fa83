"""From a bundle and its dataset to pictures of what the model can do; see `uses`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from latentarena.bundle import NativeBundle
from latentarena.data import Dataset
from latentarena.errors import ConfigError
from latentarena.files import make_folder, write_atomically
from latentarena.model.config import SamplingConfig
from latentarena.model.latent_model import LatentModel
from latentarena.pictures import MOVING, ZOOM, labelled, png, refuse_suffix, save_animation
from latentarena.text import listed, meant
from latentarena.use.history import refuse_no_flow
from latentarena.use.sampling import chosen_labels, refuse_unguided
from latentarena.use.uses import class_mean, edit, inpaint, interpolate, shift, to_noise

REGIONS = ("left", "right", "top", "bottom", "middle")
COVER = 0.5  # grey over what is hidden


def walk(bundle: NativeBundle, steps: int, guidance: float | None) -> SamplingConfig:
    """How the ODE is walked: Heun's method, with the bundle's own guidance unless given.

    Raises:
        ConfigError: guidance for a model that has none, or a model that is no flow.
    """
    refuse_no_flow(bundle, "the way between noise and data")
    how = bundle.card.architecture.sampling.but("heun", steps, guidance)
    refuse_unguided(bundle.model, how.guidance)
    return how


def chosen_images(data: Dataset, text: str, option: str) -> tuple[Tensor, Tensor]:
    """Test images float (n, C, H, W) in [0, 1] and their labels, by numbers such as `0,5,17`.

    Raises:
        ConfigError: naming the option, where one is no number or there is no such image.
    """
    last = len(data.test) - 1
    chosen = []
    for word in listed(text):
        if not word.isdecimal() or int(word) > last:
            raise ConfigError(f"{option} {word}: no such test image of {data.name}; choose from 0 to {last}")
        chosen.append(int(word))
    index = torch.tensor(chosen, device=data.test.labels.device)
    return data.test.batch(index).cpu(), data.test.labels[index].cpu()


def hidden_region(hide: str, mask: Path | None, shape: Sequence[int]) -> Tensor:
    """What is hidden of images of this height and width, bool (H, W).

    Args:
        hide: half of the image by name, or the middle: the central half of its height and width.
        mask: a picture instead, white where hidden.
        shape: (H, W).

    Raises:
        ConfigError: an unknown region, or a mask that cannot be read or has another size.
    """
    height, width = shape
    if mask is not None:
        try:
            picture = Image.open(mask).convert("L")
        except OSError as error:
            raise ConfigError(f"--mask {mask}: no picture that can be read ({error.strerror or 'unknown'})") from None
        if picture.size != (width, height):
            raise ConfigError(
                f"--mask {mask}: {picture.width} x {picture.height} pixels, but the images are {width} x {height}"
            )
        return torch.from_numpy(np.asarray(picture) > 127)
    regions = {
        "left": (slice(None), slice(width // 2)),
        "right": (slice(None), slice(width // 2, None)),
        "top": (slice(height // 2), slice(None)),
        "bottom": (slice(height // 2, None), slice(None)),
        "middle": (slice(height // 4, height - height // 4), slice(width // 4, width - width // 4)),
    }
    if hide not in regions:
        raise ConfigError(f"--hide {hide}: no such region; {meant(hide, REGIONS)}choose from {', '.join(REGIONS)}")
    hidden = torch.zeros(height, width, dtype=torch.bool)
    hidden[regions[hide]] = True
    return hidden


def interpolate_noise_to_file(
    bundle: NativeBundle,
    path: Path,
    rows: int,
    frames: int,
    labels: str | None,
    how: SamplingConfig,
    seed: int,
    scale: int | None = None,
) -> str:
    """Write `rows` arcs between random pairs of noise; returns a line that says what was drawn.

    Raises:
        ConfigError: unknown suffix or label.
        OutputError: the file cannot be written.
    """
    refuse_suffix(path, ".png", *MOVING)
    model = bundle.model
    classes, ends = chosen_labels(model, rows, labels), model.noise(2 * rows, seed)
    told = [f"noise {row}" for row in range(rows)] if classes is None else _names(model, classes)
    heads = [[one, *[""] * (frames - 1)] for one in told]
    _save_arcs(path, interpolate(model, ends[:rows], ends[rows:], frames, classes, how), heads, scale)
    return f"{rows} x {frames} images of {bundle.card.name}, from noise to noise, seed {seed}"


def interpolate_images_to_file(
    bundle: NativeBundle,
    data: Dataset,
    path: Path,
    start: str,
    end: str,
    frames: int,
    labels: str | None,
    how: SamplingConfig,
    scale: int | None = None,
) -> str:
    """Write the arcs between the noises of test images; a conditional model draws a row as one class.

    Args:
        start, end: numbers of as many test images each.
        labels: classes of the rows in turn; those of the start images unless given.

    Raises:
        ConfigError: unknown suffix, image or label, or not as many ends as starts.
        OutputError: the file cannot be written.
    """
    refuse_suffix(path, ".png", *MOVING)
    model = bundle.model
    (first, own), (second, _) = chosen_images(data, start, "--from"), chosen_images(data, end, "--to")
    if len(first) != len(second):
        raise ConfigError(f"--to {end}: {len(second)} images, but --from names {len(first)}; give as many of each")
    classes = chosen_labels(model, len(first), labels) if labels is not None else own if model.conditional else None
    begin, finish = (to_noise(model, images, classes, how) for images in (first, second))
    heads = [
        [f"test #{a}", *[""] * (frames - 2), f"test #{b}"] for a, b in zip(listed(start), listed(end), strict=True)
    ]
    _save_arcs(path, interpolate(model, begin, finish, frames, classes, how), heads, scale)
    return f"{len(first)} x {frames} images of {bundle.card.name}, from test images {start} to {end}"


def inpaint_to_file(
    bundle: NativeBundle,
    data: Dataset,
    path: Path,
    index: str,
    hidden: Tensor,
    fills: int,
    steps: int,
    seed: int,
    scale: int | None = None,
) -> str:
    """Write a row for each test image: itself, what is known of it, and `fills` ways to complete it.

    Raises:
        ConfigError: unknown suffix or image, or a model that is no flow.
        OutputError: the file cannot be written.
    """
    refuse_suffix(path, ".png")
    refuse_no_flow(bundle, "filling in")
    model = bundle.model
    images, labels = chosen_images(data, index, "--index")
    n = len(images)
    filled = inpaint(
        model,
        images.repeat_interleave(fills, 0),
        hidden,
        model.noise(n * fills, seed),
        labels.repeat_interleave(fills) if model.conditional else None,
        steps,
    )
    cells = [images[:, None], images.masked_fill(hidden, COVER)[:, None], filled.reshape(n, fills, *images.shape[1:])]
    heads = [[f"test #{one}", "known", *[f"fill {i + 1}" for i in range(fills)]] for one in listed(index)]
    _save_rows(path, torch.cat(cells, 1), heads, scale)
    return (
        f"{n} x {fills} fills by {bundle.card.name}, {int(hidden.sum())} of {hidden.numel()} pixels hidden, seed {seed}"
    )


def edit_to_file(
    bundle: NativeBundle,
    data: Dataset,
    path: Path,
    index: str,
    to: str,
    strength: float,
    how: SamplingConfig,
    scale: int | None = None,
) -> str:
    """Write a row for each test image: itself, its reconstruction, and the image as each class in `to`.

    A conditional model goes towards the noise as the image's own class and back as the other; in an unconditional one
    the latent moves by the difference of the classes' means over the train split.

    Raises:
        ConfigError: unknown suffix, image or class, or a model with neither classes nor a learned latent.
        OutputError: the file cannot be written.
    """
    refuse_suffix(path, ".png")
    model = bundle.model
    images, own = chosen_images(data, index, "--index")
    targets = [_class_named(model, word) for word in listed(to)]
    if model.conditional:
        edited = [edit(model, images, own, torch.full_like(own, target), strength, how) for target in targets]
        manner = "by the ODE to noise and back"
    elif not model.learned:
        raise ConfigError(
            "edit: this model is unconditional and in pixel space, so it has neither classes nor latents to move; "
            "train one with generator.conditional=true"
        )
    else:
        edited = [shift(model, images, _differences(model, data, own, target), strength) for target in targets]
        manner = (
            "by the difference of the classes' mean latents, which keeps less of the image: this model is "
            "unconditional; one trained with generator.conditional=true edits by the ODE"
        )
    cells = [images, model.decode(model.encode(images)), *edited]
    heads = [[f"test #{one}", "decoded", *[f"as {word}" for word in listed(to)]] for one in listed(index)]
    _save_rows(path, torch.stack(cells, 1), heads, scale)
    return f"{len(images)} images edited to {to} by {bundle.card.name}, strength {strength:g}, {manner}"


def _class_named(model: LatentModel, name: str) -> int:
    names = model.architecture.classes
    if name not in names:
        raise ConfigError(f"--to {name}: no such class; {meant(name, names)}choose from {', '.join(names)}")
    return names.index(name)


def _differences(model: LatentModel, data: Dataset, own: Tensor, target: int) -> Tensor:
    """From each image's own class to the target, (n, *latent)."""
    means = {k: class_mean(model, data.train, k) for k in {target, *own.tolist()}}
    return torch.stack([means[target] - means[k] for k in own.tolist()])


def _names(model: LatentModel, classes: Tensor) -> list[str]:
    return [model.architecture.classes[k] for k in classes.tolist()]


def _save_arcs(path: Path, images: Tensor, heads: list[list[str]], scale: int | None) -> None:
    """Images (rows, frames, C, H, W) as a strip for each row, or as a film that goes there and back."""
    if path.suffix.lower() == ".png":
        _save_rows(path, images, heads, scale)
        return
    make_folder(path.parent)
    there = list(images.unbind(1))
    save_animation(path, [*there, *there[-2::-1]], scale=scale)


def _save_rows(path: Path, images: Tensor, heads: list[list[str]], scale: int | None) -> None:
    """Images (rows, columns, C, H, W) as a PNG, with a word above each."""
    make_folder(path.parent)
    words = [word for row in heads for word in row]
    write_atomically(path, png(labelled(images.flatten(0, 1), words, images.shape[1], scale or ZOOM)))
