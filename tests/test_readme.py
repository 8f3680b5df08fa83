"""What the README tells people to type is typed: on the embedded digits, tiny, and where it lasts, for a moment."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

from albums import encoded, zipped
from command import Arena
from latentarena.bundle.portable import GRAPHS
from latentarena.card.catalogue import COLUMNS
from latentarena.data.digits import embedded_digits
from latentarena.judge.classifier import Judge
from latentarena.sandbox import standing
from typed_commands import typed

README = Path(__file__).parents[1] / "README.md"
ELSEWHERE = ("serve", "submit", "study", "search", "retrain", "show", "--seeds", "--features")
"""Words of commands that have tests of their own, with servers, several trainings, or networks that are downloaded."""


def on_digits(words: list[str]) -> list[str]:
    """The same command on the embedded digits, short."""
    words = ["quickstart-digits" if one == "quickstart" else one for one in words]
    words = ["digits" if one == "open" else one for one in words]
    given = " ".join(words)
    if words[0] == "train":
        own = [] if "data.name" in given or "digits" in given else ["data.name=digits"]
        words = [one for one in words if one not in ("--budget", "0.2")] + own + ["--budget", "0.002", "--no-judge"]
    if words[0] == "judge" and "bundle" in given:
        words += ["--samples", "500"]
    if words[:2] == ["judge", "images.npz"] or words[:1] == ["pack"] or "--against" in words:
        words += ["--dataset", "digits"]
    if (words[0] == "check" or words[:2] == ["board", "build"]) and "--contest" not in words:
        words += ["--contest", "digits"]
    return words


@pytest.fixture
def place(tmp_path: Path, portable_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with what the README takes to be there: images of one's own, graphs, a table, score cards."""
    digits = embedded_digits().train
    rows = zip(digits.pixels[:600, 0].numpy(), digits.labels[:600].tolist(), strict=True)
    images, colour = [], {}
    for number, (image, label) in enumerate(rows):
        images.append((f"{label}/{number}.png", encoded(image)))
        colour[f"{label}/{number}.png"] = encoded(np.stack([np.pad(image, 2)] * 3, -1))  # 32 x 32
    zipped(tmp_path / "photos.zip", dict(images))
    zipped(tmp_path / "cifar10.zip", colour)
    for folder, some in (("fakes", images[:200]), ("others", images[200:400])):
        (tmp_path / folder).mkdir()
        for number, (_, content) in enumerate(some):
            (tmp_path / folder / f"{number}.png").write_bytes(content)
    for graph in GRAPHS:
        shutil.copy(portable_folder / f"{graph}.onnx", tmp_path)
    head = ["team", *COLUMNS]
    (tmp_path / "raw.csv").write_text("\n".join(",".join(row) for row in (head, ["a", *"1234567"], ["b", *"7654321"])))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.timeout(900)
def test_what_the_readme_tells_to_type_works(
    place: Path, tiny_run: Path, arena_here: Arena, digits_judge: Judge
) -> None:
    done = 0
    for words in map(shlex.split, typed(README)):
        if not {*ELSEWHERE}.isdisjoint(words) or (words[0] == "check" and not standing().tier):
            continue
        if words[:2] == ["board", "build"]:
            (place / "entries" / "one").mkdir(parents=True)
            shutil.copy(tiny_run / "score.json", place / "entries" / "one")
        found = arena_here(*on_digits(words))
        assert found.returncode == 0, (words, found.stdout[-500:], found.stderr)
        if words[:2] == ["board", "build"]:
            shutil.copy(place / "site" / "board.json", place)
        done += 1
    assert done > 25
    card = json.loads((place / "card.json").read_text())
    assert card["dataset"] == "digits"
    assert {path.name for path in (place / "runs").iterdir()} >= {
        "mine",
        "small",
        "by-class",
        "photos",
        "large",
        "quick",
    }
