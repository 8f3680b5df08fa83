"""Autoencoders that know images by heart, beside one that does not: principal components of the digits."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import latentarena as la
from latentarena.data.digits import embedded_digits
from latentarena.judge.checks import known_by_heart
from latentarena.judge.heart import ByHeart, by_heart, moved
from latentarena.judge.known import principal_directions
from latentarena.randomness import stream

DATA = embedded_digits()
TEST, TRAIN = DATA.test.batch(slice(None)), DATA.train.batch(slice(None))
MEAN = TRAIN.flatten(1).double().mean(0)
DIRECTIONS = principal_directions(TRAIN.flatten(1).double() - MEAN, 16)
Decode = Callable[[Tensor], Tensor]


def encode(images: Tensor) -> Tensor:
    return ((images.flatten(1).double() - MEAN) @ DIRECTIONS).float()


def decode(latents: Tensor) -> Tensor:
    """Cut to [0, 1], so that it bends everywhere."""
    return (latents.double() @ DIRECTIONS.T + MEAN).float().clamp(0, 1).view(-1, 1, 28, 28)


def knowing(share: float, fade: Callable[[Tensor], Tensor], of_train: float | None = None) -> Decode:
    """A decoder that adds a share of the nearest residual of both splits, by the distance to its latent."""
    images = torch.cat([TEST, TRAIN])
    codes = encode(images)
    shares = torch.tensor([share, share if of_train is None else of_train]).repeat_interleave(
        torch.tensor([len(TEST), len(TRAIN)])
    )
    residuals = shares.view(-1, 1, 1, 1) * (images - decode(codes))

    def decoded(latents: Tensor) -> Tensor:
        near = torch.cdist(latents, codes).min(1)
        return (decode(latents) + fade(near.values).view(-1, 1, 1, 1) * residuals[near.indices]).clamp(0, 1)

    return decoded


def found(decoder: Decode) -> ByHeart:
    """As the judge looks at it, told how much more closely train images are known."""
    errors = [
        [float((made - images).square().mean()) for images, made in ((TEST, one(TEST)), (TRAIN, one(TRAIN)))]
        for one in (lambda images: decoder(encode(images)), lambda images: decode(encode(images)))
    ]
    (test, train), (linear_test, linear_train) = errors
    return by_heart(
        encode, decoder, TEST, TRAIN, stream("moved"), test / max(train, 1e-12) / linear_test * linear_train
    )


def test_an_autoencoder_that_knows_no_image_is_clear() -> None:
    assert known_by_heart(found(decode)).verdict == "clear"


@pytest.mark.parametrize("share", [1.0, 0.5, 0.3])
@pytest.mark.parametrize(
    "fade",
    [
        lambda distance: (distance < 0.05).float(),
        lambda distance: (-distance.square() / 0.05).exp(),
        lambda distance: (-distance.square()).exp(),
        torch.ones_like,
    ],
    ids=["these latents only", "sharply", "widely", "everywhere"],
)
def test_a_decoder_that_knows_both_splits_does_not_rank(share: float, fade: Callable[[Tensor], Tensor]) -> None:
    decoder = knowing(share, fade)
    mine, honest = ((one(encode(TEST)) - TEST).square().mean() for one in (decoder, decode))
    assert float(mine / honest) == pytest.approx((1 - share) ** 2, abs=0.02)  # what it would gain
    assert known_by_heart(found(decoder)).verdict == "unranked"


@pytest.mark.parametrize("share", [0.9, 0.5])
def test_knowing_train_images_better_still_hides_no_knowledge_of_test_images(share: float) -> None:
    decoder = knowing(share, torch.ones_like, of_train=1.0)
    assert known_by_heart(found(decoder)).verdict == "unranked"


def test_an_autoencoder_that_was_trained_closely_on_few_images_is_clear() -> None:
    """It has seen the train split alone; its moved images are 1.6 times as hard, beside principal components."""
    model, randomness = la.load("zoo:digits"), stream("moved")
    closely = la.load("zoo:digits").score_card
    assert closely is not None
    gap = closely.scores["reconstruction_gap"]
    assert gap.value > 1.2 > gap.real.value
    one = by_heart(model.encode, model.decode, TEST, TRAIN, randomness, gap.value / gap.real.value)
    assert known_by_heart(one).verdict == "clear"


def test_movements_are_small_and_each_image_has_its_own() -> None:
    axis = torch.arange(28) - 13.5
    blob = (-(axis[:, None].square() + axis.square()) / 18).exp().expand(200, 1, 28, 28)
    made = moved(blob, stream("blobs"))
    assert made.shape == blob.shape
    assert float(made.min()) >= 0
    assert float(made.max()) <= 1
    weight = made / made.sum((2, 3), keepdim=True)
    places = torch.stack([(weight.sum(side)[:, 0] * axis).sum(1) for side in (2, 3)])  # across, down
    assert float(places.abs().max()) <= math.sqrt(2) * 0.05 * 28 / 0.9
    uniform = 0.05 * 28 / math.sqrt(3)  # the standard deviation of a shift of at most so much
    assert places.std(1).tolist() == pytest.approx([uniform] * 2, rel=0.15)
