"""Any folder or zip of images as a dataset: class folders, or a table beside the images, are labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import PIL
import torch
from natsort import natsorted
from PIL import features

from latentarena.data.decoded import Decoded, decode, kept
from latentarena.data.held_out import NONE_HELD_OUT
from latentarena.data.images import Dataset, Images
from latentarena.data.layout import TEST, TRAIN, Layout, layout_of
from latentarena.data.listing import LeftOut, Listing, warn_left_out
from latentarena.data.picture import Fit, pixels
from latentarena.data.survey import broken_line, hold_out, survey_of
from latentarena.errors import DataError
from latentarena.facts import source_digest
from latentarena.files import cache_folder, digest, digest_json
from latentarena.progress import counted

DECODERS = ("jpg", "libjpeg_turbo", "webp", "avif", "jpg_2000", "libtiff")


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
    path = cache_folder() / "images" / f"{digest_json(key)[:32]}.safetensors"
    found = kept(path) or _decoded(source, listing, names, fit, path)
    warn_left_out(source, (*listing.left_out, *found.left_out))
    layout, train, test = _arranged(source, listing, names, found.left_out)
    classes = natsorted(set(layout.labels))
    rank = {name: index for index, name in enumerate(classes)}
    labels = torch.tensor([rank[layout.labels[i]] for i in train + test])
    return Dataset.of(
        f"folder:{source.name}",
        Images(found.pixels[: len(train)], labels[: len(train)]),
        Images(found.pixels[len(train) :], labels[len(train) :]),
        tuple(name or "image" for name in classes),
        (layout.words, *found.notes),
    )


def _arranged(
    source: Path, listing: Listing, names: Sequence[tuple[str, str]], left_out: Sequence[LeftOut]
) -> tuple[Layout, list[int], list[int]]:
    """How the images that are not left out are laid out, and which of them are train and test images.

    Args:
        names: of all files, with the hash of their content.
    """
    left = {one.path for one in left_out}
    used = [(file.path, value) for file, (name, value) in zip(listing.files, names, strict=True) if name not in left]
    layout = layout_of([path for path, _ in used], listing.classes, listing.table)
    splits = hold_out(layout, [value for _, value in used])
    if TEST not in splits:
        raise DataError(f"folder:{source} has {NONE_HELD_OUT}")
    train, test = ([i for i, split in enumerate(splits) if split == wanted] for wanted in (TRAIN, TEST))
    return layout, train, test


def _decoded(source: Path, listing: Listing, names: Sequence[tuple[str, str]], fit: Fit, path: Path) -> Decoded:
    """Decode the images, those of the train split first, so that either split is one piece of the file."""
    survey = survey_of(source, listing, fit)
    if survey.faults:
        raise DataError(survey.faults[0])
    left_out = survey.left_out[len(listing.left_out) :]  # what the listing says is said anew each time
    _, train, test = _arranged(source, listing, names, left_out)

    def pictures() -> Iterator[np.ndarray]:
        broken = {}
        for i in counted(train + test, "decoding"):
            file, facts = survey.images[i], survey.facts[i]
            try:
                yield np.asarray(facts.picture or pixels(file.read(), survey.scale, fit))
            except DataError as error:
                broken[file.path] = str(error)
        if broken:
            raise DataError(broken_line(broken))

    try:
        return decode(pictures, len(train + test), left_out, survey.notes, path)
    except DataError as error:
        raise DataError(f"folder:{source}: {error}") from None


def _decoders() -> list[str]:
    """What pixels depend on beside the files: this code, Pillow and the libraries that it decodes with."""
    return [source_digest("data"), PIL.__version__, *(str(features.version(name)) for name in DECODERS)]
