"""Datasets by name, as `data.name` of a recipe names them."""

from __future__ import annotations

import re
from os import PathLike
from typing import Literal

from latentarena.config import validate
from latentarena.data import DATASETS, FOLDER, DataConfig, Dataset, load_dataset
from latentarena.errors import ArenaError, ConfigError
from latentarena.files import named_path
from latentarena.text import shown


def names() -> list[str]:
    """The datasets that have a name; folders and files of your own are `folder:PATH`."""
    return [*DATASETS, f"{FOLDER}PATH"]


def load(
    name: str = "mnist",
    *,
    root: str | PathLike[str] | None = None,
    size: int | None = None,
    crop: Literal["center"] | None = None,
    resize: Literal["stretch"] | None = None,
) -> Dataset:
    """Load a dataset, downloading it where it is not found.

    `data.train.images` are float32 (N, C, H, W) in [0, 1], `data.train.labels` int64 (N,); so for `data.test`.

    Args:
        name: see `names`.
        root: where files are looked for first.
        size, crop, resize: of `folder:PATH`: height and width in pixels, and how images are made square.

    Raises:
        ConfigError: a name or a combination that there is not.
        DataError: damaged, or neither found nor downloaded.
    """
    config = validate(DataConfig, {"name": name, "size": size, "crop": crop, "resize": resize}, "datasets.load")
    try:
        return load_dataset(config, named_path(root, "root"))
    except ArenaError as error:
        error.args = (re.sub(r"\bdata\.(size|crop|resize)=", r"\1=", str(error)),)  # a recipe's keys
        raise


def opened(dataset: str | Dataset, root: str | PathLike[str] | None) -> Dataset:
    """The dataset of a name, or one as it was loaded."""
    if isinstance(dataset, Dataset):
        if root is not None:
            raise ConfigError(f"root = {shown(str(root))}: {dataset.name} is loaded already; leave root out")
        return dataset
    if not isinstance(dataset, str):
        raise ConfigError(f"dataset = {shown(dataset)}: give a name, or what la.datasets.load(...) gives")
    return load(dataset, root=root)
