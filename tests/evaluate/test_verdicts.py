"""An evaluation ends in a verdict: cards are mutated at every field, and a refusal or a card follows, no traceback."""

from __future__ import annotations

import copy
import io
import json
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from latentarena.arena import intake
from latentarena.arena.contest_files import load_contest
from latentarena.arena.intake import evaluate_entries
from latentarena.bundle import BundleCard, NativeBundle
from latentarena.bundle.native import read_native
from latentarena.bundle.portable import PortableCard
from latentarena.card.score_card import read_card
from latentarena.cli.app import app
from latentarena.config import validate
from latentarena.errors import ArenaError, BundleError, ModelError
from latentarena.evaluate import evaluate as evaluation
from latentarena.evaluate import scoring
from latentarena.evaluate.contests import CONTESTS
from latentarena.evaluate.evaluate import evaluate, main, refusal_of
from latentarena.evaluate.scoring import training_figures
from latentarena.gates import check_card, open_files
from latentarena.judge.classifier import Judge
from latentarena.judge.score import Findings
from score_cards import made_card

HOSTILE: list[Any] = [
    *(None, True, -1, 0, 10**400, -(10**18), 1e308, -1e308, 1e-320, 0.5, 1 << 63),
    *("", "x" * 19_000, "$\\frac{", "../../x", "a\tb", "[bold]x"),
    *([], {}, [1e308, 1e308], {"a": 1e308, "b": 1e308}, [[[[]]]], {"": {"": {}}}),
]
Place = tuple[str | int, ...]
LONGEST = 1500  # characters of a refusal


def places(raw: Any, at: Place = ()) -> Iterator[Place]:
    """Where something stands in nested plain data: of a list its first item, of a recipe all but its many leaves."""
    inner = raw.items() if isinstance(raw, dict) else enumerate(raw[:1]) if isinstance(raw, list) else ()
    for key, value in inner:
        yield (*at, key)
        if at[-1:] != ("recipe",) or key == "data":
            yield from places(value, (*at, key))


def changed(raw: Any, place: Place, value: Any) -> Any:
    made = copy.deepcopy(raw)
    node = made
    for key in place[:-1]:
        node = node[key]
    node[place[-1]] = value
    return made


def mutations(raw: Any) -> Iterator[tuple[Place, str, bytes]]:
    """The place, the value in words and the card, for every place and every hostile value."""
    for place in places(raw):
        for value in HOSTILE:
            yield place, repr(value)[:30], json.dumps(changed(raw, place, value)).encode()


def refused(read: Callable[[], object]) -> bool:
    """Whether it is refused; then in one line."""
    try:
        read()
    except ArenaError as error:
        said = str(error)
    else:
        return False
    assert said.isprintable()
    assert len(said) < LONGEST, said
    return True


def test_a_native_card_mutated_at_every_field_is_read_or_refused(tiny_run: Path) -> None:
    files = open_files(tiny_run / "bundle")

    def read(content: bytes, place: Place) -> None:
        card = validate(BundleCard, check_card(content), "card.json")
        training_figures(card.provenance)
        json.dumps(card.model_dump(mode="json"), allow_nan=False)
        if place[0] != "provenance":
            read_native(files | {"card.json": content}, Path("b"))

    raw = json.loads(files["card.json"])
    verdicts = {(*place, value): refused(lambda c=c, p=place: read(c, p)) for place, value, c in mutations(raw)}
    assert 0 < sum(verdicts.values()) < len(verdicts)
    for field in (("seconds", "generator"), ("losses", "generator"), ("curves", "generator", "steps", 0)):
        for value in (1e308, -1e308, 10**400):
            assert verdicts["provenance", *field, repr(value)[:30]]
    assert verdicts["provenance", "seconds", "generator", "-1"]
    assert verdicts["provenance", "seconds", repr(HOSTILE[20])[:30]]  # each a float, their sum none


PORTABLE = {
    "form": "portable",
    "name": "p",
    "shape": [1, 28, 28],
    "latent": [3],
    "noise": [3],
    "classes": ["a"],
    "conditional": True,
    "hashes": dict.fromkeys(("encode", "decode", "generate"), "0" * 64),
    "parameters": {"encoder": 1, "decoder": 1, "generator": 1},
    "sampling": {"solver": "euler", "steps": 3, "guidance": 1.0},
    "data": {"name": "mnist"},
}


def test_a_portable_card_mutated_at_every_field_is_read_or_refused(tiny_bundle: NativeBundle) -> None:
    raw = PORTABLE | {"provenance": tiny_bundle.card.provenance.model_dump(mode="json")}

    def read(content: bytes) -> None:
        card = validate(PortableCard, check_card(content), "card.json")
        assert sum(card.parameters.values()) < 1 << 70
        training_figures(card.provenance) if card.provenance else None

    verdicts = {(*place, value): refused(lambda c=c: read(c)) for place, value, c in mutations(raw)}
    assert not refused(lambda: read(json.dumps(raw).encode()))
    assert all(verdicts["latent", 0, value] for value in ("-1", "0", repr(10**400)[:30], repr(1 << 63)))
    assert verdicts["parameters", "encoder", "-1"]


def test_a_score_card_mutated_at_every_field_is_read_or_refused(tmp_path: Path) -> None:
    raw = made_card("m").model_dump(mode="json")

    def read(content: bytes) -> None:
        (tmp_path / "card.json").write_bytes(content)
        assert len(read_card(tmp_path / "card.json").fingerprint) == 64

    verdicts = {(*place, value): refused(lambda c=c: read(c)) for place, value, c in mutations(raw)}
    for value in (1e308, -1e308, 10**400):
        assert verdicts["scores", next(iter(raw["scores"])), "value", repr(value)[:30]]
    assert verdicts["latent", 0, "-1"]


def with_card(bundle: Path, folder: Path, **changes: Any) -> Path:
    """A copy of a bundle with other values in its card, by dotted place."""
    card = json.loads((bundle / "card.json").read_text())
    for place, value in changes.items():
        card = changed(card, tuple(place.split("__")), value)
    return carrying(card, bundle, folder)


def carrying(card: Any, bundle: Path, folder: Path) -> Path:
    """A copy of a bundle with another card."""
    shutil.copytree(bundle, folder)
    (folder / "card.json").write_text(json.dumps(card))
    return folder


FORGED: dict[str, dict[str, Any]] = {
    "huge": {"provenance__seconds": {"a": 1e308, "b": 1e308}},
    "hugestep": {"provenance__curves": {"a": {"steps": [10**90], "seconds": [1.0], "losses": [1.0]}}},
    "negative": {"provenance__seconds": {"autoencoder": -1e300}},
    "endless notice": {"provenance__notice": "x" * 20_000},
    "no data": {"provenance__recipe__data": {"name": 5}},
    "architecture": {"architecture__shape": [1, 10**30, 8]},
    "latent": {"latent": [-7, -7]},
}


NAMED = {"huge": "seconds", "hugestep": "steps", "latent": "latent"}  # in the sentence of a refusal


@pytest.mark.parametrize("kind", FORGED)
def test_forged_provenance_is_refused_before_anything_is_judged(kind: str, tiny_run: Path, tmp_path: Path) -> None:
    bundle = with_card(tiny_run / "bundle", tmp_path / "forged", **FORGED[kind])
    assert main([str(bundle), "--out", str(tmp_path / "out"), "--rules", '{"dataset": "digits"}']) == 0
    said = json.loads((tmp_path / "out" / "refusal.json").read_text())
    assert said["state"] == "refused"
    assert "judge" not in said["log"]
    assert len(said["sentence"]) < LONGEST
    assert said["sentence"].isprintable()
    assert NAMED.get(kind, "") in said["sentence"]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_the_evaluating_program_ends_in_a_verdict_whatever_field_of_a_card_is_changed(
    data: st.DataObject, tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = json.loads((tiny_run / "bundle" / "card.json").read_text())
    place = data.draw(st.sampled_from(sorted(places(raw), key=repr)), "place")
    value = data.draw(st.sampled_from(HOSTILE), "value")
    monkeypatch.setattr(scoring, "score", judged_once)
    with TemporaryDirectory(dir=tmp_path) as folder, redirect_stderr(io.StringIO()) as said:
        bundle = carrying(changed(raw, place, value), tiny_run / "bundle", Path(folder, "bundle"))
        out = Path(folder, "out")
        assert main([str(bundle), "--out", str(out), "--rules", '{"dataset": "digits"}', "--samples", "100"]) == 0
        if (out / "card.json").is_file():
            assert read_card(out / "card.json").samples == 100
            return
        refusal = json.loads((out / "refusal.json").read_text())
    assert refusal["state"] == "refused"
    assert refusal["sentence"].isprintable()
    assert len(refusal["sentence"]) < LONGEST
    assert "Traceback" not in said.getvalue()  # it was foreseen


REAL, FOUND = scoring.score, list[Findings]()


def judged_once(*asked: Any) -> Findings:
    """What the judge finds of the tiny model, found once: cards change, its weights do not."""
    if not FOUND:
        FOUND.append(REAL(*asked))
    return FOUND[0]


@pytest.mark.parametrize(
    ("where", "state", "reason"), [("open_bundle", "refused", "bundle"), ("judge_bundle", "refused", "output")]
)
def test_what_nobody_foresaw_is_a_refusal_too(
    where: str, state: str, reason: str, tiny_run: Path, digits_judge: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OverflowError("int too large\nto convert to float")

    monkeypatch.setattr(evaluation, where, fail)
    with pytest.raises((BundleError, ModelError), match="OverflowError: int too large to convert") as caught:
        evaluate(tiny_run / "bundle")
    assert refusal_of(caught.value) == (state, reason)


def test_one_bad_entry_is_recorded_and_the_rest_go_on(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = tmp_path / "entries"
    with_card(tiny_run / "bundle", entries / "a", **FORGED["huge"])
    with_card(tiny_run / "bundle", entries / "b", **FORGED["no data"])
    with_card(tiny_run / "bundle", entries / "c", **FORGED["negative"])
    contest = load_contest("open").model_copy(update={"dataset": "digits"})
    tried = []
    real = __import__("latentarena.arena.intake", fromlist=["EvaluationProcess"]).EvaluationProcess

    def start(program: Any, bundle: Path, *rest: Any) -> Any:
        tried.append(bundle.name)
        return real(("false",) if bundle.name == "b" else program, bundle, *rest)  # a machine that fails for b

    monkeypatch.setattr("latentarena.arena.intake.EvaluationProcess", start)
    found = list(evaluate_entries(entries, [Path(name) for name in "abc"], contest, tmp_path / "out"))
    assert [(one.entry, bool(one.refused), one.fault) for one in found] == [
        ("a", True, False),
        ("b", True, True),
        ("c", True, False),
    ]
    assert tried == ["a", "b", "b", "c"]  # only the machine's fault was tried again
    assert all((tmp_path / "out" / name / "refusal.json").is_file() for name in "abc")


ENTRIES: dict[str, dict[str, Any]] = {
    "a hugestep": FORGED["hugestep"],
    "b unknown": {"metric_of_my_own": 1.0},
}


def test_the_command_records_forged_entries_and_goes_on_to_the_honest_one_and_the_site_is_built(
    tiny_run: Path, tmp_path: Path, digits_judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries, out, site = (tmp_path / name for name in ("entries", "evaluated", "site"))
    raw = json.loads((tiny_run / "bundle" / "card.json").read_text())
    draw, known = random.Random(5).choice, sorted(places(raw), key=repr)
    for name, changes in (ENTRIES | {"z honest": {}}).items():
        with_card(tiny_run / "bundle", entries / name, **changes)
    carrying(changed(raw, draw(known), draw(HOSTILE)), tiny_run / "bundle", entries / "e drawn")
    rules = (CONTESTS / "open.yaml").read_text().replace("dataset: mnist", "dataset: digits")
    rules = rules.replace("judge: official", f"judge: {digits_judge.digest}").replace("10000}", "100}")
    (tmp_path / "mine.yaml").write_text(rules)
    monkeypatch.setattr(intake, "EVALUATE", (*intake.EVALUATE, "--samples", "100"))
    contest = ["--contest", str(tmp_path / "mine.yaml")]
    done = CliRunner().invoke(app, ["board", "check", str(entries), *contest, "--tolerant", "--out", str(out)])
    assert done.exit_code == 0, done.output
    said = {name: json.loads((out / name / "refusal.json").read_text())["sentence"] for name in ENTRIES}
    assert "steps" in said["a hugestep"]
    assert "metric_of_my_own" in said["b unknown"]
    assert all(len(words) < LONGEST and words.isprintable() for words in said.values())
    done = CliRunner().invoke(app, ["board", "build", str(out), *contest, "--verified", "--out", str(site)])
    assert done.exit_code == 0, done.output
    board = json.loads((site / "board.json").read_text())
    assert set(ENTRIES) <= {line["team"] for line in board["others"]}
    [honest] = [line for line in board["lines"] if line["team"] == "z honest"]
    assert honest["place"] is not None
    assert (site / "entries" / f"{honest['id']}.html").is_file()
    drawn = {line["team"] for line in board["lines"] + board["others"]} - set(ENTRIES) - {"z honest"}
    assert drawn == {"e drawn"}


def test_the_command_builds_a_board_around_self_reported_cards_that_cannot_be(tmp_path: Path) -> None:
    raw, folder = made_card("m").model_dump(mode="json"), tmp_path / "handed-in"
    forged = {
        "endless": changed(raw, ("scores", "frechet", "value"), 1e308),
        "latent": changed(raw, ("latent",), [-7, -7]),
        "unknown": changed(raw, ("scores", "my_metric"), raw["scores"]["frechet"]),
        "long": changed(raw, ("steps",), 10**400),
        "honest": raw,
    }
    for name, card in forged.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "score.json").write_text(json.dumps(card))
    done = CliRunner().invoke(app, ["board", "build", str(folder), "--out", str(tmp_path / "site")])
    assert done.exit_code == 0, done.output
    board = json.loads((tmp_path / "site" / "board.json").read_text())
    assert [line["team"] for line in board["lines"]] == ["honest"]
    refused = {line["team"]: line["refused"] for line in board["others"]}
    assert refused.keys() == forged.keys() - {"honest"}
    assert "my_metric" in refused["unknown"]
    assert "latent" in refused["latent"]
