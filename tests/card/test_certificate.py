"""Training that is certified, or ranks nowhere; cards that nobody has recomputed; what a card may hold."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from latentarena import zoo
from latentarena.arena.contest_files import load_contest
from latentarena.arena.site import build_site, read_folder
from latentarena.card.catalogue import METRICS
from latentarena.card.certificate import Certificate, read_certificate
from latentarena.card.columns import COLUMNS
from latentarena.card.figure import Figure
from latentarena.card.score_card import ScoreCard, Trainings, read_card
from latentarena.card.words import contest_cells
from latentarena.config import validate
from latentarena.contest.board import Board
from latentarena.contest.contest import Contest
from latentarena.contest.entries import entry_of
from latentarena.contest.entry import Entry
from latentarena.contest.making import make_board
from latentarena.contest.spreadsheet import board_csv
from latentarena.errors import ConfigError
from latentarena.files import write_json
from score_cards import certificate, made_card

OPEN = load_contest("open")
TRAINING = ("quality_macs", "held_out_loss")


def contest(**changes: Any) -> Contest:
    return Contest.model_validate(OPEN.model_dump(mode="json") | changes)


def entry(name: str, verified: bool = True, made: Certificate | None = None, **changes: Any) -> Entry:
    return entry_of(made_card(name, **changes), OPEN, name, name, verified=verified, certificate=made)


def test_figures_of_training_are_shown_and_rank_nowhere_until_certified() -> None:
    """The forged card claims a thousandth of the compute, and stands exactly where its honest twin does."""
    honest, forged = made_card("honest"), made_card("forged", quality_macs=1e10, held_out_loss=1e-6)
    board = make_board([entry_of(one, OPEN, one.model, one.model, verified=True) for one in (honest, forged)], OPEN)
    lines = {line.team: line for line in board.lines}
    assert lines["honest"].place == lines["forged"].place == 1
    assert lines["honest"].points == lines["forged"].points
    assert "training" not in lines["forged"].points
    for metric in TRAINING:
        cell = lines["forged"].cells[metric]
        assert (cell.rank, cell.interval, cell.uncertified) == (None, "uncertified", True)
        assert cell.text != "–"
    assert [note for note in board.notes if "trained anew" in note]
    row = next(row for row in csv.DictReader(io.StringIO(board_csv(board))) if row["team"] == "forged")
    assert (row["trained_anew"], row["uncertified_figures"]) == ("no", "quality_macs; held_out_loss")
    assert (row["quality_macs_rank"], row["held_out_loss_rank"]) == ("", "")


def test_a_certificate_makes_them_rank_and_its_own_figures_count() -> None:
    board = make_board(
        [entry("plain"), entry("slow", made=certificate(macs=1e14)), entry("fast", made=certificate(macs=1e12))], OPEN
    )
    lines = {line.team: line for line in board.lines}
    assert [lines[name].categories["training"] for name in ("fast", "slow", "plain")] == [1, 2, 3]
    assert lines["fast"].cells["quality_macs"].figure.value == 1e12  # not what its card says
    assert lines["fast"].points["training"] > lines["slow"].points["training"] > 0
    assert (lines["fast"].trained, lines["plain"].trained) == (3, 0)
    assert board.lines[0].team == "fast"


@pytest.mark.parametrize(
    ("made", "verified"),
    [
        (certificate(verdict="disagrees"), True),
        (certificate(bundle="1" * 64), True),
        (certificate(quality=50.0), True),
        (certificate(), False),
    ],
)
def test_a_certificate_of_something_else_counts_for_nothing(made: Certificate, verified: bool) -> None:
    found = entry("m", verified=verified, made=made)
    assert found == entry("m", verified=verified)
    assert (found.trained, set(TRAINING) <= set(found.uncertified)) == (0, True)


def test_a_missing_figure_costs_at_most_as_many_ranks_as_there_are_certified_entries() -> None:
    names = [f"t{i}" for i in range(8)]
    before = {one.team: one for one in make_board([entry(name) for name in names], OPEN).lines}
    two = [entry(name, made=certificate(macs=1e12) if i < 2 else None) for i, name in enumerate(names)]
    after = {one.team: one for one in make_board(two, OPEN).lines}
    assert {one.categories["training"] for one in before.values()} == {1}
    assert [after[name].categories["training"] for name in names] == [1, 1, *[3] * 6]
    others = [group.name for group in make_board(two, OPEN).groups if group.name != "training"]
    for name in names:  # ranks elsewhere are as they were
        assert [after[name].categories[one] for one in others] == [before[name].categories[one] for one in others]


def test_no_award_rests_on_what_is_not_certified() -> None:
    awards = [
        {"name": "Lean", "where": [{"field": "train_macs", "op": "<=", "value": 1e13}]},
        {"name": "Quick", "field": "quality_macs"},
        {"name": "Proven", "where": [{"field": "certified", "op": "==", "value": True}]},
    ]
    rules = contest(awards=awards)
    forged = entry_of(made_card("forged", quality_macs=1.0), rules, "forged", "forged", verified=True)
    assert [prize.winners for prize in make_board([forged], rules).prizes] == [(), (), ()]
    honest = entry_of(made_card("m"), rules, "m", "m", verified=True, certificate=certificate())
    assert [prize.winners for prize in make_board([forged, honest], rules).prizes] == [("m",)] * 3


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"thresholds": [{"field": "train_seconds", "op": "<=", "value": 1}]}, "known of certified entries only"),
        ({"awards": [{"name": "a", "field": "bundle.provenance.seconds.generator"}]}, "the bundle's own word"),
        ({"certify": {"seeds": 1}}, "certify.seeds = 1"),
    ],
)
def test_rules_that_could_never_hold_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        validate(Contest, OPEN.model_dump(mode="json") | changes, "contest")


def test_the_recipe_is_a_source_of_rules_once_it_was_trained_anew() -> None:
    bundle = {"provenance": {"recipe": {"training": {"generator": {"epochs": 3.0}}}, "dataset": "mnist"}}
    card, field = made_card("m"), "bundle.provenance.recipe.training.generator.epochs"
    plain = entry_of(card, OPEN, "m", "m", bundle=bundle, verified=True)
    assert field not in plain.facts
    assert plain.facts["bundle.provenance.dataset"] == "mnist"
    known = entry_of(card, OPEN, "m", "m", bundle=bundle, verified=True, certificate=certificate())
    assert known.facts[field] == 3.0


def test_the_spread_over_trainings_makes_ties_where_it_is_the_wider_one() -> None:
    """Of two trainings nobody can tell the spread, so two widen nothing."""
    better, worse = made_card("b", mse=0.0100), made_card("w", mse=0.0110)
    for many, expected in ((2, [1, 2]), (3, [1, 1])):
        made = certificate(spread={"mse": 0.002})
        made = made.model_copy(update={"trainings": made.trainings[:many]})
        entries = [
            entry_of(card, OPEN, card.model, card.model, verified=True, certificate=made) for card in (better, worse)
        ]
        ranks = {line.team: line.cells["mse"].rank for line in make_board(entries, OPEN).lines}
        assert [ranks["b"], ranks["w"]] == expected


def test_so_does_the_spread_of_a_card_of_several_seeds() -> None:
    better, worse = made_card("b", mse=0.0100), made_card("w", mse=0.0110)
    over = {"mse": Figure(value=0.0105, low=0.0085, high=0.0125)}
    for many, expected in ((2, [1, 2]), (3, [1, 1])):
        told = Trainings(n=many, seeds=tuple(range(many)), metrics=over)
        cards = [card.model_copy(update={"trainings": told}) for card in (better, worse)]
        entries = [entry_of(card, OPEN, card.model, card.model) for card in cards]
        lines = {line.team: line.cells["mse"] for line in make_board(entries, OPEN).lines}
        assert [lines["b"].rank, lines["w"].rank] == expected
        assert lines["b"].figure.high == pytest.approx(0.0120 if many == 3 else better.scores["mse"].high)


def test_a_certificate_is_read_strictly(tmp_path: Path) -> None:
    path, good = tmp_path / "certificate.json", certificate().model_dump(mode="json")
    path.write_text(json.dumps(good))
    assert read_certificate(path) == certificate()
    bad: list[dict[str, Any]] = [
        {"more": 1},
        {"trainings": good["trainings"][:1]},
        {"figures": {"nonsense": {"value": 1, "low": 1, "high": 1}}},
        {"figures": {"train_macs": {"value": -1, "low": -1, "high": -1}}},
        {"bundle": "x"},
        {"quality": 1e400},
    ]
    for change in bad:
        path.write_text(json.dumps(good | change))
        with pytest.raises(ConfigError, match=r"certificate\.json"):
            read_certificate(path)


# cards that nobody has recomputed


def test_self_reported_entries_stand_behind_all_verified_ones_and_change_no_rank_of_theirs() -> None:
    verified = [entry("a", mse=0.02), entry("b", mse=0.03)]
    claims = [entry("x", verified=False, mse=1e-5, parameters=1.0), entry("y", verified=False, mse=0.5)]
    alone, board = make_board(verified, OPEN), make_board([*verified, *claims], OPEN)
    assert [(line.team, line.place) for line in board.lines] == [("a", 1), ("b", 2), ("x", 3), ("y", 4)]
    for line, before in zip(board.lines[:2], alone.lines, strict=True):
        assert line.model_copy(update={"awards": ()}) == before.model_copy(update={"awards": ()})
    assert [prize.winners for prize in board.prizes] == [prize.winners for prize in alone.prizes]
    assert [line.verified for line in board.lines] == [True, True, False, False]
    assert board.lines[2].first == 0
    assert [note for note in board.notes if "behind all that are verified" in note]


def test_a_verified_entry_counts_before_a_self_reported_one_of_the_same_team() -> None:
    mine = [
        entry_of(made_card("m", mse=0.05), OPEN, "checked", "m", verified=True),
        entry_of(made_card("m", mse=1e-5), OPEN, "claimed", "m"),
    ]
    assert [line.id for line in make_board(mine, OPEN).lines] == ["checked"]


def raw_card(**changes: Any) -> dict[str, Any]:
    return made_card("m").model_dump(mode="json") | changes


def with_score(name: str, value: float, **more: Any) -> dict[str, Any]:
    raw = raw_card()
    raw["scores"][name] = {"value": value, "low": value, "high": value, "real": None} | more
    return raw


def withholding(metric: str) -> dict[str, Any]:
    known = {"value": 1.0, "limit": 0.5, "verdict": "noted", "sentence": "it is one"}
    return {"name": "a check", **known, "withheld": [metric]}


def timing(**changes: Any) -> dict[str, Any]:
    taken = {"threads": 1, "batch": 100, "repeats": 5, "reference_ms": 0.2, "ratio": 1.0}
    return {**taken, "ms_per_sample": {"value": 0.2, "low": 0.1, "high": 0.3}, **changes}


def opinion(**changes: Any) -> dict[str, Any]:
    shares = dict.fromkeys(("confidence", "real_confidence", "agreement", "real_agreement"), 0.9)
    frechet = {"value": 1.0, "low": 0.9, "high": 1.1}
    return {"judge": "another", "kind": "k", "digest": "d", "frechet": frechet, **shares, **changes}


MINUS_SEVEN = {"value": -7, "low": -7, "high": -7}
IMPOSSIBLE = [
    (with_score("nonsense", 1.0), "metric 'nonsense' is unknown"),
    (with_score("frechet", 1e308), "scores.frechet.value = 1e"),
    (with_score("frechet", -0.5), "scores.frechet = -0.5"),
    (with_score("ssim", 1.5), "scores.ssim = 1.5"),
    (with_score("mse", 0.01, low=0.02), "has the interval"),
    (with_score("mse", 0.5, low=0.1, high=0.2), "scores.mse: 0.5 has the interval 0.1 to 0.2, which does not hold it"),
    (with_score("entropy", 0.1, real={"value": 1e30, "low": 0.0, "high": 0.1}), "scores.entropy.real: 1e.30 has the"),
    (with_score("class_kl", 0.1, equal={"value": 1e30, "low": 0.0, "high": 0.1}), "scores.class_kl.equal: 1e.30 has"),
    (with_score("confidence", 0.5, low=-7), "scores.confidence.low = -7 is outside its range, 0 to 1"),
    (with_score("precision", 0.5, real={"value": 0.5, "low": 0.5, "high": 7}), "scores.precision.real.high = 7 is"),
    (with_score("frechet", 1.0, real={"value": -1e24, "low": -1e24, "high": 0}), "scores.frechet.real = -1e"),
    (raw_card(checks=[withholding("mse"), withholding("nonsense")]), "checks: .* withholds 'nonsense'"),
    (with_score("mse", 0.01, high=1e308), "scores.mse.high = 1e"),
    (raw_card(latent=[-7, -7]), "latent"),
    (raw_card(latent=[]), "latent"),
    (raw_card(steps=-1), "steps"),
    (raw_card(parameters={"decoder": -5}), "decoder"),
    (raw_card(contest_2025={"nonsense": 1.0}), "contest_2025.nonsense"),
    (raw_card(contest_2025={"mse": 1e308}), "contest_2025.mse"),
    *[(raw_card(contest_2025={name: -7.0}), f"contest_2025.{name} = -7 is outside its range") for name in COLUMNS],
    (raw_card(contest_2025={"ssim": None}), "contest_2025.ssim = inf is outside its range, -1 to 1"),
    (raw_card(guidance=-7), "guidance = -7"),
    (raw_card(by_seed=[1.0, -7]), "by_seed.1 = -7"),
    (raw_card(by_steps={"4": -7}), "by_steps.4 = -7"),
    (raw_card(by_class={"0": 7}), "by_class.0 = 7"),
    (raw_card(opinions=[opinion(agreement=7)]), "opinions: another: agreement = 7"),
    (raw_card(opinions=[opinion(frechet={"value": -7, "low": -7, "high": 0})]), "opinions: another: frechet = -7"),
    (raw_card(timing=timing(ms_per_sample={"value": -7, "low": -9, "high": -1})), "timing.ms_per_sample.low = -9"),
    (raw_card(timing=timing(ms_per_sample={"value": 7, "low": 9, "high": 1})), "timing.ms_per_sample: 7 has the"),
    (raw_card(timing=timing(ratio=-1)), "timing.ratio = -1"),
    (raw_card(timing=timing(reference_ms=-1)), "timing.reference_ms = -1"),
    (raw_card(trainings={"n": 2, "seeds": [0, 1], "metrics": {"mse": MINUS_SEVEN}}), "trainings.metrics.mse = -7"),
]


@pytest.mark.parametrize(("raw", "words"), IMPOSSIBLE)
def test_an_impossible_card_is_refused_alone_and_the_board_is_built(
    raw: dict[str, Any], words: str, tmp_path: Path
) -> None:
    for name, content in {"good": raw_card(), "bad": raw}.items():
        (tmp_path / "entries" / name).mkdir(parents=True)
        (tmp_path / "entries" / name / "score.json").write_text(json.dumps(content))
    with pytest.raises(ConfigError, match=words):
        read_card(tmp_path / "entries" / "bad" / "score.json")
    board = build_site(*read_folder(tmp_path / "entries", OPEN), OPEN, tmp_path / "site")
    assert [line.team for line in board.lines] == ["good"]
    assert [(line.team, line.refused.split(":")[0]) for line in board.others] == [
        ("bad", "its score card cannot be read")
    ]


def numbers(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where the numbers of plain data stand."""
    if isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from numbers(part, (*at, key))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield at


def changed(raw: dict[str, Any], at: tuple[Any, ...], value: float, beside: dict[str, float]) -> dict[str, Any]:
    """Plain data with another number there, and the numbers beside it as these where they have their names."""
    copy = json.loads(json.dumps(raw))
    home = copy
    for key in at[:-1]:
        home = home[key]
    if isinstance(home, dict):
        home.update({name: one for name, one in beside.items() if name in home})
    home[at[-1]] = value
    return copy


EXTREME = (1e30, -1e30, 0, 1e-300, 2**62 - 1)


@pytest.mark.parametrize("value", EXTREME)
def test_whatever_number_a_card_that_is_read_holds_the_board_is_built(value: float, tmp_path: Path) -> None:
    """Of the metrics, which are all alike, those with a comparison and without, bounded and not."""
    full = json.loads((Path(zoo.__file__).parent / "models" / "digits" / "score.json").read_text())
    kept = ("mse", "ssim", "psnr", "entropy", "entropy_gap", "class_kl", "classes_missing", "kernel_distance", "vendi")
    full["scores"] = {name: one for name, one in full["scores"].items() if name in kept}
    mean = {"value": 0.1, "low": 0.0, "high": 0.2}
    full["trainings"] = {"n": 2, "seeds": [0, 1], "metrics": dict.fromkeys(("mse", "train_seconds"), mean)}
    for number, at in enumerate(numbers(full)):
        for beside in ({}, {"low": value, "value": value, "high": value}):
            home = tmp_path / "entries" / f"{number}-{len(beside)}"
            home.mkdir(parents=True)
            write_json(home / "score.json", changed(full, at, value, beside))
    rules = validate(Contest, {**load_contest("open").model_dump(mode="json"), "dataset": "digits"}, "digits")
    entries, files = read_folder(tmp_path / "entries", rules)
    found = [one for one in entries if one.card is not None]
    assert len(found) > 30
    assert len(build_site(found, files, rules, tmp_path / "site").listed) == len(found)


def test_every_figure_of_the_catalogue_may_stand_at_the_ends_of_its_range() -> None:
    for name, metric in METRICS.items():
        for value in (max(metric.smallest, -1e6), min(metric.largest, 1e6)):
            assert validate(ScoreCard, with_score(name, value), "card").scores[name].value == value
    for name, column in COLUMNS.items():
        for value in (column.smallest, min(column.largest, 1e6)):
            card = validate(ScoreCard, raw_card(contest_2025={name: value}), "card")
            assert card.contest_2025 == {name: value}
    missing = validate(ScoreCard, raw_card(contest_2025={"kl_div_classes": None}, timing=timing()), "card")
    assert contest_cells(missing)["kl_div_classes"] == "∞"  # a class is missing
    assert contest_cells(missing)["mse"] == "–"
    assert validate(ScoreCard, raw_card(opinions=[opinion()]), "card").opinions[0].agreement == 0.9


def test_a_certificate_beside_a_card_counts_where_the_cards_were_made_here(tmp_path: Path) -> None:
    home = tmp_path / "entries" / "m"
    home.mkdir(parents=True)
    (home / "score.json").write_text(json.dumps(raw_card()))
    (home / "certificate.json").write_text(certificate().model_dump_json())
    made, claimed = (read_folder(tmp_path / "entries", OPEN, verified)[0][0] for verified in (True, False))
    assert (made.trained, claimed.trained) == (3, 0)
    (home / "certificate.json").write_text("{")
    assert read_folder(tmp_path / "entries", OPEN, True)[0][0].trained == 0
    page = build_site(*read_folder(tmp_path / "entries", OPEN, True), OPEN, tmp_path / "site")
    assert isinstance(page, Board)
    assert "uncertified" in (tmp_path / "site" / "index.html").read_text()
