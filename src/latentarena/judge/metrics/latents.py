"""Metrics of latents, (N, D): how Gaussian they are together, and what can be read off them."""

from __future__ import annotations

import warnings
from math import prod

import torch
from torch import Tensor

from latentarena.judge.material import Latents
from latentarena.judge.metrics.estimate import Measures, Statistic, exactly, mean_of
from latentarena.judge.metrics.features import moments

ITERATIONS = 200


def of_latents(latents: Latents) -> Measures:
    """How many numbers a latent has, how Gaussian they are, and what can be read off them."""
    right = probe(latents.train, latents.train_labels, latents.test, latents.test_labels)
    return {
        "latent_dimension": exactly(prod(latents.test.shape[1:])),
        "latent_gap": gaussian_gap_of(latents.test),
        "probe": mean_of(right),
    }


def gaussian_gap_of(latents: Tensor) -> Statistic:
    """KL(N(m, S) || N(0, I)) in nats per dimension, >= 0, of the mean and covariance of latents (N, D); 0 is best.

    0.5 (tr S + |m|^2 - D - log det S) / D: the gap between where the encoder puts the data and what a standard normal
    prior draws from. All variances count as 1e-6 larger than they are, so that a collapsed dimension costs much and not
    everything.
    """
    x = latents.flatten(1).double()
    least = 1e-6 * torch.eye(x.shape[1], dtype=torch.float64)

    def gap(counts: Tensor) -> Tensor:
        found = []
        for mean, covariance in moments(x, counts):
            wide = covariance + least
            found.append(0.5 * (wide.trace() + mean.square().sum() - len(mean) - wide.logdet()) / len(mean))
        return torch.stack(found).clamp(min=0)

    return gap


def probe(latents: Tensor, labels: Tensor, others: Tensor, other_labels: Tensor) -> Tensor:
    """Whether a linear classifier trained on latents reads the class of others right, bool (M,) (Alain & Bengio, 2016).

    Multinomial logistic regression on standardised latents.

    Args:
        latents, labels: of train images, (N, D) and int64 (N,); of one class alone, that class is read everywhere.
        others, other_labels: of test images, (M, D) and (M,).
    """
    if bool((labels == labels[0]).all()):
        return other_labels == labels[0]
    from sklearn.exceptions import ConvergenceWarning  # a second to load, which sampling need not
    from sklearn.linear_model import LogisticRegression

    x, y = latents.flatten(1).double(), others.flatten(1).double()
    mean, deviation = x.mean(0), x.std(0).clamp(min=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a probe that is nearly done will do
        fitted = LogisticRegression(max_iter=ITERATIONS).fit(((x - mean) / deviation).numpy(), labels.numpy())
    return torch.from_numpy(fitted.predict(((y - mean) / deviation).numpy())) == other_labels
