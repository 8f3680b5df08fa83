"""Two finished studies beside each other: what is shared, what differs, and in whose favour."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from latentarena.card.trainings import over_trainings
from latentarena.cli.app import app
from latentarena.errors import ConfigError
from latentarena.study.compare import comparison, difference, read_found, unlike
from latentarena.study.found import over_seeds

SIZES = Path(__file__).parents[2] / "docs" / "studies" / "sizes.json"


def _found(**frechet: list[float]) -> dict[str, Any]:
    """A study of these arms, with a value for each seed."""
    arms = [
        {"arm": arm, "seeds": [*range(len(values))], "figures": {"frechet": over_seeds([*values])}}
        for arm, values in frechet.items()
    ]
    known = {"title": "Pair", "command": "arena study pair", "data": "mnist", "judge": "one", "source": "code"}
    verdicts = [{"claim": "frechet[a] < frechet[b]", "word": "holds", "effects": [], "beside": ""}]
    return known | {"verdicts": verdicts, "arms": arms}


def test_the_difference_is_the_second_minus_the_first_with_the_interval_of_independent_trainings() -> None:
    one, other = [1.0, 1.2, 1.1], [2.0, 2.4, 2.2, 2.1]
    found = difference(*(dict(over_seeds([*values]) or {}) for values in (one, other)))
    assert found == over_trainings(other).minus(over_trainings(one))
    alone = dict(over_seeds([1.0]) or {})
    assert difference(alone, dict(over_seeds([*other]) or {})) is None


def test_it_says_which_is_better_and_only_where_that_is_shown() -> None:
    first = _found(a=[1.0, 1.1, 1.2], b=[3.0, 3.1, 3.2], c=[1.0, 1.0])
    second = _found(a=[2.0, 2.1, 2.2], b=[3.05, 3.1, 3.2], d=[1.0])
    said = comparison(first, second)
    rows = {line.split(" | ")[0].strip("| "): line for line in said.splitlines() if "Frechet distance" in line}
    assert rows["a"].endswith("| A is better |")
    assert rows["b"].endswith("| no difference shown |")
    assert "Only in A: c." in said
    assert "Only in B: d." in said
    assert "| `frechet[a] < frechet[b]` | holds | holds |" in said
    assert comparison(second, first).count("B is better") == 1


def test_other_data_judges_and_code_are_named() -> None:
    first, second = _found(a=[1.0, 2.0]), _found(a=[1.0, 2.0])
    assert unlike(first, second) == []
    assert unlike(first, second | {"judge": "two", "source": "newer"}) == ["judge", "code"]
    assert "Not of the same judge" in comparison(first, second | {"judge": "two"})


def test_what_cannot_be_compared_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="share no arm: they have a and b; compare"):
        comparison(_found(a=[1.0]), _found(b=[1.0]))
    other = tmp_path / "score.json"
    other.write_text(json.dumps({"title": "no study"}))
    with pytest.raises(ConfigError, match="no finished study, for it lacks command, data, judge"):
        read_found(other)
    with pytest.raises(ConfigError, match="give a finished study's folder"):
        read_found(tmp_path)


def test_the_command_takes_folders_and_files(tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text(SIZES.read_text())
    out = tmp_path / "both.md"
    said = CliRunner().invoke(app, ["study", "compare", str(tmp_path), str(SIZES), "--out", str(out)])
    assert said.exit_code == 0, said.output
    assert out.read_text() == said.output
    assert "no difference shown" in said.output
    assert "B is better" not in said.output
