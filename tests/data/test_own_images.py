"""People's own images: upright, of any depth and format, in any layout; read right, or refused with the way out."""

from __future__ import annotations

import io
import logging
import os
import stat
import tracemalloc
import unicodedata
import zipfile
from pathlib import Path, PurePosixPath

import numpy as np
import PIL
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from albums import album, encoded, noise, store, zipped
from latentarena.cli.app import app
from latentarena.data import DataConfig, Dataset, load_dataset
from latentarena.data.layout import layout_of
from latentarena.data.listing import list_files
from latentarena.data.picture import Fit
from latentarena.data.source import look_at_source
from latentarena.errors import DataError

UPRIGHT = Image.fromarray(np.r_[np.full((12, 16, 3), 255, np.uint8), np.zeros((12, 16, 3), np.uint8)])  # white on top
STORED = {  # by the orientation tag, as a camera that was turned stores it
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache for each test."""
    monkeypatch.setenv("LATENTARENA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "images"


def load(source: Path, **how: object) -> Dataset:
    return load_dataset(DataConfig.model_validate({"name": f"folder:{source}", **how}))


def refusal(source: Path, **how: object) -> str:
    """The one line with which a source is refused."""
    with pytest.raises(DataError) as error:
        load(source, **how)
    assert "\n" not in str(error.value)
    return str(error.value)


def every_pixel(data: Dataset) -> torch.Tensor:
    return torch.cat([data.train.pixels, data.test.pixels])


def copies(content: bytes, suffix: str = "png") -> dict[str, bytes]:
    """The same image in both splits."""
    return {f"{split}/a/{i}.{suffix}": content for split in ("train", "test") for i in range(2)}


def tree(*folders: str, n: int = 10) -> dict[str, bytes]:
    """Grey images in these folders, all different."""
    names = [f"{folder}/{i}.png" for folder in folders for i in range(n)]
    return {name: encoded(noise(8, 8, seed=seed)) for seed, name in enumerate(names)}


def counts(data: Dataset) -> dict[str, list[int]]:
    """Images of each class in the train and the test split."""
    parts = [split.labels.bincount(minlength=len(data.classes)).tolist() for split in (data.train, data.test)]
    return {name: [part[i] for part in parts] for i, name in enumerate(data.classes)}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", STORED)
def test_photos_are_upright(tmp_path: Path, orientation: int, kind: str) -> None:
    exif, turn = Image.Exif(), STORED[orientation]
    exif[0x0112] = orientation
    content = encoded(UPRIGHT if turn is None else UPRIGHT.transpose(turn), kind, exif=exif)
    data = load(store(tmp_path / "some", copies(content, kind)))
    assert data.shape == (3, 24, 16)
    assert data.train.pixels[0, :, :10].min() > 240
    assert data.train.pixels[0, :, 14:].max() < 15


def test_portrait_and_landscape_of_one_camera_have_two_sizes(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = Image.fromarray(noise(16, 24, 3))
    files = {"a/1.jpg": encoded(photo, "JPEG"), "a/2.jpg": encoded(photo, "JPEG", exif=exif)}
    line = refusal(store(tmp_path / "some", files))
    assert "a/1.jpg is 24x16 and a/2.jpg is 16x24" in line


RAMP = np.linspace(0, 255, 256).reshape(16, 16)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ((RAMP * 257).astype(np.uint16), "PNG"),
        ((RAMP * 16).astype(np.uint16), "PNG"),
        (RAMP.astype(np.uint16), "PNG"),
        ((RAMP * 257 / 256).astype(np.uint16), "PNG"),
        ((RAMP * 257).astype(np.uint16), "TIFF"),
        ((RAMP * 257).astype(np.int32), "TIFF"),
        ((RAMP * 257).astype(np.int32), "PPM"),
        ((RAMP / 255).astype(np.float32), "TIFF"),
        (RAMP.astype(np.float32), "TIFF"),
    ],
    ids=["16 bits", "12 bits", "8 in 16", "9 in 16", "TIFF", "TIFF of 32 bits", "PGM", "0 to 1", "floats to 255"],
)
def test_deep_images_keep_their_brightness(tmp_path: Path, values: np.ndarray, kind: str) -> None:
    data = load(store(tmp_path / "some", copies(encoded(values, kind))))
    assert data.shape == (1, 16, 16)
    difference = data.train.pixels[0, 0].float() - torch.from_numpy(RAMP)
    assert difference.abs().max() <= 1
    assert any("more than 8 bits" in line or "floating-point" in line for line in data.about)


def test_deep_images_are_scaled_together(tmp_path: Path) -> None:
    bright, dark = (RAMP * 16).astype(np.uint16), (RAMP * 4).astype(np.uint16)
    data = load(store(tmp_path / "some", {"train/a/1.png": encoded(bright), "test/a/1.png": encoded(dark)}))
    assert data.train.pixels.max() == 255
    assert 60 <= data.test.pixels.max() <= 66


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ((RAMP / 255).astype(np.uint16), "values up to 1"),
        ((RAMP - 10).astype(np.float32), "values of -10 to 245"),
        ((RAMP * 1e4).astype(np.int32), "values of 0 to 2.55e+06"),
        ((RAMP / 50).astype(np.float32), "values up to 5.1"),
        (np.full((16, 16), np.nan, np.float32), "values of nan to nan"),
    ],
)
def test_values_of_no_known_range_are_refused(tmp_path: Path, values: np.ndarray, words: str) -> None:
    line = refusal(store(tmp_path / "some", copies(encoded(values, "TIFF"), "tif")))
    assert "0.tif" in line
    assert words in line


def test_a_negative_of_more_than_8_bits_is_refused(tmp_path: Path) -> None:
    """Pillow turns those of 8 bits, and no others."""
    content = io.BytesIO()
    Image.fromarray((RAMP * 257).astype(np.uint16)).save(content, "TIFF", tiffinfo={262: 0})
    assert "0.tif is not a readable image: it is a negative" in refusal(
        store(tmp_path / "some", copies(content.getvalue(), "tif"))
    )


def png_of_sixteen_bit_colour(values: np.ndarray) -> bytes:
    """A PNG of 16 bits a channel, which Pillow does not write; (H, W, 3) uint16."""
    import struct
    import zlib

    height, width, _ = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = struct.pack(">2I5B", width, height, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_sixteen_bit_colour_is_never_black(tmp_path: Path) -> None:
    colours = noise(16, 16, 3).astype(np.uint16)
    data = load(store(tmp_path / "full", copies(png_of_sixteen_bit_colour(colours * 257))))
    np.testing.assert_array_equal(data.train.pixels[0].permute(1, 2, 0).numpy(), colours)
    line = refusal(store(tmp_path / "small", copies(png_of_sixteen_bit_colour(colours * 16))))
    assert "16 bits a channel, of which the upper ones are hardly used" in line


def test_every_format_is_read_under_any_name(tmp_path: Path) -> None:
    kinds = {"tif": "TIFF", "avif": "AVIF", "jfif": "JPEG", "pgm": "PPM", "webp": "WEBP", "jp2": "JPEG2000"}
    files = {f"{suffix}/{i}.{suffix}": encoded(noise(8, 8, seed=i), k) for suffix, k in kinds.items() for i in range(3)}
    files |= {"plain/1": encoded(noise(8, 8)), "plain/2.dat": encoded(noise(8, 8, seed=5), "JPEG")}
    data = load(store(tmp_path / "some", files))
    assert {name: sum(parts) for name, parts in counts(data).items()} == dict.fromkeys(kinds, 3) | {"plain": 2}


@pytest.mark.parametrize("suffix", ["heic", "svg", "dng", "jxl"])
def test_an_image_that_cannot_be_read_is_not_dropped(tmp_path: Path, suffix: str) -> None:
    content = encoded(noise(8, 8), "TIFF") if suffix == "dng" else b"whatever"  # a raw file is a TIFF of a thumbnail
    line = refusal(store(tmp_path / "some", album(3) | {f"cat/photo.{suffix}": content}))
    assert f"cat/photo.{suffix} is not a readable image: .{suffix} is" in line
    assert "to PNG or JPEG" in line


def test_all_broken_images_are_counted(tmp_path: Path) -> None:
    line = refusal(store(tmp_path / "some", album(3) | {"cat/a.png": b"", "cat/b.png": b"x", "cat/c.png": b"y"}))
    assert "cat/a.png is not a readable image: it is empty; so are 2 more, such as cat/b.png" in line


def test_what_is_left_out_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = album(3) | {"cat/notes.txt": b"x", "labels.csv": b"x", "Thumbs.db": b"x"}
    source = store(tmp_path / "some", files)
    (source / "bee").mkdir()
    for _ in range(2):  # decoded, and from the cache
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            load(source)
        assert (
            "left out: cat/notes.txt and 1 more (not an image); bee/ (a folder without images); `arena data"
            in caplog.text
        )


def test_texts_that_may_say_labels_or_captions_are_left_out_with_the_way_out(tmp_path: Path) -> None:
    texts = dict.fromkeys(("labels.txt", "cat/01.txt", "annotations.json", "class_names.txt", "readme.txt"), b"x")
    left = look_at_source(store(tmp_path / "some", album(3) | texts), Fit()).left_out
    told = {one.path for one in left if "labels are read only from a folder for each class" in one.reason}
    assert told == set(texts) - {"readme.txt"}


@pytest.mark.parametrize("pack", [store, zipped])
def test_a_hidden_folder_of_images_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture, pack: object) -> None:
    load(pack(tmp_path / "some", tree("ant", ".bee") | {"__MACOSX/.a/1.png": b"x"}))  # type: ignore[operator]
    assert "(in a hidden folder: rename it, without the dot, if it is a class)" in caplog.text
    assert "MACOSX" not in caplog.text


def test_grey_is_found_in_palettes_and_transparency(tmp_path: Path) -> None:
    grey = noise(8, 8) // 64 * 64
    palette = Image.fromarray(grey).convert("P")
    for name, content in {
        "palette": encoded(palette),
        "gif": encoded(grey, "GIF"),
        "one grey is transparent": encoded(grey, transparency=64),
    }.items():
        assert load(store(tmp_path / name, copies(content))).shape == (1, 8, 8), name
    assert load(store(tmp_path / "colour", copies(encoded(Image.fromarray(noise(8, 8, 3)), "GIF")))).shape[0] == 3


def test_what_is_strange_is_said(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.full((8, 8), v, np.uint8)) for v in (100, 200)]
    animated = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    about = load(store(tmp_path / "animated", copies(animated))).about
    assert "4 of 4 images: the first frame of several" in about
    assert any(line.startswith("4 of 4 images have one colour only") for line in about)
    dark = refusal(store(tmp_path / "dark", copies(encoded(noise(8, 8) // 128))))
    assert "all images are nearly black: their values are 0 to 1 of 0 to 255; save them anew" in dark
    grey = np.repeat(noise(8, 8)[..., None], 3, 2)
    assert any("three equal channels" in line for line in load(store(tmp_path / "grey", copies(encoded(grey)))).about)


@pytest.mark.parametrize(
    ("folders", "found"),
    [
        (["Train/cat", "Train/dog", "Test/cat", "Test/dog"], {"cat": [10, 10], "dog": [10, 10]}),
        (["training/cat", "training/dog", "testing/cat"], {"cat": [10, 10], "dog": [10, 0]}),
        (["train/cat", "train/dog", "val/cat", "val/dog"], {"cat": [10, 10], "dog": [10, 10]}),
        (["train/cat", "validation/cat"], {"cat": [10, 10]}),
        (["train/cat", "train/dog", "val/cat", "test/cat"], {"cat": [10, 10], "dog": [10, 0]}),
        (["a/photos/train/cat", "a/photos/test/cat"], {"cat": [10, 10]}),
        (["training_set/training_set/cat", "test_set/test_set/cat"], {"cat": [10, 10]}),
        (["train/n01/images", "train/n02/images", "val/n01/images"], {"n01": [10, 10], "n02": [10, 0]}),
        (["train", "test"], {"image": [10, 10]}),
    ],
)
@pytest.mark.parametrize("pack", [store, zipped])
def test_splits_are_found_by_their_names(tmp_path: Path, pack: object, folders: list[str], found: object) -> None:
    assert counts(load(pack(tmp_path / "some", tree(*folders)))) == found  # type: ignore[operator]


@pytest.mark.parametrize(
    ("folders", "classes"),
    [
        (["archive/photos/cat", "archive/photos/dog"], ("cat", "dog")),
        (["cat", "cat/tabby", "cat/siam", "dog/x"], ("cat", "dog")),
        (["cat/images", "dog/images"], ("cat", "dog")),
        (["train/cat", "train/dog"], ("cat", "dog")),
        ([str(i) for i in range(12)], tuple(map(str, range(12)))),
        (["test tube", "train station", "steam train"], ("steam train", "test tube", "train station")),
        (["class10", "class9", "Zebra", "ant"], ("Zebra", "ant", "class9", "class10")),
    ],
)
def test_classes_are_found_and_in_natural_order(tmp_path: Path, folders: list[str], classes: tuple[str, ...]) -> None:
    data = load(store(tmp_path / "some", tree(*folders)))
    assert data.classes == classes
    assert len(data.train) + len(data.test) == 10 * len(folders)
    assert any("one image in 10" in line for line in data.about)


@pytest.mark.parametrize(
    ("names", "readings"),
    [
        (["cat/1", "dog/1", "test/1"], ["test beside cat, dog", "as a class like the others", "as a split"]),
        (
            ["cat/1", "dog/1", "a"],
            ["(a.png)", "class folders cat, dog", "no part of the dataset", "of their own"],
        ),
        (
            ["p/cat/1", "p/dog/1", "p/a"],
            ["p holds folders (cat, dog)", "p as the only class", "or cat, dog"],
        ),
        (["p/train/cat/1", "q/1"], ["p holds train", "p, q as classes", "train as splits"]),
        (["cat/train/1", "cat/test/1", "dog/train/1"], ["cat, dog as classes", "test, train as splits"]),
        (["u/a/1", "u/b/1", "v/a/1", "v/b/1"], ["u, v as the classes", "or a, b"]),
        (["train/cat/1", "test/cat/1", "a"], ["(a.png)", "the splits test, train"]),
        (["train/cat/1", "test/1"], ["outside class folders", "then one train image in ten"]),
        (["train/cat/1", "test/cat/1", "test/eel/1"], ["eel has images in the test split and none in the train split"]),
        (["train/cat/1", "Train/cat/2"], ["Train, train are all the train split"]),
        (["test/cat/1"], ["no train split"]),
        (["mnist_train/1", "mnist_test/1"], ["mnist_test, mnist_train can be read in two ways: as classes, or as"]),
        (["trainA/1", "testA/1", "trainB/1", "testB/1"], ["testA, testB, trainA, trainB can be read in two ways"]),
        (["train_1/1", "train_2/1"], ["train_1, train_2 can be read in two ways: as classes, or as splits"]),
        (["cat/1", "val1/1"], ["val1 can be read in two ways: as classes, or as splits"]),
        (["images/1", "masks/1"], ["images, masks can be read in two ways", "(masks)", "name the folder images"]),
        (["train/Images/1", "train/labels/1"], ["Images, labels can be read in two ways: as classes, or as images"]),
        (["photos/cat/1", "photos/dog/1", "docs/logo"], ["docs, photos as the classes, or cat, dog"]),
        (["2023/cat/1", "2023/dog/1", "2024/cat/1", "2024/bird/1"], ["2023, 2024 as the classes, or cat, dog"]),
        (["animals/cat/1", "animals/dog/1", "plants/tree/1"], ["animals, plants as the classes, or cat, dog"]),
        (["train/a/x/1", "train/a/y/1", "train/b/1", "test/a/1", "test/b/1"], ["a, b as the classes, or x, y"]),
        (["x-train/a/1", "x-val/a/1", "masks/1"], ["x-train, x-val can be read in two ways"]),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(names: list[str], readings: list[str]) -> None:
    with pytest.raises(DataError) as error:
        layout_of([PurePosixPath(f"{name}.png") for name in names])
    assert all(reading in str(error.value) for reading in readings), str(error.value)


def test_a_class_is_never_held_out_whole(tmp_path: Path) -> None:
    files = {f"c{seed}/{i}.png": encoded(noise(8, 8, seed=7 * seed + i)) for seed in range(40) for i in range(2)}
    learnt = {name: parts[0] for name, parts in counts(load(store(tmp_path / "some", files))).items()}
    assert len(learnt) == 40
    assert min(learnt.values()) >= 1
    single = {f"c{seed}/1.png": encoded(noise(8, 8, seed=seed)) for seed in range(10)}
    assert "one image of each class, so that none can be held out" in refusal(store(tmp_path / "single", single))


def test_linked_folders_are_read_and_loops_are_not(tmp_path: Path) -> None:
    store(tmp_path / "real", tree("cat", "dog"))
    source = tmp_path / "linked"
    source.mkdir()
    (source / "cat").symlink_to(tmp_path / "real" / "cat")
    (source / "dog").symlink_to(tmp_path / "real" / "dog")
    digest = load(source).digest
    assert load(tmp_path / "real").digest == digest
    (tmp_path / "real" / "dog" / "again").symlink_to(tmp_path / "real")
    assert load(tmp_path / "real").digest == digest


def test_a_class_that_is_a_link_to_another_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = store(tmp_path / "some", {f"cat/{i}.png": encoded(noise(8, 8, seed=i)) for i in range(9)})
    store(source, {f"eel/{i}.png": encoded(noise(8, 8, seed=100 + i)) for i in range(9)})
    assert "several classes" not in " ".join(load(source).about)
    (source / "dog").symlink_to("cat")
    data = load(source)
    both = sum(data.classes[label] == "cat" for label in data.train.labels.tolist())
    words = f"{both} train images are in several classes, such as cat and dog"
    assert words in data.about
    assert words in caplog.text


@pytest.mark.parametrize("files", [tree("cat"), {"notes.txt": b"x"}, tree("train/cat", "test/cat")])
@pytest.mark.parametrize("kept", [False, True])
def test_a_link_to_nowhere_is_refused(tmp_path: Path, files: dict[str, bytes], kept: bool) -> None:
    source = store(tmp_path / "some", files)
    if kept and "notes.txt" not in files:
        load(source)  # the decoded images are in the cache
    (source / "dog").symlink_to("nowhere")
    words = "dog is a link that leads nowhere, which may stand for images or a whole class; mend it or take it away"
    assert refusal(source) == f"folder:{source}: {words}"
    assert words in "".join(look_at_source(source, Fit()).faults)
    (source / "eel").symlink_to("nowhere")
    assert "dog is a link that leads nowhere (and 1 more), which" in refusal(source)


def test_a_link_in_a_zip_is_refused_for_a_class_may_be_behind_it(tmp_path: Path) -> None:
    source = tmp_path / "some.zip"
    with zipfile.ZipFile(source, "w") as archive:
        for name, content in tree("cat", "dog").items():
            archive.writestr(name, content)
        link = zipfile.ZipInfo("eel")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "../eels")
    said = refusal(source)
    assert "eel is a link, of which a zip holds the name only, which may stand for images or a whole class" in said
    assert "pack the zip anew" in said


@pytest.mark.parametrize("name", [".7.png.icloud", ".eel.icloud"])
def test_what_macos_has_moved_to_icloud_is_refused_and_not_passed_over(tmp_path: Path, name: str) -> None:
    source = store(tmp_path / "some", tree("cat", "dog") | {"dog/.notes.txt.icloud": b"x"})
    load(source)
    (source / "dog" / name).write_bytes(b"bplist00")
    assert f"dog/{name[1:-7]} is in iCloud only, not on this disk, which may stand for images" in refusal(source)


def test_a_folder_named_like_an_emoji_is_shown_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store(tmp_path / "tv", tree("cat:dog:", "smile"))
    monkeypatch.chdir(tmp_path)
    said = CliRunner().invoke(app, ["data", "tv"]).output
    assert said.startswith("folder:tv: ")
    assert "cat:dog:" in said


def test_a_root_that_is_a_link_to_nowhere_is_named(tmp_path: Path) -> None:
    (tmp_path / "root").symlink_to("nowhere")
    assert refusal(tmp_path / "root") == f"folder:{tmp_path / 'root'} is a link that leads nowhere"


def test_two_forms_of_a_name_are_one_class(tmp_path: Path) -> None:
    files = tree("train/café", "test/café", "train/dog")
    composed, decomposed = (
        {unicodedata.normalize(form, name) if name.startswith("test") else name: c for name, c in files.items()}
        for form in ("NFC", "NFD")
    )
    assert load(store(tmp_path / "some", decomposed)).classes == ("café", "dog")
    assert load(zipped(tmp_path / "b.zip", decomposed)).digest == load(zipped(tmp_path / "a.zip", composed)).digest


@pytest.mark.parametrize("other", ["cat ", "\u00a0cat", "ca\u200bt", "cat\u3000"])
@pytest.mark.parametrize("places", [("", ""), ("train/", "train/"), ("train/", "test/")])
def test_names_that_nobody_can_tell_apart_are_no_two_classes(
    tmp_path: Path, other: str, places: tuple[str, str]
) -> None:
    said = refusal(store(tmp_path / "some", tree(f"{places[0]}cat", f"{places[1]}{other}", f"{places[0]}dog")))
    assert f"{min('cat', other)!a} and {max('cat', other)!a} differ in spaces or invisible characters alone" in said


def test_spelling_tells_classes_apart(tmp_path: Path) -> None:
    names = ("a", "A", "a b", "ab", "1", "01")
    assert set(load(store(tmp_path / "some", tree(*names))).classes) == set(names)


def test_backslashes_of_a_zip_are_folders(tmp_path: Path) -> None:
    files = album(6)
    data = load(zipped(tmp_path / "some.zip", {f"photos\\{n}".replace("/", "\\"): c for n, c in files.items()}))
    assert data.digest == load(zipped(tmp_path / "plain.zip", files)).digest


def test_a_zip_is_no_way_out(tmp_path: Path) -> None:
    assert "leads out of the zip" in refusal(zipped(tmp_path / "out.zip", album(2) | {"../../x.png": b""}))
    twice = zipped(tmp_path / "twice.zip", album(2))
    with zipfile.ZipFile(twice, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("cat/00.png", encoded(noise(8, 10)))
    assert "holds cat/00.png twice" in refusal(twice)


def test_no_image_is_squashed_in_silence(tmp_path: Path) -> None:
    y, x = np.mgrid[:32, :64]
    circle = (((y - 16) ** 2 + (x - 32) ** 2 < 100) * 255).astype(np.uint8)
    source = store(tmp_path / "some", copies(encoded(circle)))
    line = refusal(source, size=32)
    assert all(part in line for part in ("4 of 4 images are no squares", "64x32", "data.crop=center", "data.resize="))
    for how, wide in (({"crop": "center"}, 19), ({"resize": "stretch"}, 9), ({"crop": "center", "size": 16}, 10)):
        data = load(source, **({"size": 32} | how))
        seen = data.train.pixels[0, 0] > 127
        assert (int(seen.any(0).sum()), len(data.about)) == (wide, 3)  # the third: both splits hold this image
    assert load(source, crop="center").shape == (1, 32, 32)
    assert load(source).shape == (1, 32, 64)


@pytest.mark.parametrize("how", [{"crop": "center"}, {"resize": "stretch"}])
def test_advice_on_sizes_can_be_followed(tmp_path: Path, how: dict[str, str]) -> None:
    files = {f"a/{i}.jpg": encoded(noise(*((900, 1200) if i % 2 else (1200, 900))), "JPEG") for i in range(4)}
    source = store(tmp_path / "some", files)
    line = refusal(source)
    assert "data.size=64 and data.crop=center (the middle square) or data.resize=stretch" in line
    assert load(source, size=64, **how).shape == (1, 64, 64)
    large = store(tmp_path / "large", {f"a/{i}.jpg": encoded(noise(600, 600, seed=i), "JPEG") for i in range(2)})
    assert "600x600, of at most 512 pixels; give data.size=64" in refusal(large)
    assert load(large, size=64).shape == (1, 64, 64)


@pytest.mark.parametrize("raw", [{"resize": "stretch"}, {"size": 16, "resize": "stretch", "crop": "center"}])
def test_resizing_that_changes_nothing_is_refused(raw: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="resize = stretch needs a size, and no crop"):
        DataConfig.model_validate({"name": "folder:x", **raw})


def test_a_bomb_is_named_and_large_photos_are_no_warning(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    bomb = store(tmp_path / "bomb", {"a.png": encoded(noise(8, 8)), "b.png": encoded(Image.new("1", (20000, 20000)))})
    assert "b.png is not a readable image: Image size (400000000 pixels) exceeds limit" in refusal(bomb, size=32)
    assert not recwarn.list


def test_a_small_image_is_opened_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[object] = []
    real = Image.open
    monkeypatch.setattr(Image, "open", lambda *given, **how: opened.append(given) or real(*given, **how))
    load(store(tmp_path / "some", album(3)))
    assert len(opened) == 6


def test_the_cache_knows_its_decoder(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = store(tmp_path / "some", album(3))
    load(source)
    monkeypatch.setattr(PIL, "__version__", "0.0")
    load(source)
    assert len(list(cache.iterdir())) == 2


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
def test_names_that_are_no_text_are_read(tmp_path: Path) -> None:
    source = store(tmp_path / "some", tree("cat"))
    os.rename(os.fsencode(source / "cat"), os.fsencode(source) + b"/caf\xe9")
    assert load(source).classes == ("caf\ufffd",)


def shown(*arguments: str | Path) -> tuple[int, str]:
    """What `arena data` says and returns."""
    done = CliRunner().invoke(app, ["data", *map(str, arguments)])
    return done.exit_code, done.output + (f"\n{done.exception}" if done.exception else "")


def test_images_of_both_splits_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As one file format or another: it is the pixels that count."""
    train = {f"train/{name}": content for name, content in album(6).items()}
    shared = {name.replace("train", "test"): train[name] for name in ("train/cat/01.png", "train/doggy/02.png")}
    shared["test/cat/99.bmp"] = encoded(noise(8, 10, seed=303), "BMP")
    alone = {"test/cat/98.png": encoded(noise(8, 10, seed=9))}
    with caplog.at_level(logging.WARNING):
        data = load(store(tmp_path / "both", train | shared | alone))
    words = "3 of 4 test images are train images too"
    assert words in data.about
    assert words in caplog.text
    caplog.clear()
    assert not [line for line in load(store(tmp_path / "apart", train | alone)).about if "train images too" in line]
    assert caplog.text == ""
    assert words in shown(tmp_path / "both", "--out", tmp_path / "sheet.png")[1]
    np.savez(
        tmp_path / "both.npz",
        x_train=data.train.pixels[:, 0],
        y_train=data.train.labels,
        x_test=data.test.pixels[:, 0],
        y_test=data.test.labels,
    )
    assert words in load(tmp_path / "both.npz").about


def test_arena_data_accounts_for_every_file(tmp_path: Path) -> None:
    files = tree("p/train/cat", "p/train/dog", "p/test/cat") | {"p/notes.txt": b"x", "p/Thumbs.db": b"x"}
    source = store(tmp_path / "some", files)
    (source / "p" / "train" / "eel").mkdir()
    code, said = shown(source, "--out", tmp_path / "sheet.png")
    assert code == 0, said
    rows = [line.split() for line in said.splitlines()]
    assert ["cat", "10", "10"] in rows
    assert ["dog", "10", "0"] in rows
    words = ["30 images, 3 files", "inside p/", "sizes: 8x8 (30)", "modes: grey (30)", "p/notes.txt", "p/train/eel/"]
    assert [word for word in words if word not in " ".join(said.split())] == []  # a long folder wraps its line
    assert "hidden, or made by the operating system (1):" in said
    sheet = np.asarray(Image.open(tmp_path / "sheet.png").convert("L")).astype(int)
    first = np.asarray(Image.open(source / "p" / "test" / "cat" / "0.png").resize((64, 64), Image.Resampling.NEAREST))
    assert (sheet[4:68, 150:214] == first).mean() > 0.99  # test/cat/0.png is the first of its class


def test_arena_data_shows_what_it_refuses(tmp_path: Path) -> None:
    source = store(tmp_path / "some", tree("cat", "dog") | {"a.png": encoded(noise(8, 8))})
    code, said = shown(source, "--out", tmp_path / "sheet.png")
    assert code != 0
    assert "21 images" in said
    assert "can be read in two ways" in said
    assert (tmp_path / "sheet.png").exists()
    code, said = shown(source / "cat", "--size", 16, "--out", tmp_path / "cat.png")
    assert (code, "image" in said) == (0, True)


def test_arena_data_knows_datasets_by_name(tmp_path: Path) -> None:
    code, said = shown("digits", "--out", tmp_path / "sheet.png")
    assert code == 0
    assert "digits: 1,797 images" in said


@pytest.mark.parametrize("name", ["/".join("a" * 32_000) + "/x.png", "a" * 5_000 + ".png", "b/" * 65 + "x.png"])
def test_a_zip_of_absurd_paths_is_refused_before_its_folders_are_listed(name: str, tmp_path: Path) -> None:
    """A few hundred KB of names with so many folders took gigabytes."""
    source = tmp_path / "d.zip"
    with zipfile.ZipFile(source, "w", zipfile.ZIP_DEFLATED) as archive:
        for kind in "abc":
            archive.writestr(f"{kind}/{name}", b"")
    tracemalloc.start()
    said = refusal(source)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20
    assert "a/" + name[:20] in said
    assert "more than" in said
    assert len(said) < 300 + len(str(source))


def test_a_zip_as_deep_as_a_folder_may_be_is_read(tmp_path: Path) -> None:
    files = {f"{kind}{'/f' * 63}/{n}.png": encoded(noise(8, 8, seed=n)) for kind in "ab" for n in range(4)}
    listed = list_files(zipped(tmp_path / "d.zip", files))
    assert [str(file.path) for file in listed.files] == sorted(files)
    assert max(len(folder.parts) for folder in listed.folders) == 64


@pytest.mark.parametrize(
    ("names", "kinds"),
    [
        (["cat.0.jpg", "cat.1.jpg", "dog.0.jpg", "dog.10.jpg"], "cat, dog"),
        (["cat_1.png", "cat_2.png", "dog_1.png", "dog_2.png"], "cat, dog"),
        (["IMG_001.jpg", "IMG_002.jpg"], None),  # a camera's numbers
        (["left.png", "right.png"], None),
        (["cat0.png", "dog1.png"], None),  # one of each says nothing
    ],
)
def test_files_that_are_numbered_by_kind_are_pointed_out(names: list[str], kinds: str | None) -> None:
    layout = layout_of([PurePosixPath(name) for name in names])
    hint = f"; names begin with {kinds}: for classes, move each kind into a folder of that name" if kinds else ""
    assert layout.words == f"images without classes{hint}"
    assert layout.labels == ("",) * len(names)
