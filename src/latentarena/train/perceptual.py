"""Perceptual distances: images, and batches of images, compared in what a frozen classifier sees in them."""

from __future__ import annotations

from collections.abc import Callable

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
        distance = frechet_to(classifier.pooled(images))
    return distance(*moments(classifier.pooled(again).cpu().double())).to(again.device)


def frechet_to(features: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """The Frechet distance of other features to these, (N, D), as a share of the variance of these.

    Returns:
        Mean (D,) and covariance (D, D) of the others -> a scalar on their device; computed in float64, on the CPU: not
        every device has that precision.
    """
    mean, covariance = moments(features.cpu().double())
    variance = covariance.trace()
    distance = frechet_from(mean, covariance, SMALL * variance)

    def share(mean: Tensor, covariance: Tensor) -> Tensor:
        return (distance(mean.cpu().double(), covariance.cpu().double()) / variance).float().to(mean.device)

    return share


def moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (D,) and covariance (D, D) of features (B, D)."""
    return features.mean(0), features.mT.cov()
