"""Contest files: what is shipped loads, and every fault is one line that names key, value and choices."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from latentarena.arena.contest_files import load_contest
from latentarena.card.catalogue import METRICS
from latentarena.card.columns import COLUMNS
from latentarena.config import validate
from latentarena.contest.contest import Contest
from latentarena.contest.rule import Rule
from latentarena.errors import ConfigError
from latentarena.evaluate.contests import CONTESTS, contest_names, contests_on

RAW = yaml.safe_load((CONTESTS / "open.yaml").read_text())


def changed(**keys: Any) -> dict[str, Any]:
    return RAW | keys


def test_all_contests_are_shipped_and_load() -> None:
    assert contest_names() == ["contest-2025", "digits", "open"]
    old, practice, new = map(load_contest, contest_names())
    assert [measure.metric for measure in old.measures] == list(COLUMNS)
    assert (old.ties, old.total, len(old.categories)) == ("min", "mean", 7)
    assert (new.ties, new.total, len(new.categories)) == ("statistical", "sum", 6)
    assert (new.latent.smallest, new.latent.largest) == (3, 49)
    assert [award.name for award in new.awards] == ["Open Innovation", "Sustainable AI", "Efficient Architecture"]
    assert practice.categories == new.categories
    for contest in (old, practice, new):
        assert all(contest.better(measure) in ("lower", "higher", "near 1") for measure in contest.measures)


def test_a_dataset_has_the_contests_that_take_its_models() -> None:
    assert contests_on("mnist") == ["open", "contest-2025"]  # the whole score card before the seven columns
    assert contests_on("digits") == ["digits"]
    assert contests_on("kmnist") == []


def test_every_ranked_direction_is_the_catalogue_s() -> None:
    contest = load_contest("open")
    assert {m.metric: contest.better(m) for m in contest.measures} == {
        m.metric: METRICS[m.metric].better for m in contest.measures
    }


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (changed(tie="min"), ["unknown key 'tie'", "did you mean 'ties'?"]),
        (changed(ties="median"), ["ties = 'median'", "'min' or 'statistical'"]),
        (changed(categories=[]), ["categories"]),
        (changed(categories=[{"name": "a", "metrics": ["mze"]}]), ["metric 'mze' is unknown", "choose from mse, ssim"]),
        (changed(categories=[{"name": "a", "metrics": ["entropy"]}]), ["'entropy' is unknown or not ranked"]),
        (changed(categories=[{"name": "a", "metrics": ["mse", "mse"]}]), ["metric 'mse' is there twice"]),
        (changed(categories=[{"name": "A b", "metrics": ["mse"]}]), ["categories.0.name = 'A b'"]),
        (changed(categories=[{"name": "a", "metrics": ["mse"], "weight": 0}]), ["categories.0.weight = 0"]),
        (changed(categories=[{"name": "a", "metrics": ["mse"], "weight": 0.1234}]), ["at most three decimals"]),
        (changed(categories=[*RAW["categories"], RAW["categories"][0]]), ["metric 'mse' is there twice"]),
        (changed(judge="abc"), ["judge = 'abc'", "official", "SHA-256"]),
        (changed(latent={"smallest": 50}), ["smallest = 50 is above largest = 49"]),
        (changed(opens="2026-01-01T00:00:00"), ["opens", "such as 2026-12-01T23:59:00+01:00"]),
        (changed(closes="2026-12-01"), ["closes = '2026-12-01'", "time zone is wanted"]),
        (changed(closes=3), ["closes = 3", "write date, time and zone"]),
        (changed(opens="1767225600"), ["opens = '1767225600'", "write date, time and zone"]),
        (changed(closes="tomorrow"), ["closes = 'tomorrow'", "time zone is wanted"]),
        (changed(thresholds=[{"field": "mse", "op": "<=", "value": float("inf")}]), ["value = inf", "a finite number"]),
        (changed(opens="2026-01-02T00:00:00Z", closes="2026-01-01T00:00:00Z"), ["closes", "is not after opens"]),
        (changed(thresholds=[{"field": "mze", "op": "<=", "value": 1}]), ["thresholds: field 'mze' is unknown"]),
        (changed(thresholds=[{"field": "place", "op": "<=", "value": 1}]), ["'place' is unknown"]),
        (changed(thresholds=[{"field": "mse", "op": "=<", "value": 1}]), ["thresholds.0.op = '=<'", "'<='"]),
        (changed(thresholds=[{"field": "mse", "op": "in", "value": 1}]), ["op 'in' takes a list"]),
        (changed(thresholds=[{"field": "mse", "op": "<=", "value": [1]}]), ["op '<=' takes one value"]),
        (changed(awards=[{"name": "A", "field": "__class__"}]), ["award 'A': field '__class__' is unknown"]),
        (changed(awards=[{"name": "A"}, {"name": "A"}]), ["award 'A' is there twice"]),
        (changed(tie_breaks=[{"by": "taste"}]), ["an order or by a field"]),
        (changed(tie_breaks=[{"by": "taste", "order": ["a", "a"]}]), ["names an entry twice"]),
        (changed(quotas={"per_day": 0}), ["quotas.per_day = 0"]),
        (changed(forms=["pickle"]), ["forms.0 = 'pickle'", "'native', 'portable' or 'python-2025'"]),
        (changed(counts="worst"), ["counts = 'worst'", "'best', 'latest' or 'chosen'"]),
        (changed(thresholds=[{"field": "mse", "op": "<=", "value": float("nan")}]), ["thresholds.0.value"]),
    ],
)
def test_a_fault_is_one_line_that_names_key_value_and_choices(raw: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        validate(Contest, raw, "mine.yaml")
    said = str(caught.value)
    assert said.startswith("mine.yaml: ")
    assert "\n" not in said
    assert [word for word in words if word not in said] == []


def test_unknown_contest_names_the_choices(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="choose from contest-2025, digits, open, or name a YAML file"):
        load_contest("contest-2024")
    (tmp_path / "big.yaml").write_text("a: " + "b" * (1 << 20))
    with pytest.raises(ConfigError, match="larger than"):
        load_contest(tmp_path / "big.yaml")
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(changed(name="mine")))
    assert load_contest(tmp_path / "mine.yaml").name == "mine"


def test_the_opening_moment_is_in_time_and_the_closing_moment_is_not() -> None:
    opens, closes = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
    contest = validate(Contest, changed(opens=opens, closes=closes), "mine")
    moments = [opens - timedelta(microseconds=1), opens, closes - timedelta(microseconds=1), closes]
    assert [contest.receives(moment) for moment in moments] == [False, True, True, False]
    assert validate(Contest, RAW, "mine").receives(opens)


@pytest.mark.parametrize(
    ("op", "value", "found", "holds"),
    [
        ("<=", 1, 1, True),
        ("<=", 1, 1.5, False),
        ("<", 1, 1, False),
        (">=", 1, 1, True),
        (">", 1, 2, True),
        ("==", "mnist", "mnist", True),
        ("!=", "mnist", "kmnist", True),
        ("==", 1, True, False),  # a flag is no number
        ("<=", 1, "0", False),  # nor is text
        ("!=", 1, "0", False),
        ("<=", 1, None, False),
        ("!=", 1, None, False),  # what is not there meets nothing
        ("<=", 1, float("nan"), False),
        ("!=", 1, float("nan"), False),
        ("in", ["a", "b"], "b", True),
        ("in", ["a", "b"], "c", False),
        ("not in", ["a", "b"], "c", True),
        ("not in", ["a", "b"], None, False),
        ("==", True, True, True),
        ("<=", 1, [], False),
    ],
)
def test_rules_are_total(op: str, value: Any, found: Any, holds: bool) -> None:
    rule = Rule.model_validate({"field": "mse", "op": op, "value": value})
    assert rule.holds({"mse": found}) is holds
    assert not rule.holds({})


def test_the_board_s_parts_need_no_torch() -> None:
    parts = ("contest.contest", "contest.ranking", "card.score_card", "card.catalogue", "card.words")
    code = f"import sys, {', '.join(f'latentarena.{part}' for part in parts)}; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "latentarena.contest.ranking" in loaded
    assert {"torch", "onnx", "onnxruntime", "matplotlib", "typer"}.isdisjoint(loaded)


@pytest.mark.parametrize("file", ["../x", "/x", ".git", "a/../b", "a//b", "", "a b"])
def test_a_deliverable_lies_in_the_folder(file: str) -> None:
    with pytest.raises(ConfigError, match=r"deliverables\.0\.file"):
        validate(Contest, changed(deliverables=[{"file": file, "about": "x"}]), "contest")
