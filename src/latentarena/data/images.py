"""A dataset is two splits; a split is one uint8 tensor, held on the device and iterated by index."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from latentarena.data.listing import LeftOut
from latentarena.data.picture import Fit
from latentarena.errors import DataError
from latentarena.files import digest, digest_json
from latentarena.text import in_short, sides

log = logging.getLogger(__name__)
FEW = 10  # classes that are shown in a line
SMALLEST = 8  # pixels: structural similarity looks through a window of 7


@dataclass(frozen=True)
class Images:
    """One split: `pixels` uint8 (N, C, H, W) in 0..255 and `labels` int64 (N,)."""

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.pixels)

    def __repr__(self) -> str:
        return f"<{len(self):,} Images: {sides(self.shape)}>"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of one image."""
        _, channels, height, width = self.pixels.shape
        return channels, height, width

    @property
    def images(self) -> Tensor:
        """All images as float32 (N, C, H, W) in [0, 1]: four times the memory."""
        return self.batch(slice(None))

    def batch(self, index: Tensor | slice) -> Tensor:
        """The images at `index` as float32 (n, C, H, W) in [0, 1]."""
        return self.pixels[index].float().div_(255)

    def to(self, device: torch.device | str) -> Images:
        """The same split on another device."""
        return Images(self.pixels.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Dataset:
    """A train split to learn from and a test split to be measured on.

    Attributes:
        name: what the user called it.
        classes: one name per label value.
        digest: SHA-256 of all pixels, labels, their shapes and the class names: the identity of the content,
            however it was packed.
        about: how it was found and read, in sentences, for people; no part of its identity.
        left_out: arrays and files beside them that are no part of it, where it is read from arrays.
        fit: how its images were brought to one size, where they come from a folder or file.
    """

    name: str
    train: Images
    test: Images
    classes: tuple[str, ...]
    digest: str
    about: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    fit: Fit = field(default_factory=Fit)

    @classmethod
    def of(
        cls, name: str, train: Images, test: Images, classes: tuple[str, ...], about: tuple[str, ...] = ()
    ) -> Dataset:
        """Assemble a dataset and hash its content; test images that are train images too, and images in
        several classes, are told and logged.

        Raises:
            DataError: a split is empty, the splits' image shapes differ, or the images are too small to judge.
        """
        for title, split in (("train", train), ("test", test)):
            if not len(split):
                raise DataError(
                    f"{name}: the {title} split holds no images; add some, or give all images without splits"
                )
        if train.shape != test.shape:
            raise DataError(f"{name}: train images are {train.shape} but test images are {test.shape}")
        if min(train.shape[1:]) < SMALLEST:
            raise DataError(f"{name}: images are {train.shape[1:]} pixels; the smallest that can be judged are 8x8")
        parts = (train.pixels, train.labels, test.pixels, test.labels)
        form = digest_json([classes, [tuple(part.shape) for part in parts]])
        content = digest(form.encode(), *(part.contiguous().numpy().data for part in parts))
        known, several = _label_by_image(train)
        if shared := sum(hash(one.tobytes()) in known for one in test.pixels.cpu().numpy()):
            words = f"{shared:,} of {len(test):,} test images are train images too"
            log.warning("%s: %s: scores on them say nothing of new images; take them out of one split", name, words)
            about = (*about, words)
        if several:
            pair = " and ".join(classes[label] for label in next(iter(several.values())))
            words = f"{len(several):,} train images are in several classes, such as {pair}"
            log.warning("%s: %s: nobody can tell these classes apart by them; take them out of one", name, words)
            about = (*about, words)
        return cls(name, train, test, classes, content, about)

    def __repr__(self) -> str:
        counts = f"{len(self.train):,} train and {len(self.test):,} test images {sides(self.shape)}"
        some = ", ".join(self.classes[:FEW]) + (", ..." if len(self.classes) > FEW else "")
        return in_short("Dataset", self.name, counts, f"{len(self.classes)} classes ({some})")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of one image."""
        return self.train.shape

    def to(self, device: torch.device | str) -> Dataset:
        """The same dataset on another device."""
        return replace(self, train=self.train.to(device), test=self.test.to(device))


def _label_by_image(split: Images) -> tuple[dict[int, int], dict[int, tuple[int, int]]]:
    """The label of each image of a split, by the hash of all its pixels, and of those that have several, two."""
    found, several = dict[int, int](), dict[int, tuple[int, int]]()
    for one, label in zip(split.pixels.cpu().numpy(), split.labels.tolist(), strict=True):
        first = found.setdefault(image := hash(one.tobytes()), label)
        if first != label:
            several[image] = (min(first, label), max(first, label))
    return found, several
