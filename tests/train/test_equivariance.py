"""Latent maps and images under one transformation."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import avg_pool2d

from latentarena.errors import ConfigError
from latentarena.randomness import Draws
from latentarena.train.equivariance import changed_alike
from latentarena.train.recipe import load_recipe


def draws(seed: int) -> Draws:
    return Draws(torch.Generator().manual_seed(seed))


def test_maps_and_images_are_changed_by_the_same_map() -> None:
    images = torch.rand(3, 2, 28, 28)
    seen = set()
    for seed in range(200):
        same, again = changed_alike(images, images, draws(seed))
        assert torch.equal(same, again)
        latents, large = changed_alike(avg_pool2d(images, 4), images, draws(seed))
        assert large.shape[2] == 4 * latents.shape[2]
        assert large.shape[3] == 4 * latents.shape[3]
        seen.add(latents.shape[2])
        if latents.shape[2] == 7:  # only turned: averages commute with that
            assert torch.allclose(avg_pool2d(large, 4), latents, atol=1e-6)
    assert seen == {2, 3, 4, 5, 6, 7}  # from a quarter of the side


def test_every_quarter_turn_is_drawn_alike() -> None:
    image = torch.arange(4.0).view(1, 1, 2, 2)  # of a map whose image is no whole multiple of it: only turned
    corners = torch.tensor(
        [float(changed_alike(image, torch.zeros(1, 1, 5, 5), draws(k))[0][0, 0, 0, 0]) for k in range(800)]
    )
    counts = torch.bincount(corners.long(), minlength=4)
    assert counts.min() > 150  # 200 each, and four standard deviations


def test_a_map_that_is_not_square_stays_in_its_shape() -> None:
    latents, images = torch.rand(1, 1, 4, 8), torch.rand(1, 1, 16, 32)
    for seed in range(50):
        small, large = changed_alike(latents, images, draws(seed))
        assert small.shape[3] == 2 * small.shape[2]
        assert large.shape[2:] == (4 * small.shape[2], 4 * small.shape[3])


def test_equivariance_of_a_linear_latent_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"equivariance = 0\.5 is for spatial latents.*autoencoder\.latent = \[28\]"):
        load_recipe("quickstart", ["training.autoencoder.equivariance=0.5"])
    assert load_recipe("spatial-7x7", ["training.autoencoder.equivariance=0.5"]).training.autoencoder is not None
