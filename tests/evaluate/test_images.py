"""Images of any model: read from files, folders and zips, judged beside real ones and against other images."""

from __future__ import annotations

import io
import json
import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import latentarena as la
from command import Arena
from latentarena.data import holds_images, read_images
from latentarena.data.digits import embedded_digits
from latentarena.data.picture import Fit
from latentarena.errors import ArenaError
from latentarena.evaluate.images import judge_images
from latentarena.judge.classifier import Judge

N = 120
PIXELS = embedded_digits().test.pixels[:N]  # uint8 (N, 1, 28, 28)
FORMS = [
    "images.npz",
    "alone.npz",
    "mine.npz",
    "swapped.npz",
    "last.npy",
    "grey.npy",
    "floats.npz",
    "folder",
    "some.zip",
]


def written(form: str, home: Path) -> Path:
    """The images in a file or folder of that form."""
    path, bytes_of = home / form, PIXELS.numpy()
    if path.suffix == ".npz":
        array = bytes_of / np.float32(255) if form in ("floats.npz", "swapped.npz") else bytes_of
        array = array.astype(">f4") if form == "swapped.npz" else array  # another machine's order of bytes
        name = {"alone.npz": "arr_0", "mine.npz": "fake"}.get(form, "images")
        np.savez(path, **{name: array} | ({} if form == "alone.npz" else {"labels": np.zeros(N, int)}))  # type: ignore[arg-type]
    elif path.suffix == ".npy":
        np.save(path, np.moveaxis(bytes_of, 1, -1) if form == "last.npy" else bytes_of[:, 0])
    else:
        folder = home / "folder"
        folder.mkdir()
        for number, image in enumerate(bytes_of):
            Image.fromarray(image[0]).save(folder / f"{number}.png")
        if form == "some.zip":
            with zipfile.ZipFile(path, "w") as archive:
                for one in folder.iterdir():
                    archive.write(one, one.name)
    return path


@pytest.mark.parametrize("form", FORMS)
def test_the_images_of_a_file_are_read_whole(form: str, tmp_path: Path) -> None:
    path = written(form, tmp_path)
    assert holds_images(path)
    found = read_images(path, Fit())
    assert found.dtype == torch.float32
    order = [sorted(image.flatten().tolist() for image in images) for images in (found, PIXELS.float() / 255)]
    assert np.allclose(*order, atol=1e-6)


@pytest.mark.parametrize("head", ["", "id,", "ImageId,Label,"])
def test_a_table_of_pixels_is_read_with_or_without_ids_and_labels(head: str, tmp_path: Path) -> None:
    """As a submission to Kaggle."""
    path, names = tmp_path / "mine.csv", ",".join(f"pixel{i}" for i in range(784))
    beside = {"": "", "id,": "{i},", "ImageId,Label,": "{i},0,"}[head]
    rows = [beside.format(i=i) + ",".join(map(str, one)) for i, one in enumerate(PIXELS.flatten(1).tolist(), 1)]
    path.write_text("\n".join([head + names, *rows]))
    assert holds_images(path)
    found = read_images(path, Fit())
    order = [sorted(image.flatten().tolist() for image in images) for images in (found, PIXELS.float() / 255)]
    assert np.allclose(*order, atol=1e-6)


def test_a_column_of_ids_that_counts_no_rows_is_refused(tmp_path: Path) -> None:
    names = ",".join(f"pixel{i}" for i in range(64))
    (tmp_path / "mine.csv").write_text("\n".join([f"id,{names}", *[",".join(["7"] * 65)] * 3]))
    with pytest.raises(
        ArenaError, match=r"mine\.csv has a column 'id', which is neither the label nor a pixel; take it out"
    ):
        read_images(tmp_path / "mine.csv", Fit())


def test_numbers_between_two_of_255_steps_stay_as_they_are(tmp_path: Path) -> None:
    images = torch.rand(100, 3, 9, 9)
    np.savez(tmp_path / "images.npz", images=images.numpy())
    np.save(tmp_path / "last.npy", images.movedim(1, -1).numpy())
    for name in ("images.npz", "last.npy"):
        assert torch.equal(read_images(tmp_path / name, Fit()), images)


def test_grey_images_that_were_saved_in_colour_are_grey(tmp_path: Path, digits_judge: Judge) -> None:
    """As torchvision's `save_image` writes them."""
    folder = tmp_path / "colour"
    folder.mkdir()
    for number, image in enumerate(PIXELS.numpy()):
        Image.fromarray(image[0]).convert("RGB" if number % 2 else "RGBA").save(folder / f"{number}.png")
    expected = la.judge(PIXELS, dataset="digits", progress=False)
    found = judge_images(folder, "digits", None, {}).scores
    assert found["frechet"].value == pytest.approx(expected["frechet"].value)
    for form in (
        PIXELS.expand(-1, 3, -1, -1),
        PIXELS.movedim(1, -1).numpy(),
        PIXELS.movedim(1, -1).expand(-1, -1, -1, 3),
    ):
        assert la.judge(form, dataset="digits", progress=False)["frechet"] == expected["frechet"]


def test_arrays_of_numpy_may_lie_in_memory_as_they_like(digits_judge: Judge) -> None:
    images = PIXELS.numpy()[::-1] / np.float32(255)
    expected = la.judge(images.copy(), dataset="digits", progress=False)
    for one in (images, images.astype(">f4"), np.asfortranarray(images)):
        assert la.judge(one, dataset="digits", progress=False) == expected


def test_a_bundle_is_no_folder_of_images(tiny_run: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_run, tmp_path / "run")
    shutil.copy(written("folder", tmp_path) / "0.png", tmp_path / "run" / "bundle")
    shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path / "run" / "bundle")
    places = ("run", "run/bundle", "packed.zip", "nowhere", "zoo:quickstart")
    assert [holds_images(tmp_path / place) for place in places] == [False] * len(places)


def test_a_file_is_judged_as_its_array_is(tmp_path: Path, digits_judge: Judge) -> None:
    found = judge_images(written("images.npz", tmp_path), "digits", None, {})
    assert found.scores == la.judge(PIXELS, dataset="digits", progress=False)
    assert (found.images, found.dataset, found.against) == (N, "digits", "")
    assert found.scores["frechet"].real is not None
    assert json.loads(json.dumps(found.plain()))["scores"]["frechet"]["value"] == found.scores["frechet"].value


def test_other_images_stand_in_the_place_of_the_train_split(tmp_path: Path, digits_judge: Judge) -> None:
    path = written("images.npz", tmp_path)
    np.savez(tmp_path / "noise.npz", images=torch.rand(N, 28, 28).numpy())
    itself = judge_images(path, "digits", path, {}).scores
    noise = judge_images(path, "digits", tmp_path / "noise.npz", {}).scores
    assert abs(itself["frechet"].value) < 1e-6
    assert itself["copies"].value == 1
    assert itself["coverage"].value > 0.99
    assert noise["frechet"].value > 10
    assert noise["copies"].value == 0
    assert itself["frechet"].real is not None  # as many real images against the same
    assert noise["frechet"].real is not None
    assert itself["frechet"].real.value < noise["frechet"].real.value
    again = la.judge(PIXELS, dataset="digits", against=PIXELS, progress=False)
    assert again["frechet"] == itself["frechet"]


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros((5, 28, 28), np.uint8) + 200, "holds 5 images; figures say something from 100 on"),
        (np.zeros((100, 9, 9), np.uint8) + 200, r"holds images \[1, 9, 9\], and digits \[1, 28, 28\]"),
        (np.zeros((100, 28), np.uint8) + 200, "expected are N x height x width"),
        (np.zeros((100, 28, 28)) - 1, "values of -1 to -1"),
        (np.zeros((100, 28, 28)) - 1 + np.eye(28), r"such as \(images \+ 1\) \* 127\.5 if -1 is black"),
        (np.full((100, 28, 28), np.nan), "with NaN or infinite values"),
        (np.random.default_rng(0).integers(256, size=(100, 3, 28, 28)), r"holds images \[3, 28, 28\].*folder:PATH$"),
    ],
)
def test_what_cannot_be_judged_is_one_line(array: np.ndarray, says: str, tmp_path: Path, digits_judge: Judge) -> None:
    np.savez(tmp_path / "images.npz", images=array)
    with pytest.raises(ArenaError, match=says):
        judge_images(tmp_path / "images.npz", "digits", None, {})


def test_pickles_are_not_opened(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.array([object()], dtype=object), allow_pickle=True)
    (tmp_path / "images.npy").write_bytes(buffer.getvalue())
    with pytest.raises(ArenaError, match="save arrays of numbers"):
        read_images(tmp_path / "images.npy", Fit())


def test_images_without_classes_teach_no_judge_and_that_is_said(arena_here: Arena, tmp_path: Path) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    for number, image in enumerate(embedded_digits().train.pixels[:400].numpy()):
        Image.fromarray(image[0]).save(flat / f"{number}.png")
    done = arena_here("judge", written("images.npz", tmp_path), "--dataset", f"folder:{flat}")
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    assert "flat has no classes, from which a judge learns what to look at" in said
    assert "add --features dinov2-small" in said


def mixed(home: Path) -> Path:
    """A folder of images of two sizes."""
    folder = home / "mixed"
    folder.mkdir()
    for number, image in enumerate(PIXELS.numpy()):
        Image.fromarray(image[0]).resize((28 + number % 2, 28)).save(folder / f"{number}.png")
    return folder


def test_more_images_than_the_test_split_has_are_compared_at_equal_numbers(
    arena_here: Arena, tmp_path: Path, digits_judge: Judge
) -> None:
    data = embedded_digits()
    n = len(data.test)
    np.savez(tmp_path / "many.npz", images=data.train.pixels[: n + 45].numpy())
    done = arena_here("judge", tmp_path / "many.npz", "--dataset", "digits", "--json", tmp_path / "found.json")
    assert done.returncode == 0, done.stderr
    assert [f"{n} of them", f"{n} real images"] == re.findall(r"\d+ (?:of them|real images)", done.stdout)
    found = json.loads((tmp_path / "found.json").read_text())
    assert (found["images"], found["real_images"]) == (n + 45, n)
    few = found["scores"]["coverage"]["equal"]["value"]
    row = next(line for line in done.stdout.splitlines() if line.strip().startswith("coverage"))
    assert f"{few:.4f}" in row
    assert few < found["scores"]["coverage"]["value"]


def test_the_command_judges_images_and_refuses_what_is_of_bundles(
    arena_here: Arena, tmp_path: Path, digits_judge: Judge
) -> None:
    path = written("images.npz", tmp_path)
    done = arena_here("judge", path, "--dataset", "digits", "--against", path, "--json", tmp_path / "found.json")
    assert done.returncode == 0, done.stderr
    assert "120 images against" in done.stdout
    assert "Frechet distance (lower)" in done.stdout
    assert json.loads((tmp_path / "found.json").read_text())["scores"]["copies"]["value"] == 1
    for words, says in (
        ([path, "--html", "card.html"], "figures of images have --json"),
        (["zoo:quickstart", "--against", path], "is for images"),
        ([path, "--samples", "100"], "--samples is for bundles, and"),
        ([path, "--set", "contest-2025"], "--set is for bundles, and"),
        ([path, "--untimed"], "--timed is for bundles, and"),
        ([tmp_path / "imges.npz", "--dataset", "digits"], "images.npz'? a bundle is a folder"),
        ([mixed(tmp_path), "--dataset", "digits"], "give --size 28 and --crop center"),
    ):
        refused = arena_here("judge", *words)
        assert (refused.returncode > 0, refused.stdout) == (True, "")
        assert says in refused.stderr
