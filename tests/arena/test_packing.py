"""The folder of a submission: all that a contest asks for, or a list of what is missing."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from pathlib import Path

import pytest
import yaml

from command import Arena
from latentarena import __version__
from latentarena.arena.contest_files import load_contest
from latentarena.arena.packing import PackedSubmission, pack_submission
from latentarena.bundle import OWN, open_bundle
from latentarena.contest.contest import Contest
from latentarena.errors import ConfigError, GateError, OutputError
from latentarena.gates import open_files
from latentarena.report.analysis import QUESTIONS, card_of
from latentarena.report.markdown import place
from latentarena.train.recipe import load_recipe

FAULT = "no words of your own yet"


@pytest.fixture(autouse=True)
def no_browser(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing is printed here: a browser takes seconds to start."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("latentarena.report.publishing.APPLICATIONS", ())


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The contest of 2025, of digits."""
    path = tmp_path_factory.mktemp("contest") / "digits-2025.yaml"
    raw = load_contest("contest-2025").model_dump(mode="json", exclude_defaults=True)
    path.write_text(yaml.safe_dump(raw | {"dataset": "digits"}))
    return path


@pytest.fixture(scope="module")
def contest(rules: Path) -> Contest:
    return load_contest(rules)


@pytest.fixture(scope="module")
def run(tiny_run: Path, contest: Contest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose analysis was made as it was packed, and in which all questions are answered since."""
    home = tmp_path_factory.mktemp("run") / "mine"
    shutil.copytree(tiny_run, home, ignore=shutil.ignore_patterns("checkpoints", "logs", "report.html"))
    with pytest.MonkeyPatch.context() as here:
        here.setenv("PATH", str(home))
        made = pack_submission(home, home.parent / "first", contest)
    assert [one.fault.partition(":")[0] for one in made.checked if one.fault] == [FAULT]
    text = home / "analysis" / "analysis.md"
    written = text.read_text()
    for name in QUESTIONS:
        written = written.replace(place(name), place(name, f"My words on {name}."))
    text.write_text(written)
    return home


@pytest.fixture
def packed(run: Path, contest: Contest, tmp_path: Path) -> PackedSubmission:
    return pack_submission(run, tmp_path / "sub", contest)


def test_the_folder_holds_all_that_the_contest_asks_for(packed: PackedSubmission, run: Path) -> None:
    assert packed.complete
    there = {path.relative_to(packed.place).as_posix(): path for path in packed.place.rglob("*") if path.is_file()}
    assert {name: path.stat().st_size for name, path in there.items()} == packed.files
    assert all(set(one.files) <= set(there) for one in packed.checked)
    assert open_files(packed.place) == open_files(run / "bundle")
    assert "My words on latents." in there["analysis/analysis.html"].read_text()  # made again of the text as it is now
    assert packed.notes[0].startswith("no PDF")


def test_the_notebook_trains_the_recipe_of_the_run(packed: PackedSubmission, run: Path, tmp_path: Path) -> None:
    book = json.loads((packed.place / "train.ipynb").read_text())
    assert (book["nbformat"], len({cell["id"] for cell in book["cells"]})) == (4, len(book["cells"]))
    [source] = [cell["source"] for cell in book["cells"] if cell["source"].startswith("%%writefile")]
    assert f"%pip install --quiet latentarena=={__version__}" in [cell["source"] for cell in book["cells"]]
    (tmp_path / "again.yaml").write_text(source.split("\n", 1)[1])
    made = open_bundle(run, trust=OWN).card.provenance
    assert made is not None
    assert load_recipe(str(tmp_path / "again.yaml")) == load_recipe(str(packed.place / "recipe.yaml"))
    assert yaml.safe_load((tmp_path / "again.yaml").read_text()) == made.recipe


def test_files_of_ones_own_take_the_place_of_those_that_are_made(run: Path, contest: Contest, tmp_path: Path) -> None:
    for name in ("README.md", "own.ipynb", "notes.txt"):
        (tmp_path / name).write_text(f"mine: {name}")
    own = [tmp_path / name for name in ("README.md", "own.ipynb", "notes.txt")]
    made = pack_submission(run, tmp_path / "sub", contest, own)
    assert made.complete
    assert (made.place / "README.md").read_text() == "mine: README.md"
    assert [name for name in made.files if name.endswith(".ipynb")] == ["own.ipynb"]
    with pytest.raises(ConfigError, match=r"two files of the name notes\.txt"):
        pack_submission(run, tmp_path / "sub", contest, [own[2], own[2]])
    with pytest.raises(ConfigError, match=r"--add .*nowhere: cannot be read"):
        pack_submission(run, tmp_path / "sub", contest, [tmp_path / "nowhere"])


@pytest.mark.parametrize("name", ["score.json", "Score.json", "recipe.yaml", "analysis", "bundle"])
def test_no_file_takes_the_place_of_what_is_made_of_the_run(
    run: Path, contest: Contest, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_text("x")
    words = f"arena pack makes {name.lower()} of the run; only README.md and the notebook may be of your own"
    with pytest.raises(ConfigError, match=re.escape(f"--add {name}: {words}")):
        pack_submission(run, tmp_path / "sub", contest, [tmp_path / name])
    assert not (tmp_path / "sub").exists()


def test_a_zip_holds_what_the_folder_holds(packed: PackedSubmission, run: Path, contest: Contest) -> None:
    place = packed.place.with_suffix(".zip")
    pack_submission(run, place, contest)
    first = place.read_bytes()
    with zipfile.ZipFile(place) as archive:
        assert {one: archive.read(one) for one in archive.namelist()} == {
            name: (packed.place / name).read_bytes() for name in packed.files
        }
    pack_submission(run, place, contest)
    assert place.read_bytes() == first


def test_what_is_missing_is_named(run: Path, contest: Contest, tmp_path: Path) -> None:
    asked = [{"file": file, "about": "x"} for file in ("video.mp4", "analysis/*.png", "deep/*/x.txt", "bundle/*")]
    other = Contest.model_validate_json(json.dumps(contest.model_dump(mode="json") | {"deliverables": asked}))
    made = pack_submission(run, tmp_path / "sub", other)
    assert not made.complete
    faults = {one.asked.file: one.fault for one in made.checked}
    assert faults == {
        "video.mp4": "missing; --add FILE puts it in", "analysis/*.png": "", "deep/*/x.txt": "missing", "bundle/*": "",
    }  # fmt: skip


def test_what_a_server_would_refuse_is_refused(run: Path, contest: Contest, tmp_path: Path) -> None:
    with pytest.raises(GateError, match="is a model of digits, not of mnist"):
        pack_submission(run, tmp_path / "sub", load_contest("contest-2025"))
    narrow = contest.model_copy(update={"quotas": contest.quotas.model_copy(update={"bytes": 1000})})
    with pytest.raises(ConfigError, match=r"bytes as a zip; .* takes 1,000"):
        pack_submission(run, tmp_path / "sub", narrow)
    assert not (tmp_path / "sub").exists()


def test_nobodys_files_are_mixed_with_a_submission(packed: PackedSubmission, run: Path, contest: Contest) -> None:
    (packed.place / "bundle" / ".DS_Store").write_bytes(b"")
    (packed.place / f".{packed.place.name}.4711.part").write_bytes(b"half")  # of a process that was killed
    pack_submission(run, packed.place, contest)  # over its own is well
    (packed.place / "analysis" / "old.png").write_bytes(b"")
    with pytest.raises(OutputError, match=r"holds analysis/old\.png, which is no part of this submission"):
        pack_submission(run, packed.place, contest)


def test_an_analysis_of_another_card_is_refused(run: Path, contest: Contest, tmp_path: Path) -> None:
    home = tmp_path / "other"
    shutil.copytree(run, home)
    raw = json.loads((home / "score.json").read_text())
    (home / "score.json").write_text(json.dumps(raw | {"platform": "another machine"}))
    with pytest.raises(ConfigError, match=r"another score card .*; arena analyse .* keeps the words in it"):
        pack_submission(home, tmp_path / "sub", contest)


def test_the_words_are_packed_that_were_written_where_the_analysis_lies(
    run: Path, rules: Path, contest: Contest, tmp_path: Path, arena_here: Arena
) -> None:
    home, elsewhere = tmp_path / "other", tmp_path / "else where"
    shutil.copytree(run, home, ignore=shutil.ignore_patterns("analysis"))
    shutil.copytree(run / "analysis", elsewhere)
    (elsewhere / "drafts").mkdir()
    done = arena_here("pack", home, "--contest", rules, "--analysis", elsewhere, "--out", tmp_path / "sub")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "My words on latents." in (tmp_path / "sub" / "analysis" / "analysis.md").read_text()
    assert not (home / "analysis").exists()
    with pytest.raises(ConfigError, match=r"--analysis .*other: holds no analysis\.md; arena analyse .* writes it"):
        pack_submission(home, tmp_path / "sub", contest, analysis=home)


def test_words_on_a_model_of_the_zoo_are_packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run, card, rules = Path("zoo:quickstart"), card_of(Path("zoo:quickstart")), load_contest("open")
    text = f"# x\n\n{place('limits', 'Mine.')}\n\n{card.fingerprint}\n"
    (tmp_path / "analysis").mkdir()
    (tmp_path / "analysis" / "analysis.md").write_text(text)
    pack_submission(run, Path("sub"), rules, analysis=Path("analysis"))
    assert (tmp_path / "sub" / "analysis" / "analysis.md").read_text() == text


def test_the_command_ends_with_1_where_something_is_missing(
    arena_here: Arena, run: Path, rules: Path, tmp_path: Path
) -> None:
    done = arena_here("pack", run, "--contest", rules, "--out", tmp_path / "sub.zip")
    assert (done.returncode, done.stderr) == (0, "")
    assert "complete; next: arena submit" in done.stdout
    text = run / "analysis" / "analysis.md"
    written = text.read_text()
    text.write_text(written.replace("My words on limits.", ""))
    done = arena_here("pack", run, "--contest", rules, "--out", tmp_path / "sub")
    text.write_text(written)
    assert done.returncode == 1
    [line] = [line for line in done.stdout.splitlines() if "OPEN" in line]
    assert f"{FAULT}: limits; write them into {text}" in line
    assert "complete" not in done.stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["encode.onnx"], "give one run, or three graphs"),
        (["a", "b"], "give one run, or three graphs: encode, decode and generate; here are 2"),
        (["a.onnx", "b.onnx", "c.onnx"], "needs a name: --name NAME"),
        (["nowhere", "--name", "x"], "--name x: a run has its own already"),
        (["nowhere"], "cannot read nowhere"),
    ],
)
def test_pack_says_what_it_takes(arena_here: Arena, words: list[str], says: str) -> None:
    done = arena_here("pack", *words)
    assert done.returncode != 0
    [line] = done.stderr.splitlines()
    assert says in line
