"""What a dataset is found to be, before anything is learnt from it: for people to check."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from natsort import natsorted
from PIL import Image

from latentarena.data.folder import image_folder
from latentarena.data.images import Dataset, Images
from latentarena.data.layout import TEST, TRAIN, Layout
from latentarena.data.listing import LeftOut, Listing
from latentarena.data.picture import Fit, PictureFacts, pixels
from latentarena.data.sheet import COLUMNS, ROWS, contact_sheet
from latentarena.data.survey import Survey, hold_out, survey_of
from latentarena.errors import DataError
from latentarena.files import digest

MODES = {
    "1": "black and white",
    "L": "grey",
    "LA": "grey with transparency",
    "P": "palette",
    "RGB": "colour",
    "RGBA": "colour with transparency",
    "CMYK": "CMYK",
    "F": "floating-point grey",
}


@dataclass(frozen=True)
class Overview:
    """A dataset as it was found.

    Attributes:
        images: how many there are, used or not.
        about: layout and what was done to the images, in sentences.
        classes: train and test images of each class, in the order of their labels.
        sizes, modes: how many images have each, in words.
        left_out: every file that is no part of it.
        faults: why it cannot be used; none if it can.
        sheet: a picture of some images of each class; None where there are no images.
    """

    images: int
    about: tuple[str, ...]
    classes: dict[str, tuple[int, int]]
    sizes: Counter[str]
    modes: Counter[str]
    left_out: tuple[LeftOut, ...]
    faults: tuple[str, ...]
    sheet: Image.Image | None


def overview_of_files(source: Path, listing: Listing, fit: Fit) -> Overview:
    """Look at files of images; nothing is raised for what is found."""
    survey = survey_of(source, listing, fit)
    found = Overview(
        images=len(survey.images),
        about=((survey.layout.words,) if survey.layout else ()) + survey.notes,
        classes=_counted(survey.layout, survey) if survey.layout else {},
        sizes=Counter(f"{f.size[0]}x{f.size[1]}" for f in survey.facts),
        modes=Counter(_mode(f) for f in survey.facts),
        left_out=survey.left_out,
        faults=survey.faults,
        sheet=_sheet(survey, fit),
    )
    if survey.faults:
        return found
    try:
        return replace(found, about=image_folder(source, fit, listing).about)
    except DataError as error:
        return replace(found, faults=(str(error),))


def _mode(facts: PictureFacts) -> str:
    return MODES.get(facts.mode, facts.mode) + (f", {facts.deep} beyond 8 bits" if facts.deep else "")


def _counted(layout: Layout, survey: Survey) -> dict[str, tuple[int, int]]:
    splits = hold_out(layout, [digest(file.read()) for file in survey.images])
    counts = Counter(zip(layout.labels, splits, strict=True))
    names = natsorted(set(layout.labels))
    return {name or "image": (counts[name, TRAIN], counts[name, TEST]) for name in names}


def _sheet(survey: Survey, fit: Fit) -> Image.Image | None:
    """Images by class; by folder where the layout is refused. One that cannot be decoded is left out of the picture."""
    labels = survey.layout.labels if survey.layout else [str(file.path.parent) for file in survey.images]
    names = natsorted(set(labels))
    rows: dict[str, list[Image.Image]] = {name: [] for name in names[:ROWS]}
    for file, label in zip(survey.images, labels, strict=True):
        if len(rows.get(label, [None] * COLUMNS)) < COLUMNS:
            try:
                rows[label].append(pixels(file.read(), survey.scale, fit))
            except DataError:
                continue
    return contact_sheet({name or "image": images for name, images in rows.items()}) if rows else None


def overview_of_dataset(data: Dataset) -> Overview:
    """The overview of a dataset that is no folder of image files."""
    channels, height, width = data.shape
    n = len(data.train) + len(data.test)
    train, test = (split.labels.bincount(minlength=len(data.classes)).tolist() for split in (data.train, data.test))
    return Overview(
        images=n,
        about=data.about,
        classes={name: (train[i], test[i]) for i, name in enumerate(data.classes)},
        sizes=Counter({f"{width}x{height}": n}),
        modes=Counter({"grey" if channels == 1 else "colour": n}),
        left_out=data.left_out,
        faults=(),
        sheet=contact_sheet({name: _first(data.train, label) for label, name in enumerate(data.classes[:ROWS])}),
    )


def _first(split: Images, label: int) -> Sequence[Image.Image]:
    chosen = split.pixels[(split.labels == label).nonzero()[:COLUMNS, 0]]  # (n, C, H, W)
    return [Image.fromarray((one[0] if len(one) == 1 else one.permute(1, 2, 0)).numpy()) for one in chosen]
