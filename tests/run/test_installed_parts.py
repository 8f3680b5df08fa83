"""The example of an installed package of parts: pip installs it, and its entry point brings them into every command."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from command import TINY, Arena
from own_parts import EXAMPLE


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the package is installed into, without a network."""
    folder = tmp_path_factory.mktemp("installed")
    shutil.copytree(EXAMPLE, folder / "source")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps"]
    subprocess.run([*pip, "--no-build-isolation", "--target", folder / "there", folder / "source"], check=True)
    return folder / "there"


def test_an_installed_package_is_trained_with(installed: Path, tmp_path: Path, arena: Arena) -> None:
    environment = {"PYTHONPATH": str(installed)}
    listed = arena("parts", **environment).stdout
    assert f"gated: of {installed / 'gated_parts.py'}, " in listed
    beside = arena("parts", "--plugin", EXAMPLE / "gated_parts.py", **environment)  # the same source, as a file
    assert beside.returncode == 0, beside.stderr
    recipe = tmp_path / "gated.yaml"
    recipe.write_text((EXAMPLE / "gated.yaml").read_text().replace("parts: [gated_parts.py]", "parts: [gated]"))
    how = ("train", recipe, *TINY, "--no-judge", "--out", tmp_path / "run")
    done = arena(*how, **environment)
    assert done.returncode == 0, done.stderr
    card = json.loads((tmp_path / "run" / "bundle" / "card.json").read_text())
    assert [part["name"] for part in card["parts"]] == ["gated"]
    assert card["provenance"]["recipe"]["parts"] == ["gated"]
    shown = arena("recipes", "show", "quickstart-digits", "generator.backbone={kind: gated}", **environment)
    assert "\nparts:\n- gated\n" in shown.stdout, shown.stderr  # it says what it needs, where the recipe did not
    drawn = arena("sample", tmp_path / "run", "-n", 4, "--out", tmp_path / "four.png", **environment)
    assert drawn.returncode == 0, drawn.stderr


def test_where_it_is_not_installed_it_is_missed_by_name(tmp_path: Path, arena_here: Arena) -> None:
    recipe = tmp_path / "gated.yaml"
    recipe.write_text((EXAMPLE / "gated.yaml").read_text().replace("parts: [gated_parts.py]", "parts: [gated]"))
    done = arena_here("train", recipe, "--out", tmp_path / "run")
    assert done.returncode != 0
    assert "parts 'gated': give a .py file, or the name of installed parts" in " ".join(done.stderr.split())
