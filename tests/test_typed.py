"""What the pages tell people to type is typed: on the embedded digits, tiny, and where it lasts, for a moment."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from albums import encoded, zipped
from command import Arena
from latentarena.arena.store import Database
from latentarena.bundle.portable import GRAPHS
from latentarena.card.columns import COLUMNS
from latentarena.data.digits import embedded_digits
from latentarena.judge.classifier import Judge
from latentarena.sandbox import standing
from latentarena.search.plan import load_space
from latentarena.study.plan import load_study
from own_parts import restored
from typed_commands import typed

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
CONTESTS = ROOT / "src" / "latentarena" / "contest" / "contests"
ELSEWHERE = (
    "serve",
    "submit",
    "status",
    "worker",
    "erase",
    "study",
    "search",
    "retrain",
    "show",
    "--seeds",
    "--features",
)
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
    for words in map(shlex.split, typed(ROOT / "README.md")):
        if not {*ELSEWHERE}.isdisjoint(words) or (words[0] == "check" and not standing().tier):
            continue
        if words[:2] == ["board", "build"]:
            (place / "entries" / "one").mkdir(parents=True)
            shutil.copy(tiny_run / "score.json", place / "entries" / "one")
        works(arena_here, words)
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


def works(arena_here: Arena, words: list[str]) -> None:
    """Type a command, on the digits."""
    found = arena_here(*on_digits(words))
    assert found.returncode == 0, (words, found.stdout[-500:], found.stderr)


@pytest.fixture
def course(place: Path, tiny_run: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder of somebody who holds a contest: an entry, one evaluated, rules, a class list, a home."""
    shutil.copytree(tiny_run, place / "runs" / "mine")
    shutil.copytree(tiny_run / "bundle", place / "entries" / "blue" / "first")
    (place / "evaluated" / "red").mkdir(parents=True)
    shutil.copy(tiny_run / "score.json", place / "evaluated" / "red")
    shutil.copy(CONTESTS / "digits.yaml", place / "contest.yaml")
    (place / "groups.csv").write_text("team,member,email\nTeam A,Ben,ben@example.org\nTeam B,Eve,eve@example.org\n")
    (place / "objects").mkdir()
    monkeypatch.setenv("HOME", str(place))
    monkeypatch.chdir(place)
    return place


def test_what_the_page_on_boards_tells_to_type_works(course: Path, arena_here: Arena, digits_judge: Judge) -> None:
    for words in map(shlex.split, typed(DOCS / "board.md")):
        works(arena_here, [word.replace("~", str(course)) for word in words])
    assert "blue" in (course / "site" / "board.json").read_text()
    assert (course / "my-contest" / ".github" / "workflows").is_dir()
    assert len((course / "ranked.csv").read_text().splitlines()) == 3


def test_what_the_page_on_scores_tells_to_type_works(course: Path, arena_here: Arena, digits_judge: Judge) -> None:
    for words in map(shlex.split, typed(DOCS / "scores.md")):
        works(arena_here, words)
    assert json.loads((course / "card.json").read_text())["dataset"] == "digits"


@pytest.mark.timeout(600)
def test_what_the_page_on_training_tells_to_type_works(course: Path, arena_here: Arena) -> None:
    shutil.rmtree(course / "runs")
    for words in map(shlex.split, typed(DOCS / "train.md")):
        works(arena_here, words)
    made = {path.parent.parent.name for path in (course / "runs").glob("*/bundle/weights.safetensors")}
    assert made == {"mine", "other", "quick", "photos", "tenth", "fifth"}
    stages = [course / "runs" / name / "bundle" / "weights.safetensors" for name in ("tenth", "fifth")]
    assert stages[0].read_bytes() != stages[1].read_bytes()


def test_what_the_page_on_operating_tells_to_type_works(course: Path, arena_here: Arena) -> None:
    told = [shlex.split(one.replace("/backups", "backups")) for one in typed(DOCS / "operating.md")]
    told = [words for words in told if {*ELSEWHERE, "judge"}.isdisjoint(words)]
    with closing(Database("sqlite:///arena.db")) as database:  # as `arena serve` makes it
        database.upgrade()
    (removal,) = (words for words in told if "remove" in words)
    for words in [*(words for words in told if words != removal), removal]:  # it is told of before the rest
        works(arena_here, words)
    assert (course / "new.db").stat().st_size > 0
    assert "Blue Herons" not in arena_here("team", "list").stdout


def test_the_recipes_of_the_page_on_parts_are_trained(place: Path, arena_here: Arena) -> None:
    """Each YAML block, put into a short recipe as the page says, with the files that the page shows before it."""
    page = (DOCS / "parts.md").read_text("utf-8")
    recipe = yaml.safe_load(arena_here("recipes", "show", "quickstart-digits", "--short").stdout)
    for program in re.findall(r"```python\n(.*?)```", page, re.S):
        if ".write_text(" in program:
            exec(program, {"Path": Path})  # our own page
    told = re.findall(r"```yaml\n(.*?)```", page, re.S)
    assert len(told) == 3
    for number, block in enumerate(told):
        (place / "own.yaml").write_text(yaml.safe_dump(into(recipe, yaml.safe_load(block))), "utf-8")
        run = place / "runs" / str(number)
        with restored():
            done = arena_here("train", "own.yaml", "--budget", "0.002", "--no-judge", "--out", run)
        assert done.returncode == 0, (block, done.stderr)
        card = json.loads((run / "bundle" / "card.json").read_text())
        assert card["parts"], block


def into(recipe: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    """A recipe with what is said of it; a part of a named kind stands in the place of the part that was there."""
    further = {key for key, value in said.items() if isinstance(value, dict) and "kind" not in value and key in recipe}
    return recipe | {key: into(recipe[key], value) if key in further else value for key, value in said.items()}


def test_the_study_and_the_space_of_their_pages_can_start(place: Path) -> None:
    for page in ("studies.md", "search.md"):
        (told,) = re.findall(r"```yaml\n(.*?)```", (DOCS / page).read_text("utf-8"), re.S)
        (place / page).with_suffix(".yaml").write_text(told, "utf-8")
    study, space = load_study("studies.yaml"), load_space("search.yaml")
    assert list(study.recipes) == ["fm-small", "fm-large"]
    assert study.unasked(study.claims[0]) == ["training.generator.epochs"]  # as the page says
    assert space.trial({"generator.backbone.width": 48}).generator.backbone.width == 48  # type: ignore[attr-defined]
