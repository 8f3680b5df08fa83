"""The 2025 form can be taken out of the program: all else works without its folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from copied import Copied
from latentarena.arena.contest_files import contest_file


@pytest.fixture(scope="module")
def without(tmp_path_factory: pytest.TempPathFactory) -> Copied:
    """A copy of the package that has no `legacy`."""
    return Copied(tmp_path_factory.mktemp("without"), without="legacy")


def test_all_commands_are_there_but_its_own(without: Copied) -> None:
    shown = without.arena("--help")
    assert "import-legacy" not in shown
    assert all(f" {command} " in shown for command in ("train", "judge", "check", "verify", "pack", "serve"))


def test_a_bundle_is_judged_and_checked(without: Copied, tiny_run: Path, tmp_path: Path) -> None:
    rules = yaml.safe_load(contest_file("open").read_text()) | {"name": "digits", "dataset": "digits"}
    (tmp_path / "digits.yaml").write_text(yaml.safe_dump(rules))
    judge = ("judge", tiny_run / "bundle", "--samples", 100, "--untimed", "--json", tmp_path / "card.json")
    check = ("check", tiny_run / "bundle", "--contest", tmp_path / "digits.yaml", "--fast")
    assert "tensors" in without.commands(judge, check)
    assert (tmp_path / "card.json").is_file()
