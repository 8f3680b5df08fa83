"""Any folder or zip of images as a dataset: class folders, or a table beside the images, are labels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import PIL
import torch
from natsort import natsorted
from PIL import features
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from latentarena.data.images import Dataset, Images
from latentarena.data.layout import TEST, TRAIN, layout_of
from latentarena.data.listing import LeftOut, Listing, warn_left_out
from latentarena.data.picture import DIM, Fit, pixels
from latentarena.data.survey import Survey, broken_line, hold_out, survey_of
from latentarena.errors import DataError
from latentarena.facts import source_digest
from latentarena.files import cache_folder, digest, digest_json, keep_cached

KEPT = 4  # decoded folders in the cache
DECODERS = ("jpg", "libjpeg_turbo", "webp", "avif", "jpg_2000", "libtiff")
BRIGHT = 223  # a value that all pixels of a dataset stay above only by mistake


@dataclass(frozen=True)
class _Decoded:
    """All images of a folder as uint8 (N, C, H, W), in the order of their paths, and what is said of them."""

    pixels: Tensor
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]


def image_folder(source: Path, fit: Fit, listing: Listing) -> Dataset:
    """Load a directory or zip of images, greyscale if all of them are, else RGB.

    Layout: see `layout_of`. Without a test or validation folder one image in ten, chosen by the hash of its content,
    becomes the test split. What is left out is logged as a warning.

    Args:
        source: for the messages.
        fit: size, crop and resize; needed only where the images differ in size.
        listing: its files.

    Raises:
        DataError: nothing there, no images, an unreadable image, an ambiguous layout, or sizes that do not fit.
    """
    names = [(str(file.path), digest(file.read())) for file in listing.files]
    told = [[str(path), label] for path, label in (listing.classes or {}).items()]
    key = [asdict(fit), names, told, listing.lost(), *_decoders()]
    cached = cache_folder() / "images" / f"{digest_json(key)[:32]}.safetensors"
    decoded = _kept(cached)
    if decoded is None:
        survey = survey_of(source, listing, fit)
        if survey.faults:
            raise DataError(survey.faults[0])
        decoded = _decoded(source, survey, fit, len(listing.left_out))
        _keep(cached, decoded)
    warn_left_out(source, (*listing.left_out, *decoded.left_out))
    left = {one.path for one in decoded.left_out}
    used = [(file.path, value) for file, (name, value) in zip(listing.files, names, strict=True) if name not in left]
    layout = layout_of([path for path, _ in used], listing.classes, listing.table)
    splits = hold_out(layout, [value for _, value in used])
    if TEST not in splits:
        raise DataError(
            f"folder:{source} has one image of each class, so that none can be held out for tests; add more"
        )
    classes = natsorted(set(layout.labels))
    rank = {name: index for index, name in enumerate(classes)}
    labels = torch.tensor([rank[label] for label in layout.labels])
    train, test = (torch.tensor([split == wanted for split in splits]) for wanted in (TRAIN, TEST))
    return Dataset.of(
        f"folder:{source.name}",
        Images(decoded.pixels[train], labels[train]),
        Images(decoded.pixels[test], labels[test]),
        tuple(name or "image" for name in classes),
        (layout.words, *decoded.notes),
    )


def _decoders() -> list[str]:
    """What pixels depend on beside the files: this code, Pillow and the libraries that it decodes with."""
    return [source_digest("data"), PIL.__version__, *(str(features.version(name)) for name in DECODERS)]


def _kept(cached: Path) -> _Decoded | None:
    """What was decoded before: 60,000 images take half a minute."""
    try:
        with safe_open(cached, "pt") as file:
            words = json.loads(file.metadata()["said"])
            left_out = tuple(LeftOut(*one) for one in words["left_out"])
            return _Decoded(file.get_tensor("pixels"), left_out, tuple(words["notes"]))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return None


def _keep(cached: Path, decoded: _Decoded) -> None:
    words = {"left_out": [[one.path, one.reason] for one in decoded.left_out], "notes": decoded.notes}
    content = save({"pixels": decoded.pixels}, {"said": json.dumps(words)})
    keep_cached(cached, content, KEPT, "the decoded images are")


def _decoded(source: Path, survey: Survey, fit: Fit, listed: int) -> _Decoded:
    """Decode every image; of what is left out, that follows what the listing says anew each time is kept."""
    arrays: list[np.ndarray] = []
    broken = {}
    for file, facts in zip(survey.images, survey.facts, strict=True):
        try:
            arrays.append(np.asarray(facts.picture or pixels(file.read(), survey.scale, fit)))
        except DataError as error:
            broken[file.path] = str(error)
    if broken:
        raise DataError(f"folder:{source}: {broken_line(broken)}")
    tensor = _stacked(arrays)
    if int(tensor.max()) < DIM:
        raise DataError(
            f"folder:{source}: all images are nearly black: their values are {int(tensor.min())} to "
            f"{int(tensor.max())} of 0 to 255; save them anew with white as 255, such as image.point(lambda v: v * "
            f"{255 // max(1, int(tensor.max()))}) in Pillow"
        )
    return _Decoded(tensor, survey.left_out[listed:], (*survey.notes, *_oddities(tensor)))


def _stacked(arrays: Sequence[np.ndarray]) -> Tensor:
    """Images (H, W) or (H, W, 3) of one size as uint8 (N, C, H, W)."""
    if any(a.ndim == 3 for a in arrays):
        arrays = [a if a.ndim == 3 else np.repeat(a[..., None], 3, axis=2) for a in arrays]
        return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).contiguous()
    return torch.from_numpy(np.stack(arrays))[:, None]


def _oddities(images: Tensor) -> list[str]:
    """What is strange about all images together, in sentences."""
    flat = images.flatten(1)
    low, high = flat.amin(1), flat.amax(1)
    found = []
    blank = int((low == high).sum())
    if blank:
        found.append(f"{blank} of {len(images)} images have one colour only, such as white where all is transparent")
    if int(low.min()) > BRIGHT:
        found.append(f"all images are nearly white: their values are {int(low.min())} to {int(high.max())} of 0 to 255")
    if images.shape[1] == 3 and bool((images == images[:, :1]).all()):
        found.append("all images are grey, though stored in colour: they have three equal channels")
    return found
