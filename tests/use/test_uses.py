"""Laws of interpolation, inpainting, editing and likelihood, on models whose answers are known; and what is refused."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.distributions import MultivariateNormal

from command import TINY
from latentarena.bundle import save_bundle
from latentarena.cli import main
from latentarena.data.digits import embedded_digits
from latentarena.latents import latent_statistics
from latentarena.model.config import SamplingConfig
from latentarena.model.latent_model import LatentModel
from latentarena.pictures import LINE
from latentarena.process import PATHS, Denoiser, Estimate
from latentarena.process import Path as Process
from latentarena.randomness import stream
from latentarena.report.strips import hidden_region
from latentarena.sample import GRIDS, heun, sample
from latentarena.sample.guide import measurement_guidance
from latentarena.train.recipe import load_recipe
from latentarena.use.likelihood import Likelihood, dequantised, image_bits
from latentarena.use.uses import class_mean, edit, inpaint, interpolate, shift, slerp, to_images, to_noise
from untrained import provenance

HOW = SamplingConfig(solver="heun", steps=32)
PIXELS = [
    "autoencoder={kind: identity}",
    "training.autoencoder=null",
    "generator.backbone={kind: conv, width: 4, depth: 1}",
]
SOME = ["straight", "vp_cosine"]  # paths: one that reaches its ends, one that stops short of them
CONDITIONAL = "generator.conditional=true"
KINDS = {"latent": TINY, "conditional": [*TINY, CONDITIONAL], "pixels": PIXELS}


def normal(*shape: int, key: str, dtype: torch.dtype = torch.float32) -> Tensor:
    """Standard normal numbers, the same for the same key."""
    return torch.randn(*shape, generator=stream(key), dtype=dtype)


def made(overrides: list[str], shape: tuple[int, int, int] = (1, 28, 28), **changes: str) -> LatentModel:
    """A model of ten classes with random weights, so that noise, labels and time all matter."""
    recipe = load_recipe("quickstart-digits", [*overrides, *(f"{key}={value}" for key, value in changes.items())])
    model = LatentModel(recipe.architecture(shape, tuple("0123456789"))).eval().requires_grad_(False)
    with torch.no_grad():
        for i, parameter in enumerate(model.network.parameters()):
            parameter.copy_(0.15 * normal(*parameter.shape, key=f"weight {i}"))
    return model


class Gaussian:
    """Correlated data in D dimensions, and their exact denoiser on any path."""

    def __init__(self, mean: Tensor, covariance: Tensor) -> None:
        self.mean, self.covariance = mean, covariance

    def denoiser(self, path: Process) -> Denoiser:
        def denoise(x: Tensor, t: Tensor, labels: Tensor | None) -> Estimate:
            at = path.at(t.flatten()[:1], x.flatten(1))
            one = torch.eye(len(self.mean)).to(x)
            total = torch.linalg.inv(at.alpha**2 * self.covariance.to(x) + at.sigma**2 * one)
            rest = (x.flatten(1) - at.alpha * self.mean.to(x)) @ total
            data = self.mean.to(x) + at.alpha * rest @ self.covariance.to(x)
            return Estimate(data.reshape(x.shape), (at.sigma * rest).reshape(x.shape))

        return denoise

    def given(self, known: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and covariance of all dimensions, given those at the indices `known`."""
        gain = torch.linalg.solve(self.covariance[known][:, known], self.covariance[known]).T
        return self.mean + gain @ (values - self.mean[known]), self.covariance - gain @ self.covariance[known]


def smooth_pixels(side: int, scale: float) -> Gaussian:
    """Pixels of a square of this side whose neighbours are alike: standard deviation `scale`, mean -0.2."""
    place = torch.cartesian_prod(*[torch.arange(side, dtype=torch.float64)] * 2)
    near = (-torch.cdist(place, place).square() / 4.5).exp() + 0.05 * torch.eye(side**2, dtype=torch.float64)
    return Gaussian(torch.full((side**2,), -0.2, dtype=torch.float64), scale**2 * near)


def pixel_model(data: Gaussian, side: int, path: str = "straight") -> LatentModel:
    """A pixel model that knows its data, which are given on [-1, 1], exactly; its standardiser is not trivial."""
    model = made(PIXELS, (1, side, side), **{"generator.path": path, "generator.target": "v"})
    model.scale.mean.fill_(-0.3)
    model.scale.deviation.fill_(0.4)
    standard = Gaussian((data.mean + 0.3) / 0.4, data.covariance / 0.4**2)
    model.denoise = standard.denoiser(model.path)
    return model


# interpolation


@pytest.mark.parametrize("shape", [(2,), (6,), (3, 4, 4)])
def test_arc_keeps_the_norm_and_turns_evenly(shape: tuple[int, ...]) -> None:
    start, end = normal(5, *shape, key="a", dtype=torch.float64), normal(5, *shape, key="b", dtype=torch.float64)
    start, end = (7 * x / x.flatten(1).norm(dim=1).reshape(5, *(1 for _ in shape)) for x in (start, end))
    points = slerp(start, end, torch.linspace(0, 1, 9, dtype=torch.float64))
    assert points.shape == (5, 9, *shape)
    flat = points.flatten(2)
    torch.testing.assert_close(flat.norm(dim=2), torch.full((5, 9), 7.0, dtype=torch.float64))
    steps = (flat[:, 1:] - flat[:, :-1]).norm(dim=2)
    torch.testing.assert_close(steps, steps[:, :1].expand_as(steps))
    torch.testing.assert_close(points[:, 0], start)
    torch.testing.assert_close(points[:, -1], end)


def test_norm_changes_evenly_between_unlike_ends() -> None:
    start, end = normal(4, 6, key="a"), 3 * normal(4, 6, key="b")
    weights = torch.linspace(0, 1, 5)
    sizes = slerp(start, end, weights).norm(dim=2)
    torch.testing.assert_close(sizes, torch.lerp(start.norm(dim=1)[:, None], end.norm(dim=1)[:, None], weights))


@pytest.mark.parametrize("factor", [1.0, 2.0, -1.0])
def test_ends_without_an_arc_are_joined_by_a_line(factor: float) -> None:
    start = normal(3, 6, key="a")
    points = slerp(start, factor * start, torch.linspace(0, 1, 5))
    assert bool(points.isfinite().all())
    torch.testing.assert_close(points[:, 0], start)
    torch.testing.assert_close(points[:, -1], factor * start)


def test_interpolated_ends_are_the_images_of_their_noise() -> None:
    model = made([*TINY, CONDITIONAL])
    start, end, labels = model.noise(3, 0), model.noise(3, 1), torch.tensor([4, 0, 9])
    frames = interpolate(model, start, end, 4, labels, HOW)
    for column, noise in ((0, start), (-1, end)):
        torch.testing.assert_close(frames[:, column], model.generate(noise, labels, HOW), atol=1e-4, rtol=0)


# editing


@pytest.mark.parametrize("path", SOME)
def test_the_same_class_gives_back_the_reconstruction(path: str) -> None:
    model = made([*TINY, CONDITIONAL], **{"generator.path": path, "generator.target": "v"})
    images, own = embedded_digits().test.batch(slice(0, 2)), torch.tensor([3, 1])
    reconstruction = model.decode(model.encode(images))
    for strength in (0.4, 1.0):
        back = edit(model, images, own, own, strength, HOW)
        torch.testing.assert_close(back, reconstruction, atol=2e-3, rtol=0)
    other = edit(model, images, own, own + 1, 1.0, HOW)
    assert float((other - reconstruction).abs().max()) > 1e-2


def test_strength_zero_changes_nothing() -> None:
    images, own = embedded_digits().test.batch(slice(0, 4)), torch.tensor([3, 1, 4, 1])
    model = made([*TINY, CONDITIONAL])
    reconstruction = model.decode(model.encode(images))
    torch.testing.assert_close(edit(model, images, own, own + 1, 0.0, HOW), reconstruction, atol=1e-6, rtol=0)
    assert torch.equal(shift(model, images, normal(4, 6, key="move"), 0.0), reconstruction)


def test_walk_to_the_noise_is_the_gaussians_own() -> None:
    """The probability flow of a Gaussian whitens it: noise = covariance^(-1/2) (data - mean)."""
    gaussian = smooth_pixels(4, 0.25)
    model = pixel_model(gaussian, 4)
    images = (smooth_sample(gaussian, 6).reshape(6, 1, 4, 4).float() + 1) / 2
    values, vectors = torch.linalg.eigh(gaussian.covariance)
    white = vectors @ torch.diag(values.rsqrt()) @ vectors.T
    expected = ((2 * images.double().flatten(1) - 1) - gaussian.mean) @ white
    noise = to_noise(model, images, None, HOW.but(steps=200))
    torch.testing.assert_close(noise.flatten(1), expected.float(), atol=0.02, rtol=0)
    torch.testing.assert_close(to_images(model, noise, None, HOW.but(steps=200)), images.clamp(0, 1), atol=2e-3, rtol=0)


def smooth_sample(gaussian: Gaussian, n: int) -> Tensor:
    """n draws, (n, D)."""
    root = torch.linalg.cholesky(gaussian.covariance)
    return gaussian.mean + normal(n, len(gaussian.mean), key="draws", dtype=torch.float64) @ root.T


def test_shift_moves_one_class_mean_onto_the_other() -> None:
    data, model = embedded_digits(), made(TINY)
    three, eight = (class_mean(model, data.train, label) for label in (3, 8))
    latents = model.encode(data.train.batch(data.train.labels == 3)) + (eight - three)
    torch.testing.assert_close(latents.mean(0), eight, atol=1e-5, rtol=0)


# inpainting


@pytest.mark.parametrize("path_name", SOME)
def test_gaussian_data_given_a_part_of_them(path_name: str) -> None:
    """Mean and covariance of 2,000 samples against the closed form, in deviations of the data.

    The tolerance is 0.07: the mean's standard error is 0.022, and 48 steps leave up to about 0.05, as the guide fades
    out at the first of them, where there is no data in x_t.
    """
    root = normal(6, 6, key="root", dtype=torch.float64)
    gaussian = Gaussian(normal(6, key="mean", dtype=torch.float64), root @ root.T / 3 + 0.05 * torch.eye(6))
    path, known = PATHS[path_name](), torch.arange(3)
    values = gaussian.mean[known] + torch.tensor([1.0, -1.5, 0.7], dtype=torch.float64)
    guide = measurement_guidance(path, lambda x: x[:, known], values.expand(2000, 3), 0.02)
    noise = normal(2000, 6, key="noise", dtype=torch.float64)
    jump = heun(path, guide(gaussian.denoiser(path)), None)
    *_, last = sample(jump, noise, GRIDS["uniform"](path, 48).double())
    mean, covariance = gaussian.given(known, values)
    deviation = gaussian.covariance.diag().sqrt()
    torch.testing.assert_close((last.mean(0) - mean) / deviation, torch.zeros(6).double(), atol=0.07, rtol=0)
    scaled = (last.T.cov() - covariance) / (deviation[:, None] * deviation)
    torch.testing.assert_close(scaled, torch.zeros(6, 6).double(), atol=0.07, rtol=0)


def test_inpainted_pixels_have_the_conditional_mean() -> None:
    """Images of a Gaussian with smooth pixels, the lower half hidden: 600 fills, to 0.06 of a pixel's deviation."""
    gaussian = smooth_pixels(4, 0.2)
    model = pixel_model(gaussian, 4)
    image = (smooth_sample(gaussian, 1).reshape(1, 1, 4, 4).float() + 1) / 2
    hidden = hidden_region("bottom", None, (4, 4))
    fills = inpaint(model, image.expand(600, -1, -1, -1), hidden, model.noise(600, 0), None, 32)
    known = (~hidden).flatten().nonzero()[:, 0]
    mean, _ = gaussian.given(known, (2 * image.flatten() - 1)[known].double())
    torch.testing.assert_close(2 * fills.mean(0).flatten().double() - 1, mean, atol=0.06 * 3 * 0.2, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_known_pixels_stay_and_hidden_ones_are_not_read(kind: str) -> None:
    model = made(KINDS[kind])
    images, labels = embedded_digits().test.batch(slice(0, 3)), torch.tensor([0, 1, 2])
    hidden = hidden_region("middle", None, (28, 28))
    noise = model.noise(3, 0)
    filled = inpaint(model, images, hidden, noise, labels, 3)
    assert torch.equal(filled[..., ~hidden], images[..., ~hidden])
    assert 0 <= float(filled.min()) <= float(filled.max()) <= 1
    other = inpaint(model, images.masked_fill(hidden, 0.7), hidden, noise, labels, 3)
    assert torch.equal(other, filled)
    assert not torch.equal(inpaint(model, images, hidden, model.noise(3, 1), labels, 3), filled)


@pytest.mark.parametrize("kind", ["latent", "pixels"])
def test_nothing_hidden_is_the_image_and_all_hidden_a_sample(kind: str) -> None:
    model = made(KINDS[kind])
    images, noise = embedded_digits().test.batch(slice(0, 3)), model.noise(3, 0)
    nothing = torch.zeros(28, 28, dtype=torch.bool)
    assert torch.equal(inpaint(model, images, nothing, noise, None, 2), images)
    torch.testing.assert_close(
        inpaint(model, images, ~nothing, noise, None, 4), model.generate(noise, None, HOW.but(steps=4))
    )


def test_fill_follows_what_is_known() -> None:
    """Of a latent model: the decoded estimate comes nearer to the known pixels than a plain sample's."""
    model = made(TINY)
    target = model.decode(model.scale.invert(model.noise(8, 5)))
    decoder = {"images": torch.empty(0)}

    def remember(latents: Tensor) -> Tensor:
        decoder["images"] = type(model).decode(model, latents)
        return decoder["images"]

    hidden = hidden_region("left", None, (28, 28))
    plain = model.generate(model.noise(8, 0), None, HOW)
    object.__setattr__(model, "decode", remember)
    inpaint(model, target, hidden, model.noise(8, 0), None, 16)
    far, near = ((images - target)[..., ~hidden].square().mean() for images in (plain, decoder["images"]))
    assert float(near) < 0.5 * float(far)


@pytest.mark.parametrize("shape", [(8, 8), (7, 5)])
def test_halves_make_the_whole(shape: tuple[int, int]) -> None:
    for one, other in (("left", "right"), ("top", "bottom")):
        assert torch.equal(hidden_region(one, None, shape), ~hidden_region(other, None, shape))
    assert hidden_region("top", None, shape)[0].all()
    assert hidden_region("left", None, shape)[:, 0].all()


def test_mask_is_white_where_hidden(tmp_path: Path) -> None:
    expected = torch.rand(7, 5, generator=stream("mask")) > 0.5
    Image.fromarray(expected.byte().mul(255).numpy()).save(tmp_path / "mask.png")
    assert torch.equal(hidden_region("right", tmp_path / "mask.png", (7, 5)), expected)


# likelihood


def test_chances_of_all_values_of_a_pixel_add_up_to_one() -> None:
    """The change of variables, from 8-bit values to standardised numbers and back, end to end."""
    gaussian = Gaussian(torch.tensor([0.1]).double(), torch.tensor([[0.15**2]]).double())
    bits, _ = image_bits(
        pixel_model(gaussian, 1), torch.arange(256, dtype=torch.uint8)[:, None, None, None], None, 40, 0
    )
    assert float((2**-bits).sum()) == pytest.approx(1, abs=0.01)
    assert int(bits.argmin()) in range(138, 143)  # the mean, 0.1, is pixel 140.25


@pytest.mark.parametrize("path", SOME)
def test_bits_of_gaussian_images_are_those_of_the_known_density(path: str) -> None:
    gaussian = smooth_pixels(2, 0.25)
    pixels = ((smooth_sample(gaussian, 8) + 1) / 2 * 255).round().clamp(0, 255).byte().reshape(8, 1, 2, 2)
    bits, prior = image_bits(pixel_model(gaussian, 2, path), pixels, None, 30, seed=3)
    x = 2 * dequantised(pixels, stream(3, "dequantisation")).double().flatten(1) - 1
    width = math.log2(2 / 255)
    expected = -MultivariateNormal(gaussian.mean, gaussian.covariance).log_prob(x) / 4 / math.log(2) - width
    torch.testing.assert_close(bits.double(), expected, atol=0.05, rtol=0)
    standard = MultivariateNormal(torch.full((4,), -0.3).double(), 0.4**2 * torch.eye(4).double())
    torch.testing.assert_close(prior.double(), -standard.log_prob(x) / 4 / math.log(2) - width, atol=1e-3, rtol=0)


def test_estimated_divergence_agrees_with_the_exact_one(monkeypatch: pytest.MonkeyPatch) -> None:
    gaussian = smooth_pixels(2, 0.25)
    model, pixels = pixel_model(gaussian, 2), torch.full((64, 1, 2, 2), 110, dtype=torch.uint8)
    exact, _ = image_bits(model, pixels, None, 12, 0)
    monkeypatch.setattr("latentarena.use.likelihood.FEW", 0)
    estimated, _ = image_bits(model, pixels, None, 12, 0)
    errors = estimated - exact
    assert float(errors.std()) > 0  # every image has probes of its own
    assert abs(float(errors.mean())) < 4 * float(errors.std()) / 8


def test_bits_of_latents_are_of_their_standardised_density() -> None:
    model = made(TINY)
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter.zero_()  # a silent network stands for N(0, I)
    model.scale.deviation.fill_(3.0)
    bits, prior = image_bits(model, embedded_digits().test.pixels[:5], None, 12, 0)
    torch.testing.assert_close(bits, prior, atol=2e-3, rtol=0)
    latents = model.scale(model.encode(embedded_digits().test.batch(slice(0, 5))))
    expected = (0.5 * latents.square().mean(1) + 0.5 * math.log(2 * math.pi)) / math.log(2)
    torch.testing.assert_close(prior, expected)


def test_dequantised_pixels_stay_in_their_bins() -> None:
    pixels = torch.arange(256, dtype=torch.uint8).repeat(64, 1)[:, None, None, :]
    values = dequantised(pixels, stream("bins"))
    assert torch.equal((values * 255).round().byte(), pixels)
    assert float((values * 255 - pixels).std()) == pytest.approx(math.sqrt(1 / 12), rel=0.02)


def test_interval_holds_the_truth_nineteen_times_of_twenty() -> None:
    draws = normal(2000, 50, key="bits", dtype=torch.float64) + 3
    held = 0
    for row in draws:
        low, high = Likelihood("m", "d", "bits", tuple(row.tolist()), 0.0, False, 1, 0).interval
        held += low <= 3 <= high
    assert held / 2000 == pytest.approx(0.95, abs=0.02)


# the commands


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder of an untrained model of the embedded digits for each kind."""
    data, folder = embedded_digits(), tmp_path_factory.mktemp("bundles")
    for kind, overrides in KINDS.items():
        model = made(overrides)
        latents = latent_statistics(model.autoencoder.encode(data.test.batch(slice(0, 100))))
        how = provenance({"data": {"name": "digits"}}, data.name, data.digest, latents)
        save_bundle(folder / kind, kind, model, how)
    return {kind: folder / kind for kind in KINDS}


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """The exit status of a command."""
    monkeypatch.setattr(sys, "argv", ["arena", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        main()
    return int(stop.value.code or 0)


def cells(columns: int, rows: int) -> tuple[int, int]:
    """The size of a grid of 28 x 28 images without words."""
    return columns * 58, rows * 58


PICTURES = [
    ("latent", ["interpolate", "--rows", 3, "--frames", 4], cells(4, 3)),
    ("latent", ["interpolate", "--from", "0,9", "--to", "5,5", "--frames", 3], cells(3, 2)),
    ("conditional", ["interpolate", "--rows", 3, "--frames", 4, "--labels", "7", "--guidance", 2], cells(4, 3)),
    ("conditional", ["interpolate", "--from", "0", "--to", "5", "--frames", 3], cells(3, 1)),
    ("pixels", ["inpaint", "--index", "0,1", "--fills", 2], cells(4, 2)),
    ("latent", ["inpaint", "--index", "354", "--hide", "top", "--fills", 3], cells(5, 1)),
    ("conditional", ["edit", "--index", "3,4", "--to", "0,1,2", "--strength", 0.5, "--guidance", 2], cells(5, 2)),
    ("latent", ["edit", "--index", "3", "--to", "8"], cells(3, 1)),
]


@pytest.mark.parametrize(("kind", "words", "size"), PICTURES)
def test_pictures_have_a_row_for_each_and_a_seed_stands_for_them(
    bundles: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    words: list[object],
    size: tuple[int, int],
) -> None:
    command, *rest = words
    for name in ("one", "again"):
        assert run(monkeypatch, command, bundles[kind], *rest, "--steps", 2, "--out", tmp_path / f"{name}.png") == 0
    rows = size[1] // 58
    with Image.open(tmp_path / "one.png") as picture:
        assert picture.size == (size[0], size[1] + rows * LINE)
        words = [picture.crop((0, row * (58 + LINE), size[0], row * (58 + LINE) + LINE)) for row in range(rows)]
        assert all(line.convert("L").getextrema()[0] < 128 for line in words)  # dark on white
    large = tmp_path / "large.png"
    assert run(monkeypatch, command, bundles[kind], *rest, "--steps", 2, "--scale", 3, "--out", large) == 0
    with Image.open(large) as picture:
        assert picture.size == (size[0] // 2 * 3, rows * (87 + LINE))
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "again.png").read_bytes()


def test_interpolation_as_a_film_goes_there_and_back(
    bundles: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "film.gif"
    assert (
        run(monkeypatch, "interpolate", bundles["latent"], "--rows", 4, "--frames", 5, "--steps", 1, "--out", path) == 0
    )
    with Image.open(path) as film:
        assert (film.n_frames, film.size) == (9, cells(4, 4))  # of 2 x 2 images, twice as large as in a picture


@pytest.mark.parametrize(
    ("kind", "unit"), [("latent", "bits per latent dimension"), ("pixels", "bits per pixel value")]
)
def test_likelihood_says_its_unit_and_writes_what_it_found(
    bundles: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kind: str,
    unit: str,
) -> None:
    card, picture = tmp_path / "new" / "found.json", tmp_path / "found.png"
    words = ["likelihood", bundles[kind], "-n", 4, "--steps", 2, "--json", card, "--out", picture]
    assert run(monkeypatch, *words) == 0
    found = json.loads(card.read_text())
    assert found["unit"] == unit
    assert unit in capsys.readouterr().out
    assert found["images"] == len(found["bits"]) == 4
    low, high = found["interval"]
    assert low < found["mean"] < high
    assert found["mean"] == pytest.approx(sum(found["bits"]) / 4)
    with Image.open(picture) as histogram:
        assert histogram.format == "PNG"


REFUSALS = [
    ("latent", ["interpolate", "--out", "x.jpg"], ["--out x.jpg", ".png or .gif"]),
    ("latent", ["interpolate", "--from", "0"], ["--from and --to go together"]),
    ("latent", ["interpolate", "--from", "0,1", "--to", "2"], ["--to 2", "--from names 2"]),
    ("latent", ["interpolate", "--from", "0", "--to", "9999"], ["--to 9999", "digits", "0 to 354"]),
    ("latent", ["interpolate", "--labels", "3"], ["--labels 3", "unconditional"]),
    ("latent", ["interpolate", "--guidance", "2"], ["--guidance 2", "leave --guidance out"]),
    ("conditional", ["interpolate", "--labels", "cat"], ["--labels cat", "0, 1, 2"]),
    ("latent", ["inpaint", "--out", "x"], ["--out x", "no suffix", ".png"]),
    ("latent", ["inpaint", "--index", "355"], ["--index 355", "0 to 354"]),
    ("latent", ["inpaint", "--index", "-1"], ["--index -1", "0 to 354"]),
    ("latent", ["inpaint", "--index", "one"], ["--index one", "0 to 354"]),
    ("latent", ["inpaint", "--index", ""], ["--index", "0 to 354"]),
    ("latent", ["inpaint", "--hide", "all"], ["--hide all", "left, right, top, bottom, middle"]),
    ("latent", ["inpaint", "--mask", "nowhere.png"], ["--mask nowhere.png", "No such file"]),
    ("latent", ["inpaint", "--mask", "text.png"], ["--mask text.png", "no picture"]),
    ("latent", ["inpaint", "--mask", "small.png"], ["--mask small.png", "9 x 7", "28 x 28"]),
    ("conditional", ["edit", "--to", "cat"], ["--to cat", "0, 1, 2"]),
    ("conditional", ["edit", "--to", "3", "--strength", "1.5"], ["--strength"]),
    ("conditional", ["edit"], ["--to"]),
    ("latent", ["edit", "--to", "3", "--guidance", "2"], ["--guidance 2", "leave --guidance out"]),
    ("latent", ["edit", "--to", "3", "--out", "x.gif"], ["--out x.gif", ".png"]),
    ("pixels", ["edit", "--to", "3"], ["unconditional", "pixel space", "generator.conditional=true"]),
    ("latent", ["likelihood", "-n", "1"], ["--number"]),
    ("latent", ["likelihood", "-n", "356"], ["--number 356", "355"]),
    ("latent", ["likelihood", "--out", "x.gif"], ["--out x.gif", ".png"]),
]


@pytest.mark.parametrize(("kind", "words", "fragments"), REFUSALS, ids=[" ".join(words) for _, words, _ in REFUSALS])
def test_what_cannot_be_done_is_one_line(
    bundles: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kind: str,
    words: list[str],
    fragments: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.png").write_text("no picture")
    Image.new("L", (9, 7)).save(tmp_path / "small.png")
    command, *rest = words
    assert run(monkeypatch, command, bundles[kind], *rest) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("arena: ")
    assert said.err.count("\n") == 1
    assert [part for part in fragments if part not in said.err] == []
    assert {path.name for path in tmp_path.iterdir()} == {"text.png", "small.png"}
