"""The 2025 form can be taken out of the program: all else works without its folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import latentarena
from latentarena.contest.contest import contest_file


@pytest.fixture(scope="module")
def without(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a copy of the package that has no `legacy`."""
    folder = tmp_path_factory.mktemp("without")
    ignored = shutil.ignore_patterns("legacy", "__pycache__")
    shutil.copytree(Path(latentarena.__file__).parent, folder / "latentarena", ignore=ignored)
    return folder


def run(without: Path, *arguments: object) -> str:
    program = "import latentarena, sys; from latentarena.cli import main; print(latentarena.__file__); sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(without)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(without))
    return done.stdout


def test_all_commands_are_there_but_its_own(without: Path) -> None:
    shown = run(without, "--help")
    assert "import-legacy" not in shown
    assert all(f" {command} " in shown for command in ("train", "judge", "check", "verify", "pack", "serve"))


def test_a_bundle_is_judged_and_checked(without: Path, tiny_run: Path, tmp_path: Path) -> None:
    rules = yaml.safe_load(contest_file("open").read_text()) | {"name": "digits", "dataset": "digits"}
    (tmp_path / "digits.yaml").write_text(yaml.safe_dump(rules))
    run(without, "judge", tiny_run / "bundle", "--samples", 100, "--untimed", "--json", tmp_path / "card.json")
    assert (tmp_path / "card.json").is_file()
    assert "tensors" in run(without, "check", tiny_run / "bundle", "--contest", tmp_path / "digits.yaml", "--fast")
