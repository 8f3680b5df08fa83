"""The zoo: its index fits its files, every model opens and samples, and what was changed is refused."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import latentarena as la
from latentarena import zoo
from latentarena.arena.client import pack
from latentarena.bundle import BOXED, OWN, open_bundle
from latentarena.card.words import references
from latentarena.cli.options import complete_zoo
from latentarena.errors import BundleError, ConfigError
from latentarena.train.recipe import load_recipe
from latentarena.use.contact import zoo_to_file

NAMES = list(zoo.zoo_models())
LARGEST = 10_000_000  # bytes of all


def test_the_index_lists_every_file_and_no_other() -> None:
    listed = {f"{name}/{file}" for name, kept in zoo.zoo_models().items() for file in kept.files}
    there = {path.relative_to(zoo.MODELS).as_posix() for path in zoo.MODELS.rglob("*") if path.is_file()}
    assert listed == there - {"index.json"}


def test_all_of_it_is_small() -> None:
    assert sum(path.stat().st_size for path in zoo.MODELS.rglob("*") if path.is_file()) <= LARGEST


@pytest.mark.parametrize("name", NAMES)
def test_a_model_opens_and_samples_and_the_card_beside_it_is_its_own(name: str) -> None:
    model = la.load(f"zoo:{name}")
    images = model.sample(2, steps=1)
    assert images.shape == (2, *model.image_shape)
    assert 0 <= float(images.min()) < float(images.max()) <= 1
    card, made = zoo.zoo_card(name), model.bundle.card.provenance
    assert (card.bundle, card.samples, card.computed_officially) == (model.bundle.digest, 10_000, True)
    assert made is not None
    assert made.data == card.data


@pytest.mark.parametrize("name", NAMES)
def test_a_model_was_trained_for_all_the_epochs_of_the_recipe_that_it_names(name: str) -> None:
    kept, made = zoo.zoo_models()[name], la.load(f"zoo:{name}").bundle.card.provenance
    assert made is not None
    assert kept.command == f"arena train {kept.recipe}"
    for stage, config in load_recipe(kept.recipe).training.stages().items():
        if stage in made.recipe["training"]:  # the rounds of reflow are stages of one part of the recipe
            assert made.recipe["training"][stage]["epochs"] == config.epochs


@pytest.mark.parametrize("name", NAMES)
def test_a_model_is_suspected_of_nothing(name: str) -> None:
    assert {one.verdict for one in zoo.zoo_card(name).checks} <= {"clear", "noted"}


def test_the_model_that_others_are_drawn_beside_is_the_quickstart_of_the_zoo() -> None:
    card = zoo.zoo_card("quickstart")
    assert references(card.dataset) == {"quickstart": card.points}


def test_a_stranger_may_send_one_in() -> None:
    assert open_bundle(Path("zoo:quickstart"), trust=BOXED).digest == la.load("zoo:quickstart").bundle.digest


def test_what_is_submitted_is_the_bundle(tmp_path: Path) -> None:
    (tmp_path / "sent.zip").write_bytes(pack(Path("zoo:quickstart")))
    assert open_bundle(tmp_path / "sent.zip", trust=OWN).digest == la.load("zoo:quickstart").bundle.digest


@pytest.mark.parametrize("file", ["bundle/weights.safetensors", "bundle/card.json", "score.json"])
def test_a_changed_byte_is_refused(file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(zoo.MODELS, tmp_path / "models")
    monkeypatch.setattr(zoo, "MODELS", tmp_path / "models")
    path = tmp_path / "models" / "quickstart" / file
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleError, match=f"zoo:quickstart: .*{Path(file).name} is not the file that was shipped"):
        la.load("zoo:quickstart")
    path.unlink()
    with pytest.raises(BundleError, match="No such file"):
        la.load("zoo:quickstart")


@pytest.mark.parametrize(("name", "hint"), [("quikstart", "did you mean zoo:quickstart?"), ("", "it has quickstart")])
def test_another_name_is_refused_with_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        la.load(f"zoo:{name}")
    assert hint in str(caught.value)


def test_names_are_completed() -> None:
    assert complete_zoo("zoo:quick") == ["zoo:quickstart"]
    assert complete_zoo("") == [f"zoo:{name}" for name in NAMES]


def test_a_contact_sheet_has_a_row_for_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = dict(list(zoo.zoo_models().items())[:1])
    monkeypatch.setattr("latentarena.use.contact.zoo_models", lambda: few)
    assert zoo_to_file(tmp_path / "zoo.png", 3, 0) == "3 samples of each of 1 models, seed 0"
    assert Image.open(tmp_path / "zoo.png").width >= 3 * 28


def test_a_first_picture_loads_no_more_than_it_needs(tmp_path: Path) -> None:
    """A second of three: the compiler of torch, which building on the meta device loads, and the judge."""
    command = ["arena", "sample", "zoo:quickstart", "-n", "4", "--out", str(tmp_path / "first.png")]
    code = f"import sys, atexit; sys.argv = {command}; atexit.register(lambda: print(*sys.modules)); "
    run = subprocess.run(
        [sys.executable, "-c", code + "from latentarena.cli import main; main()"], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    loaded = set(run.stdout.split())
    assert (tmp_path / "first.png").exists()
    unwanted = {"torch._dynamo", "scipy", "sklearn", "matplotlib", "latentarena.judge", "latentarena.evaluate"}
    assert unwanted.isdisjoint(loaded)
    assert "torch" in loaded
