"""Small folders and large images: judged, or refused before anything is trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from albums import encoded, noise, store
from latentarena.data import DataConfig, Dataset, Images, load_dataset
from latentarena.errors import DataError
from latentarena.files import digest
from latentarena.judge.classifier import Judge
from latentarena.judge.known import known_of, principal_directions
from latentarena.judge.training import JudgeConfig, train_judge
from latentarena.randomness import stream
from latentarena.run.pipeline import prepare
from latentarena.train.loop import FitConfig


def dataset(train: int, test: int, flat: bool, classes: int) -> Dataset:
    """Images of noise, or of one colour each."""

    def split(n: int) -> Images:
        shape = (n, 1, 1, 1) if flat else (n, 1, 12, 12)
        pixels = torch.randint(256, shape, generator=stream(n, "small"), dtype=torch.uint8)
        return Images(pixels.expand(n, 1, 12, 12).contiguous(), torch.arange(n) % classes)

    return Dataset.of("small", split(train), split(test), tuple("abc"[:classes]))


@pytest.mark.parametrize(("train", "test", "flat", "classes"), [(54, 6, True, 2), (54, 6, True, 1), (16, 2, False, 3)])
def test_small_datasets_have_floors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, train: int, test: int, flat: bool, classes: int
) -> None:
    monkeypatch.setenv("LATENTARENA_CACHE", str(tmp_path))
    data = dataset(train, test, flat, classes)
    config = JudgeConfig(width=4, fit=FitConfig(epochs=1, batch=16))
    judge = Judge.load(train_judge(data, config, Fabric(accelerator="cpu", devices=1), tmp_path))
    _, floors = known_of(judge, data, 100)
    assert floors["reconstruction_gap"].value >= 0
    assert all(np.isfinite([floor.low, floor.value, floor.high]).all() for floor in floors.values())


@pytest.mark.parametrize("n", [2, 3, 15])
def test_too_few_images_are_refused_before_training(tmp_path: Path, n: int) -> None:
    store(tmp_path / "few", {f"a/{i}.png": encoded(noise(28, 28, seed=i)) for i in range(n)})
    with pytest.raises(DataError, match=r"folder:few has \d+ train and \d test images; training .* at least 16 and 2"):
        prepare("quickstart", [f"data.name=folder:{tmp_path / 'few'}"], tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("shape", [(30, 8), (8, 30), (200, 40), (40, 200)])
@pytest.mark.parametrize("dense", [2000, 20], ids=["dense", "Lanczos"])
def test_principal_directions_are_those_of_the_covariance(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int], dense: int
) -> None:
    monkeypatch.setattr("latentarena.judge.known.DENSE", dense)
    x = torch.randn(shape, generator=stream("directions"), dtype=torch.float64) * torch.linspace(1, 3, shape[1])
    x -= x.mean(0)
    found = principal_directions(x, 5)
    best = torch.linalg.svd(x, full_matrices=False).Vh[:5].T
    torch.testing.assert_close(found @ found.T, best @ best.T, atol=1e-9, rtol=0)


def test_images_of_one_colour_have_one_direction() -> None:
    flat = torch.linspace(-1, 1, 30, dtype=torch.float64)[:, None].expand(30, 784)
    assert principal_directions(flat, 32).shape == (784, 1)
    assert principal_directions(torch.zeros(30, 784, dtype=torch.float64), 32).shape == (784, 0)


def saved(folder: Path, images: np.ndarray, labels: np.ndarray) -> Dataset:
    """Arrays without a test split, as they are read."""
    np.savez(folder / "a.npz", x_train=images, y_train=labels)
    return load_dataset(DataConfig(name=f"folder:{folder / 'a.npz'}"))


def test_of_few_arrays_some_are_held_out_and_never_all_of_a_class(tmp_path: Path) -> None:
    for seed in range(60):
        few = np.random.default_rng(seed).integers(256, size=(20, 16, 16), dtype=np.uint8)
        assert len(saved(tmp_path, few, np.arange(20) % 2).test) >= 2, seed
        many = np.random.default_rng(seed).integers(256, size=(60, 16, 16), dtype=np.uint8)
        data = saved(tmp_path, many, np.r_[2, 3, np.arange(58) % 2])
        assert set(data.train.labels.tolist()) == set(range(4)), seed


def test_of_many_arrays_those_are_held_out_that_always_were(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(256, size=(400, 8, 8), dtype=np.uint8)
    held = [one for one in images if int(digest(one[None].tobytes()), 16) % 10 == 0]
    assert np.array_equal(saved(tmp_path, images, np.arange(400) % 4).test.pixels[:, 0].numpy(), held)


def test_arrays_of_which_none_can_be_held_out_are_refused_with_how_many_are_wanted(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(256, size=(10, 8, 8), dtype=np.uint8)
    with pytest.raises(DataError, match=r"one image of each class, .* add at least one more of each"):
        saved(tmp_path, images, np.arange(10))
