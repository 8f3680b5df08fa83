"""A contest's key: made once, handed to evaluations unseen, committed to from the start, published at the end."""

from __future__ import annotations

import hashlib
import io
import json
import stat
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
import yaml
from typer.testing import CliRunner

from arena_parts import Parts, now
from arena_site import running
from latentarena.arena.backup import back_up, restore
from latentarena.arena.contest_files import load_contest
from latentarena.arena.evaluation import EvaluationProcess
from latentarena.arena.keys import VARIABLE, find_key, write_key
from latentarena.arena.objects import Objects
from latentarena.arena.store import Database, Store
from latentarena.bundle import NativeBundle
from latentarena.cli.app import app
from latentarena.contest.commitment import commitment_of
from latentarena.contest.contest import Contest
from latentarena.contest.entries import entry_of
from latentarena.contest.making import make_board
from latentarena.data.digits import embedded_digits
from latentarena.errors import ConfigError, JudgeError, OutputError
from latentarena.evaluate.contests import CONTESTS
from latentarena.evaluate.evaluate import main
from latentarena.evaluate.scoring import Panel, judge_bundle
from latentarena.evaluate.verify import differences, recompute
from latentarena.files import write_json
from latentarena.judge.classifier import Judge
from latentarena.key import PRACTICE, Key
from latentarena.web.rules import rules_of
from latentarena.web.serve import Site, _prepare
from score_cards import made_card

SECRET = Key(bytes(range(32)))
OPEN = load_contest("open")


def closing_in(hours: float) -> Contest:
    return OPEN.model_copy(update={"closes": now() + timedelta(hours=hours)})


def test_a_key_is_32_bytes_and_shows_nothing_but_its_name() -> None:
    assert Key.parse(f" {SECRET.text.upper()}\n") == SECRET
    assert SECRET.commitment == hashlib.sha256(bytes(range(32))).hexdigest()
    assert (PRACTICE.name, SECRET.name) == ("public", f"secret {SECRET.commitment[:12]}")
    assert SECRET.text not in f"{SECRET!r} {SECRET}"
    assert Key.new() != Key.new()
    for text in ("", "ab", "g" * 64, SECRET.text + "0"):
        with pytest.raises(ConfigError) as refused:
            Key.parse(text)
        assert len(text) < 3 or text not in str(refused.value)
    with pytest.raises(ConfigError, match="32 bytes, not 31"):
        Key(bytes(31))


def test_every_key_bundle_and_use_has_a_seed_of_its_own() -> None:
    seeds = {
        key.seed(bundle, *use)
        for key in (SECRET, PRACTICE)
        for bundle in ("a" * 64, "b" * 64)
        for use in (("noise", "sample", 2025), ("noise", "sample", 2026), ("noise sample", 2025), ("order",))
    }
    assert len(seeds) == 16
    assert all(0 <= seed < 1 << 63 for seed in seeds)


def test_a_score_is_recomputed_with_the_key_and_not_without(
    tiny_bundle: NativeBundle, digits_judge: Judge, tmp_path: Path
) -> None:
    card = judge_bundle(tiny_bundle, Panel(embedded_digits(), digits_judge), samples=100, timed=False, key=SECRET).card
    assert card.noise == SECRET.name
    with pytest.raises(
        JudgeError, match=r"are secret \w{12}, not public; name the contest's key with --key"
    ) as refused:
        recompute(card, tiny_bundle)
    assert SECRET.text not in str(refused.value)
    assert differences(card, recompute(card, tiny_bundle, key=SECRET)) == []
    path = tmp_path / "card.json"
    write_json(path, card.model_dump(mode="json") | {"noise": "secret \x1b[31mred"})
    done = CliRunner().invoke(app, ["verify", str(path), "nowhere", "--key", SECRET.text])
    assert isinstance(done.exception, ConfigError)
    assert "noise" in str(done.exception)


def test_the_evaluating_program_reads_the_key_from_its_standard_input(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(SECRET.text + "\n"))
    out, bundle = tmp_path / "out", str(tiny_run / "bundle")
    assert main([bundle, "--out", str(out), "--samples", "100", "--rules", '{"dataset": "digits"}', "--keyed"]) == 0
    assert json.loads((out / "card.json").read_text())["noise"] == SECRET.name
    assert not [path for path in out.rglob("*") if SECRET.text.encode() in path.read_bytes()]


RECORDER = """
import json, os, sys
record, bundle, _, out, *options = sys.argv[1:]
told = {"arguments": sys.argv, "environment": dict(os.environ), "input": sys.stdin.read()}
open(record, "w").write(json.dumps(told))
open(os.path.join(out, "refusal.json"), "w").write('{"state": "refused", "reason": "x", "sentence": "x"}')
"""


@pytest.fixture
def recorder(tmp_path: Path) -> tuple[list[str], Path]:
    """A program in the place of the evaluation that writes down how it was started."""
    record = tmp_path / "record.json"
    return [sys.executable, "-c", RECORDER, str(record)], record


def test_the_key_is_in_no_argument_and_no_variable(
    recorder: tuple[list[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, record = recorder
    monkeypatch.setenv(VARIABLE, SECRET.text)
    for key, given in ((SECRET, SECRET.text + "\n"), (None, "")):
        evaluation = EvaluationProcess(program, tmp_path / "bundle", tmp_path, ["--forms", "native"], key)
        assert evaluation.wait(30) == 0, evaluation.end()
        evaluation.end()
        told = json.loads(record.read_text())
        assert told["input"] == given
        assert ("--keyed" in told["arguments"]) is (key is not None)
        assert SECRET.text not in json.dumps([told["arguments"], told["environment"]])


def test_an_evaluation_that_ends_before_it_reads_the_key_does_no_harm(tmp_path: Path) -> None:
    evaluation = EvaluationProcess([sys.executable, "-c", "import os; os.close(0)"], tmp_path, tmp_path, key=SECRET)
    assert evaluation.wait(30) == 0
    evaluation.end()


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    with closing(Parts(f"sqlite:///{tmp_path / 'arena.db'}", tmp_path)) as made:
        yield made


def test_the_worker_hands_on_the_key_of_the_store(recorder: tuple[list[str], Path], parts: Parts) -> None:
    program, record = recorder
    key = parts.store.rules.key(OPEN, now())
    parts.hand_in(parts.team(), "refuse")
    assert parts.worker(once=True, program=program).wait(60) == 0
    assert json.loads(record.read_text())["input"] == key.text + "\n"
    assert key.text not in (parts.folder / "log").read_text()
    assert key.text not in "".join(str(line) for line in parts.store.audit.lines())


def test_a_contest_has_one_key_however_many_ask_at_once(parts: Parts) -> None:
    with ThreadPoolExecutor(4) as pool:
        keys = set(pool.map(lambda _: parts.store.rules.key(OPEN, now()), range(8)))
    assert len(keys) == 1
    assert keys != {PRACTICE}
    assert parts.store.rules.key(OPEN.model_copy(update={"name": "other"}), now()) not in keys


def test_a_key_that_was_shown_is_not_in_force_when_the_clock_goes_back(parts: Parts) -> None:
    """The board's question alone, by whichever process, while the clock says that the contest has closed."""
    rules, contest, ahead = parts.store.rules, closing_in(1), now() + timedelta(hours=2)
    first = rules.key(contest, now())
    assert rules.key(contest, ahead) == rules.key(contest, ahead) == first  # and it is published now
    second = rules.key(contest, now())
    assert second != first
    assert rules.key(contest, now()) == second
    assert rules.key(contest, ahead) == second
    done = [(line.action, line.subject) for line in parts.store.audit.lines()]
    assert [action for action, _ in done if "key" in action][::-1].count("key shown") == 2


def test_a_key_from_a_clock_ahead_is_followed_by_one_in_force(parts: Parts) -> None:
    rules, contest, ahead = parts.store.rules, closing_in(1), now() + timedelta(days=30)
    first = rules.key(contest, ahead)
    second = rules.key(contest, now())
    assert second != first
    assert rules.key(contest, now()) == second


def test_a_backup_holds_the_key(parts: Parts, tmp_path: Path) -> None:
    key = parts.store.rules.key(OPEN, now())
    assert back_up(parts.database, parts.objects, tmp_path / "backup").rows["keys"] == 1
    with closing(Database(f"sqlite:///{tmp_path / 'new.db'}")) as database:
        restore(tmp_path / "backup", database, Objects(str(tmp_path / "new")))
        assert Store(database).rules.key(OPEN, now()) == key


def test_a_contest_that_opens_again_after_its_key_was_published_gets_another(tmp_path: Path) -> None:
    rules, db = yaml.safe_load((CONTESTS / "open.yaml").read_text()), f"sqlite:///{tmp_path / 'arena.db'}"

    def key_when(closes: str | None) -> Key:
        path = tmp_path / "contest.yaml"
        path.write_text(yaml.safe_dump(rules | ({"closes": closes} if closes else {})))
        _prepare(Site(str(path), db, str(tmp_path / "objects")))
        with closing(Database(db)) as database:
            return Store(database).rules.key(load_contest(str(path)), now())

    first = key_when(None)
    assert key_when(None) == key_when("2020-01-01T00:00:00Z") == first  # a restart, and the close
    second = key_when("2099-01-01T00:00:00Z")
    assert second != first
    assert key_when("2099-01-01T00:00:00Z") == second


def test_rules_and_board_commit_to_the_key_and_hold_it_once_the_contest_has_closed() -> None:
    card = made_card("a", noise=SECRET.name)
    for hours, told in ((1.0, False), (-1.0, True)):
        contest = closing_in(hours)
        commitment = commitment_of(SECRET, contest, now())
        entry = entry_of(card, contest, "a", "Team", verified=True)
        other = entry_of(card.model_copy(update={"noise": "public"}), contest, "b", "Other", verified=True)
        board = make_board([entry, other], contest, 2, commitment)
        texts = [board.model_dump_json(), str(rules_of(contest, commitment))]
        assert all(SECRET.commitment in text for text in texts)
        assert [SECRET.text in text for text in texts] == [told, told]
        assert {line.team: line.noise for line in board.lines} == {"Team": SECRET.name, "Other": "public"}
        assert any("to be judged again: Other." in note for note in board.notes)
    never = commitment_of(SECRET, OPEN, now())
    assert never.key == ""
    assert "stays secret" in " ".join(rules_of(OPEN, never)["Random numbers"])


def test_a_site_publishes_the_commitment_and_never_the_key(tmp_path: Path) -> None:
    with running(tmp_path) as site:
        with closing(Database(site.db)) as database:
            key = Store(database).rules.key(OPEN, now())
        organiser = site.browser(site.organiser)
        pages = ["/", "/rules", "/board.csv", "/api/v1/board", "/api/v1/contest", "/api/v1/key", "/organiser/audit"]
        answers = {path: organiser.get(path) for path in pages}
        assert {path: answer.status_code for path, answer in answers.items()} == dict.fromkeys(pages, 200)
        assert not [path for path, answer in answers.items() if key.text in answer.text]
        assert httpx.get(f"{site.url}/api/v1/key").json() == {"sha256": key.commitment, "key": ""}
        for path in ("/", "/rules", "/api/v1/board"):
            assert key.commitment in answers[path].text, path
    assert key.text not in (tmp_path / "log").read_text()


# boards without a server


def test_a_key_file_is_new_private_and_outside_of_what_is_published(tmp_path: Path) -> None:
    file, site = tmp_path / "key", tmp_path / "site"
    done = CliRunner().invoke(app, ["board", "key", str(file)])
    assert done.exit_code == 0
    key = find_key(file, site, {})
    assert key is not None
    assert key.commitment in done.output
    assert key.text not in done.output
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with pytest.raises(OutputError, match="is there already"):
        write_key(file)
    site.mkdir()
    (site / "key").write_text(key.text)
    with pytest.raises(ConfigError, match="which others will see"):
        find_key(site / "key", site, {})
    assert find_key(None, site, {}) is None
    assert find_key(None, site, {VARIABLE: ""}) is None
    assert find_key(None, site, {VARIABLE: key.text}) == key
    with pytest.raises(ConfigError, match=f"^{VARIABLE}: a key is 64 hexadecimal digits") as refused:
        find_key(None, site, {VARIABLE: "zz" + key.text[2:]})
    assert key.text[2:] not in str(refused.value)
    with pytest.raises(ConfigError, match="No such file"):
        find_key(tmp_path / "none", site, {})


@pytest.mark.parametrize("hours", [1.0, -1.0])
def test_a_static_board_commits_to_the_key_and_holds_it_once_the_contest_has_closed(
    hours: float, tmp_path: Path
) -> None:
    key, out = write_key(tmp_path / "key"), tmp_path / "site"
    rules = yaml.safe_load((CONTESTS / "open.yaml").read_text())
    (tmp_path / "contest.yaml").write_text(yaml.safe_dump(rules | {"closes": (now() + timedelta(hours=hours))}))
    (tmp_path / "entries" / "alpha").mkdir(parents=True)
    card = made_card("alpha", noise=key.name).model_dump(mode="json")
    write_json(tmp_path / "entries" / "alpha" / "score.json", card)
    words = ["board", "build", str(tmp_path / "entries"), "--contest", str(tmp_path / "contest.yaml")]
    done = CliRunner().invoke(app, [*words, "--out", str(out), "--key-file", str(tmp_path / "key"), "--verified"])
    assert done.exit_code == 0, done.output
    holding = {path.name for path in out.rglob("*.*") if key.text.encode() in path.read_bytes()}
    assert holding == (set() if hours > 0 else {"index.html", "board.json"})
    assert json.loads((out / "board.json").read_text())["commitment"]["sha256"] == key.commitment
    assert key.commitment in (out / "index.html").read_text()
    assert key.name in (out / "entries" / "alpha.html").read_text()


def test_bundles_of_a_repository_are_judged_by_the_key(
    recorder: tuple[list[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, record = recorder
    monkeypatch.setattr("latentarena.arena.intake.EVALUATE", program)
    (tmp_path / "entries" / "one").mkdir(parents=True)
    (tmp_path / "entries" / "one" / "card.json").write_text("{}")
    words = ["board", "check", str(tmp_path / "entries"), "--out", str(tmp_path / "out")]
    for key, given in ((write_key(tmp_path / "key").text, ["--key-file", str(tmp_path / "key")]), ("", [])):
        done = CliRunner().invoke(app, [*words, *given])
        assert done.exit_code == 1
        assert json.loads(record.read_text())["input"].strip() == key
        assert not key or key not in done.output
