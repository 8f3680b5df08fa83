"""Recomputing a card: what was made is found again, what was changed is named."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from command import Arena
from latentarena.bundle import OWN, NativeBundle, native_of, open_bundle
from latentarena.card.score_card import Advice, Opinion, ScoreCard, read_card
from latentarena.cli.console import print_check
from latentarena.data.digits import embedded_digits
from latentarena.errors import ConfigError, JudgeError
from latentarena.evaluate.scoring import Panel, judge_bundle
from latentarena.evaluate.verify import differences, recompute
from latentarena.judge.classifier import Judge


@pytest.fixture(scope="module")
def made(tiny_bundle: NativeBundle, digits_judge: Judge) -> ScoreCard:
    """The tiny model's card on few samples."""
    return judge_bundle(tiny_bundle, Panel(embedded_digits(), digits_judge), samples=100, timed=False).card


def written(card: ScoreCard, folder: Path) -> Path:
    path = folder / "card.json"
    path.write_text(card.model_dump_json())
    return path


def scaled(card: ScoreCard, name: str, factor: float) -> ScoreCard:
    score = card.scores[name]
    changed = score.model_copy(update={"value": score.value * factor})
    return card.model_copy(update={"scores": card.scores | {name: changed}})


def test_a_card_is_verified_in_another_process(arena: Arena, tiny_run: Path, tmp_path: Path, made: ScoreCard) -> None:
    done = arena("verify", written(made, tmp_path), tiny_run / "bundle")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == f"verified: {made.model}, fingerprint {made.fingerprint}\n"


def test_a_figure_that_was_changed_by_hand_is_found(
    arena_here: Arena, tiny_run: Path, tmp_path: Path, made: ScoreCard
) -> None:
    done = arena_here("verify", written(scaled(made, "mse", 0.99), tmp_path), tiny_run / "bundle")
    assert done.returncode == 1
    line, last = done.stdout.splitlines()
    assert line.startswith("scores.mse.value: the card says ")
    assert line.endswith(f"recomputed {made.scores['mse'].value}")
    assert last == "not verified: 1 entry of the card differs"


@pytest.mark.parametrize("what", ["bundle", "source", "data", "judge_hash"])
def test_what_another_hash_belongs_to_is_refused_by_name(tiny_bundle: NativeBundle, made: ScoreCard, what: str) -> None:
    changed = made.model_copy(update={what: "0" * 64})
    name = {"source": "code", "judge_hash": "judge"}.get(what, what)
    with pytest.raises(JudgeError, match=f"its {name} has the hash 000000000000, not {getattr(made, what)[:12]}"):
        recompute(changed, tiny_bundle)


def test_opinion_of_a_judge_that_is_not_at_hand_is_refused(tiny_bundle: NativeBundle, made: ScoreCard) -> None:
    opinion = Opinion(
        judge="digits-gone",
        kind="patches",
        digest="0" * 64,
        frechet=made.scores["frechet"],
        confidence=1,
        real_confidence=1,
        agreement=1,
        real_agreement=1,
    )
    with pytest.raises(JudgeError, match="digits-gone, which is not at hand"):
        recompute(made.model_copy(update={"opinions": (opinion,)}), tiny_bundle)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"samples": 10**12}, "a card has between 100 and 1,000,000"),
        ({"seeds": [7]}, "the judge's own are [2025, 2026"),
        ({"colour": "red"}, "unknown key 'colour'"),
        ({"scores": "good"}, "scores = 'good'"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_the_judge_never_writes_is_refused(
    tmp_path: Path, made: ScoreCard, change: dict[str, Any], says: str
) -> None:
    path = tmp_path / "card.json"
    path.write_text(json.dumps(made.model_dump(mode="json") | change))
    with pytest.raises(ConfigError, match=re.escape(says)):
        read_card(path)


def test_another_bundle_is_refused(tiny_run: Path, tmp_path: Path, made: ScoreCard) -> None:
    other = shutil.copytree(tiny_run / "bundle", tmp_path / "bundle")
    raw = json.loads((other / "card.json").read_text())
    (other / "card.json").write_text(json.dumps(raw | {"name": "renamed"}))
    with pytest.raises(JudgeError, match="its bundle has the hash"):
        recompute(made, native_of(open_bundle(other, trust=OWN)))


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b"\xff", b"[]", b"{}", b'{"format": NaN}'])
def test_what_is_no_card_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "card.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"card\.json"):
        read_card(path)
    path.unlink()
    with pytest.raises(ConfigError, match=r"cannot read .*card\.json"):
        read_card(path)


def test_a_card_differs_from_itself_in_nothing_and_survives_its_file(made: ScoreCard, tmp_path: Path) -> None:
    again = read_card(written(made, tmp_path))
    assert differences(made, again) == []
    assert again.fingerprint == made.fingerprint


def test_every_kind_of_change_is_found_once(made: ScoreCard) -> None:
    more = Advice(fault="a", text="b 0.31", remedy="c")
    changes: list[tuple[dict[str, Any], list[str]]] = [
        ({"advice": (*made.advice, more)}, [f"advice.{len(made.advice)}.{key}" for key in ("fault", "text", "remedy")]),
        ({"contest_2025": made.contest_2025 | {"mse": None}}, ["contest_2025.mse"]),
        ({"by_seed": made.by_seed[:-1]}, [f"by_seed.{len(made.by_seed) - 1}"]),
        ({"notice": "x"}, ["notice"]),
        ({"platform": "another"}, []),
    ]
    for change, names in changes:
        changed = made.model_copy(update=change)
        assert [one.name for one in differences(changed, made)] == names
        assert [one.name for one in differences(made, changed)] == names
        assert not any(one.within_rounding for one in differences(changed, made))


@pytest.mark.parametrize(("factor", "near"), [(1 + 5e-4, True), (1 - 5e-4, True), (1.01, False), (-1, False)])
def test_rounding_is_a_thousandth(made: ScoreCard, factor: float, near: bool) -> None:
    [difference] = differences(scaled(made, "frechet", factor), made)
    assert difference.within_rounding == near


def test_advice_may_differ_in_its_digits_alone(made: ScoreCard) -> None:
    first = made.model_copy(update={"advice": (Advice(fault="a", text="KL 0.312, and 1,234", remedy="c"),)})
    for text, near in (("KL 0.311, and 1,233", True), ("KL 0.312, or 1,234", False), ("", False)):
        other = made.model_copy(update={"advice": (Advice(fault="a", text=text, remedy="c"),)})
        [difference] = differences(first, other)
        assert difference.within_rounding == near


@pytest.mark.parametrize(("factor", "holds"), [(1, True), (1.0005, True), (0.9, False)])
def test_another_platform_may_round_but_not_invent(
    made: ScoreCard, capsys: pytest.CaptureFixture[str], factor: float, holds: bool
) -> None:
    moved = made.model_copy(update={"platform": "another machine"})
    assert print_check(scaled(moved, "frechet", factor), made) == holds
    printed = capsys.readouterr().out
    assert "platform of the card: another machine; here: " in printed
    assert ("verified within rounding; another platform" in printed) == holds
    assert ("scores.frechet.value" in printed) == (not holds)


def test_a_judge_of_ones_own_scores_a_bundle_and_verifies_its_card(
    arena_here: Arena, tiny_run: Path, tmp_path: Path
) -> None:
    trained = arena_here(
        "judge", "train", "width=4", "fit.epochs=1", "--dataset", "digits", "--out", tmp_path / "judges"
    )
    assert trained.returncode == 0, trained.stderr
    [judge] = (tmp_path / "judges").glob("*.safetensors")
    named = ("--judge", judge)
    card = tmp_path / "card.json"
    done = arena_here("judge", tiny_run / "bundle", *named, "--samples", 100, "--untimed", "--json", card)
    assert done.returncode == 0, done.stderr
    assert read_card(card).judge == judge.stem
    assert arena_here("verify", card, tiny_run / "bundle", *named).returncode == 0
    refused = arena_here("verify", card, tiny_run / "bundle")
    assert refused.returncode == 1
    assert "--judge" in refused.stderr
