"""Datasets in the forms that people hold them: torchvision's folders, EMNIST, Keras, Kaggle, Hugging Face."""

from __future__ import annotations

import gzip
import io
import json
import re
import shlex
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image

from albums import encoded, noise, store, zipped
from latentarena.data import DataConfig, Dataset, load_dataset, overview
from latentarena.data.arrays import split_in_name
from latentarena.data.catalog import FILES, CatalogEntry
from latentarena.data.find import load_idx
from latentarena.errors import DataError, DataMissing
from latentarena.files import digest

TRAIN, TEST = noise(40, 8, 8), noise(10, 8, 8, seed=1)
TRAIN_LABELS, TEST_LABELS = np.arange(40) % 4, np.arange(10) % 4
PANDAS = [
    *("", "Unnamed: 0", ",Unnamed: 0"),  # rows' numbers as to_csv writes them, read and written once, and twice
    *("Unnamed: 0.1,Unnamed: 0", "Unnamed: 0.2,Unnamed: 0.1,Unnamed: 0", "Unnamed: 0,Unnamed: 0.1,Unnamed: 0.1.1"),
    *("index", "level_0,index"),  # of reset_index
]
"""Columns of rows' numbers as pandas writes them; the last that is unnamed by older versions."""


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty cache for each test."""
    monkeypatch.setenv("LATENTARENA_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("LATENTARENA_DATA", raising=False)


def load(source: Path, **how: object) -> Dataset:
    return load_dataset(DataConfig.model_validate({"name": f"folder:{source}", **how}))


def refusal(source: Path) -> str:
    """The one line with which a source is refused."""
    with pytest.raises(DataError) as error:
        load(source)
    assert "\n" not in str(error.value)
    return str(error.value)


def left_out(source: Path) -> dict[str, str]:
    """The reason of each file or array that is left out."""
    return {one.path: one.reason for one in overview(DataConfig(name=f"folder:{source}")).left_out}


def holds(data: Dataset, turned: bool = False) -> bool:
    """Whether it is the images and labels above."""
    axes = (0, 2, 1) if turned else (0, 1, 2)
    return (
        np.array_equal(data.train.pixels[:, 0].numpy(), TRAIN.transpose(axes))
        and np.array_equal(data.test.pixels[:, 0].numpy(), TEST.transpose(axes))
        and data.train.labels.tolist() == TRAIN_LABELS.tolist()
        and data.test.labels.tolist() == TEST_LABELS.tolist()
    )


def idx(array: np.ndarray) -> bytes:
    """The IDX file of an array."""
    array = array.astype(np.uint8)
    return struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def idx_files(prefix: str = "", test: str = "t10k", first: int = 0) -> dict[str, bytes]:
    arrays = (TRAIN, TRAIN_LABELS + first, TEST, TEST_LABELS + first)
    names = ("train-images-idx3", "train-labels-idx1", f"{test}-images-idx3", f"{test}-labels-idx1")
    return {f"{prefix}{name}-ubyte.gz": gzip.compress(idx(a)) for name, a in zip(names, arrays, strict=True)}


@pytest.mark.parametrize("where", ["", "raw/", "MNIST/raw/", "FashionMNIST/raw/"])
def test_idx_files_of_any_dataset_are_read(tmp_path: Path, where: str) -> None:
    store(tmp_path / "data", {where + name: content for name, content in idx_files().items()})
    data = load(tmp_path / "data")
    assert holds(data)
    assert data.classes == ("0", "1", "2", "3")


def test_several_datasets_of_torchvision_are_told_apart(tmp_path: Path) -> None:
    for where in ("MNIST/raw/", "KMNIST/raw/"):
        store(tmp_path / "data", {where + name: content for name, content in idx_files().items()})
    words = refusal(tmp_path / "data")
    assert "holds the datasets KMNIST/raw, MNIST/raw; name a file of one" in words
    assert holds(load(Path(words.split("such as folder:")[1])))  # the advice works


def test_emnist_is_turned_upright_and_its_labels_have_names(tmp_path: Path) -> None:
    files = idx_files("emnist-letters-", "test", first=1)
    published = load(store(tmp_path / "published", {f"gzip/{name}": content for name, content in files.items()}))
    assert holds(published, turned=True)
    data = load(store(tmp_path / "data", files))
    assert holds(data, turned=True)
    assert data.classes == ("A", "B", "C", "D")
    store(tmp_path / "data", idx_files("emnist-digits-", "test"))
    line = refusal(tmp_path / "data")
    assert "holds the datasets emnist-digits, emnist-letters; name a file of one, such as folder:" in line
    assert load(tmp_path / "data" / "emnist-digits-train-images-idx3-ubyte.gz").classes == ("0", "1", "2", "3")


@pytest.mark.parametrize(("form", "white"), [("x_{}", np.uint8(1)), ("{}_images", 255)])
def test_npz_of_keras_and_others_is_read(tmp_path: Path, form: str, white: np.uint8 | int) -> None:
    labels = form.replace("x_", "y_").replace("images", "labels")
    train, test = (TRAIN, TEST) if white == 1 else (TRAIN / white, TEST / white)
    arrays = {form.format("train"): train, labels.format("train"): TRAIN_LABELS[:, None].astype(np.uint8)}
    arrays |= {form.format("test"): test, labels.format("test"): TEST_LABELS}
    np.savez(tmp_path / "mnist.npz", **arrays)
    assert holds(load(tmp_path / "mnist.npz"))
    assert load(tmp_path / "mnist.npz", size=16).shape == (1, 16, 16)


@pytest.mark.parametrize(
    "names",
    [
        ("images", "labels", "", ""),
        ("data", "target", "", ""),
        ("train_data", "train_labels", "test_data", "test_labels"),
        ("trainX", "trainy", "testX", "testy"),
        ("arr_0", "arr_1", "", ""),
    ],
)
def test_arrays_under_other_names_are_refused_with_the_command_that_renames_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    arrays = {name: one for name, one in zip(names, (TRAIN, TRAIN_LABELS, TEST, TEST_LABELS), strict=True) if name}
    np.savez("some.npz", **arrays)
    said = refusal(Path("some.npz"))
    command = re.search(r'python -c "([^"]*)" and name folder:images\.npz', said)
    assert command
    subprocess.run([sys.executable, "-c", command[1]], check=True)
    data = load(Path("images.npz"))
    if len(arrays) == 4:
        assert holds(data)
    assert len(data.train) + len(data.test) == sum(map(len, arrays.values())) / 2
    np.savez("odd.npz", **{"images'; import os; '": TRAIN, "labels": TRAIN_LABELS})
    assert "import os" not in refusal(Path("odd.npz")).partition("python")[2]


ODD_NAMES = ["sp ace", "quo'te", 'dou"ble', "$(touch pwned)", "`touch pwned`", 'it\'s "both" \\ back!']


def followed(said: str, home: Path, made: str = "images.npz") -> Path:
    """What the command in a refusal makes, pasted into a shell."""
    line = said[said.index("python -c") :].partition(f" and name folder:{made}")[0]
    (home / "python").unlink(missing_ok=True)
    (home / "python").symlink_to(sys.executable)
    subprocess.run(["sh", "-c", f"./{line}"], cwd=home, check=True)
    assert not (home / "pwned").exists()
    return home / made


@pytest.mark.parametrize("odd", ODD_NAMES)
def test_commands_hold_paths_of_any_letters(tmp_path: Path, odd: str) -> None:
    home = tmp_path / odd
    home.mkdir()
    np.savez(home / "d.npz", images=TRAIN, labels=TRAIN_LABELS)
    data = load(followed(refusal(home / "d.npz"), tmp_path))
    assert len(data.train) + len(data.test) == len(TRAIN)
    np.save(home / "d.npy", TRAIN)
    said = refusal(home / "d.npy").replace(", with labels beside them as y_train=labels,", "")
    assert len(load(followed(said, tmp_path)).classes) == 1
    pairs = zip(TRAIN, TRAIN_LABELS, strict=True)
    rows = ["label,pixels", *(f"{label},{' '.join(map(str, one.ravel()))}" for one, label in pairs)]
    (home / "d.csv").write_text("\n".join(rows))
    assert load(followed(refusal(home / "d.csv"), tmp_path)).digest == data.digest
    np.savetxt(home / "e.csv", TRAIN.reshape(len(TRAIN), -1), fmt="%d", delimiter=",")
    assert len(load(followed(refusal(home / "e.csv"), tmp_path)).classes) == 1


def test_no_command_holds_a_path_that_no_line_can_hold(tmp_path: Path) -> None:
    home = tmp_path / "a\nb"
    home.mkdir()
    np.savez(home / "d.npz", images=TRAIN, labels=TRAIN_LABELS)
    with pytest.raises(DataError) as error:
        load(home / "d.npz")
    assert "python -c" not in str(error.value)


def test_arrays_of_which_the_test_split_alone_has_known_names_get_the_command(tmp_path: Path) -> None:
    """As `X, y, X_test, y_test`, of which the last two are read."""
    np.savez(tmp_path / "d.npz", X=TRAIN, y=TRAIN_LABELS, X_test=TEST, y_test=TEST_LABELS)
    said = refusal(tmp_path / "d.npz")
    assert "holds X [40, 8, 8], y [40], X_test [10, 8, 8], y_test [10] and so no train split" in said
    assert holds(load(followed(said, tmp_path)))
    np.savez(tmp_path / "d.npz", X=TRAIN, y=TRAIN_LABELS, X_val=TEST, y_val=TEST_LABELS)
    assert holds(load(followed(refusal(tmp_path / "d.npz"), tmp_path)))
    np.savez(tmp_path / "d.npz", x_test=TEST, y_test=TEST_LABELS)
    assert "no train split" in refusal(tmp_path / "d.npz")
    assert "python -c" not in refusal(tmp_path / "d.npz")


def test_emnist_of_matlab_gets_the_command_that_turns_it_upright(tmp_path: Path) -> None:
    train, test = noise(40, 28, 28), noise(10, 28, 28, seed=1)

    def split(images: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
        return {"images": images.swapaxes(1, 2).reshape(len(images), -1), "labels": labels[:, None].astype(float)}

    parts = {"train": split(train, TRAIN_LABELS + 1), "test": split(test, TEST_LABELS + 1)}
    (tmp_path / "matlab").mkdir()
    scipy.io.savemat(tmp_path / "matlab" / "emnist-letters.mat", {"dataset": parts | {"mapping": np.eye(3)}})
    for source in (tmp_path / "matlab" / "emnist-letters.mat", tmp_path / "matlab"):
        data = load(followed(refusal(source), tmp_path))
        assert np.array_equal(data.train.pixels[:, 0].numpy(), train)
        assert np.array_equal(data.test.pixels[:, 0].numpy(), test)
        assert [data.classes[label] for label in data.test.labels.tolist()] == [str(k + 1) for k in TEST_LABELS]


def test_npz_that_is_no_dataset_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "pickled.npz", x_train=np.array([{}], object))
    assert "save arrays of numbers" in refusal(tmp_path / "pickled.npz")
    np.savez(tmp_path / "other.npz", weights=np.zeros((2, 3)))
    assert "weights [2, 3]; images are expected as x_train" in refusal(tmp_path / "other.npz")
    np.savez(tmp_path / "scaled.npz", x_train=TRAIN / 127.5 - 1, y_train=TRAIN_LABELS)
    assert "with values of -1 to 1; save them as uint8" in refusal(tmp_path / "scaled.npz")
    np.savez(tmp_path / "over.npz", x_train=TRAIN / 250 - 0.01, y_train=TRAIN_LABELS)
    assert "such as images.clip(0, 1) * 255 if 0 is black" in refusal(tmp_path / "over.npz")
    (tmp_path / "broken.npz").write_bytes(b"PK")
    assert "broken.npz cannot be read" in refusal(tmp_path / "broken.npz")


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"labels_train": TRAIN_LABELS}, "holds x_train, labels_train: there is no y_train beside x_train"),
        ({"Y_TRAIN": TRAIN_LABELS[:, None]}, "holds x_train, Y_TRAIN: there is no y_train beside x_train"),
        ({"y_train": TRAIN_LABELS, "x_test": TEST}, "there is no y_test beside x_test"),
        ({"x_train": TRAIN // 128}, "values up to 1, which would be read as nearly black"),
        ({"x_train": TRAIN // 16 * 1.0}, "such as images * (255 / 15) if 15 is white"),
        ({"x_test": TEST / 255}, "those of the train split uint8, those of the test split float64; save all of them"),
        ({"x_test": TEST > 127}, "those of the train split uint8, those of the test split bool; save all of them"),
        ({"x_train": TRAIN / 255, "x_test": TEST * 1.0}, "of the train split have values of 0 to 1 and those of the"),
    ],
)
def test_arrays_of_two_readings_are_refused(tmp_path: Path, arrays: dict[str, np.ndarray], words: str) -> None:
    np.savez(tmp_path / "a.npz", **({"x_train": TRAIN} | arrays))
    assert words in refusal(tmp_path / "a.npz")


def test_arrays_that_are_not_read_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x_train=TRAIN, y_train=TRAIN_LABELS, masks=TRAIN)
    assert left_out(tmp_path / "a.npz") == {"a.npz: masks": "an array that is neither images nor labels by its name"}
    np.savez(tmp_path / "c.npz", x_train=TRAIN, x_val=TEST, x_test=TEST)
    assert left_out(tmp_path / "c.npz") == {"the validation split's 10 images": "not used, for there is a test split"}
    np.savez(tmp_path / "b.npz", x_train=TRAIN)
    assert load(tmp_path / "b.npz").classes == ("0",)


def test_what_lies_beside_arrays_is_accounted_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = store(tmp_path / "set", idx_files() | {"notes.txt": b"x", "more/a.txt": b"x", ".hidden": b"x"})
    assert left_out(source) == dict.fromkeys(("more", "notes.txt"), "beside the arrays")
    load(source)
    assert "left out: more and 1 more (beside the arrays)" in caplog.text
    store(source, pictures("cat/1.png", "dog/1.png"))
    assert "can be read in two ways: as IDX files, or as images in folders" in refusal(source)


def test_a_csv_without_header_whose_label_may_be_last_is_refused(tmp_path: Path) -> None:
    rows = [",".join(map(str, [*image.ravel() // 15, y])) for image, y in zip(TRAIN, TRAIN_LABELS, strict=True)]
    (tmp_path / "optdigits.csv").write_text("\n".join(rows))
    assert "its first column as the label, or its last; write a first line" in refusal(tmp_path / "optdigits.csv")


def csv(images: np.ndarray, labels: np.ndarray, header: bool = True) -> bytes:
    """Kaggle's table."""
    head = ",".join(["label", *(f"pixel{i}" for i in range(64))]) if header else ""
    rows = [",".join(map(str, [label, *image.ravel()])) for image, label in zip(images, labels, strict=True)]
    return "\n".join([head, *rows] if header else rows).encode()


@pytest.mark.parametrize("header", [True, False])
def test_csv_of_kaggle_is_read(tmp_path: Path, header: bool) -> None:
    tables = {
        "mnist_train.csv": csv(TRAIN, TRAIN_LABELS, header),
        "mnist_test.csv": csv(TEST, TEST_LABELS, header),
    }
    assert holds(load(store(tmp_path / "data", tables)))
    alone = load(tmp_path / "data" / "mnist_train.csv")
    assert len(alone.train) + len(alone.test) == 40
    unlabelled = b"\n".join(line.split(b",", 1)[1] for line in csv(TEST, TEST_LABELS).splitlines())
    digits = store(tmp_path / "digits", {"train.csv": csv(TRAIN, TRAIN_LABELS), "test.csv": unlabelled})
    assert left_out(digits) == {"test.csv": "no column is called label, labels, class, target, y"}


WORDS = np.array(["ten", "two", "a dog", "nine"])


def test_labels_that_are_words_are_read(tmp_path: Path) -> None:
    tables = {
        f"{name}.csv": csv(images, [f'"{word}"' for word in WORDS[labels]])  # type: ignore[arg-type]
        for name, images, labels in (("train", TRAIN, TRAIN_LABELS), ("test", TEST, TEST_LABELS))
    }
    store(tmp_path / "tables", tables)
    np.savez(tmp_path / "a.npz", x_train=TRAIN, y_train=WORDS[TRAIN_LABELS], x_test=TEST, y_test=WORDS[TEST_LABELS])
    for data in (load(tmp_path / "tables"), load(tmp_path / "a.npz")):
        assert data.classes == ("a dog", "nine", "ten", "two")
        for split, images, labels in ((data.train, TRAIN, TRAIN_LABELS), (data.test, TEST, TEST_LABELS)):
            assert np.array_equal(split.pixels[:, 0].numpy(), images)
            assert [data.classes[label] for label in split.labels.tolist()] == WORDS[labels].tolist()
    store(tmp_path / "tables", {"test.csv": csv(TEST, TEST_LABELS)})
    assert "labels of one split are numbers and those of another words" in refusal(tmp_path / "tables")


@pytest.mark.parametrize("usage", [True, False])
def test_a_table_with_all_pixels_in_one_cell_is_refused_with_the_command_that_converts_it(
    tmp_path: Path, usage: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As FER-2013 is given."""
    rows = ["emotion,pixels,Usage" if usage else "emotion,pixels"]
    splits = ("Training", TRAIN, TRAIN_LABELS), ("PrivateTest", TEST, TEST_LABELS)
    for name, images, labels in splits:
        cells = [" ".join(map(str, image.ravel())) for image in images]
        rows += [f"{label},{cell}{f',{name}' * usage}" for cell, label in zip(cells, labels, strict=True)]
    (tmp_path / "fer2013.csv").write_text("\n".join(rows))
    said = refusal(tmp_path / "fer2013.csv")
    command = said[said.index("python -c") : said.index(" and name folder:images.npz")]
    monkeypatch.chdir(tmp_path)
    subprocess.run(shlex.split(command.replace("python", sys.executable, 1)), check=True)
    data = load(tmp_path / "images.npz")
    assert holds(data) if usage else len(data.train) + len(data.test) == 50
    (tmp_path / "a\tb.csv").write_text("\n".join(rows))  # a name that no line can hold
    assert refusal(tmp_path / "a\tb.csv").endswith("save them as arrays, an .npz file")


def test_csv_that_is_no_dataset_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "some.csv"
    path.write_text("name,age\nx,3\n")
    assert "no column is called label" in refusal(path)
    path.write_text("label,a,b\n1,2,3\n")
    assert "beside the label it has too few columns for an image" in refusal(path)
    many = ",".join("abcdefghijk")
    path.write_text(f"label,{many}\n{','.join('1' * 12)}\n")
    assert "11 columns of pixels, which are no square" in refusal(path)
    path.write_text(f"label,{many}\n{','.join('x' * 12)}\n")
    assert "no table of numbers" in refusal(path)


@pytest.mark.parametrize("sign", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_table_of_pixels_is_read_as_spreadsheets_and_pandas_write_it(
    tmp_path: Path, sign: str, encoding: str
) -> None:
    for name, images, labels in (("train", TRAIN, TRAIN_LABELS), ("test", TEST, TEST_LABELS)):
        quoted = csv(images, labels).decode().replace("pixel0,", '"pixel0",').replace(",", sign)
        lines = [quoted.splitlines()[0], *(f"{line}.0" for line in quoted.splitlines()[1:])]
        store(tmp_path / "set", {f"{name}.csv": "\r\n".join(lines).encode(encoding)})
    store(tmp_path / "set", {"sample_submission.csv": b"ImageId,Label\n1,0\n2,0\n"})
    assert holds(load(tmp_path / "set"))
    assert "too few columns" in left_out(tmp_path / "set")["sample_submission.csv"]


@pytest.mark.parametrize("named", ["pixel{0}", "{1}x{2}", "{0}"])
def test_pixels_stand_where_their_columns_names_say(tmp_path: Path, named: str) -> None:
    """Also where a program has sorted the columns as text: pixel0, pixel1, pixel10, ..."""
    names = [named.format(i, 1 + i // 8, 1 + i % 8) for i in range(64)]
    for name, images, labels in (("train", TRAIN, TRAIN_LABELS), ("test", TEST, TEST_LABELS)):
        flat = {one: images.reshape(len(images), -1)[:, i] for i, one in enumerate(names)} | {"label": labels}
        order = sorted(flat)
        rows = [order, *(map(str, row) for row in zip(*(flat[one] for one in order), strict=True))]
        store(tmp_path / "set", {f"{name}.csv": "\n".join(map(",".join, rows)).encode()})
    assert holds(load(tmp_path / "set"))


@pytest.mark.parametrize(
    ("name", "first"),
    [("id", 0), ("ImageId", 1), ("image_id", 1), ("id,Unnamed: 0", 0), *((name, 0) for name in PANDAS)],
)
def test_a_column_that_counts_the_rows_is_no_pixel(tmp_path: Path, name: str, first: int) -> None:
    """As Kaggle and pandas write it."""
    for split, images, labels in (("train", TRAIN, TRAIN_LABELS), ("test", TEST, TEST_LABELS)):
        head, *rows = csv(images, labels).decode().splitlines()
        counted = [f"{i}," * len(name.split(",")) + row for i, row in enumerate(rows, first)]
        store(tmp_path / "set", {f"{split}.csv": "\n".join([f"{name},{head}", *counted]).encode()})
    assert holds(load(tmp_path / "set"))


def test_numbers_of_rows_that_were_drawn_from_more_are_no_pixels(tmp_path: Path) -> None:
    """As pandas keeps them where a table is split."""
    for split, images, labels in (("train", TRAIN, TRAIN_LABELS), ("test", TEST, TEST_LABELS)):
        head, *rows = csv(images, labels).decode().splitlines()
        drawn = [f"{3 * i + 2},{row}" for i, row in enumerate(rows)]
        store(tmp_path / "set", {f"{split}.csv": "\n".join([f"Unnamed: 0,{head}", *drawn]).encode()})
    assert holds(load(tmp_path / "set"))


def test_a_csv_without_header_and_label_is_refused_with_the_command_that_keeps_its_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bare.csv").write_text("\n".join(",".join(map(str, image.ravel())) for image in TRAIN))
    said = refusal(Path("bare.csv"))
    assert f"has no header and {TRAIN[0].size} columns, the pixels of" in said
    subprocess.run([sys.executable, "-c", said.split('-c "')[1].split('"')[0]], check=True)
    assert (np.load("images.npz")["x_train"] == TRAIN).all()
    Path("counted.csv").write_text("\n".join(f"{i},{i % 3}," + ",".join(["7"] * 64) for i in range(9)))
    assert "has no header and 66 columns, which are no label and a square" in refusal(Path("counted.csv"))


@pytest.mark.parametrize("kind", [np.uint8, np.float32, bool])
def test_labels_that_mark_the_class_are_read(tmp_path: Path, kind: type) -> None:
    marked = [np.eye(10, dtype=kind)[labels] for labels in (TRAIN_LABELS, TEST_LABELS)]
    np.savez(tmp_path / "a.npz", x_train=TRAIN, y_train=marked[0], x_test=TEST, y_test=marked[1])
    assert holds(load(tmp_path / "a.npz"))
    marked[0][3] = 0  # of no class
    np.savez(tmp_path / "a.npz", x_train=TRAIN, y_train=marked[0], x_test=TEST, y_test=marked[1])
    assert "save labels.argmax(1)" in refusal(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("head", "words"),
    [
        ("label,id," + ",".join(f"pixel{i}" for i in range(64)), "a column 'id', which is neither the label nor"),
        (",label," + ",".join(f"pixel{i}" for i in range(64)), "a column without a name, which is neither the label"),
        (
            "fold,label,rank," + ",".join(f"pixel{i}" for i in range(64)),
            "a column 'fold' and a column 'rank', which are neither the label nor pixels; take them out",
        ),
        ("label," + ",".join(f"pixel{i}" for i in range(0, 128, 2)), "some are missing or come twice"),
        ("label," + ",".join(f"pixel{i % 63}" for i in range(64)), "some are missing or come twice"),
        (",".join(map(str, range(65))), "no column is called label, labels, class, target, y; call the column of the"),
    ],
)
def test_a_table_that_leaves_open_where_pixels_belong_is_refused(tmp_path: Path, head: str, words: str) -> None:
    path, rows = tmp_path / "some.csv", [",".join(["1"] * len(head.split(",")))] * 4
    path.write_text("\n".join([head, *rows]))
    assert words in refusal(path)


def parquet(
    path: Path,
    images: np.ndarray,
    labels: np.ndarray,
    columns: tuple[str, ...] = ("label",),
    names: tuple[str, ...] = ("ant", "bee", "cat", "dog"),
) -> None:
    """A file as the `datasets` library writes it."""
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet as pq

    cells = [{"bytes": encoded(image), "path": None} for image in images]
    table = pa.table({"image": cells} | {column: pa.array(labels) for column in columns})
    features = {"label": {"names": names, "_type": "ClassLabel"}} if names else {}
    said = {"huggingface": json.dumps({"info": {"features": features}})}
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.replace_schema_metadata(said), path)


def test_parquet_of_hugging_face_is_read(tmp_path: Path) -> None:
    parquet(tmp_path / "set/data/train-00000-of-00001.parquet", TRAIN, TRAIN_LABELS)
    parquet(tmp_path / "set/data/test-00000-of-00001.parquet", TEST, TEST_LABELS)
    data = load(tmp_path / "set")
    assert data.classes == ("ant", "bee", "cat", "dog")
    assert (len(data.train), len(data.test)) == (40, 10)
    truth = {image.tobytes(): data.classes[label] for image, label in zip(TRAIN, TRAIN_LABELS, strict=True)}
    found = zip(data.train.pixels, data.train.labels, strict=True)
    assert all(truth[image.numpy().tobytes()] == data.classes[label] for image, label in found)
    assert overview(DataConfig(name=f"folder:{tmp_path / 'set'}")).classes["bee"] == (10, 3)
    store(tmp_path / "set", {"README.md": b"x", ".cache/a": b"x"})
    assert left_out(tmp_path / "set")["README.md"] == "beside the parquet files"
    assert "hidden" in left_out(tmp_path / "set")[".cache/a"]
    two = tmp_path / "two.parquet"
    parquet(two, TRAIN, TRAIN_LABELS, ("fine_label", "coarse_label"))
    assert "2 columns of labels: its columns are image, fine_label, coarse_label" in refusal(two)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (("cropped/train-0", "full/train-0"), "files in cropped, full, which may be several datasets"),
        (("a/train/0", "a/test/0", "b/train/0"), "files in a, b, which may be several datasets"),
        (("data/train-0", "data/backup"), "backup.parquet says no split in its name"),
    ],
)
def test_parquet_files_of_several_readings_are_refused(tmp_path: Path, files: tuple[str, ...], words: str) -> None:
    for name in files:
        parquet(tmp_path / "set" / f"{name}.parquet", TRAIN, TRAIN_LABELS)
    assert words in refusal(tmp_path / "set")


def test_no_part_of_a_parquet_dataset_is_missing_unnoticed(tmp_path: Path) -> None:
    for number in (0, 2):
        parquet(tmp_path / f"set/train-0000{number}-of-00003.parquet", TRAIN, TRAIN_LABELS)
    assert "holds 2 of 3 parquet files that belong together: the one of number 1 is missing" in refusal(
        tmp_path / "set"
    )
    assert len(load(tmp_path / "set/train-00000-of-00003.parquet").train) > 30  # one that is named is asked for
    parquet(tmp_path / "set/train-00001-of-00003.parquet", TRAIN, TRAIN_LABELS)
    assert load(tmp_path / "set").classes == ("ant", "bee", "cat", "dog")


def test_a_label_of_a_parquet_file_is_one_of_those_that_have_names(tmp_path: Path) -> None:
    parquet(tmp_path / "set/train-0.parquet", TRAIN, TRAIN_LABELS)
    parquet(tmp_path / "set/train-1.parquet", TRAIN, TRAIN_LABELS, names=())
    assert load(tmp_path / "set").classes == ("ant", "bee", "cat", "dog")  # and no further classes 0 to 3
    unlabelled = TRAIN_LABELS.copy()
    unlabelled[7] = -1  # as the `datasets` library writes where labels are kept back
    parquet(tmp_path / "unlabelled.parquet", TRAIN, unlabelled)
    assert "row 7 of unlabelled.parquet has the label -1" in refusal(tmp_path / "unlabelled.parquet")
    parquet(tmp_path / "alike.parquet", TRAIN, TRAIN_LABELS, names=("a/b", "a-b", "c", "d"))
    assert "which would both be called a-b" in refusal(tmp_path / "alike.parquet")
    parquet(tmp_path / "set/train-1.parquet", TRAIN, TRAIN_LABELS, names=("bee", "ant", "cat", "dog"))
    assert "say different names of the same labels, ant and bee" in refusal(tmp_path / "set")


def test_parquet_beside_a_table_of_pixels_is_refused(tmp_path: Path) -> None:
    parquet(tmp_path / "set/train.parquet", TRAIN, TRAIN_LABELS)
    store(tmp_path / "set", {"train.csv": csv(TRAIN, TRAIN_LABELS)})
    assert "in two ways: as train.csv, or as train.parquet" in refusal(tmp_path / "set")


@pytest.mark.parametrize("name", ["in/data.npz", "raw/train-images-idx3-ubyte", "train.csv", "train.parquet", "a.zip"])
def test_arrays_in_a_zip_are_refused_with_the_command(tmp_path: Path, name: str) -> None:
    inside = f"/{name}".rpartition("/")[0] if name != "a.zip" else "/a.zip"
    line = refusal(zipped(tmp_path / "my set.zip", {name: b"x"}))
    assert f"`unzip '{tmp_path}/my set.zip' -d 'my set-unpacked'` and name folder:my set-unpacked{inside}" in line
    assert "unpack" not in refusal(zipped(tmp_path / "other.zip", {"a.pt": b"x"}))


def test_parquet_without_pyarrow_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "some.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert "pip install 'latentarena[parquet]'" in refusal(tmp_path / "some.parquet")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("processed/training.pt", ["is a pickle", "torch.load(", "numpy.savez('images.npz'", "folder:images.npz"]),
        (
            "images.npy",
            ["is one array", "numpy.load(", "numpy.savez('images.npz', x_train=images)", "folder:images.npz"],
        ),
        ("cifar-10-batches-py/data_batch_1", ["pickles of CIFAR", "CIFAR10", "numpy.savez('cifar10.npz'"]),
    ],
)
def test_arrays_of_other_forms_are_refused_with_the_command_that_converts(
    tmp_path: Path, name: str, words: list[str]
) -> None:
    line = refusal(store(tmp_path / "data", {name: b"x"}))
    assert [word for word in words if word not in line] == []


@pytest.mark.parametrize(
    ("name", "words"),
    [("a.pt", "is a pickle"), ("a.tar.gz", "tar -xf a.tar.gz"), ("a.mat", "numpy.savez"), ("a.png", "is one image")],
)
def test_files_of_other_forms_are_refused(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    assert words in refusal(tmp_path / name)


@pytest.mark.parametrize(
    ("images", "labels", "way"),
    [
        (TRAIN.reshape(len(TRAIN), -1), TRAIN_LABELS, "images.reshape(-1, {0}, {0})".format(TRAIN.shape[1])),
        (TRAIN, TRAIN_LABELS.astype(float), "labels.astype(int)"),
        (TRAIN, np.eye(10)[TRAIN_LABELS] * 0.9 + 0.01, "labels.argmax(1)"),
    ],
    ids=["rows of pixels", "float", "shares of classes"],
)
def test_arrays_in_other_shapes_are_refused_with_the_way_out(
    tmp_path: Path, images: np.ndarray, labels: np.ndarray, way: str
) -> None:
    np.savez(tmp_path / "a.npz", x_train=images, y_train=labels)
    assert way in refusal(tmp_path / "a.npz")
    names = {"images": images, "labels": labels}
    better = eval(way, {"numpy": np}, names)  # the advice can be followed
    np.savez(tmp_path / "a.npz", **{"x_train": images, "y_train": labels} | {"xy"["labels" in way] + "_train": better})
    assert len(load(tmp_path / "a.npz").classes) == len(set(TRAIN_LABELS.tolist()))


def test_tables_beside_images_are_no_dataset(tmp_path: Path) -> None:
    images = {f"{'ab'[i % 2]}/{i}.png": encoded(noise(8, 8, seed=i)) for i in range(12)}
    assert load(store(tmp_path / "some", images | {"labels.csv": b"label\n1"})).classes == ("a", "b")


def known_entry(files: dict[str, np.ndarray]) -> CatalogEntry:
    return CatalogEntry(("http://127.0.0.1:9/",), tuple("0123"), tuple(digest(idx(array)) for array in files.values()))


@pytest.fixture
def catalogue(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, bytes]]:
    """Two small datasets that are known by their content, under the names of large ones; their files."""
    first = dict(zip(FILES, (TRAIN, TRAIN_LABELS, TEST, TEST_LABELS), strict=True))
    second = {name: 255 - array for name, array in first.items()}
    entries = {"mnist": known_entry(first), "fashion-mnist": known_entry(second)}
    monkeypatch.setattr("latentarena.data.find.CATALOG", entries)
    return {"mnist": {name: idx(array) for name, array in first.items()}}


@pytest.mark.parametrize("where", ["MNIST/raw", "raw", "mnist", "."])
@pytest.mark.parametrize("dotted", [False, True])
def test_torchvisions_folders_and_kaggles_names_are_found(
    tmp_path: Path, catalogue: dict[str, dict[str, bytes]], where: str, dotted: bool
) -> None:
    files = {
        name.replace("-idx", ".idx" if dotted else "-idx"): content for name, content in catalogue["mnist"].items()
    }
    store(tmp_path / "data" / where, files)
    assert holds(load_idx("mnist", tmp_path / "data"))


def test_another_datasets_files_are_told_what_they_are(tmp_path: Path, catalogue: dict[str, dict[str, bytes]]) -> None:
    store(tmp_path, catalogue["mnist"])
    with pytest.raises(DataError) as error:
        load_idx("fashion-mnist", tmp_path)
    assert "(wrong hash): it is train-images-idx3-ubyte of mnist, which is data.name=mnist" in str(error.value)
    assert "fetched again" not in str(error.value)


def test_near_misses_are_named(tmp_path: Path, catalogue: dict[str, dict[str, bytes]]) -> None:
    store(tmp_path / "some" / "where", {name.replace("train-", "train_"): c for name, c in catalogue["mnist"].items()})
    with pytest.raises(DataMissing) as error:
        load_idx("mnist", tmp_path)
    near = tmp_path / "some" / "where" / "train_images-idx3-ubyte"
    assert f"there is {near}" in str(error.value)  # not t10k-images, which comes first and is named right
    assert "and the file train-images-idx3-ubyte, with .gz" in str(error.value)


def pictures(*names: str) -> dict[str, bytes]:
    """Different images under these names."""
    return {name: encoded(noise(8, 8, seed=seed)) for seed, name in enumerate(names)}


def labelled(data: Dataset) -> dict[bytes, str]:
    """The class of each image by its pixels."""
    splits = (data.train, data.test)
    return {p.numpy().tobytes(): data.classes[k] for s in splits for p, k in zip(s.pixels, s.labels, strict=True)}


def expected(files: dict[str, bytes], classes: dict[str, str]) -> dict[bytes, str]:
    """The same by the names of the files."""
    return {np.asarray(Image.open(io.BytesIO(files[name]))).tobytes(): label for name, label in classes.items()}


@pytest.mark.parametrize("pack", [store, zipped])
@pytest.mark.parametrize(
    ("folder", "cell", "head", "mark"),
    [
        ("", "{}.png", "filename,label", ","),
        ("images/", "{}", "id,breed", ","),  # without suffix, a label of any name
        ("photos/images/", "images/{}.png", "path;label;note", ";"),
        ("", "{}.png", "", ","),  # no header
    ],
)
def test_a_table_of_labels_beside_images_is_read(
    tmp_path: Path, pack: object, folder: str, cell: str, head: str, mark: str
) -> None:
    files = pictures(*(f"{folder}{i}.png" for i in range(20)))
    rows = [mark.join([cell.format(i), f"class{i % 3}", *["x"] * (head.count(mark) - 1)]) for i in range(20)]
    table = "\r\n".join([head, *rows] if head else rows).encode()
    data = load(pack(tmp_path / "set", files | {"labels.csv": table}))  # type: ignore[operator]
    assert labelled(data) == expected(files, {f"{folder}{i}.png": f"class{i % 3}" for i in range(20)})
    assert data.classes == ("class0", "class1", "class2")
    assert any("3 classes from labels.csv" in line for line in data.about)


def test_kaggles_tables_of_splits_are_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = pictures(*(f"{split}/{i}.png" for split in ("train", "test") for i in range(10)))
    table = "\n".join(["id,label", *(f"{i},{'ab'[i % 2]}" for i in range(10)), "77,a"]).encode()
    classes = {f"train/{i}.png": "ab"[i % 2] for i in range(10)}
    source = store(tmp_path / "kaggle", files | {"train.csv": table, "test.csv": b"id\n1\n2"})
    with caplog.at_level("WARNING"):
        assert labelled(load(source)) == expected(files, classes)
    assert "test/0.png and 9 more (without a label in train.csv)" in caplog.text
    assert "77 (named in train.csv, but not there)" in caplog.text
    (source / "test.csv").write_bytes(table.replace(b"a", b"c").replace(b"c\n", b"b\n"))
    data = load(source)
    assert (len(data.train), len(data.test)) == (10, 10)
    (source / "train.csv").write_bytes(table.replace(b",b", b",c"))  # other labels of the same images
    assert "b has images in the test split and none in the train split" in refusal(source)


def test_a_table_that_can_be_read_in_two_ways_is_refused(tmp_path: Path) -> None:
    files = pictures(*(f"{i}.png" for i in range(6)))
    table = b"\n".join([b"name,fine,coarse", *(b"%d.png,x,y" % i for i in range(6))])
    assert "columns fine, coarse may each be their class" in refusal(store(tmp_path / "a", files | {"t.csv": table}))
    table = b"\n".join([b"name,label", *(b"%d.png,x" % i for i in range(6)), b"0.png,y"])
    assert "two labels of 0.png, x and y" in refusal(store(tmp_path / "b", files | {"t.csv": table}))
    store(tmp_path / "c", files | {"one.csv": table[:-8], "two.csv": table[:-8]})
    assert "one.csv, two.csv all name images" in refusal(tmp_path / "c")


@pytest.mark.parametrize("names", PANDAS)
def test_rows_numbers_of_pandas_are_no_names_of_images(tmp_path: Path, names: str) -> None:
    """The images are numbered too, in another order."""
    files = pictures(*(f"{i}.png" for i in range(20)))
    rows = [f"{i}," * len(names.split(",")) + f"{19 - i},class{i % 2}" for i in range(20)]
    found = labelled(load(store(tmp_path / "set", files | {"t.csv": "\n".join([f"{names},id,label", *rows]).encode()})))
    assert found == expected(files, {f"{19 - i}.png": f"class{i % 2}" for i in range(20)})


def table(head: str, row: str, n: int = 20) -> bytes:
    """Rows of `{i}`, `{k}` (another order of the same numbers) and `{c}` (the class)."""
    order = np.random.default_rng(0).permutation(n)
    return "\n".join([head, *(row.format(i=i, k=order[i], c=f"class{i % 2}") for i in range(n))]).encode()


@pytest.mark.parametrize(
    "rows",
    [
        table(",filename,label", "{k},{i}.png,{c}"),  # with the index of pandas
        table("Unnamed: 0,file,kind", "{i},{i}.png,{c}"),  # and a label of any name
        "\n".join(["Unnamed: 0,id,label", *(f"{19 - i},{i},class{i % 2}" for i in reversed(range(20)))]).encode(),
        table("label,file", "{c},{i}.png"),
        table("index,file,label", "{k},{i}.png,{c}"),
        table("file;label", "{i}.png;{c}").decode().encode("utf-16"),
        table("id,label", "{i},{c}").replace(b"class", b""),  # digits that name images as well
    ],
    ids=["index", "index, read again", "index and numbers", "label first", "index called so", "UTF-16", "digits"],
)
def test_the_column_of_file_names_is_told_from_numbers(tmp_path: Path, rows: bytes) -> None:
    files = pictures(*(f"{i}.png" for i in range(20)))
    found = labelled(load(store(tmp_path / "set", files | {"labels.csv": rows})))
    truth = expected(files, {f"{i}.png": f"class{i % 2}" for i in range(20)})
    assert {image: f"class{label[-1]}" for image, label in found.items()} == truth


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (table("row,id,label", "{k},{i},{c}"), "its column row as the names of the images, or its column id"),
        (table("file,mask,label", "{i}.png,{k}.png,{c}"), "its column file as the names"),
        (table("label,file", "{c},images/{i}.png").replace(b"class", b""), "names images/0.png and others, which are"),
        (
            table("file_name,text", "{i}.png,no {i} of all"),
            "column text what it says of no other, such as",
        ),
        (table("file,Unnamed: 0", "{i}.png,{i}"), "column Unnamed: 0 what it says of no other, such as '0'"),
        (table("file,label", "{i}.jpg,{k}"), "write the names as they are in the folder, such as 0.png"),
        (table("file,label", "{i}.png,{c}") + b"\n5.png,a,b", "its row 22 (5.png) has 3 cells where others have 2"),
        (table("file,label", "{i}.png,B\u00e4r{c}").decode().encode("latin-1"), "not text in UTF-8; save it as UTF-8"),
        (table("file,label", '{i}.png,"{c}') + b"x" * 140_000, "cannot be read as a table"),
        (table("id,label", "00{i},{c}"), "has a column label of 20 rows, and no column of the names of the images"),
    ],
    ids=["numbers", "files", "folder", "captions", "rows", "suffix", "ragged", "latin-1", "open quote", "zeros"],
)
def test_a_table_that_is_not_understood_is_never_dropped(tmp_path: Path, rows: bytes, words: str) -> None:
    files = pictures(*(f"{i}.png" for i in range(20)))
    assert words in refusal(store(tmp_path / "set", files | {"labels.csv": rows}))


def test_a_table_of_images_that_are_not_there_stands_beside_another(tmp_path: Path) -> None:
    files = pictures(*(f"{i}.png" for i in range(20)))
    more = {"train.csv": table("file,label", "{i}.png,{c}"), "sample.csv": table("file,label", "9{i}{i}.png,{c}")}
    more["test.csv"] = table("id,label", "9{i}{i},{c}")
    assert load(store(tmp_path / "set", files | more)).classes == ("class0", "class1")


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("values.csv", ""),
        ("trainer.csv", ""),
        ("contest.csv", ""),
        ("latest_2.csv", ""),
        ("mnist_train.csv", "train"),
        ("train2.csv", "train"),
        ("Testing-1.csv", "test"),
        ("valid.csv", "validation"),
        ("t10k.csv", "test"),
        ("validation-00000-of-00001.parquet", "validation"),
        ("trainset.csv", "train"),
    ],
)
def test_a_split_is_a_word_of_its_own(name: str, split: str) -> None:
    assert split_in_name(name) == split


def test_a_table_that_says_splits_names_the_command_that_sorts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = pictures(*(f"images/{i}.png" for i in range(8)))
    rows = [f"{i},{'ab'[i % 2]},{'train' if i < 6 else 'test'}".encode() for i in range(8)]
    source = store(tmp_path / "set", files | {"t.csv": b"\n".join([b"id,label,split", *rows])})
    command = refusal(source).partition("sort the images with ")[2].partition(" and name folder:sorted")[0]
    monkeypatch.chdir(tmp_path)
    subprocess.run(shlex.split(command.replace("python", sys.executable, 1)), check=True)
    data = load(tmp_path / "sorted")
    assert (len(data.train), len(data.test)) == (6, 2)
    assert labelled(data) == expected(files, {f"images/{i}.png": "ab"[i % 2] for i in range(8)})


@pytest.mark.parametrize("column", ["label'; import this; '", "$(reboot)", "`id`", 'label"'])
def test_a_stranger_s_table_writes_no_command(tmp_path: Path, column: str) -> None:
    files = pictures(*(f"images/{i}.png" for i in range(8)))
    rows = [f"{i},{'ab'[i % 2]},train".encode() for i in range(8)]
    table = b"\n".join(['id,"{}",split'.format(column.replace('"', '""')).encode(), *rows])
    said = refusal(store(tmp_path / "set", files | {"t.csv": table}))
    assert "python" not in said
    assert "by the rows of t.csv and name folder:sorted" in said


def test_class_folders_stand_above_a_table(tmp_path: Path) -> None:
    files = pictures(*(f"{'ab'[i % 2]}/{i}.png" for i in range(12)))
    table = b"\n".join([b"name,label", *(b"%d.png,x" % i for i in range(12))])
    assert load(store(tmp_path / "set", files | {"labels.csv": table})).classes == ("a", "b")
