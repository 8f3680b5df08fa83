"""From noise to files: every kind of model trains, draws and is scored; files say what they should."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from PIL import Image
from torch import Tensor

from command import TINY
from latentarena.bundle import NativeBundle, save_bundle
from latentarena.data.digits import embedded_digits
from latentarena.errors import ConfigError, JudgeError, OutputError
from latentarena.evaluate.scoring import Panel, judge_bundle
from latentarena.judge.classifier import Judge
from latentarena.judge.subject import judge_labels
from latentarena.model import latent_model as model_module
from latentarena.model.latent_model import LatentModel, labels_for
from latentarena.pictures import BAR, LINE, grid, labelled
from latentarena.randomness import stream
from latentarena.run.pipeline import Prepared, prepare
from latentarena.train.shelter import Shelter
from latentarena.train.stages import train_model
from latentarena.use.sampling import chosen_labels, sample_to_file

SIDE = 28
CONV = "generator.backbone={kind: conv, width: 4, depth: 1}"
KINDS: dict[str, tuple[list[str], tuple[int, ...]]] = {
    "linear": (TINY, (6,)),
    "conditional": ([*TINY, "generator.conditional=true"], (6,)),
    "spatial": ([*TINY[1:2], *TINY[4:], "autoencoder.latent=[1,7,7]", CONV], (1, 7, 7)),
    "conditional spatial": (
        [*TINY[1:2], *TINY[4:], "autoencoder.latent=[2,7,7]", CONV, "generator.conditional=true"],
        (2, 7, 7),
    ),
    "pixels": (
        ["autoencoder={kind: identity}", "training.autoencoder=null", "training.generator.epochs=1", CONV],
        (1, SIDE, SIDE),
    ),
}
Make = Callable[[str], tuple[Prepared, NativeBundle]]


@pytest.fixture(scope="module")
def make(tiny_bundle: NativeBundle, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Train a kind of model and bundle it, once."""
    made: dict[str, tuple[Prepared, NativeBundle]] = {}

    def of(kind: str) -> tuple[Prepared, NativeBundle]:
        if kind not in made:
            folder = tmp_path_factory.mktemp(kind.replace(" ", "-")) / "run"
            prepared = prepare("quickstart-digits", KINDS[kind][0], folder, None, resume=False)
            data = prepared.data
            model = LatentModel(prepared.recipe.architecture(data.shape, data.classes), prepared.recipe.seed)
            fabric = Fabric(accelerator="cpu", devices=1)
            train_model(prepared.recipe, model, data, fabric, Shelter(folder), lambda ticks, stage: ticks)
            made[kind] = (
                prepared,
                save_bundle(folder / "bundle", prepared.recipe.name, model, tiny_bundle.card.provenance),
            )
        return made[kind]

    return of


def draw(
    bundle: NativeBundle, path: Path, n: int = 7, seed: int = 0, labels: str | None = None, steps: int = 2
) -> Path:
    sample_to_file(bundle, path, n, seed, labels, bundle.card.architecture.sampling.but(steps=steps))
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_model_trains_draws_and_is_scored(make: Make, kind: str, digits_judge: Judge) -> None:
    prepared, bundle = make(kind)
    assert bundle.card.latent == bundle.model.latent_shape == KINDS[kind][1]
    card = judge_bundle(bundle, Panel(prepared.data, digits_judge), samples=100, timed=False).card
    scores = card.model_dump(mode="json")["scores"]
    assert scores
    learned = "identity" not in KINDS[kind][0][0]
    assert set(bundle.card.parameters) == {"encoder", "decoder", "generator"}
    assert (bundle.card.parameters["encoder"] > 0) == learned
    assert bundle.card.parameters["generator"] > 0


@pytest.mark.parametrize("kind", KINDS)
def test_arrays_are_images_and_only_conditional_models_have_labels(make: Make, kind: str, tmp_path: Path) -> None:
    _, bundle = make(kind)
    arrays = np.load(draw(bundle, tmp_path / "x.npz", n=13))
    conditional = "conditional" in kind
    assert set(arrays) == {"images", "labels"} if conditional else {"images"}
    assert arrays["images"].dtype == np.float32
    assert arrays["images"].shape == (13, 1, SIDE, SIDE)
    assert arrays["images"].min() >= 0
    assert arrays["images"].max() <= 1
    if conditional:
        assert arrays["labels"].tolist() == [i % 10 for i in range(13)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("chunk", [1, 4, 1000])
def test_images_do_not_depend_on_the_chunk(make: Make, kind: str, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make(kind)[1].model
    noise, labels = model.noise(9, seed=1), labels_for(model, 9)
    whole = model.generate(noise, labels, model.architecture.sampling.but(steps=2))
    monkeypatch.setattr(model_module, "CHUNK", chunk)
    torch.testing.assert_close(
        model.generate(noise, labels, model.architecture.sampling.but(steps=2)), whole, rtol=0, atol=1e-5
    )
    torch.testing.assert_close(model.decode(model.encode(whole)), model.decode(model.encode(whole[:9])))


@pytest.mark.parametrize("kind", KINDS)
def test_one_image_alone_is_that_image_among_others(make: Make, kind: str) -> None:
    model = make(kind)[1].model
    noise, labels = model.noise(5, seed=1), labels_for(model, 5)
    alone = model.generate(
        noise[3:4], None if labels is None else labels[3:4], model.architecture.sampling.but(steps=2)
    )
    torch.testing.assert_close(
        alone, model.generate(noise, labels, model.architecture.sampling.but(steps=2))[3:4], rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("kind", KINDS)
def test_the_last_of_a_trajectory_is_what_is_generated(make: Make, kind: str) -> None:
    model = make(kind)[1].model
    noise, labels = model.noise(4, seed=1), labels_for(model, 4)
    latents = list(model.trajectory(noise, labels, model.architecture.sampling.but(steps=3)))
    assert len(latents) == 4
    torch.testing.assert_close(latents[0], model.scale.invert(noise))
    assert torch.equal(
        model.decode(latents[-1]), model.generate(noise, labels, model.architecture.sampling.but(steps=3))
    )


@pytest.mark.parametrize("kind", ["conditional", "conditional spatial"])
def test_the_label_changes_the_image(make: Make, kind: str) -> None:
    model = make(kind)[1].model
    noise = model.noise(4, seed=1)
    zeros, ones = (model.generate(noise, torch.full((4,), label)) for label in (0, 1))
    assert not torch.equal(zeros, ones)


@pytest.mark.parametrize("suffix", [".png", ".gif", ".npz"])
def test_a_seed_stands_for_its_images(tiny_bundle: NativeBundle, tmp_path: Path, suffix: str) -> None:
    one, again, other = (
        draw(tiny_bundle, tmp_path / f"{name}{suffix}", seed=seed) for name, seed in (("a", 3), ("b", 3), ("c", 4))
    )
    assert one.read_bytes() == again.read_bytes() != other.read_bytes()


@pytest.mark.parametrize(("n", "columns", "rows"), [(1, 1, 1), (2, 2, 1), (7, 3, 3), (9, 3, 3), (10, 4, 3)])
def test_png_is_a_grid_with_room_for_all(
    tiny_bundle: NativeBundle, tmp_path: Path, n: int, columns: int, rows: int
) -> None:
    picture = Image.open(draw(tiny_bundle, tmp_path / "x.png", n=n))
    picture.load()
    cell = 2 * (SIDE + 1)  # a line of one pixel between images, all doubled
    assert (picture.format, picture.mode, picture.size) == ("PNG", "L", (columns * cell, rows * cell))


@pytest.mark.parametrize("channels", [1, 3])
def test_grid_shows_each_image_in_its_place(channels: int) -> None:
    images = torch.rand(5, channels, 8, 6, generator=torch.Generator().manual_seed(0))
    shown = np.asarray(grid(images, columns=3, zoom=1)).reshape(2 * 9, 3 * 7, channels)
    for i, image in enumerate(images):
        row, column = divmod(i, 3)
        place = shown[row * 9 + 1 : row * 9 + 9, column * 7 + 1 : column * 7 + 7]
        assert np.array_equal(place, image.permute(1, 2, 0).mul(255).round().byte().numpy())


@pytest.mark.parametrize("steps", [1, 5])
def test_gif_has_a_frame_for_every_time(tiny_bundle: NativeBundle, tmp_path: Path, steps: int) -> None:
    film = Image.open(draw(tiny_bundle, tmp_path / "x.gif", n=4, steps=steps))
    assert film.format == "GIF"
    assert film.n_frames == steps + 1
    assert film.size == (2 * 4 * (SIDE + 1), 2 * 4 * (SIDE + 1) + BAR)  # four times as large, below the time


@pytest.mark.parametrize(("name", "most"), [("x.png", 10_000), ("x.gif", 1_000), ("x.npz", (1 << 30) // (4 * 784))])
def test_more_images_than_a_file_holds_are_refused_before_any_is_drawn(
    tiny_bundle: NativeBundle, tmp_path: Path, name: str, most: int
) -> None:
    with pytest.raises(ConfigError, match=f"holds at most {most:,}"):
        sample_to_file(tiny_bundle, tmp_path / name, most + 1, 0, None)
    assert not (tmp_path / name).exists()


def test_gif_ends_with_the_picture_of_the_samples(tiny_bundle: NativeBundle, tmp_path: Path) -> None:
    film = Image.open(draw(tiny_bundle, tmp_path / "x.gif", n=4, steps=3))
    film.seek(film.n_frames - 1)
    still = Image.open(draw(tiny_bundle, tmp_path / "x.png", n=4, steps=3))
    assert np.array_equal(np.asarray(film.convert("L"))[BAR::2, ::2], np.asarray(still))


@pytest.mark.parametrize("n", [499, 500, 501, 1003])
def test_any_number_of_images(tiny_bundle: NativeBundle, tmp_path: Path, n: int) -> None:
    images = np.load(draw(tiny_bundle, tmp_path / "x.npz", n=n, steps=1))["images"]
    assert len(images) == n
    assert len(np.unique(images.reshape(n, -1), axis=0)) == n


def test_chosen_labels_come_in_turn(make: Make) -> None:
    model = make("conditional")[1].model
    assert chosen_labels(model, 5, "3").tolist() == [3, 3, 3, 3, 3]
    assert chosen_labels(model, 5, "0,7").tolist() == [0, 7, 0, 7, 0]
    assert chosen_labels(model, 1, "0,7").tolist() == [0]
    assert chosen_labels(model, 11, None).tolist() == [*range(10), 0]


def test_labels_that_a_model_does_not_know_are_refused(make: Make, tiny_bundle: NativeBundle) -> None:
    with pytest.raises(ConfigError, match="--labels 12: no such class; choose from 0, 1"):
        chosen_labels(make("conditional")[1].model, 5, "3,12")
    with pytest.raises(ConfigError, match="unconditional; leave --labels out"):
        chosen_labels(tiny_bundle.model, 5, "3")


def test_what_cannot_be_written_or_drawn_is_refused(tiny_bundle: NativeBundle, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\.jpg is not \.png or \.gif or \.mp4 or \.npz"):
        draw(tiny_bundle, tmp_path / "x.jpg")
    with pytest.raises(ConfigError, match=r"rk5.*euler.*heun"):
        tiny_bundle.card.architecture.sampling.but(solver="rk5")
    with pytest.raises(ConfigError, match="nothing to be guided by; leave --guidance out"):
        sample_to_file(
            tiny_bundle, tmp_path / "x.png", 1, 0, None, tiny_bundle.card.architecture.sampling.but(guidance=2)
        )
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot write"):
        draw(tiny_bundle, tmp_path / "file" / "x.png")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_model_whose_images_are_not_finite_is_refused_in_one_line(
    tiny_bundle: NativeBundle, digits_judge: Judge
) -> None:
    data = embedded_digits()
    broken = copy.deepcopy(tiny_bundle)
    with torch.no_grad():
        for parameter in broken.model.parameters():
            parameter.fill_(math.nan)
    with pytest.raises(JudgeError, match="not finite"):
        judge_bundle(broken, Panel(data, digits_judge), samples=100, timed=False)


def test_judged_labels_are_in_the_proportions_of_the_data() -> None:
    labels = judge_labels(torch.tensor([0.7, 0.1, 0.2]), 1000, stream("labels"))
    assert labels.bincount().tolist() == [700, 100, 200]
    assert labels[:100].unique().tolist() == [0, 1, 2]  # in no order


def test_eta_leads_from_ddim_to_ddpm_and_from_the_ode_to_the_sde(tiny_bundle: NativeBundle) -> None:
    model, noise = tiny_bundle.model, tiny_bundle.model.noise(4, 0)

    def drawn(solver: str, eta: float | None = None) -> Tensor:
        return model.generate(noise, None, model.architecture.sampling.but(solver, 4, grid="quadratic", eta=eta), 1)

    assert torch.equal(drawn("ddim", 0.0), drawn("ddim"))
    assert torch.equal(drawn("ddim", 1.0), drawn("ddpm"))
    assert torch.equal(drawn("sde", 1.0), drawn("sde"))
    torch.testing.assert_close(drawn("sde", 0.0), drawn("euler"))
    between = drawn("ddim", 0.5)
    assert not torch.equal(between, drawn("ddim"))
    assert not torch.equal(between, drawn("ddpm"))


def test_eta_is_of_the_solvers_that_have_one(tiny_bundle: NativeBundle) -> None:
    own = tiny_bundle.card.sampling
    with pytest.raises(ConfigError, match=r"eta = 0\.5: heun has none; leave it out or choose from ddim, sde"):
        own.but("heun", eta=0.5)
    assert own.but("ddim", eta=0.5).but("heun").eta is None
    assert own.but("ddim", eta=0.5).but("ddim", 3).eta == 0.5
    assert [own.but(*one).stochastic for one in (("ddim",), ("ddpm",), ("sde",))] == [False, True, True]
    assert own.but("ddim", eta=0.5).stochastic
    assert not own.but("sde", eta=0).stochastic


@pytest.mark.parametrize("solver", ["ddpm", "sde"])
def test_stochastic_solvers_follow_the_seed(solver: str, tiny_bundle: NativeBundle) -> None:
    model, noise = tiny_bundle.model, tiny_bundle.model.noise(4, 0)
    how = model.architecture.sampling.but(solver=solver, steps=4)
    first, again, other = (model.generate(noise, None, how, seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_words_stand_above_images_and_change_none_of_them() -> None:
    images = torch.rand(5, 1, 28, 28, generator=stream("images"))
    plain, named = grid(images, 3), labelled(images, ["zero", "one", "a word that is far too long", "", ""], 3)
    assert named.size == (plain.width, plain.height + LINE)  # the second row has no words
    assert named.crop((0, LINE, *named.size)).tobytes() == plain.tobytes()
    low, high = named.crop((58, 0, 116, LINE)).getextrema()
    assert low < 128 < high
    assert labelled(images, [], 3).tobytes() == plain.tobytes()
