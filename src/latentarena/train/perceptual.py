"""A perceptual distance: images compared in what a frozen classifier sees in them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from latentarena.backbone.classifier import Classifier


def perceptual_distance(classifier: Classifier, images: Tensor, again: Tensor) -> Tensor:
    """LPIPS without learned weights (Zhang et al., 2018, eq. 1): a scalar, 0 for equal images and at most 4.

    Args:
        classifier: whose features to compare; its weights are frozen.
        images: (B, C, H, W); no gradient goes into them.
        again: (B, C, H, W), such as their reconstructions.

    Returns:
        The squared distance of the unit feature vectors at each place, averaged over places, images and layers.
    """
    with torch.no_grad():
        targets = classifier.features(images)
    distances = [
        (normalize(one) - normalize(other)).square().sum(1).mean()
        for one, other in zip(classifier.features(again), targets, strict=True)
    ]
    return torch.stack(distances).mean()
