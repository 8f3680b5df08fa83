"""Submissions of the 2025 form in real boxes: what they give, what they cannot do, and what becomes of their faults."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor

from latentarena.bundle.legacy import LegacyBundle, LegacyModel, load_legacy, read_submission
from latentarena.errors import GateError

from .sample_submission import FLOW, SOURCE, VAE, submission, weights

boxed = pytest.mark.usefixtures("tier2")
SLOPE = 0.01  # of a leaky ReLU


def zipped(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, file.name)
    return path


def dense(part: dict[str, Tensor], names: list[str], rows: Tensor) -> Tensor:
    """A chain of linear layers with leaky ReLUs between, by hand."""
    for i, name in enumerate(names):
        rows = rows @ part[f"{name}.weight"].T + part[f"{name}.bias"]
        rows = torch.where(rows > 0, rows, SLOPE * rows) if i < len(names) - 1 else rows
    return rows


def encoded(images: Tensor) -> Tensor:
    return dense(weights()[VAE], ["encoder.0", "encoder.2", "encoder.4"], images.flatten(1))[:, :3]


def decoded(latents: Tensor) -> Tensor:
    return dense(weights()[VAE], ["decoder.0", "decoder.2", "decoder.4"], latents).sigmoid().view(-1, 1, 28, 28)


def flown(noise: Tensor, points: int) -> Tensor:
    flow, times = weights()[FLOW], torch.linspace(0, 1, points)
    for t, later in pairwise(times):
        told = torch.cat([noise, t.expand(len(noise), 1)], 1)
        noise = noise + (later - t) * dense(flow, ["layers.0", "layers.2.0", "layers.3.0", "layers.4"], told)
    return decoded(noise)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return submission(tmp_path_factory.mktemp("dense")).parent


@pytest.fixture(scope="module")
def loaded(tier2: None, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LegacyBundle]:
    with load_legacy(zipped(folder, tmp_path_factory.mktemp("zip") / "team.zip")) as bundle:
        yield bundle


@boxed
def test_the_sample_works_unchanged(loaded: LegacyBundle) -> None:
    images = torch.rand(600, 1, 28, 28, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(loaded.model.encode(images), encoded(images), atol=1e-5, rtol=1e-5)
    latents = torch.randn(600, 3, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(loaded.model.decode(latents), decoded(latents), atol=1e-5, rtol=1e-5)
    torch.manual_seed(7)  # as the box does
    expected = flown(torch.randn(5, 3), 100)
    torch.testing.assert_close(loaded.model.generate(torch.zeros(5, 3), seed=7), expected, atol=1e-4, rtol=0)


@boxed
def test_the_card_says_what_is_unverified_and_nothing_private(loaded: LegacyBundle) -> None:
    card = loaded.card
    assert (card.name, card.latent, card.sampling.steps, card.logits) == ("dense", (3,), 100, True)
    assert card.parameters == {"vae": 436_182, "flow_model": 2_371}
    assert "self-declared" in card.notice
    assert "unverified" in card.notice
    assert "Private" not in card.model_dump_json()


@boxed
def test_the_same_seed_gives_the_same_images_and_another_seed_others(loaded: LegacyBundle) -> None:
    rows = torch.zeros(501, 3)
    first, again, other = (loaded.model.generate(rows, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.unique(dim=0).shape[0] == 501  # the second chunk does not repeat the first


@boxed
def test_a_notebook_is_the_same_submission(loaded: LegacyBundle, tmp_path: Path) -> None:
    path = submission(tmp_path, SOURCE, "dense.ipynb")
    with LegacyModel(read_submission(path), 2) as model:
        assert torch.equal(model.generate(torch.zeros(3, 3), seed=4), loaded.model.generate(torch.zeros(3, 3), seed=4))


@boxed
def test_the_image_does_not_get_round_the_latent(tmp_path: Path) -> None:
    """Memory, files and the environment of one box are not those of the other."""
    stash = """
import builtins, pathlib
PLACES = [pathlib.Path(folder, "stash.pt") for folder in ("/tmp", "/dev/shm", "/var/tmp", "/in", ".")]

def put(images):
    builtins.stash = images
    for place in PLACES:
        try:
            torch.save(images, place)
        except Exception:
            pass

def get():
    for place in PLACES:
        if place.exists():
            return torch.load(place)
    return getattr(builtins, "stash", None)


class SubmissionInterface"""
    source = SOURCE.replace("\nclass SubmissionInterface", stash)
    source = source.replace("        images = images.view", "        put(images)\n        images = images.view")
    source = source.replace(
        "        return self.vae.decoder(latents)\n",
        "        found = get()\n        return self.vae.decoder(latents) if found is None else found\n",
    )
    path, images = submission(tmp_path, source), torch.rand(4, 1, 28, 28)
    with LegacyModel(read_submission(path), 2) as model:
        latents = model.encode(images)
        torch.testing.assert_close(model.decode(latents).sigmoid(), decoded(encoded(images)), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("helper.py", b"x = 1", "mixed"),
        ("vae.pt", b"PK\x03\x04", "pickle"),
        ("run.sh", b"#!/bin/sh", "code"),
        ("vae.safetensors", b"nothing", "tensors"),
    ],
)
def test_only_one_file_of_python_and_weights_pass(name: str, content: bytes, reason: str, tmp_path: Path) -> None:
    folder = submission(tmp_path / "in").parent
    (folder / name).write_bytes(content)
    for path in (folder, zipped(folder, tmp_path / "a.zip")):
        with pytest.raises(GateError) as refused:
            read_submission(path)
        assert refused.value.reason.startswith(reason)
