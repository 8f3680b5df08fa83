"""Boards: which entries count, what is said about them, names and spreadsheets that strangers fill in."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from latentarena.arena.board_files import rank_file, read_board
from latentarena.arena.contest_files import load_contest
from latentarena.arena.names import clean_name, looks_like
from latentarena.card.columns import COLUMNS
from latentarena.card.figure import Figure
from latentarena.cli.app import app
from latentarena.contest.board import Board
from latentarena.contest.contest import Contest
from latentarena.contest.entries import counting, entry_of
from latentarena.contest.entry import Entry
from latentarena.contest.making import make_board
from latentarena.contest.prediction import predict
from latentarena.contest.spreadsheet import board_csv, inert, write_csv
from latentarena.errors import ConfigError
from latentarena.text import plain_line, slug
from score_cards import made_card

OPEN = load_contest("open")
OLD = load_contest("contest-2025")
LEADERBOARD = Path(__file__).parents[1] / "support" / "files" / "contest-2025-leaderboard.csv"


def contest(**changes: Any) -> Contest:
    return Contest.model_validate(OPEN.model_dump(mode="json") | changes)


def entry(name: str, team: str = "", mse: float = 0.01, day: int = 1, **changes: Any) -> Entry:
    facts: dict[str, Any] = {"samples": 10_000, "mse": mse}
    rest: dict[str, Any] = {"received": datetime(2026, 1, day, tzinfo=UTC), "verified": True, "facts": facts} | changes
    return Entry(name, name, team or name, {"mse": Figure.of(mse, mse * 0.99, mse * 1.01)}, **rest)


# which entry counts


@pytest.mark.parametrize(("counts", "expected"), [("best", "b"), ("latest", "c"), ("chosen", "a")])
def test_the_stated_rule_says_which_entry_counts(counts: str, expected: str) -> None:
    own = [entry("a", "t", 0.02, 1, chosen=True), entry("b", "t", 0.01, 2), entry("c", "t", 0.03, 3)]
    rules = contest(counts=counts)
    for order in (own, own[::-1]):
        assert counting(order, rules) == {"t": expected}
        board = make_board([*order, entry("x")], rules)
        assert {line.team: line.id for line in board.lines} == {"t": expected, "x": "x"}
        assert {line.id for line in board.others} == {"a", "b", "c"} - {expected}
        assert all(line.refused == f"another entry of this team counts ({counts})" for line in board.others)


def test_none_chosen_is_the_latest_and_shared_best_is_the_latest_too() -> None:
    own = [entry("a", "t", 0.01, 1), entry("b", "t", 0.01, 2)]
    assert counting(own, contest(counts="chosen")) == counting(own, contest(counts="best")) == {"t": "b"}


def test_an_entry_that_cannot_be_ranked_never_displaces_one_that_can() -> None:
    own = [entry("good", "t", 0.01, 1), entry("bad", "t", 0.001, 2, facts={"samples": 100, "mse": 0.001})]
    for counts in ("best", "latest", "chosen"):
        assert counting(own, contest(counts=counts)) == {"t": "good"}
    board = make_board(own, contest())
    assert [line.id for line in board.lines] == ["good"]
    assert board.others[0].refused == "below the threshold samples >= 10000: it has 100"


def test_other_teams_never_change_which_entry_counts() -> None:
    own = [entry("a", "t", 0.02, 1), entry("b", "t", 0.01, 2)]
    others = [entry(f"o{i}", f"o{i}", 0.001 * i + 0.005) for i in range(20)]
    assert counting([*own, *others], contest())["t"] == counting(own, contest())["t"] == "b"


# what a card must have


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"dataset": "kmnist"}, "judged on kmnist, not on mnist"),
        ({"judge_hash": "0" * 64}, "which is not the official judge of mnist"),
        ({"latent": (7, 8)}, "a latent of 56 numbers; this contest takes 3 to 49"),
        ({"latent": (2,)}, "a latent of 2 numbers"),
        ({"samples": 9_999}, "below the threshold samples >= 10000"),
        ({}, ""),
        ({"latent": (7, 7)}, ""),
    ],
)
def test_cards_that_do_not_fit_the_contest_are_shown_with_the_reason(changes: dict[str, Any], reason: str) -> None:
    made = entry_of(made_card("m", **changes), OPEN, "m", "m")
    board = make_board([made], OPEN)
    assert len(board.lines) == (0 if reason else 1)
    assert not reason or reason in board.others[0].refused
    assert board.others == () or board.others[0].cells["mse"].rank is None


@pytest.mark.parametrize(("precision", "verified"), [("float16", True), ("float16", False), ("float8", True)])
def test_latents_finer_than_the_contest_rounds_them_to_are_not_ranked(precision: str, verified: bool) -> None:
    """Where the contest scored the entry itself; what its team reports is marked as that."""
    card = made_card("m").model_copy(update={"precision": precision})
    board = make_board([entry_of(card, OPEN, "m", "m", verified=verified)], OPEN)
    words = "judged with latents in float16, before this contest rounded them to float8"
    assert [line.refused for line in board.others] == [words] * (verified and precision == "float16")
    rules = OPEN.model_copy(update={"latent": OLD.latent})  # which round as the bundle says
    assert make_board([entry_of(card, rules, "m", "m", verified=verified)], rules).others == ()


def test_a_form_that_is_not_taken_is_not_ranked() -> None:
    refused = entry_of(made_card("m"), OPEN, "m", "m", form="python-2025").refused
    assert refused == "a bundle of the form python-2025; this contest takes native, portable"
    assert entry_of(made_card("m"), OPEN, "m", "m", form="portable").refused == ""


def test_a_contest_s_own_judge_is_named_by_its_hash() -> None:
    rules = contest(judge="ab" * 32)
    assert entry_of(made_card("m", judge_hash="ab" * 32), rules, "m", "m").refused == ""
    assert "not by this contest's judge abababababab" in entry_of(made_card("m"), rules, "m", "m").refused


def test_self_reported_entries_stand_marked_or_not_at_all() -> None:
    own = entry("a", verified=False)
    assert [line.verified for line in make_board([own], OPEN).lines] == [False]
    assert any("self-reported" in note for note in make_board([own], OPEN).notes)
    strict = make_board([own], contest(self_reported=False))
    assert strict.lines == ()
    assert "self-reported" in strict.others[0].refused


def test_old_columns_come_from_the_card_and_its_timing() -> None:
    card = made_card("m", contest_2025={"total_params": 5.0, "kl_div_classes": None, "mse": 0.25})
    board = make_board([entry_of(card, OLD, "m", "m")], OLD)
    cells = board.lines[0].cells
    assert {name: cell.text for name, cell in cells.items()} == {
        "total_params": "5",
        "time_per_sample": "–",  # not timed
        "mse": "0.25000",
        "ssim": "–",
        "entropy": "–",
        "kl_div_classes": "∞",
        "gen_confidence": "–",
    }
    assert json.loads(json.dumps(board.model_dump(mode="json"), allow_nan=False))["contest"] == "contest-2025"
    assert any("no error bars" in note for note in board.notes)


# awards


def test_awards_are_rules_over_fields_and_ties_share_them() -> None:
    awards = [
        {"name": "All", "where": []},
        {"name": "Few", "where": [{"field": "mse", "op": "<=", "value": 0.02}], "field": "steps"},
        {"name": "Data", "where": [{"field": "bundle.provenance.dataset", "op": "==", "value": "mnist"}]},
        {"name": "None", "where": [{"field": "mse", "op": "<", "value": 0}]},
        {"name": "Category", "field": "reconstruction_rank", "better": "higher"},
    ]
    rules = contest(awards=awards, thresholds=[])
    entries = [
        entry("a", mse=0.01, facts={"mse": 0.01, "steps": 8, "bundle.provenance.dataset": "kmnist"}),
        entry("b", mse=0.02, facts={"mse": 0.02, "steps": 4, "bundle.provenance.dataset": "mnist"}),
        entry("c", mse=0.02, facts={"mse": 0.02, "steps": 4}),
        entry("d", mse=0.5, facts={"mse": 0.5, "steps": 1}),
    ]
    board = make_board(entries, rules)
    assert {prize.name: prize.winners for prize in board.prizes} == {
        "All": ("a",),
        "Few": ("b", "c"),
        "Data": ("b",),
        "None": (),
        "Category": ("d",),
    }
    assert {line.team: line.awards for line in board.lines} == {
        "a": ("All",),
        "b": ("Few", "Data"),
        "c": ("Few",),
        "d": ("Category",),
    }


def test_a_bundle_s_own_card_is_a_source_of_fields() -> None:
    bundle = {"provenance": {"dataset": "mnist", "seconds": {"autoencoder": 3.5}, "list": [1]}}
    facts = entry_of(made_card("m"), OPEN, "m", "m", bundle=bundle).facts
    assert facts["bundle.provenance.dataset"] == "mnist"
    assert not [name for name in facts if name.startswith("bundle.provenance.seconds")]  # its own word: no rule's
    assert "bundle.provenance.list" not in facts
    assert facts["latent_numbers"] == 16


def test_points_do_not_depend_on_others_and_copies_are_named() -> None:
    alone = make_board([entry_of(made_card("m", mse=0.02), OPEN, "m", "m")], OPEN)
    cards = [made_card("m", mse=0.02), made_card("n", mse=0.001), made_card("o", mse=0.1, bundle="1" * 64)]
    board = make_board([entry_of(card, OPEN, card.model, card.model) for card in cards], OPEN)
    points = {line.team: line.points for line in board.lines}
    assert points["m"] == alone.lines[0].points
    assert points["n"]["reconstruction"] > points["m"]["reconstruction"] > points["o"]["reconstruction"]
    assert [note for note in board.notes if "same model" in note] == [
        f"m, n handed in the same model: bundle {'0' * 12}."
    ]


def test_figures_of_other_images_are_not_compared() -> None:
    """As of one folder's pictures in two sizes; what the contest has computed says which ones count."""
    cards = {name: made_card(name, data=digit * 64) for name, digit in zip("abcd", "1222", strict=True)}
    entries = [entry_of(card, OPEN, name, name, verified=name != "d") for name, card in cards.items()]
    board = make_board(entries, OPEN)
    assert {line.team for line in board.lines} == {"b", "c", "d"}
    assert "judged on other images, 111111111111, than the others here, 222222222222;" in board.others[0].refused
    board = make_board(entries[:1] + [replace(one, verified=False) for one in entries[1:]], OPEN)
    assert [line.team for line in board.lines] == ["a"]


def test_the_board_is_the_same_whatever_the_order_and_survives_json() -> None:
    entries = [entry(name, mse=mse) for name, mse in {"a": 0.01, "b": 0.02, "c": 0.01}.items()]
    board = make_board(entries, OPEN)
    assert make_board(entries[::-1], OPEN) == board
    assert Board.model_validate_json(board.model_dump_json()) == board
    assert make_board([], OPEN).lines == ()


# before handing in


def test_a_prediction_is_where_the_entry_then_stands() -> None:
    entries = [entry(name, mse=mse) for name, mse in {"a": 0.01, "b": 0.02, "c": 0.04}.items()]
    board = make_board(entries, OPEN)
    new = entry("new", mse=0.03)
    found = predict(new, Board.model_validate_json(board.model_dump_json()), OPEN)
    after = {line.team: line for line in make_board([*entries, new], OPEN).lines}
    assert found.standing is not None
    assert found.standing.worst.place == after["new"].place
    assert found.standing.worst.total == after["new"].total
    assert found.standing.worst.columns["mse"] == 3
    assert found.entries == 4
    # as good as the best elsewhere it stands level with it, and nothing else can be gained: only `mse` is there
    assert (found.costliest, found.there and found.there.worst.place, found.lost) == ("mse", 1, 2)
    assert "mse" not in found.unmeasured
    assert "ssim" in found.unmeasured
    again = predict(entry("new", "a", mse=0.001), board, OPEN)  # in the place of its team's own line
    assert (again.entries, again.standing and again.standing.worst.place, again.costliest) == (3, 1, None)


def test_a_prediction_says_why_there_is_none() -> None:
    board = make_board([entry("a")], OPEN)
    assert predict(entry("new", facts={"samples": 1}), board, OPEN).refused.startswith("below the threshold")
    assert predict(entry("new"), make_board([], OPEN), OPEN).costliest is None
    with pytest.raises(ConfigError, match="the board ranks mse, ssim"):
        predict(entry("new"), board, OLD)


FIGURES = dict(zip(COLUMNS, (180_000, 5e-5, 0.006, 0.93, 0.5, 0.012, 0.85), strict=True))


def places_in_table(folder: Path, cells: dict[str, float]) -> dict[str, tuple[int, float]]:
    """Place and total by team once a row is appended to the final board of 2025, as `arena board rank` has them."""
    with LEADERBOARD.open(newline="") as file:
        rows = list(csv.DictReader(file))
    path = folder / "with.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["team", *COLUMNS], extrasaction="ignore")
        writer.writeheader()
        writer.writerows([*rows, {"team": "new", **cells}])
    return {one.name: (one.place, one.total) for one in rank_file(path, OLD).placed}


@pytest.mark.parametrize("missing", [(), ("time_per_sample",), ("mse", "ssim")])
def test_a_prediction_is_the_place_in_the_table_with_one_row_more(missing: tuple[str, ...], tmp_path: Path) -> None:
    """What was not measured leaves a range: the places with the best and with the worst figure there."""
    known = {name: Figure.of(value) for name, value in FIGURES.items() if name not in missing}
    new = Entry("new", "new", "new", known)
    board = read_board(LEADERBOARD, OLD)
    found = predict(new, board, OLD)
    assert found.standing is not None
    assert found.unmeasured == missing
    higher = ("ssim", "gen_confidence")
    for end, one in ((1, found.standing.best), (-1, found.standing.worst)):
        cells = {
            name: end * (1e9 if name in higher else -1e9) if name in missing else FIGURES[name] for name in COLUMNS
        }
        assert (one.place, one.total) == places_in_table(tmp_path, cells)["new"]
    assert (found.standing.best.place < found.standing.worst.place) == bool(missing)
    # the costliest metric: every other one gains less when it takes the best value that the board has
    assert found.costliest is not None
    assert found.costliest not in missing
    bests = {
        name: (max if name in higher else min)(
            figure.value for line in board.lines if (figure := line.cells[name].figure) is not None
        )
        for name in COLUMNS
        if name not in missing
    }
    worst = {name: (-1e9 if name in higher else 1e9) if name in missing else FIGURES[name] for name in COLUMNS}
    there = {name: places_in_table(tmp_path, worst | {name: best})["new"] for name, best in bests.items()}
    assert found.there is not None
    assert (found.there.worst.place, found.there.worst.total) == there[found.costliest]
    assert found.there.worst.total == min(total for _, total in there.values())
    assert found.lost >= found.standing.worst.place - found.there.worst.place
    path = tmp_path / "board.json"
    path.write_text(board.model_dump_json())
    assert predict(new, read_board(path, OLD), OLD) == found


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("board.json", None, "cannot read .*; give a board.json or a CSV"),
        ("board.json", "team,mse", "is not JSON: .*; give a board.json or a CSV"),
        ("board.json", "{}", "contest"),
        ("board.csv", "team,mse\na,1\n", "no column 'total_params'"),
        ("board.csv", None, "cannot read"),
    ],
)
def test_what_is_no_board_is_refused_in_a_line(name: str, content: str | None, words: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(ConfigError, match=words):
        read_board(tmp_path / name, OLD)


def test_what_rests_on_a_submission_s_own_word_is_marked_wherever_it_is_shown() -> None:
    figures = {name: Figure.of(value) for name, value in FIGURES.items()}
    own = Entry("a", "a", "a", figures, card=made_card("a", unverified=("total_params",)))
    board = make_board([own], OLD)
    cells = Board.model_validate_json(board.model_dump_json()).lines[0].cells
    assert [name for name, cell in cells.items() if cell.unverified] == ["total_params"]
    assert [name for name, cell in cells.items() if cell.interval == "unverified"] == ["total_params"]
    [row] = csv.DictReader(io.StringIO(board_csv(board)))
    assert row["unverified_figures"] == "total_params"


# names


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Ｌａｔｅｎｔ", "Latent"),  # full width
        ("  two   words ", "two words"),
        ("Mrs & Mr Meower", "Mrs & Mr Meower"),
        ("Zoë", "Zoë"),
        ("ﬁne", "fine"),
        ("京都", "京都"),
        ("a\u00a0b", "a b"),
    ],
)
def test_names_are_normalised(text: str, name: str) -> None:
    assert clean_name(text) == name
    assert clean_name(name) == name


@pytest.mark.parametrize(
    "text",
    [
        "a\u202eb",  # right-to-left override
        "a\u2066b\u2069",  # isolates
        "a\u200bb",  # zero-width space
        "a\u200db",  # zero-width joiner
        "a\ufeffb",
        "a\u00adb",  # soft hyphen
        "a\nb",
        "a\tb",
        "a\x00b",
        "a\x7fb",
        "a\u2028b",
        "a\u3164b",  # Hangul filler
        "a\u2800b",  # empty Braille cell
        "a\ufe0fb",  # variation selector
        "a\U000e0041b",  # tag
        "a\ue000b",  # private use
        "a\ud800b",  # lone surrogate
        "Z" + "\u0335" * 3,  # stacked marks
        "",
        "  ",
        "---",
        "x" * 61,
    ],
)
def test_names_that_hide_or_reorder_are_refused_in_one_line(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        clean_name(text, "team")
    assert str(caught.value).isprintable()
    assert str(caught.value).startswith("team ")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("marco", "mаrco"),  # Cyrillic a
        ("marco", "MARCO"),
        ("marco", "marсо"),
        ("Chris", "Chr1s"),
        ("Chris", "ChrIs"),
        ("cooked", "c00ked"),
        ("modern", "modem"),
        ("Mrs & Mr", "Mrs&Mr"),
        ("alpha", "αlpha"),
        ("Zoë", "Zoe"),
        ("team l", "team 1"),
        ("vvv", "wv"),
    ],
)
def test_look_alikes_are_told(one: str, other: str) -> None:
    assert looks_like(other, ["nobody", one]) == one
    assert looks_like(clean_name(one), [clean_name(other)]) == other


def test_different_names_do_not_look_alike() -> None:
    names = ["marco", "Chris", "cooked", "Mrs & Mr Meower", "Yann LeCool Boys", "Neanderthals", "brody", "zaintest"]
    names += ["team 3", "team 4", "Clara", "Dara", "日本", "京都", "Ω"]
    for name in [*names, "new"]:
        assert looks_like(name, [other for other in names if other != name]) is None


@given(st.text(max_size=80))
@example("0\u1680")
@settings(max_examples=150, deadline=None)
def test_names_are_cleaned_once_and_for_all_or_refused(text: str) -> None:
    assert plain_line(text).isprintable()
    assert slug(text)
    assert set(slug(text)) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    try:
        name = clean_name(text)
    except ConfigError:
        return
    assert clean_name(name) == name
    assert name.isprintable()
    assert plain_line(name) == name


# spreadsheets


@pytest.mark.parametrize("start", [*"=+-@\t\r\n", "＝", "＋", "－", "＠"])
def test_cells_that_look_like_formulas_are_inert(start: str) -> None:
    kept = start.replace("\r", "\n")
    assert inert(f"{start}HYPERLINK(1)") == f"'{kept}HYPERLINK(1)"
    [[cell]] = csv.reader(io.StringIO(write_csv([f"{start}cmd"], []), newline=""))
    assert cell == f"'{kept}cmd"


def test_numbers_stay_numbers() -> None:
    assert [inert(cell) for cell in (-1.5, "-1.5", "+2e-3", "-inf", None, "a=b", "1-2")] == [
        -1.5,
        "-1.5",
        "+2e-3",
        "-inf",
        None,
        "a=b",
        "1-2",
    ]


@given(st.lists(st.lists(st.text(max_size=8), min_size=2, max_size=2), max_size=4))
@settings(max_examples=60, deadline=None)
def test_no_cell_of_a_spreadsheet_is_ever_computed(rows: list[list[str]]) -> None:
    read = list(csv.reader(io.StringIO(write_csv(["a", "b"], rows), newline="")))[1:]
    assert len(read) == len(rows)
    for cell in (cell for row in read for cell in row):
        assert not cell.startswith(("=", "@", "\t", "\r", "\n", "+", "-")) or float(cell) is not None


def test_the_board_as_csv_holds_every_figure_and_no_formula() -> None:
    made = entry_of(made_card("=1+1", frechet=3.0), OPEN, "x", "=cmd()", "@SUM(A1)")
    bad = entry("bad", facts={"samples": 1})
    rows = list(csv.DictReader(io.StringIO(board_csv(make_board([made, bad], OPEN)))))
    assert [row["team"] for row in rows] == ["'=cmd()", "bad"]
    assert (rows[0]["name"], rows[0]["place"], rows[0]["verified"]) == ("'@SUM(A1)", "1", "self-reported")
    assert (float(rows[0]["frechet"]), rows[0]["frechet_rank"], rows[0]["quality_rank"]) == (3.0, "1", "1")
    assert rows[1]["why_not_ranked"].startswith("below the threshold")
    assert rows[1]["place"] == ""


HEADER = "team," + ",".join(measure.metric for measure in OLD.measures)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["is empty"]),
        (HEADER + "\n", ["a header and no rows"]),
        ("team,mse\na,1\n", ["no column 'total_params'", "contest contest-2025 ranks total_params, time_per_sample"]),
        (HEADER.replace("team", "who") + "\na,1,1,1,1,1,1,1\n", ["no column that names the rows", "team"]),
        (HEADER + ",mse\na,1,1,1,1,1,1,1,1\n", ["column 'mse' is there twice"]),
        (HEADER + "\na,1,1,1,1,1,1\n", ["line 2: 7 cells, but 8 columns"]),
        (HEADER + "\na,1,1,fast,1,1,1,1\n", ["line 2: mse = 'fast' is no number"]),
        (HEADER + '\na,1,1,"1,5",1,1,1,1\n', ["mse = '1,5' is no number"]),
        (HEADER + "\na,1,1,1,1,1,1,1\nb,1,1,1,1,1,1,1\na,2,2,2,2,2,2,2\n", ["line 4: team 'a' is on line 2 too"]),
        (HEADER + "\n ,1,1,1,1,1,1,1\n", ["line 2: team is empty"]),
        (HEADER + '\n"a,1\n', ["is not CSV"]),
        (b"\xff\xfe\x00", ["is not UTF-8 at byte 0"]),
    ],
)
def test_a_fault_of_a_table_is_one_line(text: str | bytes, words: list[str], tmp_path: Path) -> None:
    path = tmp_path / "raw.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    done = CliRunner().invoke(app, ["board", "rank", str(path), "--out", str(tmp_path / "out.csv")])
    assert done.exit_code != 0
    assert isinstance(done.exception, ConfigError)
    said = str(done.exception)
    assert "\n" not in said
    assert [word for word in [str(path), *words] if word not in said] == []
    assert not (tmp_path / "out.csv").exists()


def test_the_input_s_columns_stay_and_missing_cells_stand_last(tmp_path: Path) -> None:
    rows = ["=evil,x,1,1,,1,1,inf,1", "b,y,2,2,5,2,2,3,2", "c,-z,1,1,nan,1,1,-1,1"]
    text = HEADER.replace("team,", "team,remark,") + "\n" + "\n".join(rows) + "\n"
    (tmp_path / "raw.csv").write_text("\ufeff" + text)
    ranked = rank_file(tmp_path / "raw.csv", OLD)
    found = {row[0]: dict(zip(ranked.header, row, strict=True)) for row in ranked.rows}
    assert ranked.header[:9] == HEADER.replace("team,", "team,remark,").split(",")
    assert [found[name]["mse_rank"] for name in ("=evil", "b", "c")] == ["2.0", "1.0", "2.0"]
    assert [found[name]["kl_div_classes_rank"] for name in ("=evil", "b", "c")] == ["3.0", "2.0", "1.0"]
    assert found["=evil"]["mse"] == ""
    assert "'=evil,x" in write_csv(ranked.header, ranked.rows)
    assert "c,'-z" in write_csv(ranked.header, ranked.rows)


def test_intervals_beside_a_column_make_statistical_ties(tmp_path: Path) -> None:
    rules = contest(categories=[{"name": "one", "metrics": ["mse", "recall"]}], awards=[], thresholds=[])
    text = "name,mse,mse_low,mse_high,recall\na,1,0.5,2,0.5\nb,1.5,1,2,0.5\nc,9,8,10,0.5\n"
    (tmp_path / "raw.csv").write_text(text)
    ranked = rank_file(tmp_path / "raw.csv", rules)
    found = {row[0]: dict(zip(ranked.header, row, strict=True)) for row in ranked.rows}
    assert [found[name]["mse_rank"] for name in "abc"] == ["1.0", "1.0", "3.0"]
    assert [found[name]["one_rank"] for name in "abc"] == ["1.0", "1.0", "3.0"]
    assert found["c"]["overall_rank"] == "3.0"
