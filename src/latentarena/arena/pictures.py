"""The pictures that an evaluation leaves behind, as pages show them: names of files, alt texts and captions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Picture:
    """A picture of an entry: the name of its file, and what it shows in words.

    Attributes:
        wide: whether it needs a row of its own.
    """

    name: str
    alt: str
    caption: str
    wide: bool = False


SAMPLES = "samples.png"
PICTURES = (
    Picture(SAMPLES, "a grid of generated images", "Generated from noise; as they came, not picked."),
    Picture("prior.png", "a grid of decoded Gaussian latents", "Gaussian latents through the decoder: to be beaten."),
    Picture(
        "reconstructions.png",
        "rows of test images, their reconstructions and the differences",
        "Test images, their reconstructions, and four times the absolute difference.",
        wide=True,
    ),
    Picture(
        "nearest.png",
        "samples above their nearest train images",
        "Above, the samples that are nearest to a train image for how far the next one is; below, these train images.",
        wide=True,
    ),
)
"""In the order shown; the first stands on the board."""


def pictures_of(files: Iterable[str]) -> tuple[Picture, ...]:
    """The pictures among an evaluation's files; others are not shown."""
    there = set(files)
    return tuple(picture for picture in PICTURES if picture.name in there)
