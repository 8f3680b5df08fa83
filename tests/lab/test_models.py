"""Models and judging from Python: what the command line does, by the same functions."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import latentarena as la
from latentarena.card.score_card import read_card
from latentarena.data.digits import embedded_digits
from latentarena.judge.classifier import Judge
from latentarena.train.recipe import to_yaml
from untrained import native


@pytest.fixture(scope="module")
def conditional(tmp_path_factory: pytest.TempPathFactory) -> la.Model:
    folder = tmp_path_factory.mktemp("conditional")
    native(
        folder, "quickstart-digits", "generator.conditional=true", "autoencoder={kind: mlp, latent: [3], widths: [8]}"
    )
    return la.load(folder)


def test_a_loaded_model_is_the_bundles(tiny_run: Path) -> None:
    model = la.load(str(tiny_run))
    inner = model.bundle.model
    assert torch.equal(model.sample(5, seed=3), inner.generate(inner.noise(5, 3)))
    few = inner.generate(inner.noise(5, 3), None, inner.architecture.sampling.but(solver="euler", steps=2))
    assert torch.equal(model.sample(5, seed=3, solver="euler", steps=2), few)
    latents = model.encode(model.sample(2))
    assert latents.shape == (2, *model.latent_shape)
    assert model.decode(latents).shape == (2, *model.image_shape)
    assert (model.name, model.classes) == (model.bundle.card.name, inner.classes)


def test_what_a_notebook_shows_of_an_object_is_one_line() -> None:
    model, data = la.load("zoo:digits"), embedded_digits()
    card = model.score_card
    assert card is not None
    stored = sum(model.bundle.card.parameters.values())
    frechet = f"Frechet distance {card.scores['frechet']:.4f}"
    lines: list[tuple[object, ...]] = [
        (model, f"Model {model.name!r}", "images 1 x 28 x 28", "latents ", f"{stored:,} stored numbers", frechet),
        (model.bundle, model.bundle.digest[:12], repr(model.name), f"{stored:,} stored numbers"),
        (card, f"ScoreCard {card.model!r}", f"judged by {card.judge} on digits", frechet),
        (data, "Dataset 'digits'", "1,442 train and 355 test images 1 x 28 x 28", "10 classes (0, 1, 2,"),
        (data.test, "355 Images: 1 x 28 x 28"),
        (la.Recipe.load("quickstart-digits"), "Recipe 'quickstart-digits'", "trained on digits", "autoencoder "),
    ]
    for one, *facts in lines:
        thing = repr(one)
        assert [fact for fact in facts if str(fact) not in thing] == []
        assert str(one) == thing
        assert len(thing) < 250
        assert "\n" not in thing
    assert f'<td class="value">{card.scores["frechet"].value:.4f}<small>' in card._repr_html_()


def test_a_loaded_model_has_the_card_of_its_run_if_it_is_its_own(tiny_run: Path, tmp_path: Path) -> None:
    of_run = la.load(tiny_run)
    assert of_run.score_card is not None
    assert la.load(tiny_run / "bundle").score_card == of_run.score_card == read_card(tiny_run / "score.json")
    shipped = la.load("zoo:digits").score_card
    assert shipped is not None
    assert shipped.dataset == "digits"
    (tmp_path / "run").mkdir()
    shutil.copytree(tiny_run / "bundle", tmp_path / "run" / "bundle")
    assert la.load(tmp_path / "run").score_card is None
    (tmp_path / "run" / "score.json").write_text(shipped.model_dump_json())
    assert la.load(tmp_path / "run").score_card is None  # another model's


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (torch.rand(2, 3, 8, 8), r"are \[2, 3, 8, 8\]; this model takes \[N, 1, 8, 8\]"),
        (torch.rand(8, 8), r"are \[8, 8\]"),
        (torch.zeros(2, 1, 8, 8, dtype=torch.uint8), "are uint8; give float"),
        (255 * torch.ones(2, 1, 8, 8), r"reach from 255 to 255; give them in \[0, 1\]"),
        (np.zeros((2, 1, 8, 8)), "are a ndarray"),
    ],
)
def test_what_cannot_be_encoded_is_one_line(conditional: la.Model, rows: Any, says: str) -> None:
    with pytest.raises(la.ArenaError, match=says):
        conditional.encode(rows)
    with pytest.raises(la.ArenaError, match=r"latents are .*(takes \[N, 3\]|give a tensor)"):
        conditional.decode(rows)


@pytest.mark.parametrize(
    ("labels", "numbers"),
    [
        ("3,7", [3, 7, 3, 7, 3]),
        (4, [4] * 5),
        ([1, "2"], [1, 2, 1, 2, 1]),
        (torch.tensor([9, 8, 7, 6, 5]), [9, 8, 7, 6, 5]),
        (np.array([3, 7], dtype=np.int32), [3, 7, 3, 7, 3]),
        ([np.int64(3), "7"], [3, 7, 3, 7, 3]),
        (np.int32(4), [4] * 5),
        (None, [0, 1, 2, 3, 4]),
    ],
)
def test_labels_as_people_write_them(conditional: la.Model, labels: object, numbers: list[int]) -> None:
    inner = conditional.bundle.model
    expected = inner.generate(inner.noise(5, 0), torch.tensor(numbers))
    assert torch.equal(conditional.sample(5, labels=labels), expected)


def test_drawing_is_what_the_command_draws(conditional: la.Model, tmp_path: Path) -> None:
    said = conditional.draw(tmp_path / "x.npz", 5, labels=[3, 4], steps=2, guidance=2.0)
    assert "5 images" in said
    drawn = np.load(tmp_path / "x.npz")["images"]
    images = conditional.sample(5, labels="3,4", steps=2, guidance=2.0)
    assert np.abs(drawn / (255 if drawn.dtype == np.uint8 else 1) - images.numpy()).max() < 0.01


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"labels": "cat"}, "labels = cat: no such class"),
        ({"labels": 10}, "labels = 10: no such class"),
        ({"labels": []}, "labels are empty"),
        ({"labels": 3.0}, "labels = 3.0: no such class"),
        ({"labels": True}, "labels = True: no such class"),
        ({"labels": [None]}, "labels = None: no such class"),
        ({"labels": object()}, "no such class"),
        ({"seed": 1.5}, "seed = 1.5: take a whole number, 0 or more"),
        ({"seed": -1}, "seed = -1: take a whole number"),
        ({"seed": None}, "seed = None: take a whole number"),
        ({"solver": "rk5"}, "rk5"),
        ({"n": 0}, "n = 0"),
        ({"steps": 0}, "steps"),
        ({"labels": "3,cat"}, "^labels = cat: no such class"),
    ],
)
def test_what_a_model_cannot_draw_is_one_line(conditional: la.Model, options: dict[str, object], says: str) -> None:
    with pytest.raises(la.ArenaError, match=says) as refusal:
        conditional.sample(**options)
    assert "\n" not in str(refusal.value)


def test_refusals_name_keywords(tiny_run: Path, tmp_path: Path) -> None:
    model = la.load(tiny_run)
    with pytest.raises(la.ArenaError, match=r"^guidance = 2\.0: this model .*; leave guidance out$"):
        model.sample(1, guidance=2.0)
    with pytest.raises(la.ArenaError, match=r"^labels = 3: this model is unconditional; leave labels out"):
        model.draw(tmp_path / "a.png", labels="3")
    with pytest.raises(la.ArenaError, match=r"^n = 10001: .*; choose path FILE\.npz, or fewer$"):
        model.draw(tmp_path / "a.png", n=10_001)
    with pytest.raises(la.ArenaError, match=r"^path = .*\.jpg: "):
        model.draw(tmp_path / "a.jpg")


def test_numbers_of_another_type_are_taken_or_refused_in_a_line(tiny_run: Path) -> None:
    model = la.load(tiny_run)
    images = torch.rand(3, *model.image_shape, dtype=torch.float64)
    latents = model.encode(images)
    assert torch.equal(latents, model.encode(images.float()))
    assert torch.equal(model.decode(latents.double()), model.decode(latents))
    assert torch.equal(model.sample(np.int64(2)), model.sample(2))  # type: ignore[arg-type]
    with pytest.raises(la.ArenaError, match=r"^images are none; give one or more$"):
        model.encode(images[:0])
    with pytest.raises(la.ArenaError, match=r"^n = 2\.5: take a whole number"):
        model.sample(2.5)  # type: ignore[arg-type]
    with pytest.raises(la.ArenaError, match=r"^a NoneType is no model: give a model"):
        la.load(None)  # type: ignore[arg-type]


def test_what_is_no_bundle_is_one_line(tmp_path: Path) -> None:
    for source, says in ((tmp_path / "nothing", "cannot read"), ("zoo:quickstat", "did you mean zoo:quickstart")):
        with pytest.raises(la.ArenaError, match=says):
            la.load(source)


def test_a_recipe_with_values_of_python_is_trained_and_gone_on_with(tmp_path: Path) -> None:
    small = {"latent": [4], "widths": [4, 8]}
    lengths = {"training.autoencoder.epochs": 0.1, "training": {"generator": {"epochs": 1}}}
    how = {"folder": tmp_path / "run", "judged": False, "progress": False, "autoencoder": small} | lengths
    model = la.train("quickstart-digits", seed=3, **how)
    recipe = la.Recipe.model_validate(model.bundle.card.provenance.recipe)
    assert (recipe.seed, recipe.autoencoder.latent, recipe.training.generator.epochs) == (3, (4,), 1)
    assert recipe.training.generator.batch == 256  # the rest of a mapping stays
    assert model.score_card is None
    with pytest.raises(la.ArenaError, match="holds a run already"):
        la.train(recipe, folder=tmp_path / "run", judged=False, progress=False)
    again = la.train(recipe, folder=tmp_path / "run", judged=False, progress=False, resume=True)
    assert torch.equal(again.sample(3), model.sample(3))


def test_a_recipe_is_loaded_by_its_name_or_file(tmp_path: Path) -> None:
    recipe = la.Recipe.load("quickstart-digits", seed=3, sampling={"steps": 2}, **{"training.generator.lr": 0.01})
    assert (recipe.seed, recipe.sampling.steps, recipe.training.generator.lr) == (3, 2, 0.01)
    assert recipe.data.name == "digits"
    (tmp_path / "mine.yaml").write_text(to_yaml(recipe))
    assert la.Recipe.load(tmp_path / "mine.yaml") == recipe
    with pytest.raises(la.ArenaError, match=r"recipe 'quickstrt'.*did you mean 'quickstart'"):
        la.Recipe.load("quickstrt")


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        ({"out": "x"}, "^out = 'x': what the command calls out is folder= here$"),
        ({"plugin": "mine.py"}, r"^plugin = 'mine.py': what the command calls plugin is parts=\[...\] here$"),
        ({"budget": 0}, "^budget = 0: the factor on the epochs has to be above 0$"),
        ({"sed": 1}, "unknown key 'sed'; did you mean"),
        ({"latent": [4]}, "unknown key 'latent'; did you mean autoencoder.latent"),
        ({"generator.lr": 1}, r"'generator.lr'; did you mean training\.autoencoder\.lr or training\.generator\.lr"),
        ({"generator.backbone.width": "wide"}, r"generator\.backbone\.width = "),
        ({"data.name.more": 1}, "'name' holds a value, not keys"),
        ({"training": {"generator": {"lr": 7}}}, r"training\.generator\.lr = 7"),
    ],
)
def test_a_wrong_override_is_one_line(tmp_path: Path, overrides: dict[str, object], says: str) -> None:
    with pytest.raises(la.ArenaError, match=says):
        la.train("quickstart-digits", folder=tmp_path / "x", **overrides)
    assert not (tmp_path / "x").exists()


def test_a_model_is_judged_as_by_the_command(tiny_run: Path, digits_judge: Judge) -> None:
    card = la.judge(tiny_run, samples=200, timed=False, progress=False)
    assert card.samples == 200
    again = la.judge(la.load(tiny_run), samples=200, timed=False, progress=False)
    assert card.fingerprint == again.fingerprint


def test_images_have_the_sample_half_of_the_card(tiny_run: Path, digits_judge: Judge) -> None:
    data = embedded_digits()
    card = la.judge(tiny_run, samples=200, timed=False, progress=False)
    bytes_of = data.test.pixels[:200].numpy()
    real, noise = (la.judge(one, dataset="digits", progress=False) for one in (bytes_of, torch.rand(200, 1, 28, 28)))
    assert set(real) == {name for name in card.scores if name in real}
    assert {"frechet", "precision", "recall", "coverage", "confidence"} <= set(real)
    assert real["frechet"].value < 2 * real["frechet"].real.high
    assert noise["frechet"].value > 10 * real["frechet"].value
    again = la.judge(data.test.images[:200, 0], dataset="digits", progress=False)
    assert again["frechet"] == real["frechet"]


@pytest.mark.parametrize(
    ("images", "options", "says"),
    [
        (torch.zeros(200, 784), {}, "images are .200, 784"),
        (torch.zeros(5, 1, 28, 28), {}, "give at least 100"),
        (torch.zeros(200, 1, 8, 8), {}, "shape"),
        (2 * torch.ones(200, 1, 28, 28), {}, "outside the declared range"),
        (torch.full((200, 1, 28, 28), torch.nan), {}, "not finite"),
        ("nowhere", {"dataset": "digits"}, "a bundle names its own"),
        ([[0.0]], {}, "a list is no model: give a model, a bundle's path, or, to la.judge, an array"),
        (__file__, {}, "bundle"),
        (torch.zeros(200, 1, 28, 28), {"samples": 5}, "samples, timed and waterfall are for models"),
        (torch.zeros(200, 1, 28, 28), {"against": "x.npz"}, "against = 'x.npz': give an array of images, or None"),
        (Path(__file__).parents[2] / "docs" / "gallery", {}, "holds images: give them as an array"),
        (
            torch.zeros(200, 1, 28, 28),
            {"features": "dinov2-smal"},
            "features = dinov2-smal: did you mean 'dinov2-small'",
        ),
    ],
)
def test_what_cannot_be_judged_is_one_line(
    images: object, options: dict[str, str], says: str, digits_judge: Judge
) -> None:
    with pytest.raises(la.ArenaError, match=says):
        la.judge(images, **{"dataset": "digits", "progress": False, **options})


def test_datasets_by_name() -> None:
    assert {"mnist", "digits", "folder:PATH"} <= set(la.datasets.names())
    data = la.datasets.load("digits")
    assert data.digest == embedded_digits().digest
    assert torch.equal(data.test.images, data.test.batch(slice(None)))
    with pytest.raises(la.ArenaError, match=r"datasets\.load: dataset 'cats' is unknown"):
        la.datasets.load("cats")
