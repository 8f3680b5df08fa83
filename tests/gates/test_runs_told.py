"""A run that is handed in whole, or a part of one, is told for what it is, whatever comes first in it."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from command import Arena
from latentarena.errors import BundleError, GateError
from latentarena.gates import SUBMISSION, open_archive, open_files

PART, CHECKPOINT = "part of a run", "a checkpoint of a run"


@pytest.fixture(scope="module")
def runs(arena: Arena, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a run for each of two seeds, judged; of the first there is an analysis too."""
    home = tmp_path_factory.mktemp("runs") / "mine"
    small = ("--budget", 0.02, "--seeds", 2, "--samples", 200)
    trained = arena("train", "quickstart-digits", *small, "--out", home)
    assert trained.returncode == 0, trained.stderr
    analysed = arena("analyse", home / "seed-0", "--contest", "digits")
    assert analysed.returncode == 0, analysed.stderr
    return home


def refused(path: Path | bytes) -> str:
    with pytest.raises(GateError) as caught:
        open_archive(path) if isinstance(path, bytes) else open_files(path)
    assert caught.value.reason == "run", caught.value
    return str(caught.value)


def zipped(names: list[str]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in names:
            archive.writestr(name, b"")
    return packed.getvalue()


def held(folder: Path) -> list[str]:
    """All that lies in a folder, as Python's zipfile names it in an archive: folders end in a slash."""
    paths = [folder, *sorted(folder.rglob("*"))]
    return [f"{path.relative_to(folder.parent).as_posix()}{'/' * path.is_dir()}" for path in paths]


def test_a_zipped_run_is_told_whatever_is_its_first_entry(runs: Path) -> None:
    for folder in (runs / "seed-0", runs / "seed-1", runs):
        names = [name for name in held(folder) if "tensorboard" not in name][:64]
        for first in range(len(names)):
            said = refused(zipped(names[first:] + names[:first]))
            assert PART in said, names[first]
            assert "hand in the folder `bundle`" in said
        with pytest.raises(GateError, match=PART):
            open_archive(zipped(names), SUBMISSION)


def test_everything_that_lies_in_a_run_tells_it_by_itself(runs: Path, tmp_path: Path) -> None:
    for path in (runs / "seed-0").iterdir():
        alone = tmp_path / path.name / "x"
        (alone / path.name).mkdir(parents=True)
        assert PART in refused(alone), path.name
    with pytest.raises(BundleError, match=r"holds 2 trainings; choose one: .*seed-0"):
        open_files(runs)


def test_checkpoints_are_told_and_where_the_bundle_is(runs: Path) -> None:
    checkpoints = runs / "seed-0" / "checkpoints"
    for place in (checkpoints, *checkpoints.iterdir(), zipped(held(checkpoints)[1:])):
        said = refused(place)
        assert CHECKPOINT in said or PART in said
        assert "hand in the folder `bundle`" in said
        assert "weights.safetensors" not in said


def test_one_file_of_a_bundle_is_not_told_to_take_its_own_name(runs: Path) -> None:
    with pytest.raises(GateError, match=r"is one file of a bundle; name the folder that holds it"):
        open_files(runs / "seed-0" / "bundle" / "weights.safetensors")


def test_what_is_plainly_something_else_is_told_as_that_beside_a_runs_files() -> None:
    with pytest.raises(GateError, match="a pickle"):
        open_archive(zipped(["m/card.json", "m/model.pt", "m/samples.png"]))
