"""The 1,797 handwritten digits that ship inside scikit-learn: real data with no download."""

from __future__ import annotations

import gzip
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from latentarena.data.images import Dataset, Images

SIDE = 28  # pixels, as in MNIST


def embedded_digits() -> Dataset:
    """UCI optical digits (8x8, 0..16), resized to 28x28; every fifth image of a class is test data.

    Source: Alpaydin & Kaynak, 1998, as `sklearn.datasets.load_digits`.
    """
    numbers = torch.from_numpy(_rows())
    images, labels = numbers[:, :64].view(-1, 1, 8, 8) / 16, numbers[:, 64].long()
    pixels = interpolate(images, size=(SIDE, SIDE), mode="bicubic").clamp(0, 1).mul(255).round().byte()
    within = torch.stack([(labels[:i] == labels[i]).sum() for i in range(len(labels))])  # rank inside its class
    test = within % 5 == 4
    return Dataset.of(
        "digits",
        Images(pixels[~test], labels[~test]),
        Images(pixels[test], labels[test]),
        tuple("0123456789"),
    )


def _rows() -> NDArray[np.float32]:
    """Of each image its 64 pixels and its label, float32 (1797, 65); scikit-learn itself takes a second to load."""
    found = find_spec("sklearn")
    assert found is not None
    assert found.origin is not None
    with gzip.open(Path(found.origin).parent / "datasets" / "data" / "digits.csv.gz", "rt") as file:
        return np.loadtxt(file, dtype=np.float32, delimiter=",")
