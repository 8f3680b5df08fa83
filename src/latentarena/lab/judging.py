"""Judging from Python: a bundle's score card, or the figures of images that anything made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from os import PathLike
from shlex import quote
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latentarena.card.own import own_metrics
from latentarena.card.score_card import Score, ScoreCard
from latentarena.data import Dataset, grey_as_such, holds_images
from latentarena.errors import ConfigError
from latentarena.evaluate.scoring import data_of, judge_bundle, panel_for
from latentarena.files import named_path
from latentarena.judge.compared import compare_images
from latentarena.judge.extractors import open_extractor
from latentarena.judge.score import FEWEST, SAMPLES, score_images
from latentarena.judge.training import judge_for
from latentarena.lab.datasets import opened
from latentarena.lab.keywords import in_keywords
from latentarena.lab.models import Model, load
from latentarena.run.watching import quietly, show_judging, show_training
from latentarena.text import shown

Array = NDArray[Any]


@overload
def judge(
    what: Model | str | PathLike[str],
    *,
    samples: int = ...,
    dataset: None = ...,
    against: None = ...,
    features: None = ...,
    root: str | PathLike[str] | None = ...,
    metrics: Iterable[str | Mapping[str, Any]] = ...,
    judge_file: str | PathLike[str] | None = ...,
    timed: bool = ...,
    waterfall: bool = ...,
    progress: bool = ...,
) -> ScoreCard: ...
@overload
def judge(
    what: Tensor | Array,
    *,
    dataset: str | Dataset | None = ...,
    against: Tensor | Array | None = ...,
    features: str | None = ...,
    root: str | PathLike[str] | None = ...,
    metrics: Iterable[str | Mapping[str, Any]] = ...,
    judge_file: str | PathLike[str] | None = ...,
    progress: bool = ...,
) -> dict[str, Score]: ...
@in_keywords()
def judge(
    what: Model | str | PathLike[str] | Tensor | Array,
    *,
    samples: int = SAMPLES,
    dataset: str | Dataset | None = None,
    against: Tensor | Array | None = None,
    features: str | None = None,
    root: str | PathLike[str] | None = None,
    metrics: Iterable[str | Mapping[str, Any]] = (),
    judge_file: str | PathLike[str] | None = None,
    timed: bool = True,
    waterfall: bool = False,
    progress: bool = True,
) -> ScoreCard | dict[str, Score]:
    """The score card of a model of your own, as `arena judge` makes it; or figures of images, whatever made them.

    Args:
        what: a model, a bundle's path, or images (N, C, H, W), (N, H, W) or (N, H, W, C): float in [0, 1], or uint8.
        samples: that a model is asked for.
        dataset: that images are held against, by name or as `la.datasets.load` gave it, at a size for one; mnist unless
            given; a bundle names its own.
        against: images that stand in the place of the dataset's train split, whatever made them.
        features: for images, an extractor in the judge's place: `dinov2-small`, `inception`, `transformers:NAME` or a
            folder, `timm:NAME`, or an .onnx file's path. Such networks know photographs: MNIST needs its own judge.
        root: where the dataset's files are looked for.
        metrics: of your own, by name or as a mapping of `kind` and settings; their parts are loaded before.
        judge_file: the judge; the dataset's own unless given.
        timed: whether a model's sampling is timed.
        waterfall: whether a model's error waterfall is measured, which takes two more samplings.
        progress: whether it is shown.

    Returns:
        The card, whose `scores` are figures by metric with 95 % intervals, what real images score, and as `matched` the
        figure of no more samples than there are test images, which compares with that; of images these figures alone:
        those of sample quality, diversity and copying. Those of `metrics` are a card's `own`.

    Raises:
        ArenaError: one line: a bundle that is none, images of another shape or range, data that is not found.
    """
    place, file = named_path(root, "root"), named_path(judge_file, "judge_file")
    watch, own = show_training if progress else quietly, own_metrics(metrics, "metrics")
    with show_judging() if progress else nullcontext():
        if isinstance(what, Tensor | np.ndarray):
            if samples != SAMPLES or not timed or waterfall:
                raise ConfigError("samples, timed and waterfall are for models, and these are images; leave them out")
            if not isinstance(against, Tensor | np.ndarray | None):
                raise ConfigError(f"against = {shown(against)}: give an array of images, or None")
            data = opened("mnist" if dataset is None else dataset, root)
            images = _images(what, data)
            other = None if against is None else _images(against, data)
            if features is not None:
                return compare_images(images, data, open_extractor(features), other)
            return score_images(images, data, judge_for(data, watch, file), other, own)
        if not isinstance(what, str | PathLike):
            what = load(what)
        elif holds_images(named_path(what, "what")):
            raise ConfigError(
                f"{what} holds images: give them as an array, or use the command `arena judge {quote(str(what))}`"
            )
        for name, one in {"dataset": dataset, "against": against, "features": features}.items():
            if one is not None:
                given = one.name if isinstance(one, Dataset) else shown(one)
                raise ConfigError(f"{name} = {given}: a bundle names its own dataset; leave {name} out")
        bundle = load(what).bundle
        panel = panel_for(data_of(bundle, place), file, watch)
        return judge_bundle(bundle, panel, samples, timed=timed, own=own, waterfall=waterfall).card


def _images(given: Tensor | Array, data: Dataset) -> Tensor:
    """Images as float (N, C, H, W) in [0, 1], of the shape of those that they are held against."""
    if isinstance(given, np.ndarray):
        given = torch.from_numpy(np.array(given, dtype=given.dtype.newbyteorder("=")))  # whatever its strides and bytes
    images = given.detach().cpu()
    images = images.float().div(255) if images.dtype == torch.uint8 else images.float()
    images = images[:, None] if images.ndim == 3 else images
    if images.ndim == 4 and images.shape[1] not in (1, 3) and images.shape[-1] in (1, 3):
        images = images.movedim(-1, 1)
    if images.ndim != 4 or len(images) < FEWEST:
        raise ConfigError(f"images are {list(images.shape)}; give at least {FEWEST} as (N, C, H, W)")
    images = grey_as_such(images, data.shape)
    if images.shape[1:] != data.shape:
        raise ConfigError(
            f"images are {list(images.shape[1:])} and {data.name} {list(data.shape)} (channels, height, width); "
            "hold them against images of their shape, such as dataset=la.datasets.load('folder:PATH', size=...)"
        )
    return images
