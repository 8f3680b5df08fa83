"""IDX files, the embedded digits and the split tensors: content in, the same content or one clear line out."""

from __future__ import annotations

import math
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from idx_files import Files, idx, packed, refused, tiny_entry, tiny_files
from latentarena.data import DataConfig, Dataset, Images, load_dataset, where
from latentarena.data.catalog import FILES
from latentarena.data.find import load_idx
from latentarena.data.idx import parse_idx, read_maybe_gzipped
from latentarena.errors import ConfigError, DataError, DataMissing

T = TypeVar("T")


def store(folder: Path, files: Files, pack: Callable[[bytes], bytes] | None = packed) -> Path:
    """Write the files into a folder, gzipped unless told otherwise."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / (name if pack is None else f"{name}.gz")).write_bytes(content if pack is None else pack(content))
    return folder


def attempt(call: Callable[[], T]) -> T | str:
    """What the call returns, or the words with which it refuses."""
    try:
        return call()
    except DataError as error:
        return str(error)


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Files:
    """Four files that the catalogue knows as `mnist` and `other`, in a world without any other data."""
    files = tiny_files()
    entry = tiny_entry(files)
    monkeypatch.setattr("latentarena.data.find.CATALOG", {"mnist": entry, "other": entry})
    monkeypatch.delenv("LATENTARENA_DATA", raising=False)
    monkeypatch.delenv("LATENTARENA_MIRROR", raising=False)
    monkeypatch.setenv("LATENTARENA_CACHE", str(tmp_path / "cache"))
    return files


@given(st.lists(st.integers(0, 5), min_size=1, max_size=5), st.integers(0, 2**32 - 1))
def test_idx_round_trip(shape: list[int], seed: int) -> None:
    array = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    tensor = parse_idx(idx(array), "file")
    assert tensor.dtype == torch.uint8
    np.testing.assert_array_equal(tensor.numpy(), array, strict=True)


sizes = st.integers(0, 255).flatmap(lambda n: st.lists(st.sampled_from([0, 1, 2, 2**32 - 1]), min_size=n, max_size=n))


@given(sizes, st.binary(max_size=4))
@example([1] * 255, b"x")
@example([2**32 - 1, 2**32 - 1, 2**32 - 1, 0], b"")
def test_any_header_is_an_array_or_refused(shape: list[int], body: bytes) -> None:
    content = bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + body
    found = attempt(lambda: parse_idx(content, "file"))
    if isinstance(found, torch.Tensor):
        assert list(found.shape) == shape
        assert found.numpy().tobytes() == body
    else:
        assert found.startswith("file ")


def test_every_truncation_is_refused() -> None:
    whole = idx(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))
    for length in range(4, 16):
        with pytest.raises(DataError, match="file is truncated: it ends inside the IDX header"):
            parse_idx(whole[:length], "file")
    for length in range(16, len(whole)):
        with pytest.raises(DataError, match=rf"declares shape \(2, 3, 4\) but holds {length - 16} of 24 bytes"):
            parse_idx(whole[:length], "file")


def test_trailing_bytes_are_refused() -> None:
    with pytest.raises(DataError, match=r"declares shape \(5,\) but holds 6 of 5 bytes"):
        parse_idx(idx(np.zeros(5, np.uint8)) + b"\0", "file")


@pytest.mark.parametrize(
    ("content", "start"),
    [
        (b"", "nothing"),
        (b"\0\0\x08", "00 00 08"),
        (b"\0\0\x0d\1\0\0\0\1\0\0\0\0", "00 00 0d 01"),  # IDX of float32
        (b"<!DOCTYPE html>", "3c 21 44 4f"),
        (b"\x89PNG\r\n\x1a\n", "89 50 4e 47"),
    ],
)
def test_wrong_magic_is_shown(content: bytes, start: str) -> None:
    with pytest.raises(DataError, match=f"file is not an IDX file of bytes .it starts with {start}."):
        parse_idx(content, "file")


@pytest.mark.parametrize("level", [0, 1, 9])
def test_gzip_reads_like_plain(tmp_path: Path, level: int) -> None:
    content = tiny_files()[FILES[0]]
    plain, small = tmp_path / "plain", tmp_path / "small.gz"
    plain.write_bytes(content)
    small.write_bytes(packed(content, level))
    assert read_maybe_gzipped(plain) == read_maybe_gzipped(small) == content


def test_truncated_gzip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file.gz"
    whole = packed(tiny_files()[FILES[0]])
    for length in range(2, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError) as error:
            read_maybe_gzipped(path)
        assert refused(error, path, "is damaged")


def test_gzip_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("latentarena.data.idx.LARGEST", 2 << 20)
    path = tmp_path / "file.gz"
    path.write_bytes(packed(bytes(2 << 20)))
    assert len(read_maybe_gzipped(path)) == 2 << 20
    path.write_bytes(packed(bytes((2 << 20) + 1)))
    with pytest.raises(DataError) as error:
        read_maybe_gzipped(path)
    assert refused(error, path, "inflates to more than 2 MiB")


def test_packing_leaves_the_content_alone(tmp_path: Path, known: Files) -> None:
    packings = {"plain": None, "fast": lambda c: packed(c, 1), "small": packed}
    loaded = [load_idx("mnist", store(tmp_path / name, known, pack)) for name, pack in packings.items()]
    assert len({data.digest for data in loaded}) == 1
    data = loaded[0]
    assert data.train.shape == (1, 8, 9)
    assert (len(data.train), len(data.test)) == (12, 6)
    assert data.train.pixels.numpy().tobytes() == known[FILES[0]][16:]
    assert bytes(data.test.labels.tolist()) == known[FILES[3]][8:]


@pytest.mark.parametrize("index", range(4))
def test_every_flipped_byte_is_found(tmp_path: Path, known: Files, index: int) -> None:
    """Damage in a gzip file changes nothing (its time stamp) or is refused by one line that names the file."""
    digest = load_idx("mnist", store(tmp_path, known)).digest
    path = tmp_path / f"{FILES[index]}.gz"
    whole = path.read_bytes()
    for position in range(0, len(whole), max(1, len(whole) // 60)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x10]) + whole[position + 1 :])
        found = attempt(lambda: load_idx("mnist", tmp_path).digest)
        assert found == digest or (str(path) in found and "\n" not in found)


def _altered(files: Files) -> bytes:
    return files[FILES[0]][:-1] + bytes([files[FILES[0]][-1] ^ 1])


@pytest.mark.parametrize(
    ("content", "fragments"),
    [
        (lambda files: files[FILES[0]][:-9], ["declares shape (12, 8, 9) but holds 855 of 864 bytes"]),
        (lambda files: files[FILES[0]][:9], ["ends inside the IDX header"]),
        (lambda files: b"", ["it starts with nothing"]),
        (lambda files: packed(files[FILES[0]])[:-9], ["is damaged", "delete it"]),
        (_altered, ["shape (12, 8, 9)", "wrong hash", "name another folder"]),
        (lambda files: files[FILES[2]], ["shape (6, 8, 9)", "wrong hash"]),
    ],
    ids=["body", "header", "empty", "gzip", "altered", "swapped"],
)
@pytest.mark.parametrize("end", ["", ".gz"])
def test_bad_file_is_named(
    tmp_path: Path, known: Files, content: Callable[[Files], bytes], fragments: list[str], end: str
) -> None:
    store(tmp_path, known)
    (tmp_path / f"{FILES[0]}.gz").unlink()
    path = tmp_path / (FILES[0] + end)
    path.write_bytes(content(known))
    with pytest.raises(DataError) as error:
        load_idx("mnist", tmp_path)
    assert refused(error, path, *fragments)


@pytest.mark.parametrize("index", [1, 2, 3])
def test_missing_file_is_named(tmp_path: Path, known: Files, index: int) -> None:
    (store(tmp_path, known) / f"{FILES[index]}.gz").unlink()
    with pytest.raises(DataError) as error:
        load_idx("mnist", tmp_path)
    assert refused(error, tmp_path, FILES[index])


def test_empty_folder_is_named(tmp_path: Path, known: Files) -> None:
    with pytest.raises(DataMissing) as error:
        load_idx("mnist", tmp_path)
    assert refused(error, "mnist", FILES[0], tmp_path, tmp_path / "mnist")


def test_mismatched_labels_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = tiny_files() | {FILES[1]: idx(np.zeros(11, np.uint8))}
    monkeypatch.setattr("latentarena.data.find.CATALOG", {"mnist": tiny_entry(files)})
    with pytest.raises(DataError) as error:
        load_idx("mnist", store(tmp_path, files))
    assert refused(error, "mnist", "(12, 8, 9)", "(11,)")


def test_unhashed_content_is_known_by_its_packing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = tiny_files()
    monkeypatch.setattr("latentarena.data.find.CATALOG", {"kmnist": tiny_entry(files, hashed=False)})
    store(tmp_path, files)
    assert len(load_idx("kmnist", tmp_path).train) == 12
    path = tmp_path / f"{FILES[0]}.gz"
    path.write_bytes(packed(_altered(files)))
    with pytest.raises(DataError) as error:
        load_idx("kmnist", tmp_path)
    assert refused(error, path, "wrong hash")


@pytest.mark.parametrize("asked", ["first", "second", "third"])
@pytest.mark.parametrize("there", ["first", "second", "third"])
@pytest.mark.parametrize("pack", [None, packed], ids=["plain", "packed"])
def test_files_of_another_dataset_are_called_by_its_name(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    asked: str,
    there: str,
    pack: Callable[[bytes], bytes] | None,
) -> None:
    """The third is known by its packing only, as KMNIST: nobody can tell its unpacked files."""
    sets = {name: tiny_files(12 + at) for at, name in enumerate(("first", "second", "third"))}
    entries = {name: tiny_entry(files, hashed=name != "third") for name, files in sets.items()}
    monkeypatch.setattr("latentarena.data.find.CATALOG", entries)
    store(tmp_path / asked, sets[there], pack)
    if asked == there:
        assert len(load_idx(asked, tmp_path).train) == len(sets[there][FILES[1]]) - 8
        return
    with pytest.raises(DataError) as error:
        load_idx(asked, tmp_path)
    told = f": it is {FILES[0]} of {there}, which is data.name={there}"
    assert refused(error, tmp_path, "wrong hash")
    assert (told in str(error.value)) == (there != "third" or pack is not None)


NEAR = {
    f"mnist/{FILES[0]} (1)": f"and the file {FILES[0]}",
    "train_images_idx3_ubyte": f"and the file {FILES[0]}",
    f"{FILES[0]}.bin": f"and the file {FILES[0]}",
    f"{FILES[0].upper()}.GZ": f"and the file {FILES[0]}",
    f"mnist/{FILES[0]}.gz.part": f"was broken off; fetch {FILES[0]}.gz anew",
    f"mnist/mnist/{FILES[0]}.gz": "name its folder with --data",
    "MNIST.zip": "unpack it",
    "mnist/mnist_data.tar.gz": "unpack it",
    "mnist.npz": "data.name=folder:",
}


@pytest.mark.parametrize("named", [True, False], ids=["--data", "LATENTARENA_DATA"])
@pytest.mark.parametrize(("file", "way_out"), NEAR.items(), ids=[*NEAR])
def test_files_of_nearly_the_name_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, way_out: str, named: bool
) -> None:
    root = tmp_path / "data"
    (root / file).parent.mkdir(parents=True)
    (root / file).write_bytes(b"x")
    other = root / "fashion-mnist" / f"{FILES[0]}.gz"
    other.parent.mkdir()
    other.write_bytes(b"x")
    monkeypatch.setenv("LATENTARENA_DATA", str(root))
    monkeypatch.setenv("LATENTARENA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("latentarena.data.find.CATALOG", {"mnist": tiny_entry(tiny_files())})  # no mirror
    with pytest.raises(DataMissing) as error:
        load_idx("mnist", root if named else None)
    assert refused(error, "mnist", f"there is {root / file}", way_out)


def test_a_last_file_of_nearly_the_name_is_named(tmp_path: Path, known: Files) -> None:
    store(tmp_path, known)
    right = tmp_path / f"{FILES[3]}.gz"
    wrong = right.rename(tmp_path / f"{FILES[3]} (1).gz")
    with pytest.raises(DataError) as error:
        load_idx("mnist", tmp_path)
    assert refused(error, f"holds no {FILES[3]}", f"there is {wrong}", f"and the file {FILES[3]}")


@pytest.fixture
def places(tmp_path: Path, known: Files, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Three bases in the order in which they are searched; all of them empty."""
    bases = {name: tmp_path / name for name in ("option", "environment", "cache/data")}
    monkeypatch.setenv("LATENTARENA_DATA", str(bases["environment"]))
    return bases


@pytest.mark.parametrize("inside", ["", "mnist"], ids=["bare", "nested"])
def test_search_order(places: dict[str, Path], known: Files, inside: str) -> None:
    option, environment, cache = (base / inside for base in places.values())
    assert where("mnist") is None
    store(cache, known)
    assert where("mnist") == cache
    store(environment, known)
    assert where("mnist") == environment
    assert where("mnist", option) is None  # a folder that was asked for is the only one looked at
    store(option, known)
    assert where("mnist", places["option"]) == option


def test_bare_folder_is_mnist(places: dict[str, Path], known: Files) -> None:
    store(places["environment"], known)
    assert where("mnist") == places["environment"]
    assert where("other") is None
    assert where("other", places["environment"]) == places["environment"]


def test_plain_and_packed_files_may_mix(tmp_path: Path, known: Files) -> None:
    names = list(known)
    store(tmp_path, {name: known[name] for name in names[::2]}, None)
    store(tmp_path, {name: known[name] for name in names[1::2]})
    assert len(load_idx("mnist", tmp_path).test) == 6


@pytest.mark.parametrize(
    ("raw", "fragments"),
    [
        ({"name": "cifar"}, ["'cifar'", "mnist, fashion-mnist, kmnist, digits, folder:PATH"]),
        ({"name": "digits", "size": 16}, ["size = 16", "folder:PATH only"]),
    ],
)
def test_impossible_dataset_names_the_choices(raw: dict[str, object], fragments: list[str]) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011 - pydantic's own, which the recipe turns into one line
        DataConfig.model_validate(raw)
    assert all(fragment in str(error.value) for fragment in fragments)


def test_data_option_must_be_a_folder(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    with pytest.raises(ConfigError) as error:
        load_dataset(DataConfig(name="mnist"), path)
    assert refused(error, "--data", path, "is not a folder")


def test_digits_are_those_of_scikit_learn() -> None:
    data, raw = load_dataset(DataConfig(name="digits")), load_digits()
    assert data.shape == (1, 28, 28)
    assert len(data.train) + len(data.test) == len(raw.target) == 1797
    assert data.train.pixels.dtype == torch.uint8
    small = torch.nn.functional.interpolate(data.test.batch(slice(None)), (8, 8), mode="bicubic")[:, 0]  # (N, 8, 8)
    source = torch.from_numpy(raw.images).float() / 16
    nearest = torch.cdist(small.flatten(1), source.flatten(1)).argmin(1)
    assert len(nearest.unique()) == len(small)
    assert (small - source[nearest]).abs().mean() < 0.01
    assert torch.equal(torch.from_numpy(raw.target)[nearest], data.test.labels)


def test_digits_split_is_stratified() -> None:
    data, total = load_dataset(DataConfig(name="digits")), np.bincount(load_digits().target)
    np.testing.assert_array_equal(data.test.labels.bincount(minlength=10).numpy(), total // 5)
    np.testing.assert_array_equal(data.train.labels.bincount(minlength=10).numpy(), total - total // 5)


def test_digits_are_the_same_every_time() -> None:
    first, second = (load_dataset(DataConfig(name="digits")) for _ in range(2))
    assert first.digest == second.digest
    assert torch.equal(first.train.pixels, second.train.pixels)


def tiny_dataset() -> Dataset:
    draw = np.random.default_rng(1).integers

    def split(n: int) -> Images:
        pixels = torch.from_numpy(draw(0, 256, (n, 3, 8, 10), np.uint8))
        return Images(pixels, torch.from_numpy(draw(0, 4, n)))

    return Dataset.of("tiny", split(7), split(5), tuple("abcd"))


@settings(max_examples=40)
@given(st.data())
def test_digest_sees_every_value(data: st.DataObject) -> None:
    whole, changed = tiny_dataset(), tiny_dataset()
    assert whole.digest == Dataset.of("renamed", whole.train, whole.test, whole.classes).digest
    part = data.draw(st.sampled_from([changed.train, changed.test]))
    values = data.draw(st.sampled_from([part.pixels, part.labels])).view(-1)
    values[data.draw(st.integers(0, len(values) - 1))] += 1
    assert whole.digest != Dataset.of("tiny", changed.train, changed.test, changed.classes).digest


@pytest.mark.parametrize("index", [slice(2, 5), torch.tensor([6, 0, 6]), slice(0, 0)], ids=["slice", "list", "none"])
def test_batch_is_pixels_over_255(index: torch.Tensor | slice) -> None:
    images = tiny_dataset().train
    before = images.pixels.clone()
    batch = images.batch(index)
    assert batch.dtype == torch.float32
    assert torch.equal(images.pixels, before)
    np.testing.assert_array_equal(batch.numpy(), before[index].numpy().astype(np.float32) / np.float32(255))


def test_batch_reaches_both_ends() -> None:
    ends = Images(torch.tensor([0, 255], dtype=torch.uint8).repeat(32).view(1, 1, 8, 8), torch.zeros(1).long())
    assert ends.batch(slice(None)).unique().tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    ("train", "test", "fragments"),
    [
        ((0, 1, 8, 8), (1, 1, 8, 8), ["train split holds no images"]),
        ((1, 1, 8, 8), (0, 1, 8, 8), ["test split holds no images"]),
        ((1, 1, 8, 8), (1, 3, 8, 8), ["(1, 8, 8)", "(3, 8, 8)"]),
        ((1, 1, 8, 7), (1, 1, 8, 7), ["(8, 7)", "8x8"]),
    ],
)
def test_impossible_splits_are_refused(train: tuple[int, ...], test: tuple[int, ...], fragments: list[str]) -> None:
    splits = (Images(torch.zeros(shape, dtype=torch.uint8), torch.zeros(shape[0]).long()) for shape in (train, test))
    with pytest.raises(DataError) as error:
        Dataset.of("some", *splits, ("a",))
    assert refused(error, "some", *fragments)


@pytest.fixture
def mnist() -> Path:
    """The folder of the real MNIST files."""
    folder = where("mnist")
    if folder is None:
        pytest.skip("MNIST is not on this machine")
    return folder


@pytest.mark.mnist
def test_mnist_is_mnist(mnist: Path) -> None:
    data = load_idx("mnist")
    assert (len(data.train), len(data.test), data.shape) == (60_000, 10_000, (1, 28, 28))
    assert data.train.labels.bincount().tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert math.isclose(data.train.pixels.float().mean().item() / 255, 0.1307, abs_tol=5e-5)


@pytest.mark.mnist
def test_repacked_mnist_is_accepted(mnist: Path, tmp_path: Path) -> None:
    for index, file in enumerate(FILES):
        source = next(p for p in (mnist / file, mnist / f"{file}.gz") if p.exists())
        if index == 0:
            shutil.copyfile(source, tmp_path / source.name)
        else:
            (tmp_path / f"{file}.gz").write_bytes(packed(read_maybe_gzipped(source), 1))
            assert (tmp_path / f"{file}.gz").read_bytes() != source.read_bytes()
    assert load_idx("mnist", tmp_path).digest == load_idx("mnist").digest
