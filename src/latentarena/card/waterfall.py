"""The error waterfall: the Frechet distance stage by stage, from real images to what the model is used with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from latentarena.bounds import Amount, Count
from latentarena.card.figure import Figure
from latentarena.config import Config

StageName = Literal["real", "reconstruction", "many steps", "own steps", "guidance"]
TITLES: dict[StageName, str] = {
    "real": "real test images",
    "reconstruction": "reconstructions",
    "many steps": "generator, many steps",
    "own steps": "generator, own steps",
    "guidance": "guidance",
}
REMEDIES: dict[StageName, str] = {
    "reconstruction": "autoencoder",
    "many steps": "generator",
    "own steps": "number of steps",
    "guidance": "guidance scale",
}


class Stage(Config):
    """One stage of the waterfall.

    Attributes:
        frechet: distance of its images from the train split.
        added: what it adds to the stage before, which may be negative; None for the first.
    """

    name: StageName
    frechet: Figure
    added: Figure | None = None

    @property
    def title(self) -> str:
        """The stage for people."""
        return TITLES[self.name]


class Waterfall(Config):
    """Where a model's Frechet distance comes from.

    Every stage has as many images. Real images and reconstructions are of the same test images; all stages of the
    generator start from the same noise and labels. Differences are bootstrapped in pairs where the images are paired.

    Attributes:
        images: of each stage; many: steps that stand for infinitely many, 0 where the sampler has no such stage.
        guidance: the scale of the last stage.
    """

    images: Count
    many: Count
    steps: Count
    guidance: Amount
    stages: tuple[Stage, ...] = Field(min_length=2, max_length=len(TITLES))

    @property
    def largest(self) -> Stage:
        """The stage that adds most: the part to improve first."""
        return max(self.stages[1:], key=lambda stage: stage.added.value if stage.added else 0.0)


def waterfall_rows(found: Waterfall) -> Iterator[tuple[str, str, str]]:
    """Each stage in words: its title, its distance and what it adds, with intervals."""
    details = {
        "many steps": f" ({found.many:,})",
        "own steps": f" ({found.steps:,})",
        "guidance": f" (scale {found.guidance:g})",
    }
    for stage in found.stages:
        added = "" if stage.added is None else f"{stage.added:+.4f}"
        yield stage.title + details.get(stage.name, ""), f"{stage.frechet:.4f}", added


def waterfall_words(found: Waterfall) -> str:
    """What the waterfall was measured on, and which stage adds most, in two sentences."""
    stage = found.largest
    most = f"{stage.title} {'adds' if stage.name == 'guidance' else 'add'} most: {REMEDIES[stage.name]}"
    if stage.added is None or stage.added.low <= 0:
        most = "no stage is shown to add anything"
    return (
        f"Frechet distance of {found.images:,} images at every stage, the same test images for the first stages and "
        f"the same noise and labels for those of the generator; {most}."
    )
