"""Perceptual distances: images, and batches of images, compared in what a frozen classifier sees in them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from latentarena.backbone.classifier import Classifier
from latentarena.gaussians import frechet_from

SMALL = 1e-9  # of the variance: an eigenvalue that is rounding


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


def frechet_distance(classifier: Classifier, images: Tensor, again: Tensor) -> Tensor:
    """How far two batches are apart as wholes: the Frechet distance of their features, as a share of their variance.

    Of the two Gaussians with the moments of the classifier's averaged features, as `frechet_from` has it. No image is
    held against its own reconstruction: what all of them lack counts, such as sharp edges. The other images of a batch
    must be enough to tell the moments, and reconstructions share their images' chance, so that some hundreds are.

    Args:
        classifier: whose features to compare; its weights are frozen.
        images: (B, C, H, W); no gradient goes into them.
        again: (B, C, H, W), their reconstructions.

    Returns:
        A scalar, 0 for equal moments, about 1 where `again` is all alike.
    """
    with torch.no_grad():
        mean, covariance = _moments(classifier.pooled(images))
        variance = covariance.trace()
    distance = frechet_from(mean, covariance, SMALL * variance)(*_moments(classifier.pooled(again)))
    return (distance / variance).float().to(again.device)


def _moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (D,) and covariance (D, D) of features (B, D), float64, on the CPU: not every device has that precision."""
    rows = features.cpu().double()
    return rows.mean(0), rows.mT.cov()
