"""Folders and zips of images: one dataset however it is packed, or one line that names the file."""

from __future__ import annotations

import hashlib
import io
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

from albums import album, encoded, noise, store, zipped
from latentarena.data import DataConfig, Dataset, load_dataset
from latentarena.errors import DataError

Pack = Callable[[Path, dict[str, bytes]], Path]


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache for each test: the folder of decoded images."""
    monkeypatch.setenv("LATENTARENA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "images"


def load(source: Path, size: int | None = None) -> Dataset:
    """The dataset of a source; a size stretches what is no square."""
    return load_dataset(DataConfig(name=f"folder:{source}", size=size, resize="stretch" if size else None))


def attempt(source: Path, size: int | None = None) -> Dataset | str:
    """The dataset, or the line with which it is refused."""
    try:
        return load(source, size)
    except DataError as error:
        return str(error)


def refusal(source: Path, size: int | None = None) -> str:
    """The one line with which a source is refused."""
    with pytest.raises(DataError) as error:
        load(source, size)
    assert "\n" not in str(error.value)
    return str(error.value)


def with_short_chunk(png: bytes) -> bytes:
    """The PNG with a pixel chunk that declares 800 bytes, so that what follows is read as a chunk of no known kind."""
    field = png.index(b"IDAT") - 4
    return png[:field] + struct.pack(">I", 800) + png[field + 4 :]


def pair(first: bytes, second: bytes) -> dict[str, bytes]:
    """One train and one test image."""
    return {"train/a/1.png": first, "test/a/2.png": second}


def rows(images: torch.Tensor) -> set[bytes]:
    return {image.numpy().tobytes() for image in images}


def test_zip_is_the_directory(tmp_path: Path) -> None:
    files = album()
    from_folder = load(store(tmp_path / "some", files))
    from_zip = load(zipped(tmp_path / "some.zip", dict(reversed(files.items()))))
    assert from_folder.digest == from_zip.digest
    assert from_folder.classes == from_zip.classes == ("cat", "doggy")


def test_class_folders_are_labels(tmp_path: Path) -> None:
    files = album()
    data = load(store(tmp_path / "some", files))
    assert data.shape == (1, 8, 10)
    truth = {np.asarray(Image.open(io.BytesIO(c))).tobytes(): name.split("/")[0] for name, c in files.items()}
    found = {
        image.numpy().tobytes(): data.classes[label]
        for split in (data.train, data.test)
        for image, label in zip(split.pixels, split.labels, strict=True)
    }
    assert found == truth


def test_loose_images_share_a_label(tmp_path: Path) -> None:
    files = {name.replace("/", "-"): content for name, content in album().items()}
    data = load(store(tmp_path / "some", files))
    assert data.classes == ("image",)
    assert data.train.labels.unique().tolist() == [0]


@pytest.mark.parametrize("pack", [store, zipped])
def test_train_and_test_folders_are_honoured(tmp_path: Path, pack: Pack) -> None:
    arrays = {
        name: noise(8, 8, seed=seed) for seed, name in enumerate(("train/b/x", "train/a/x", "test/b/x", "test/a/y"))
    }
    data = load(pack(tmp_path / "some", {f"{name}.png": encoded(array) for name, array in arrays.items()}))
    assert data.classes == ("a", "b")
    for title, split in (("train", data.train), ("test", data.test)):
        expected = {(k.split("/")[1], a.tobytes()) for k, a in arrays.items() if k.startswith(title)}
        found = zip(split.labels, split.pixels, strict=True)
        assert {(data.classes[label], image.numpy().tobytes()) for label, image in found} == expected


def test_split_depends_on_content_only(tmp_path: Path) -> None:
    files = album(100)
    first = load(store(tmp_path / "first", files))
    second = load(store(tmp_path / "second", {f"x{hashlib.md5(c).hexdigest()}.PNG": c for c in files.values()}))
    assert rows(first.test.pixels) == rows(second.test.pixels)
    assert 5 <= len(first.test) <= 40
    grown = load(store(tmp_path / "first", {"cat/new.png": encoded(noise(8, 10, seed=7))}))
    assert rows(first.test.pixels) <= rows(grown.test.pixels)
    assert rows(first.train.pixels) <= rows(grown.train.pixels)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF"])
def test_lossless_formats_keep_every_pixel(tmp_path: Path, kind: str) -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    content = encoded(ramp, kind)
    data = load(store(tmp_path / "some", {f"{split}/a/x.{kind.lower()}": content for split in ("train", "test")}))
    np.testing.assert_array_equal(data.train.pixels[0].numpy(), np.broadcast_to(ramp, data.shape))


@pytest.mark.parametrize(
    ("mode", "channels"), [("1", 1), ("L", 1), ("LA", 1), ("P", 3), ("RGB", 3), ("RGBA", 3), ("CMYK", 3)]
)
def test_grey_stays_grey_and_colour_is_rgb(tmp_path: Path, mode: str, channels: int) -> None:
    colours = noise(8, 8, 3)
    image = Image.fromarray(colours).convert(mode)
    content = encoded(image, "TIFF" if mode == "CMYK" else "PNG")
    data = load(store(tmp_path / "some", pair(content, content)))
    assert data.shape == (channels, 8, 8)
    expected = np.asarray(image.convert("L" if channels == 1 else "RGB")).reshape(8, 8, channels)
    np.testing.assert_array_equal(data.train.pixels[0].permute(1, 2, 0).numpy(), expected)


def test_one_colour_image_makes_all_rgb(tmp_path: Path) -> None:
    grey, colour = noise(8, 8), noise(8, 8, 3)
    data = load(store(tmp_path / "some", pair(encoded(grey), encoded(colour))))
    assert data.shape == (3, 8, 8)
    np.testing.assert_array_equal(data.train.pixels[0].numpy(), np.stack([grey] * 3))
    np.testing.assert_array_equal(data.test.pixels[0].permute(1, 2, 0).numpy(), colour)


def test_sixteen_bits_are_scaled_to_eight(tmp_path: Path) -> None:
    deep = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1040
    data = load(store(tmp_path / "some", pair(encoded(deep), encoded(deep))))
    np.testing.assert_array_equal(data.train.pixels[0, 0].numpy(), deep // 256)


def test_mixed_sizes_name_both_and_the_way_out(tmp_path: Path) -> None:
    source = store(tmp_path / "some", {"a/1.png": encoded(noise(8, 10)), "a/2.png": encoded(noise(12, 9))})
    line = refusal(source)
    assert all(
        part in line for part in (str(source), "a/1.png is 10x8", "a/2.png is 9x12", "data.size=8 and data.crop=center")
    )


def test_size_resizes_all(tmp_path: Path) -> None:
    large, small = noise(12, 9, 3), noise(8, 10)
    data = load(store(tmp_path / "some", pair(encoded(large), encoded(small))), size=16)
    assert data.shape == (3, 16, 16)
    expected = np.asarray(Image.fromarray(large).resize((16, 16), Image.Resampling.LANCZOS))
    np.testing.assert_array_equal(data.train.pixels[0].permute(1, 2, 0).numpy(), expected)


@pytest.mark.parametrize("files", [{}, {"notes.txt": b"no image"}, {"__MACOSX/a/._1.png": b"x", "a/._1.png": b"x"}])
@pytest.mark.parametrize("pack", [store, zipped])
def test_no_images_are_refused(tmp_path: Path, pack: Pack, files: dict[str, bytes]) -> None:
    source = tmp_path / "some"
    if pack is store:
        source.mkdir()
    line = refusal(pack(source, files))
    assert str(source) in line
    assert "holds no images (.png, .jpg" in line


@pytest.mark.parametrize("pack", [store, zipped])
def test_litter_is_ignored(tmp_path: Path, pack: Pack) -> None:
    clean = load(store(tmp_path / "clean", album()))
    litter = {"__MACOSX/cat/._00.png": b"x", "cat/._00.png": b"x", "cat/notes.txt": b"x", ".DS_Store": b"x"}
    assert load(pack(tmp_path / "some", album() | litter)).digest == clean.digest


def test_missing_path_is_named(tmp_path: Path) -> None:
    assert refusal(tmp_path / "nowhere") == f"folder:{tmp_path / 'nowhere'} does not exist"


def test_one_split_only_is_refused(tmp_path: Path) -> None:
    line = refusal(store(tmp_path / "some", {"test/a/1.png": encoded(noise(8, 8))}))
    assert f"folder:{tmp_path / 'some'}" in line
    assert "no train split" in line


@pytest.mark.parametrize("shape", [(7, 8), (8, 7), (1, 1)])
def test_images_below_8x8_are_refused(tmp_path: Path, shape: tuple[int, int]) -> None:
    content = encoded(noise(*shape))
    source = store(tmp_path / "some", pair(content, content))
    assert f"images are {shape} pixels; the smallest that can be judged are 8x8" in refusal(source)
    assert load(source, size=8).shape == (1, 8, 8)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no image",
        encoded(noise(40, 40))[:-400],
        encoded(noise(40, 40), "JPEG")[:-400],
        with_short_chunk(encoded(noise(40, 40))),
    ],
    ids=["empty", "text", "half a PNG", "half a JPEG", "PNG out of step"],
)
def test_broken_image_is_named(tmp_path: Path, content: bytes) -> None:
    source = store(tmp_path / "some", {"a/good.png": encoded(noise(40, 40)), "b/broken.png": content})
    line = refusal(source)
    assert str(source) in line
    assert "b/broken.png is not a readable image" in line


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "WEBP"])
def test_damaged_image_loads_or_is_named(tmp_path: Path, kind: str) -> None:
    whole = encoded(noise(9, 9, 3), kind)
    for position in range(0, min(len(whole), 90)):
        damaged = whole[:position] + bytes([whole[position] ^ 0x21]) + whole[position + 1 :]
        source = store(tmp_path / "some", pair(encoded(noise(8, 8, 3)), damaged))
        found = attempt(source, size=8)
        assert (
            found.shape == (3, 8, 8) if isinstance(found, Dataset) else "test/a/2.png is not a readable image" in found
        )


def test_what_is_no_zip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "some.zip"
    path.write_bytes(b"PK\x03\x04 and then nothing of the kind")
    line = refusal(path)
    assert str(path) in line
    assert "neither a directory nor a readable zip" in line


def test_damaged_zip_keeps_its_pixels_or_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "some.zip", {f"{s}/a/1.bmp": encoded(noise(8, 8), "BMP") for s in ("train", "test")})
    pixels, whole = load(path).train.pixels, path.read_bytes()
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x15]) + whole[position + 1 :])
        found = attempt(path)
        if isinstance(found, Dataset):
            assert torch.equal(found.train.pixels, pixels)
        else:
            assert found.startswith("folder:some.zip") or str(path) in found
            assert "\n" not in found


def test_huge_declared_size_is_refused_unread(tmp_path: Path) -> None:
    path = zipped(tmp_path / "some.zip", {"a/bomb.png": encoded(noise(8, 8))})
    whole = bytearray(path.read_bytes())
    field = whole.index(b"PK\x01\x02") + 24  # uncompressed size in the central directory (APPNOTE 4.3.12)
    whole[field : field + 4] = struct.pack("<I", 3 << 30)
    path.write_bytes(whole)
    line = refusal(path)
    assert str(path) in line
    assert "a/bomb.png inflates to more than 64 MiB" in line


def test_cache_hit_equals_decoding(tmp_path: Path, cache: Path) -> None:
    source = store(tmp_path / "some", album())
    first, again = load(source), load(source)
    (cached,) = cache.iterdir()
    assert first.digest == again.digest
    with safe_open(cached, "pt") as file:
        pixels, said = file.get_tensor("pixels"), file.metadata()
    save_file({"pixels": 255 - pixels}, cached, said)
    assert torch.equal(load(source).train.pixels, 255 - first.train.pixels)  # so the cache is what was read
    cached.write_bytes(b"damaged")
    assert load(source).digest == first.digest


def test_cache_knows_size_and_content(tmp_path: Path, cache: Path) -> None:
    source = store(tmp_path / "some", album())
    digests = {load(source).digest, load(source, 8).digest, load(source, 16).digest}
    store(source, {"cat/00.png": encoded(noise(8, 10, seed=999))})
    digests.add(load(source).digest)
    assert len(digests) == len(list(cache.iterdir())) == 4


def test_a_few_images_always_leave_one_to_be_tested_on(tmp_path: Path) -> None:
    files = {f"{'ab'[i % 2]}/{i}.png": encoded(noise(8, 8)) for i in range(4)}
    data = load(zipped(tmp_path / "few.zip", files))
    assert len(data.train) + len(data.test) == 4
    assert len(data.test) >= 1


def test_hidden_folders_are_no_classes_and_a_wrapping_folder_is_none(tmp_path: Path) -> None:
    files = {f"photos/{'ab'[i % 2]}/{i}.png": encoded(noise(8, 8)) for i in range(6)}
    files["photos/.ipynb_checkpoints/0.png"] = encoded(noise(8, 8))
    assert load(zipped(tmp_path / "photos.zip", files)).classes == ("a", "b")
