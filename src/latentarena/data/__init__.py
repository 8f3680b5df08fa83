"""Datasets: each is two uint8 tensors with labels, found, checked by hash and held on the device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from latentarena.config import Config, validate
from latentarena.data.catalog import CATALOG
from latentarena.data.digits import embedded_digits
from latentarena.data.find import load_idx, where
from latentarena.data.generated import grey_as_such, holds_images, read_images
from latentarena.data.images import Dataset, Images
from latentarena.data.overview import Overview, overview_of_dataset
from latentarena.data.picture import LARGEST_SIDE, Fit
from latentarena.data.source import load_source, look_at_source
from latentarena.errors import ConfigError, DataError
from latentarena.files import expanded
from latentarena.parts import OF_OWN, Chosen
from latentarena.registry import Registry, function_of
from latentarena.text import SHOWN, meant

__all__ = [
    "CATALOG",
    "DATASETS",
    "FOLDER",
    "DataConfig",
    "DataSource",
    "Dataset",
    "Images",
    "Overview",
    "data_source",
    "grey_as_such",
    "holds_images",
    "load_dataset",
    "overview",
    "read_images",
    "where",
]

FOLDER = "folder:"
Loader = Callable[[Path | None], Dataset]
"""From a folder that files may lie in, or None, to a dataset on the CPU."""
DATASETS: Registry[Loader] = Registry(
    "dataset",
    function_of("a folder"),
    **{name: partial(load_idx, name) for name in CATALOG},
    digits=lambda root: embedded_digits(),
)
"""Those that have a name."""


def _with_path(name: str) -> str:
    if name == FOLDER:
        where = f"write {FOLDER}PATH, and {FOLDER}. for the one that this runs in"
        raise ValueError(f"the folder's path is missing; {where}")
    return name


class DataSource(Config):
    """A dataset by name; the name need not be known here, since a model can be used without its data.

    Attributes:
        name: one of `DATASETS`, or `folder:PATH`: a directory or zip of images, or arrays as IDX, `.npz`, CSV or
            parquet.
        size: height and width in pixels that folder images are resized to.
        crop: `center` cuts the largest square out of the middle of folder images first.
        resize: `stretch` lets folder images that are no squares be distorted into squares.
    """

    name: Annotated[str, Chosen(_with_path, DATASETS)] = "mnist"
    size: int | None = Field(default=None, ge=8, le=LARGEST_SIDE)
    crop: Literal["center"] | None = None
    resize: Literal["stretch"] | None = None

    @model_validator(mode="after")
    def _possible(self) -> Self:
        for key, value in (("size", self.size), ("crop", self.crop), ("resize", self.resize)):
            if value is not None and not self.name.startswith(FOLDER):
                raise ValueError(f"{key} = {value} applies to folder:PATH only; {self.name} has its own size")
        if self.resize and (self.size is None or self.crop):
            raise ValueError("resize = stretch needs a size, and no crop, which leaves nothing to stretch")
        return self

    @property
    def fit(self) -> Fit:
        """How folder images are brought to one size."""
        return Fit(self.size, self.crop, self.resize)


class DataConfig(DataSource):
    """Which images; see `DataSource`. The name has to be known."""

    @model_validator(mode="after")
    def _known(self) -> Self:
        if not self.name.startswith(FOLDER) and self.name not in DATASETS:
            raise ValueError(_unknown(self.name))
        return self


def _unknown(name: str) -> str:
    choices = f"{meant(name, DATASETS)}choose from {', '.join(DATASETS)}, {FOLDER}PATH"
    return f"dataset {name[:SHOWN]!r} is unknown; {choices}; {OF_OWN}"


def data_source(dataset: str | Dataset) -> DataSource:
    """How a bundle's card names a dataset: by a name that is known here, or as it was loaded.

    Raises:
        ConfigError: an unknown name.
    """
    if isinstance(dataset, Dataset):
        return validate(DataSource, {"name": dataset.name, **asdict(dataset.fit)}, "dataset")
    return validate(DataConfig, {"name": dataset}, "dataset")


def load_dataset(config: DataSource, root: Path | None = None) -> Dataset:
    """Load the configured dataset on the CPU.

    Args:
        config: which one.
        root: a folder to take IDX files from; see `load_idx`.

    Raises:
        DataError: damaged or unknown content.
        DataMissing: not found and not downloadable.
        ConfigError: a name that is not known, or a root that is no folder.
    """
    if root is not None and not root.is_dir():
        raise ConfigError(f"--data {root} is not a folder")
    if config.name.startswith(FOLDER):
        found = load_source(expanded(config.name.removeprefix(FOLDER), "data.name = folder:"), config.fit)
        return replace(found, fit=config.fit)
    if config.name not in DATASETS:
        raise ConfigError(_unknown(config.name))
    found = DATASETS[config.name](root)
    if not isinstance(found, Dataset):
        raise DataError(f"{config.name}: its loader gave {type(found).__name__}, not a latentarena.data.Dataset")
    return found


def overview(config: DataConfig, root: Path | None = None) -> Overview:
    """What is found where the configured dataset should be; see `load_dataset`."""
    if not config.name.startswith(FOLDER):
        return overview_of_dataset(load_dataset(config, root))
    return look_at_source(expanded(config.name.removeprefix(FOLDER), "data.name = folder:"), config.fit)
