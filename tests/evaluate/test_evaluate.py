"""Evaluation of strangers' bundles: the figures of `arena judge`, and a verdict whatever is handed in."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from command import Arena
from latentarena.arena.board_files import read_board
from latentarena.arena.contest_files import contest_file, load_contest
from latentarena.bundle import OWN, NativeBundle, native_of, open_bundle
from latentarena.card.score_card import read_card
from latentarena.contest.eligibility import Eligibility
from latentarena.contest.entries import entry_of
from latentarena.contest.prediction import predict
from latentarena.data.digits import embedded_digits
from latentarena.errors import DataMissing, GateError
from latentarena.evaluate.evaluate import FAST, Step, evaluate, main, refusal_of
from latentarena.evaluate.scoring import Panel, judge_bundle
from latentarena.evaluate.verify import differences
from latentarena.judge.classifier import Judge

LEADERBOARD = Path(__file__).parents[1] / "support" / "files" / "contest-2025-leaderboard.csv"


@pytest.fixture(scope="module")
def zipped(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny run's bundle as it is submitted."""
    path = tmp_path_factory.mktemp("zipped") / "bundle.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted((tiny_run / "bundle").iterdir()):
            archive.write(file, f"bundle/{file.name}")
    return path


def test_a_zip_file_gets_the_card_that_its_folder_gets(
    zipped: Path, tiny_bundle: NativeBundle, digits_judge: Judge, tmp_path: Path
) -> None:
    assert native_of(open_bundle(zipped, trust=OWN)).digest == tiny_bundle.digest
    out = tmp_path / "out"
    assert main([str(zipped), "--out", str(out), "--samples", "100", "--rules", '{"dataset": "digits"}']) == 0
    card = judge_bundle(tiny_bundle, Panel(embedded_digits(), digits_judge), samples=100, timed=False).card
    written = read_card(out / "card.json")
    assert differences(written, card) == []
    assert written.timing is not None
    assert json.loads((out / "bundle.json").read_text())["form"] == "native"
    pictures = ("samples.png", "prior.png", "reconstructions.png", "nearest.png", "card.png")
    assert all((out / name).read_bytes().startswith(b"\x89PNG") for name in pictures)
    assert card.model in (out / "card.html").read_text()


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "form": ({"forms": ["portable"]}, "is of the form native; accepted here: portable"),
    "latent": ({"latent": {"smallest": 7, "largest": 49}}, "has a latent of 6 numbers; 7 to 49 are accepted"),
    "dataset": (
        {"dataset": "mnist"},
        "is a model of digits, not of mnist; for a contest on such images: --contest digits",
    ),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_a_contest_does_not_take_is_refused_before_it_is_scored(zipped: Path, reason: str) -> None:
    terms, words = REFUSED[reason]
    steps: list[Step] = []
    with pytest.raises(GateError, match=words) as refusal:
        evaluate(zipped, Eligibility.model_validate(terms), tell=steps.append)
    assert refusal.value.reason == reason
    assert "scored" not in [step.name for step in steps]
    assert refusal_of(refusal.value) == ("refused", reason)


def test_a_card_does_not_choose_files_of_the_machine_that_judges(tiny_run: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(tiny_run / "bundle", tmp_path / "copy"))
    card = json.loads((copy / "card.json").read_text())
    card["provenance"]["recipe"]["data"] = {"name": "folder:/etc"}
    (copy / "card.json").write_text(json.dumps(card))
    with pytest.raises(GateError, match="is a model of folder:/etc; name that folder with --data"):
        evaluate(copy)
    with pytest.raises(DataMissing, match="the contest's images, folder:/etc, are not known here") as fault:
        evaluate(copy, Eligibility(dataset="folder:/etc"))
    assert refusal_of(fault.value) is None  # the bundle is what the contest asks for


def test_a_verdict_is_written_whatever_is_handed_in(tmp_path: Path) -> None:
    path = tmp_path / "submission.zip"
    path.write_bytes(b"PK\x03\x04 and so on")
    command = [sys.executable, "-m", "latentarena.evaluate.evaluate", str(path), "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads((tmp_path / "out" / "refusal.json").read_text())
    assert said["state"] == "refused"
    assert said["reason"].startswith("zip-")
    assert str(tmp_path) not in said["sentence"]
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["refusal.json"]


def test_a_bundle_is_checked_against_a_contest_and_placed_on_its_board(
    zipped: Path, tiny_bundle: NativeBundle, arena: Arena, tmp_path: Path
) -> None:
    """`arena check` as a user has it: gates, card, and a place on the board of 2025 before anything is handed in."""
    rules = yaml.safe_load(contest_file("contest-2025").read_text()) | {"name": "digits", "dataset": "digits"}
    (tmp_path / "digits.yaml").write_text(yaml.safe_dump(rules))
    done = arena(
        "check",
        zipped,
        "--contest",
        tmp_path / "digits.yaml",
        "--board",
        LEADERBOARD,
        "--fast",
        "--out",
        tmp_path / "out",
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout
    assert [line.split()[0] for line in said.splitlines()[:5]] == ["files", "card", "tensors", "judge", "scored"]
    card, contest = read_card(tmp_path / "out" / "card.json"), load_contest(tmp_path / "digits.yaml")
    assert (card.bundle, card.samples, card.timing) == (tiny_bundle.digest, FAST, None)
    found = predict(entry_of(card, contest, "check", "mine"), read_board(LEADERBOARD, contest), contest)
    assert found.standing is not None
    best, worst = found.standing.best, found.standing.worst
    assert best.total < worst.total
    places = " to ".join(map(str, sorted({best.place, worst.place})))  # may be one for all that the time can do
    assert f"would stand {places} of {found.entries} in" in said
    assert f"Parameters {worst.categories['total_params']}, Seconds a sample 1 to {found.entries}," in said
    assert "a first look: of 1,000 samples" in said
    assert "not measured here: time_per_sample;" in said
    assert re.search(rf"{found.costliest} costs most: ({found.lost} places?|no place yet); with the board's best", said)


@pytest.mark.parametrize("name", ["nowhere.py", "nowhere.zip"])
def test_a_file_that_is_not_there_is_called_that(name: str) -> None:
    with pytest.raises(GateError, match=f"{name} is not there; give a bundle's folder or zip file"):
        evaluate(Path(name))


def test_what_is_wrong_with_this_machine_is_no_verdict(zipped: Path, tmp_path: Path) -> None:
    judge = tmp_path / "judge.safetensors"
    judge.write_bytes(b"none")
    with pytest.raises(Exception, match="judge") as fault:
        main([str(zipped), "--out", str(tmp_path / "out"), "--judge", str(judge)])
    assert refusal_of(fault.value) is None  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_memory_that_runs_out_counts_against_the_bundle() -> None:
    with pytest.raises(RuntimeError) as starved:
        torch.empty(1 << 50)
    assert refusal_of(starved.value) == ("refused", "memory")
    assert refusal_of(RuntimeError("something else")) is None
