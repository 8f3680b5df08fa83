"""A trained model as Python uses it: loaded, sampled, exported."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Integral
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latentarena.bundle import OWN, AnyBundle, export_bundle, native_of, open_bundle
from latentarena.card.score_card import ScoreCard, read_card
from latentarena.errors import ArenaError, ConfigError
from latentarena.files import named_path
from latentarena.lab.keywords import in_keywords
from latentarena.parts import load_parts
from latentarena.text import in_short, shown, sides
from latentarena.use.sampling import chosen_labels, chosen_sampling, drawn, refuse_unguided, sample_to_file
from latentarena.zoo import SCORE, located

Labels = str | int | Sequence[str | int] | Tensor
"""Classes to draw, in turn: names as text (`"3,7"`), numbers, several of either, or int64 (n,)."""


@dataclass(frozen=True)
class Model:
    """A trained model, in memory and on disk.

    Attributes:
        bundle: the opened bundle; `bundle.model` is the model behind this one.
        score_card: what the judge found, where it was judged as it was trained; None where no card lies beside it.
    """

    bundle: AnyBundle
    score_card: ScoreCard | None = None

    def __repr__(self) -> str:
        card, stored = self.bundle.card, f"{sum(self.bundle.card.parameters.values()):,} stored numbers"
        judged = "no score card" if self.score_card is None else self.score_card.in_short
        shapes = f"images {sides(self.image_shape)}", f"latents {sides(self.latent_shape)}"
        return in_short("Model", self.name, f"{card.form} bundle", *shapes, stored, judged)

    @property
    def name(self) -> str:
        """What the model is called."""
        return self.bundle.card.name

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the labels."""
        return self.bundle.card.classes

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the images."""
        return self.bundle.card.shape

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """The shape of one latent."""
        return self.bundle.card.latent

    @in_keywords()
    def sample(
        self,
        n: int = 64,
        *,
        labels: Labels | None = None,
        steps: int | None = None,
        guidance: float | None = None,
        seed: int = 0,
        solver: str | None = None,
        grid: str | None = None,
        eta: float | None = None,
    ) -> Tensor:
        """Images (n, C, H, W) in [0, 1]; the same for the same seed. What is not given is the bundle's own.

        Args:
            n: how many.
            labels: classes in turn, of a conditional model; all in turn unless given.
            steps, solver, grid, eta: of the sampler, as for `arena sample`; fixed in a portable bundle.
            guidance: its scale; 1 is none.
            seed: of the noise, 0 or more.

        Raises:
            ConfigError: a keyword that the model has nothing for.
        """
        how = chosen_sampling(self.bundle, solver, steps, guidance, grid, eta)
        model = self.bundle.model
        if model.native is not None and how is not None:
            refuse_unguided(model.native, how.guidance)
        _refuse_not_whole("n", n, 1)
        _refuse_not_whole("seed", seed, 0)
        return drawn(model, model.noise(n, seed), self._labels(n, labels), how, seed)

    @in_keywords(out="path")
    def draw(
        self,
        path: str | PathLike[str],
        n: int = 64,
        *,
        labels: Labels | None = None,
        steps: int | None = None,
        guidance: float | None = None,
        seed: int = 0,
        solver: str | None = None,
        grid: str | None = None,
        eta: float | None = None,
    ) -> str:
        """Draw n images into a file, and say so in a line: a .png grid, a .gif of the trajectory, or .npz arrays.

        Args:
            path: of the file; for the others see `sample`.
        """
        how = chosen_sampling(self.bundle, solver, steps, guidance, grid, eta)
        _refuse_not_whole("seed", seed, 0)
        return sample_to_file(
            self.bundle, named_path(path, "path"), n, seed, None if labels is None else self._labels(n, labels), how
        )

    def encode(self, images: Tensor) -> Tensor:
        """Latents (N, *latent) of images (N, C, H, W) in [0, 1].

        Raises:
            ConfigError: images of another shape or type, or outside [0, 1].
        """
        _refuse_unlike(images, "images", self.image_shape)
        if images.numel() and not (images.min() >= 0 and images.max() <= 1):
            low, high = images.min(), images.max()
            raise ConfigError(f"images reach from {low:.3g} to {high:.3g}; give them in [0, 1], bytes divided by 255")
        return self.bundle.model.encode(images.float())

    def decode(self, latents: Tensor) -> Tensor:
        """Images (N, C, H, W) in [0, 1] of latents (N, *latent).

        Raises:
            ConfigError: latents of another shape or type.
        """
        _refuse_unlike(latents, "latents", self.latent_shape)
        return self.bundle.model.decode(latents.float())

    def _labels(self, n: int, labels: Labels | None) -> Tensor | None:
        """The classes to draw, int64 (n,)."""
        model = self.bundle.model
        if labels is None or isinstance(labels, str):
            return chosen_labels(model, n, labels)
        given: Any = labels.reshape(-1).tolist() if isinstance(labels, Tensor | np.ndarray) else labels
        several = list(given) if isinstance(given, Iterable) else [given]
        for one in several:
            chosen_labels(model, 1, self._named(one))  # refuses what there is not
        numbers = torch.tensor([self.classes.index(self._named(one)) for one in several])
        if not len(numbers):
            raise ConfigError("labels are empty; name a class, or leave them out")
        return numbers.repeat(-(-n // len(numbers)))[:n]

    def _named(self, label: Any) -> str:
        """The class that a number or a name says."""
        number = isinstance(label, Integral) and not isinstance(label, bool | np.bool_)
        return self.classes[int(label)] if number and 0 <= int(label) < len(self.classes) else str(label)


def _refuse_not_whole(name: str, value: object, least: int) -> None:
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise ConfigError(f"{name} = {shown(value)}: take a whole number, {least} or more")


def _refuse_unlike(rows: Tensor, what: str, shape: tuple[int, ...]) -> None:
    """Refuse what is no float tensor (N, *shape)."""
    if not isinstance(rows, Tensor):
        raise ConfigError(f"{what} are a {type(rows).__name__}; give a tensor, such as torch.as_tensor(array)")
    if rows.shape[1:] != shape or rows.ndim != 1 + len(shape):
        raise ConfigError(f"{what} are {list(rows.shape)}; this model takes [N, {', '.join(map(str, shape))}]")
    if not len(rows):
        raise ConfigError(f"{what} are none; give one or more")
    if not rows.is_floating_point():
        raise ConfigError(f"{what} are {str(rows.dtype).removeprefix('torch.')}; give float numbers")


def load(source: Model | str | PathLike[str], *, parts: Iterable[str | PathLike[str]] = ()) -> Model:
    """A trained model of your own from its bundle: a folder or zip file, the folder of a run, or `zoo:NAME`.

    Its files are trusted: for a stranger's there is `arena check`. A model that is loaded is given back.

    Args:
        source: the bundle.
        parts: Python files of parts of your own that it is made of, which are run; installed ones are loaded anyway.

    Raises:
        BundleError: naming the file and what is wrong with it.
        ConfigError: neither a model nor a path.
    """
    if isinstance(source, Model):
        return source
    if not isinstance(source, str | PathLike):
        what = f"a {type(source).__name__} is no model"
        raise ConfigError(f"{what}: give a model, a bundle's path, or, to la.judge, an array of images")
    load_parts(parts)
    path = named_path(source, "source")
    bundle = open_bundle(path, trust=OWN)
    return Model(bundle, _kept_card(located(path), bundle.digest))


def _kept_card(path: Path, digest: str) -> ScoreCard | None:
    """The score card that lies in the folder of a run or beside its bundle, if it is this very bundle's."""
    for place in (path / SCORE, path.parent / SCORE):
        try:
            card = read_card(place)
        except ArenaError:
            continue
        if card.bundle == digest:
            return card
    return None


def export(model: Model | str | PathLike[str], folder: str | PathLike[str]) -> Model:
    """A native bundle's portable form, as `arena export` writes it: three ONNX graphs with the sampler inside.

    Args:
        model: that was loaded, or its path.
        folder: is made; what was exported there of a model of this name is replaced, of another name not.

    Raises:
        BundleError: the sampler is no function of the noise alone, or it cannot be exported.
        OutputError: the folder cannot be written to, or holds something else or another model.
    """
    return Model(export_bundle(native_of(load(model).bundle), named_path(folder)))
