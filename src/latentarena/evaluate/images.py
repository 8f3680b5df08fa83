"""Images that anything made, judged: the sample half of a score card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

from torch import Tensor

from latentarena.bundle.reading import CARD
from latentarena.card.own import OwnMetric
from latentarena.card.score_card import Score
from latentarena.config import validate
from latentarena.data import FOLDER, DataConfig, Dataset, grey_as_such, load_dataset, read_images
from latentarena.errors import ConfigError, DataError
from latentarena.gates import bundle_in
from latentarena.judge.compared import compare_images
from latentarena.judge.extractors import open_extractor
from latentarena.judge.score import FEWEST, score_images
from latentarena.judge.training import judge_for
from latentarena.train.stages import Watch
from latentarena.zoo import PREFIX

NOTE = (
    "the features are those of {}, which is no judge of {}: a network that knows photographs misses much of what is "
    "none; score cards and contests go by the dataset's own judge (leave --features out)"
)


UNTAUGHT = (
    "{} has no classes, from which a judge learns what to look at: its features are random ones, and the figures say "
    "little; sort the images into a folder for each class, or add --features dinov2-small"
)


@dataclass(frozen=True)
class JudgedImages:
    """Figures of images with what they were held against.

    Attributes:
        scores: by metric, with intervals and what real test images score.
        images: how many; real_images: how many test images, as many where there are; dataset: the real ones; against:
            what stood in the train split's place, or nothing.
        judge: its name, or what features images were compared in.
        note: what a reader must know first.
    """

    scores: dict[str, Score]
    images: int
    real_images: int
    dataset: str
    against: str
    judge: str
    note: str = ""

    @property
    def matched(self) -> dict[str, Score]:
        """The figures of as many of the images as there are real ones."""
        return {name: one.model_copy(update=dict(one.matched)) for name, one in self.scores.items()}

    def plain(self) -> dict[str, Any]:
        """All of it as a JSON value."""
        figures = {name: score.model_dump(mode="json") for name, score in self.scores.items()}
        return vars(self) | {"scores": figures}


def judge_images(
    path: Path,
    dataset: str,
    against: Path | None,
    fit: Mapping[str, Any],
    judge_file: Path | None = None,
    root: Path | None = None,
    watch: Watch = lambda ticks, stage: ticks,
    own: Sequence[OwnMetric] = (),
    features: str | None = None,
) -> JudgedImages:
    """Judge the images at a path.

    Args:
        path: a file of arrays, or a folder or zip of images.
        dataset: name of the real images; their judge is trained now where there is none yet, and `watch` shows it.
        against: images that stand in the train split's place.
        fit: `size`, `crop` and `resize` of images in files, as `DataConfig` has them.
        judge_file: the judge; the dataset's own unless given.
        root: where the dataset is looked for.
        own: metrics of somebody's own.
        features: an extractor that takes the judge's place; see `open_extractor`. No judge is trained then.

    Raises:
        ArenaError: one line: images that cannot be read, too few of them, or of another shape than the dataset's.
    """
    if against is not None:
        _refuse_model(against)
    if features is not None and (own or judge_file is not None):
        raise ConfigError(f"--features {features} takes the judge's place; leave --metric and --judge out")
    extractor = None if features is None else open_extractor(features)
    of_data = fit if dataset.startswith(FOLDER) else {}
    real = load_dataset(validate(DataConfig, {"name": dataset, **of_data}, "--dataset"), root)
    images, other = _images(path, fit, real), None if against is None else _images(against, fit, real)
    beside = len(images), min(len(images), len(real.test)), real.name, "" if against is None else str(against)
    if extractor is not None:
        scores = compare_images(images, real, extractor, other)
        return JudgedImages(scores, *beside, extractor.name, NOTE.format(extractor.name, real.name))
    judge = judge_for(real, watch, judge_file)
    note = UNTAUGHT.format(real.name) if len(real.classes) < 2 else ""
    return JudgedImages(score_images(images, real, judge, other, own), *beside, judge.name, note)


def _refuse_model(path: Path) -> None:
    """Refuse a bundle where images are wanted, with the command that makes some of it (ConfigError)."""
    if str(path).startswith(PREFIX) or (bundle_in(path) / CARD).is_file():
        made = f"arena sample {quote(str(path))} -n 1000 --out images.npz"
        raise ConfigError(f"--against {path} is a model, and --against takes images; make some of it: {made}")


def _images(path: Path, fit: Mapping[str, Any], real: Dataset) -> Tensor:
    """The images at a path, once there are enough of them, of the shape of the real ones."""
    images = read_images(path, validate(DataConfig, {"name": f"{FOLDER}{path}", **fit}, "options").fit)
    if len(images) < FEWEST:
        raise DataError(f"{path} holds {len(images)} images; figures say something from {FEWEST} on")
    images = grey_as_such(images, real.shape)
    if tuple(images.shape[1:]) != real.shape:
        size = "" if images.shape[2:] == real.shape[1:] else ", or give --size"
        raise DataError(
            f"{path} holds images {list(images.shape[1:])}, and {real.name} {list(real.shape)} (channels, height, "
            f"width); name real images of that shape by --dataset, such as folder:PATH{size}"
        )
    return images
