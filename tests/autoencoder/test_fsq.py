"""Laws of finite scalar quantisation, alone and inside the autoencoders that can use it."""

from __future__ import annotations

from math import atanh

import pytest
import torch
from torch import Tensor

from latentarena.autoencoder import (
    FSQ,
    ConvVAE,
    ConvVAEConfig,
    DCAEConfig,
    IdentityConfig,
    MLPVAEConfig,
)
from latentarena.config import validate
from latentarena.errors import ConfigError
from latentarena.randomness import stream

LEVELS = [2, 3, 4, 5, 8, 16, 255]
GREY = (1, 28, 28)
Quantised = ConvVAEConfig | DCAEConfig
QUANTISED: list[Quantised] = [
    ConvVAEConfig(latent=(5,), widths=(4, 8), fsq_levels=4),
    ConvVAEConfig(latent=(2, 7, 7), widths=(4, 8), fsq_levels=5),
    DCAEConfig(latent=(4, 4, 4), widths=(4, 8, 8), fsq_levels=8),
]


def images(n: int) -> Tensor:
    """Uniform noise, (n, 1, 28, 28) in [0, 1)."""
    return torch.rand(n, *GREY, generator=stream("images"))


def normal(*shape: int, key: str = "normal") -> Tensor:
    """Standard normal numbers, the same for the same key."""
    return torch.randn(*shape, generator=stream(key))


def opened(config: Quantised) -> torch.nn.Module:
    """Every weight is random and large enough to reach many levels."""
    model, generator = config.build(GREY), stream("opened")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    return model


@pytest.mark.parametrize("levels", LEVELS)
def test_every_level_is_reached_and_nothing_else(levels: int) -> None:
    reached = FSQ(levels)(torch.linspace(-12, 12, 200_001)).unique()
    torch.testing.assert_close(reached, torch.linspace(-1, 1, levels))


@pytest.mark.parametrize("levels", [3, 4, 5, 6, 7, 8])
def test_agrees_with_the_formula_of_the_paper(levels: int) -> None:
    numbers = 3 * normal(10_000)
    half, offset = (levels - 1) / 2, 0.0 if levels % 2 else 0.5
    index = ((numbers + atanh(offset / half)).tanh() * half - offset).round()  # Mentzer et al., 2024, appendix A.1
    assert index.min() == -(levels // 2)
    torch.testing.assert_close(FSQ(levels)(numbers), (index + levels // 2) / half - 1)


@pytest.mark.parametrize("levels", LEVELS)
def test_snapping_finds_the_nearest_level(levels: int) -> None:
    grid, latents = torch.linspace(-1, 1, levels), 1.5 * normal(2000)
    nearest = (latents[:, None] - grid).abs().min(1).values
    snapped = FSQ(levels).snap(latents)
    torch.testing.assert_close((latents - snapped).abs(), nearest, atol=1e-6, rtol=0)


@pytest.mark.parametrize("levels", LEVELS)
def test_a_level_is_its_own_nearest_to_the_last_bit(levels: int) -> None:
    quantiser = FSQ(levels)
    codes = quantiser(4 * normal(2000))
    assert torch.equal(quantiser.snap(codes), codes)


@pytest.mark.parametrize("levels", [level for level in LEVELS if level > 2])
def test_small_numbers_of_either_sign_share_a_level(levels: int) -> None:
    near_zero = torch.tensor([-1.0, 0.0, 1.0]) / (10 * levels)
    assert len(FSQ(levels)(near_zero).unique()) == 1


@pytest.mark.parametrize("levels", LEVELS)
def test_the_gradient_is_that_of_the_bound(levels: int) -> None:
    quantiser, numbers, upstream = FSQ(levels), normal(500).requires_grad_(), normal(500, key="upstream")
    [through] = torch.autograd.grad(quantiser(numbers), numbers, upstream)
    [smooth] = torch.autograd.grad(quantiser.bound(numbers), numbers, upstream)
    assert torch.equal(through, smooth)
    assert smooth.any()


@pytest.mark.parametrize("config", QUANTISED, ids=str)
def test_the_encoder_speaks_only_levels(config: Quantised) -> None:
    assert config.fsq_levels is not None
    mean = opened(config).encode(images(8)).mean.detach()
    grid = torch.linspace(-1, 1, config.fsq_levels)
    assert mean.shape == (8, *config.latent)
    assert float((mean[..., None] - grid).abs().min(-1).values.max()) < 1e-6
    assert len(mean.unique()) > 1


@pytest.mark.parametrize("config", QUANTISED, ids=str)
def test_latents_between_levels_decode_like_the_nearest(config: Quantised) -> None:
    assert config.fsq_levels is not None
    model, latents = opened(config), normal(4, *config.latent).requires_grad_()
    codes = FSQ(config.fsq_levels).snap(latents).detach().requires_grad_()
    assert not torch.allclose(latents, codes)
    between, nearest = model.decode(latents), model.decode(codes)
    assert torch.equal(between, nearest)
    [through], [at_the_code] = torch.autograd.grad(between.sum(), latents), torch.autograd.grad(nearest.sum(), codes)
    assert torch.equal(through, at_the_code)


@pytest.mark.parametrize("config", QUANTISED, ids=str)
def test_gradients_are_finite_and_reach_every_weight(config: Quantised) -> None:
    model, batch = opened(config), images(4)
    posterior = model.encode(batch)
    latents = posterior.sample(normal(*posterior.mean.shape))
    assert torch.equal(latents, posterior.mean)
    (model.decode(latents) - batch).square().mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


def alike(fsq_levels: int | None) -> ConvVAE:
    """The same weights with or without quantisation."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return ConvVAEConfig(latent=(5,), widths=(4, 8), fsq_levels=fsq_levels).build(GREY)


def test_quantisation_adds_no_weight_and_rounds_what_the_plain_encoder_says() -> None:
    plain, quantised, batch = alike(None), alike(6), images(4)
    assert list(plain.state_dict()) == ["log_variance", *quantised.state_dict()]
    assert torch.equal(plain.encode(batch).mean, plain.inward(batch))
    assert torch.equal(quantised.encode(batch).mean, FSQ(6)(plain.encode(batch).mean))
    latents = normal(4, 5)
    assert torch.equal(plain.decode(FSQ(6).snap(latents)), quantised.decode(latents))
    assert not torch.equal(plain.decode(latents), quantised.decode(latents))


@pytest.mark.parametrize(
    "config",
    [
        *QUANTISED,
        ConvVAEConfig(latent=(5,), widths=(4, 8)),
        DCAEConfig(latent=(4, 4, 4), widths=(4, 8, 8)),
        MLPVAEConfig(widths=(8,)),
        IdentityConfig(),
    ],
    ids=str,
)
def test_a_deterministic_config_builds_a_posterior_of_no_width(
    config: Quantised | MLPVAEConfig | IdentityConfig,
) -> None:
    width = config.build(GREY).encode(images(2)).log_variance.exp()
    assert bool((width == 0).all()) == config.deterministic
    assert bool((width > 0).all()) != config.deterministic


@pytest.mark.parametrize("levels", [0, 1, 257, "many"])
@pytest.mark.parametrize("config", [ConvVAEConfig, DCAEConfig])
def test_impossible_number_of_levels_is_one_line(config: type[Quantised], levels: int | str) -> None:
    with pytest.raises(ConfigError, match=rf"^recipe: fsq_levels = {levels!r}: [^\n]+$"):
        validate(config, {"latent": [4, 2, 2], "fsq_levels": levels}, "recipe")
