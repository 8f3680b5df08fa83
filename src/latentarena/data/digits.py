"""The 1,797 handwritten digits that ship inside scikit-learn: real data with no download."""

from __future__ import annotations

import torch
from torch.nn.functional import interpolate

from latentarena.data.images import Dataset, Images

SIDE = 28  # pixels, as in MNIST


def embedded_digits() -> Dataset:
    """UCI optical digits (8x8, 0..16), resized to 28x28; every fifth image of a class is test data.

    Source: Alpaydin & Kaynak, 1998, as `sklearn.datasets.load_digits`.
    """
    from sklearn.datasets import load_digits  # a second to load, which other data need not

    raw = load_digits()
    images = torch.from_numpy(raw.images).float()[:, None] / 16  # (1797, 1, 8, 8)
    pixels = interpolate(images, size=(SIDE, SIDE), mode="bicubic").clamp(0, 1).mul(255).round().byte()
    labels = torch.from_numpy(raw.target).long()
    within = torch.stack([(labels[:i] == labels[i]).sum() for i in range(len(labels))])  # rank inside its class
    test = within % 5 == 4
    return Dataset.of(
        "digits",
        Images(pixels[~test], labels[~test]),
        Images(pixels[test], labels[test]),
        tuple("0123456789"),
    )
