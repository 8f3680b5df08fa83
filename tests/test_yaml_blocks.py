"""The YAML blocks of the pages are what they say: recipes with parts of one's own are trained, plans are read."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from command import Arena
from latentarena.search.plan import load_space
from latentarena.study.plan import load_study
from own_parts import restored
from typed_commands import ROOT

DOCS = ROOT / "docs"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


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
