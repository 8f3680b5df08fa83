"""Metrics of pictures against pictures. Images are float (N, C, H, W) in [0, 1]; one float64 number for each image."""

from __future__ import annotations

import torch
from torch import Tensor

from latentarena.judge.material import Errors, Reconstructions, Samples
from latentarena.judge.metrics.estimate import Measures, mean_of, over_independent, over_real, ratio_of


def of_samples(samples: Samples) -> Measures:
    """How sharp samples are beside real images."""
    return {"sample_sharpness": over_real(edge_energies(samples.images), samples.real.edges)}


def of_reconstructions(made: Reconstructions) -> Measures:
    """How far reconstructions are from the images, and how sharp."""
    errors = squared_errors(made.again, made.images)
    return {
        "mse": mean_of(errors),
        "psnr": mean_of(psnr_of(errors)),
        "l1": mean_of(absolute_errors(made.again, made.images)),
        "sharpness": ratio_of(edge_energies(made.again), edge_energies(made.images)),
    }


def of_errors(errors: Errors) -> Measures:
    """How much better images are reconstructed that may have been trained on."""
    return {"reconstruction_gap": over_independent(errors.test, errors.train, errors.train_counts)}


def squared_errors(images: Tensor, others: Tensor) -> Tensor:
    """Mean squared error of each image, in [0, 1], (N,); lower is better."""
    return (images - others).square().flatten(1).mean(1, dtype=torch.float64)


def mse(images: Tensor, others: Tensor) -> float:
    """Mean squared error per pixel, in [0, 1]; lower is better."""
    return float(squared_errors(images, others).mean())


def absolute_errors(images: Tensor, others: Tensor) -> Tensor:
    """Mean absolute error (L1) of each image, in [0, 1], (N,); lower is better."""
    return (images - others).abs().flatten(1).mean(1, dtype=torch.float64)


def psnr_of(errors: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each image in dB, -10 log10(MSE) at peak 1, (N,); higher is better.

    An image reproduced exactly counts as 100 dB, so that the mean stays finite.
    """
    return -10 * errors.clamp(min=1e-10).log10()


def psnr(images: Tensor, others: Tensor) -> float:
    """The mean of `psnr_of` over images, in dB."""
    return float(psnr_of(squared_errors(images, others)).mean())


def edge_energies(images: Tensor) -> Tensor:
    """Mean squared difference of neighbouring pixels of each image, in [0, 2], (N,).

    Blur lowers it and noise raises it; the ratio of reconstructions to originals is 1 where edges are as sharp.
    """
    images = images.double()
    across, down = images.diff(dim=-1).square(), images.diff(dim=-2).square()
    return across.flatten(1).mean(1) + down.flatten(1).mean(1)
