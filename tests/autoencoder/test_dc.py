"""Laws of the deep-compression autoencoder: exact shortcuts, and a posterior of no width."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import pad, pixel_shuffle, pixel_unshuffle

from latentarena.autoencoder import DCAE, AutoencoderConfig, DCAEConfig
from latentarena.autoencoder.dc import Down, Up
from latentarena.config import Config, validate
from latentarena.errors import ConfigError
from latentarena.randomness import stream

GREY, RGB, DIGIT = (1, 28, 28), (3, 32, 32), (1, 8, 8)
DESIGNS: list[tuple[tuple[int, int, int], dict[str, Any]]] = [
    (GREY, {"latent": (8, 2, 2)}),
    (GREY, {"latent": (2, 7, 7), "widths": (4, 16)}),
    (GREY, {"latent": (4, 4, 4), "widths": (4, 8, 8), "encoder": (0, 0, 0), "decoder": (2, 0, 1)}),
    (RGB, {"latent": (4, 2, 2), "widths": (4, 4, 8, 8)}),
    (DIGIT, {"latent": (4, 1, 1), "widths": (4, 8, 4)}),
    ((2, 9, 13), {"latent": (8, 3, 4), "widths": (8, 8)}),
]


def untrained(shape: tuple[int, int, int], **design: Any) -> DCAE:
    """As training finds it: every residual branch is closed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        return DCAEConfig(**design).build(shape)


def opened(shape: tuple[int, int, int], **design: Any) -> DCAE:
    """Every weight is random: none of its paths is closed."""
    model, generator = untrained(shape, **design), stream("dc")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.05 * torch.randn(parameter.shape, generator=generator))
    return model


def images(n: int, shape: tuple[int, int, int]) -> Tensor:
    """Uniform noise, (n, *shape) in [0, 1)."""
    return torch.rand(n, *shape, generator=stream("images"))


def normal(*shape: int, key: str = "normal") -> Tensor:
    """Standard normal numbers, the same for the same key."""
    return torch.randn(*shape, generator=stream(key))


@pytest.mark.parametrize(("shape", "design"), DESIGNS, ids=str)
def test_shapes_and_range(shape: tuple[int, int, int], design: dict[str, Any]) -> None:
    model, latent = opened(shape, **design), design["latent"]
    decoded = model.decode(10 * normal(3, *latent)).detach()
    assert model.latent_shape == latent
    assert model.encode(images(3, shape)).mean.shape == (3, *latent)
    assert decoded.shape == (3, *shape)
    assert 0 <= float(decoded.min()) < float(decoded.max()) <= 1


@pytest.mark.parametrize(("shape", "design"), DESIGNS, ids=str)
def test_every_image_is_treated_alone(shape: tuple[int, int, int], design: dict[str, Any]) -> None:
    model, batch, latents = opened(shape, **design), images(3, shape), normal(3, *design["latent"])
    means, decoded = model.encode(batch).mean, model.decode(latents)
    for i in range(3):
        torch.testing.assert_close(model.encode(batch[i : i + 1]).mean[0], means[i], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(model.decode(latents[i : i + 1])[0], decoded[i], atol=1e-5, rtol=1e-4)
    assert not torch.allclose(means[0], means[1])
    assert not torch.allclose(decoded[0], decoded[1])


@pytest.mark.parametrize(("shape", "design"), DESIGNS, ids=str)
def test_the_posterior_has_no_width(shape: tuple[int, int, int], design: dict[str, Any]) -> None:
    posterior = opened(shape, **design).encode(images(3, shape))
    assert torch.equal(posterior.sample(normal(*posterior.mean.shape)), posterior.mean)
    assert DCAEConfig(**design).deterministic


@pytest.mark.parametrize(("shape", "design"), DESIGNS, ids=str)
def test_gradients_are_finite_and_reach_every_weight(shape: tuple[int, int, int], design: dict[str, Any]) -> None:
    model, batch = opened(shape, **design), images(3, shape)
    (model.decode(model.encode(batch).mean) - batch).square().mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


def test_encoder_and_decoder_hold_all_weights() -> None:
    model = untrained(GREY, latent=(8, 2, 2))
    inward, outward = ([n for n, _ in model.named_parameters() if n.startswith(p)] for p in ("inward.", "outward."))
    assert inward
    assert outward
    assert len(inward) + len(outward) == len(model.state_dict())


def learned_steps(model: nn.Module, kind: type[Down] | type[Up]) -> list[Any]:
    """The steps of one kind, from the image's side for Down, from the latent's for Up."""
    return [module for module in model.modules() if isinstance(module, kind)]


WIDTHS = (4, 16, 32, 8)  # averages of one, two and sixteen


def test_an_untrained_step_down_averages_groups_of_shuffled_channels() -> None:
    steps = learned_steps(untrained(RGB, latent=(4, 2, 2), widths=WIDTHS), Down)
    assert len(steps) == 3
    for before, after, step in zip(WIDTHS, WIDTHS[1:], steps, strict=False):
        h, size = normal(2, before, 6, 4), 4 * before // after
        shuffled = pixel_unshuffle(h, 2)
        groups = [shuffled[:, i * size : (i + 1) * size].mean(1) for i in range(after)]
        torch.testing.assert_close(step(h), torch.stack(groups, 1))


def test_an_untrained_step_up_shuffles_repeated_channels() -> None:
    steps = learned_steps(untrained(RGB, latent=(4, 2, 2), widths=WIDTHS), Up)
    assert len(steps) == 3
    for before, after, step in zip(WIDTHS[::-1], WIDTHS[-2::-1], steps, strict=False):
        h, times = normal(2, before, 3, 2), 4 * after // before
        repeated = [h[:, i // times] for i in range(4 * after)]
        torch.testing.assert_close(step(h), pixel_shuffle(torch.stack(repeated, 1), 2))


@pytest.mark.parametrize(("shape", "design"), DESIGNS, ids=str)
def test_untrained_steps_down_undo_the_steps_up(shape: tuple[int, int, int], design: dict[str, Any]) -> None:
    model, latents = untrained(shape, **design), normal(3, *design["latent"])
    features = model.outward[:-3](latents)  # all but activation, convolution and shuffle to pixels
    torch.testing.assert_close(model.inward[2:](features), latents)  # all but shuffle and convolution from pixels


def test_an_untrained_step_up_undoes_a_step_down_that_loses_no_channel() -> None:
    model, h = untrained(GREY, latent=(2, 7, 7), widths=(4, 16)), normal(3, 4, 14, 14)
    [down], [up] = learned_steps(model, Down), learned_steps(model, Up)
    torch.testing.assert_close(up(down(h)), h)


def test_an_image_that_does_not_divide_is_padded_with_black_and_cropped() -> None:
    small, large = opened(GREY, latent=(8, 2, 2)), opened((1, 32, 32), latent=(8, 2, 2))
    batch, latents = images(3, GREY), normal(3, 8, 2, 2)
    assert torch.equal(small.encode(batch).mean, large.encode(pad(batch, (2, 2, 2, 2))).mean)
    torch.testing.assert_close(small.decode(latents), large.decode(latents)[..., 2:-2, 2:-2])


@pytest.mark.parametrize("fsq_levels", [None, 8])
def test_thirty_two_digits_are_learnt(fsq_levels: int | None) -> None:
    batch = torch.from_numpy(load_digits().images[:32]).float()[:, None] / 16
    model = untrained(DIGIT, latent=(4, 2, 2), widths=(16, 16), fsq_levels=fsq_levels)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(60):
        loss = (model.decode(model.encode(batch).mean) - batch).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    mean_image = (batch - batch.mean(0)).square().mean()
    assert loss < 0.6 * mean_image


class Holder(Config):
    """What a recipe holds an autoencoder in."""

    autoencoder: AutoencoderConfig


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kind": "dcae"}, ["dcae", "did you mean 'dc'?", "choose from conv, dc, mlp, identity"]),
        ({"latent": [8]}, ["autoencoder.latent"]),
        ({"latent": [0, 2, 2]}, ["latent = [0, 2, 2]: give [channels, height, width]"]),
        ({"latent": [7, 2, 2]}, ["latent = [7, 2, 2]: give channels that divide", "64"]),
        ({"widths": []}, ["widths = []: give 1 to 6 levels"]),
        ({"widths": [16, 30]}, ["widths = [16, 30]: give multiples of 4"]),
        ({"widths": [16, 24]}, ["widths = [16, 24]: give widths that each divide 4 times the one before"]),
        ({"widths": [4, 32]}, ["widths = [4, 32]: give widths that each divide 4 times the one before"]),
        ({"encoder": [1]}, ["encoder = [1]: give 0 to 32 blocks for each of 4 levels"]),
        ({"decoder": [0, 1, 1, 99]}, ["decoder = [0, 1, 1, 99]: give 0 to 32 blocks"]),
        ({"width": 8}, ["unknown key 'width'", "did you mean 'widths'?"]),
    ],
    ids=str,
)
def test_impossible_configuration_is_one_line_with_the_choices(changes: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ConfigError) as refusal:
        validate(Holder, {"autoencoder": {"kind": "dc", "latent": [8, 2, 2]} | changes}, "mine")
    line = str(refusal.value)
    assert "\n" not in line
    assert [word for word in words if word not in line] == []


def test_latent_that_does_not_fit_is_refused_with_the_choices() -> None:
    with pytest.raises(ConfigError, match=r"latent = \[8, 7, 7\] with 4 widths .* \[C, 2, 2\] with 4 widths"):
        DCAEConfig(latent=(8, 7, 7)).build(GREY)
