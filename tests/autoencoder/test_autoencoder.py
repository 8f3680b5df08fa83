"""Laws of the autoencoders, and of the standardised, cached latents made from them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from latentarena.autoencoder import (
    Autoencoder,
    AutoencoderConfig,
    ConvVAE,
    ConvVAEConfig,
    DCAEConfig,
    Identity,
    IdentityConfig,
    MLPVAEConfig,
    Posterior,
)
from latentarena.config import validate
from latentarena.data import Images
from latentarena.errors import ConfigError
from latentarena.files import cache_folder
from latentarena.latents import SMALLEST, Standardiser, encode_all, module_digest
from latentarena.randomness import stream

GREY, RGB = (1, 28, 28), (3, 32, 32)
DESIGNS = [
    (GREY, (3,), (4, 8)),
    (GREY, (16,), (4, 8)),
    (GREY, (49,), (4, 8)),
    (GREY, (64,), (4,)),
    (GREY, (1, 7, 7), (4, 8)),
    (GREY, (4, 4, 4), (4, 6, 8)),  # 28 is padded up to 32
    (RGB, (12,), (4, 8)),
    (RGB, (2, 8, 8), (4, 8)),
    ((1, 9, 13), (5,), (4, 8)),
]


def vae(
    shape: tuple[int, int, int],
    latent: tuple[int, ...],
    widths: tuple[int, ...],
    key: str = "vae",
    fsq_levels: int | None = None,
) -> ConvVAE:
    """A VAE whose every weight is random: none of its paths starts closed."""
    blocks = (1,) * len(widths)
    config = ConvVAEConfig(latent=latent, widths=widths, encoder=blocks, decoder=blocks, fsq_levels=fsq_levels)
    built = config.build(shape)
    generator = stream(key)
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    return built.eval().requires_grad_(False)


def images(n: int, shape: tuple[int, int, int]) -> Tensor:
    """Uniform noise, (n, *shape) in [0, 1)."""
    return torch.rand(n, *shape, generator=stream("images"))


def normal(*shape: int, key: str = "normal") -> Tensor:
    """Standard normal numbers, the same for the same key."""
    return torch.randn(*shape, generator=stream(key))


@pytest.mark.parametrize(
    "config",
    [
        ConvVAEConfig(latent=(3,), widths=(4, 8)),
        ConvVAEConfig(latent=(1, 7, 7), widths=(4, 8)),
        MLPVAEConfig(latent=(3,)),
        DCAEConfig(latent=(4, 7, 7), widths=(4, 8)),
        IdentityConfig(),
    ],
    ids=lambda config: config.kind,
)
def test_what_counts_as_the_encoder_is_what_encoding_uses(config: AutoencoderConfig) -> None:
    """By gradients: encoding moves what `encoding` names and nothing else, decoding all the others."""
    built = config.build(GREY)
    inward, outward = built.encode(images(2, GREY)), built.decode(torch.randn(2, *built.latent_shape))
    parameters = dict(built.named_parameters())
    if parameters:
        encoded = inward.mean.sum() + inward.log_variance.nan_to_num(neginf=0).sum()
        used = torch.autograd.grad(encoded, [*parameters.values()], allow_unused=True)
        made = torch.autograd.grad(outward.sum(), [*parameters.values()], allow_unused=True)
        for name, one, other in zip(parameters, used, made, strict=True):
            assert (one is not None, other is not None) == ((name.split(".")[0] in built.encoding), one is None), name


@pytest.mark.parametrize("latent", [(6,), (2, 3, 3)], ids=str)
def test_kl_equals_torch_distributions(latent: tuple[int, ...]) -> None:
    mean, log_variance = normal(4, *latent, key="mean"), normal(4, *latent, key="variance")
    terms = kl_divergence(Normal(mean, (0.5 * log_variance).exp()), Normal(0.0, 1.0))
    torch.testing.assert_close(Posterior(mean, log_variance).kl(), terms.flatten(1).sum(1))


def test_posterior_samples_have_its_mean_and_variance() -> None:
    posterior = Posterior(torch.full((1, 2), 3.0), torch.tensor([[0.0, -2.0]]))
    drawn = posterior.sample(normal(100_000, 2))
    torch.testing.assert_close(drawn.mean(0), torch.tensor([3.0, 3.0]), atol=0.02, rtol=0)
    torch.testing.assert_close(drawn.var(0).log(), torch.tensor([0.0, -2.0]), atol=0.03, rtol=0)


@pytest.mark.parametrize("shape", [GREY, RGB, (1, 9, 13)], ids=str)
@pytest.mark.parametrize(("patch", "widths"), [(1, (4,)), (4, (4,)), (3, (4, 8)), (7, (8,))])
def test_the_first_level_takes_squares_of_any_side_together(
    shape: tuple[int, int, int], patch: int, widths: tuple[int, ...]
) -> None:
    """A place of the smallest map stands for its square of pixels: far from it nothing is moved by its code."""
    cell = patch * 2 ** (len(widths) - 1)
    height, width = -(-shape[1] // cell), -(-shape[2] // cell)
    blocks = (0,) * len(widths)
    config = ConvVAEConfig(latent=(1, height, width), widths=widths, patch=patch, encoder=blocks, decoder=blocks)
    model = config.build(shape).eval().requires_grad_(False)
    assert model.encode(images(2, shape)).mean.shape == (2, 1, height, width)
    code, moved = torch.zeros(1, 1, height, width), torch.zeros(1, 1, height, width)
    moved[..., 0, 0] = 3
    change = (model.decode(moved) - model.decode(code)).abs().amax((0, 1))
    assert change.shape == shape[1:]
    assert float(change[:cell, :cell].max()) > 0
    assert float(change[3 * cell :].sum() + change[:, 3 * cell :].sum()) == 0  # two convolutions of 3 x 3


def test_a_map_that_does_not_fit_the_squares_is_refused_with_those_that_do() -> None:
    with pytest.raises(ConfigError, match=r"choose \[C, 7, 7\] with 1 widths, \[C, 4, 4\] with 2 widths"):
        ConvVAEConfig(latent=(2, 14, 14), widths=(4,), patch=4).build(GREY)


@pytest.mark.parametrize(("shape", "latent", "widths"), DESIGNS, ids=str)
def test_shapes_and_range(shape: tuple[int, int, int], latent: tuple[int, ...], widths: tuple[int, ...]) -> None:
    model = vae(shape, latent, widths)
    posterior = model.encode(images(3, shape))
    decoded = model.decode(10 * normal(3, *latent))
    assert model.latent_shape == latent
    assert posterior.mean.shape == posterior.log_variance.expand(3, *latent).shape == (3, *latent)
    assert decoded.shape == (3, *shape)
    assert 0 <= float(decoded.min()) < float(decoded.max()) <= 1


@pytest.mark.parametrize(("shape", "latent", "widths"), DESIGNS, ids=str)
def test_every_image_is_treated_alone(
    shape: tuple[int, int, int], latent: tuple[int, ...], widths: tuple[int, ...]
) -> None:
    model, batch, latents = vae(shape, latent, widths), images(4, shape), normal(4, *latent)
    means, decoded = model.encode(batch).mean, model.decode(latents)
    for i in range(4):
        torch.testing.assert_close(model.encode(batch[i : i + 1]).mean[0], means[i], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(model.decode(latents[i : i + 1])[0], decoded[i], atol=1e-4, rtol=1e-4)
    assert not torch.allclose(means[0], means[1])
    assert not torch.allclose(decoded[0], decoded[1])


@pytest.mark.parametrize("shape", [GREY, RGB, (1, 9, 13)], ids=str)
def test_connected_layers_treat_every_image_alone_with_a_width_of_its_own(shape: tuple[int, int, int]) -> None:
    model, batch, latents = MLPVAEConfig(widths=(16, 8)).build(shape), images(4, shape), 30 * normal(4, 3)
    for i, parameter in enumerate(model.parameters()):
        torch.nn.init.normal_(parameter, 0, 0.2, generator=stream("mlp", i))
    posterior, decoded = model.encode(batch), model.decode(latents).detach()
    assert posterior.mean.shape == posterior.log_variance.shape == (4, *model.latent_shape) == (4, 3)
    assert decoded.shape == (4, *shape)
    assert 0 <= float(decoded.min()) < float(decoded.max()) <= 1
    for i in range(4):
        alone = model.encode(batch[i : i + 1])
        torch.testing.assert_close(alone.mean[0], posterior.mean[i], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(alone.log_variance[0], posterior.log_variance[i], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(model.decode(latents[i : i + 1])[0], decoded[i], atol=1e-5, rtol=1e-5)
    for each in (posterior.mean, posterior.log_variance, decoded):
        assert not torch.allclose(each[0], each[1])


@pytest.mark.parametrize(
    ("shape", "latent", "words"),
    [
        (
            GREY,
            (785,),
            ("autoencoder.latent = [785]", "785 numbers", "784 of an image", "smaller latent", "pixel model"),
        ),
        (GREY, (4, 5, 5), ("autoencoder.latent = [4, 5, 5]", "[C, 14, 14] with 1 widths", "[C, 7, 7] with 2 widths")),
        (RGB, (4, 7, 7), ("autoencoder.latent = [4, 7, 7]", "[C, 8, 8] with 2 widths", "[C, 4, 4] with 3 widths")),
    ],
)
def test_latent_that_does_not_fit_is_refused_with_the_choices(
    shape: tuple[int, int, int], latent: tuple[int, ...], words: tuple[str, ...]
) -> None:
    with pytest.raises(ConfigError) as refusal:
        ConvVAEConfig(latent=latent).build(shape)
    assert [word for word in words if word not in str(refusal.value)] == []


@pytest.mark.parametrize("grid", [(14, 14, 1), (7, 7, 2), (4, 4, 3), (2, 2, 4), (1, 1, 5)], ids=str)
def test_the_choices_that_a_refusal_names_can_be_built(grid: tuple[int, int, int]) -> None:
    height, width, levels = grid
    with pytest.raises(ConfigError) as refusal:
        ConvVAEConfig(latent=(1, 5, 5)).build(GREY)
    assert f"[C, {height}, {width}] with {levels} widths" in str(refusal.value)
    latent = (1, height, width)
    assert vae(GREY, latent, (4,) * levels).encode(images(1, GREY)).mean.shape == (1, *latent)


@pytest.mark.parametrize(
    "raw",
    [
        {"latent": []},
        {"latent": [2, 7]},
        {"latent": [0]},
        {"latent": [4, -7, 7]},
        {"latent": [4], "widths": []},
        {"latent": [4], "widths": [0, 8]},
        {"latent": [4], "encoder": [1]},
        {"latent": [4], "decoder": [1, 99]},
    ],
    ids=str,
)
def test_impossible_configuration_is_one_line_with_the_choices(raw: dict[str, list[int]]) -> None:
    key, value = list(raw.items())[-1]
    with pytest.raises(ConfigError) as refusal:
        validate(ConvVAEConfig, raw, "recipe")
    line = str(refusal.value)
    assert "\n" not in line
    assert f"{key} = {value}: give" in line


def test_every_pixel_value_survives_pixel_space() -> None:
    pixels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    model = IdentityConfig().build((1, 16, 16))
    posterior = model.encode(pixels.float() / 255)
    again = model.decode(posterior.sample(normal(1, 1, 16, 16)))
    torch.testing.assert_close(again, pixels.float() / 255, atol=1e-7, rtol=0)
    assert torch.equal(again.mul(255).round().byte(), pixels)
    assert posterior.mean.aminmax() == (-1, 1)


def test_pixel_space_clamps_what_is_no_image() -> None:
    assert Identity((1, 1, 3)).decode(torch.tensor([[[[-3.0, 0.0, 3.0]]]])).flatten().tolist() == [0.0, 0.5, 1.0]


@pytest.mark.parametrize("latent", [(5,), (3, 4, 4)], ids=str)
def test_standardiser_gives_unit_moments_and_inverts(latent: tuple[int, ...]) -> None:
    spread = torch.linspace(0.1, 9, latent[0]).view(-1, *(1 for _ in latent[1:]))
    latents = normal(500, *latent) * spread + 7
    scale = Standardiser(latent)
    scale.fit(latents)
    standard = scale(latents)
    by_channel = standard.transpose(0, 1).flatten(1)
    torch.testing.assert_close(by_channel.mean(1), torch.zeros(latent[0]), atol=1e-4, rtol=0)
    torch.testing.assert_close(by_channel.std(1), torch.ones(latent[0]), atol=1e-4, rtol=0)
    torch.testing.assert_close(scale.invert(standard), latents, atol=1e-5, rtol=1e-5)


def test_unfitted_standardiser_changes_nothing() -> None:
    latents = normal(3, 4)
    assert torch.equal(Standardiser((4,))(latents), latents)


def test_collapsed_dimension_is_not_blown_up() -> None:
    scale = Standardiser((2,))
    latents = torch.stack([torch.full((100,), 5.0), normal(100)], 1)
    scale.fit(latents)
    assert scale.deviation[0] == SMALLEST
    torch.testing.assert_close(scale(latents)[:, 0], torch.zeros(100))


SPLIT = Images(
    torch.randint(256, (1203, 1, 8, 8), generator=stream("split"), dtype=torch.uint8), torch.zeros(1203).long()
)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[Path]]:
    """A cache of the test's own; the call lists the encoded splits in it."""
    monkeypatch.setenv("LATENTARENA_CACHE", str(tmp_path))
    return lambda: sorted((cache_folder() / "latents").glob("*"))


def small(key: str = "vae") -> ConvVAE:
    """A VAE for the split above."""
    return vae((1, 8, 8), (3,), (4,), key)


Cache = Callable[[], list[Path]]


def test_split_is_encoded_whole_and_in_order(cache: Cache) -> None:
    model = small()
    latents = encode_all(model, SPLIT, "data")
    assert latents.mean.shape == (1203, 3)
    torch.testing.assert_close(latents.mean[1000:], model.encode(SPLIT.batch(slice(1000, None))).mean)
    assert torch.equal(latents.log_variance, model.log_variance[None])


def test_second_encoding_reads_the_cache(cache: Cache) -> None:
    first = encode_all(small(), SPLIT, "data")
    [path] = cache()
    tensors = load_file(path)
    assert torch.equal(tensors["mean"], first.mean)
    save_file(tensors | {"mean": first.mean + 1}, path)
    assert torch.equal(encode_all(small(), SPLIT, "data").mean, first.mean + 1)


@pytest.mark.parametrize("damage", [b"", b"not safetensors", None], ids=["empty", "garbage", "truncated"])
def test_damaged_cache_is_encoded_anew(cache: Cache, damage: bytes | None) -> None:
    first = encode_all(small(), SPLIT, "data")
    [path] = cache()
    whole = path.read_bytes()
    path.write_bytes(whole[:-100] if damage is None else damage)
    again = encode_all(small(), SPLIT, "data")
    assert torch.equal(again.mean, first.mean)
    assert torch.equal(again.log_variance, first.log_variance)
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    "again",
    [
        lambda: encode_all(small("other weights"), SPLIT, "data"),
        lambda: encode_all(small(), SPLIT, "other data"),
        lambda: encode_all(small(), Images(SPLIT.pixels[:9], SPLIT.labels[:9]), "data"),
    ],
    ids=["weights", "data", "size"],
)
def test_other_content_has_another_cache_entry(cache: Cache, again: Callable[[], Tensor]) -> None:
    encode_all(small(), SPLIT, "data")
    again()
    assert len(cache()) == 2


def test_quantisers_that_differ_in_levels_alone_have_entries_of_their_own(cache: Cache) -> None:
    few, many = (vae((1, 8, 8), (3,), (4,), "vae", fsq_levels=levels) for levels in (3, 5))
    assert module_digest(few) == module_digest(many)
    assert not torch.equal(encode_all(few, SPLIT, "data").mean, encode_all(many, SPLIT, "data").mean)
    assert len(cache()) == 2


def test_pixel_space_is_not_cached(cache: Cache) -> None:
    latents = encode_all(Identity((1, 8, 8)), SPLIT, "data")
    torch.testing.assert_close(latents.mean, 2 * SPLIT.batch(slice(None)) - 1)
    assert cache() == []


class Doubtful(Autoencoder):
    """Latents are each image's mean, surer for bright images: a variance for every image."""

    latent_shape = (1,)

    def __init__(self) -> None:
        super().__init__()
        self.gain = torch.nn.Parameter(torch.ones(1))

    def encode(self, images: Tensor) -> Posterior:
        mean = self.gain * images.flatten(1).mean(1, keepdim=True)
        return Posterior(mean, -mean)


def test_variances_of_single_images_are_kept_and_cached(cache: Cache) -> None:
    expected = Doubtful().encode(SPLIT.batch(slice(None)))
    for _ in range(2):
        latents = encode_all(Doubtful(), SPLIT, "data")
        torch.testing.assert_close(latents.mean, expected.mean)
        torch.testing.assert_close(latents.log_variance, expected.log_variance)


@pytest.mark.parametrize("model", [small(), Identity((1, 8, 8))], ids=lambda m: type(m).__name__)
def test_encoding_leaves_no_graph(cache: Cache, model: Autoencoder) -> None:
    assert not encode_all(model.requires_grad_(True), SPLIT, "data").mean.requires_grad


def test_digest_of_weights_tells_values_and_names_apart() -> None:
    model = torch.nn.Linear(2, 2)
    before = module_digest(model)
    assert module_digest(model) == before
    renamed = torch.nn.ModuleDict({"inner": model})
    assert module_digest(renamed) != before
    with torch.no_grad():
        model.bias[0] += 1e-3
    assert module_digest(model) != before
