"""Entries by pull request: the workflows' rights, and their steps run in a repository as GitHub would run them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

import latentarena
from latentarena.arena.contest_files import load_contest
from latentarena.arena.intake import TEMPLATE, changed_since, evaluate_entries, find_bundles
from latentarena.bundle import OWN, open_bundle
from latentarena.cli.app import app
from latentarena.errors import ConfigError
from latentarena.evaluate.contests import CONTESTS

WORKFLOWS = sorted((TEMPLATE / "workflows").glob("*.yml"))
OPEN = load_contest("open")
SET_BY_STRANGERS = r"github\.(head_ref|event\.(pull_request\.(title|body|head)|issue|comment|commits|head_commit))"


def workflow(name: str) -> dict[str, Any]:
    raw: dict[Any, Any] = yaml.safe_load((TEMPLATE / "workflows" / f"{name}.yml").read_text())
    return {"on" if key is True else key: value for key, value in raw.items()}  # YAML 1.1 reads `on` as true


def steps(name: str) -> list[dict[str, Any]]:
    return [step for job in workflow(name)["jobs"].values() for step in job["steps"]]


# what the workflows may do


def test_the_workflows_are_what_github_takes() -> None:
    """By the schema that check-jsonschema carries."""
    pytest.importorskip("check_jsonschema", reason="NOT CHECKED against GitHub's schema: pip install check-jsonschema")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows"]
    done = subprocess.run([*command, *map(str, WORKFLOWS)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_there_are_two_workflows_and_what_strangers_send_meets_only_one() -> None:
    assert [path.stem for path in WORKFLOWS] == ["check", "publish"]
    assert workflow("check")["on"] == {"pull_request": None}
    assert workflow("publish")["on"] == {"push": {"branches": ["main"]}, "workflow_dispatch": None}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_hold_no_secret_but_the_key_and_run_nothing_that_strangers_write(path: Path) -> None:
    text, raw = path.read_text(), workflow(path.stem)
    key = {"ARENA_KEY": "${{ secrets.ARENA_KEY }}"}
    assert "pull_request_target" not in text
    assert "secrets" not in text.lower().replace("no secret", "").replace("secrets.arena_key", "")
    keyed = [step["run"] for step in steps(path.stem) if "env" in step]
    assert [run.split()[:3] for run in keyed] == {
        "check": [],  # it runs on what strangers send
        "publish": [["arena", "board", "check"], ["arena", "board", "build"]],
    }[path.stem]
    assert "workflow_run" not in text
    assert raw["permissions"] == {"contents": "read"}
    assert re.search(SET_BY_STRANGERS, text) is None
    for step in steps(path.stem):
        assert "${{" not in step.get("run", "")
        assert step.get("env", key) == key
        if "uses" in step:
            assert re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", step["uses"])
            assert re.search(re.escape(step["uses"]) + r" # v\d+\.\d+\.\d+", text)
        if step.get("uses", "").startswith("actions/checkout"):
            assert step["with"]["persist-credentials"] is False
    for job in raw["jobs"].values():
        assert job["timeout-minutes"] <= 360


def test_only_the_job_that_sees_no_bundle_may_write() -> None:
    rights = {
        (name, key): job.get("permissions")
        for name in ("check", "publish")
        for key, job in workflow(name)["jobs"].items()
    }
    assert rights == {
        ("check", "check"): None,
        ("publish", "build"): None,
        ("publish", "deploy"): {"pages": "write", "id-token": "write"},
    }
    deploy = workflow("publish")["jobs"]["deploy"]
    assert [step["uses"].partition("@")[0] for step in deploy["steps"]] == ["actions/deploy-pages"]


def test_workflows_install_with_hashes_from_one_index() -> None:
    for name in ("check", "publish"):
        text = (TEMPLATE / "workflows" / f"{name}.yml").read_text()
        installs = [line for line in text.splitlines() if "pip install" in line]
        assert len(installs) == 1
        assert all("--require-hashes" in line and "index" not in line for line in installs)
    wanted = (TEMPLATE / "requirements.txt").read_text().splitlines()
    assert [line for line in wanted if not line.startswith("#")] == ["latentarena==VERSION"]
    assert "--generate-hashes" in (TEMPLATE / "README.md").read_text()


# a repository, as GitHub runs it


def git(repository: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false", *arguments]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """What `arena board init` writes, committed, with a contest on the embedded digits."""
    home = tmp_path / "repository"
    done = CliRunner().invoke(app, ["board", "init", str(home)])
    assert done.exit_code == 0, done.output
    assert load_contest(home / "contest.yaml") == OPEN
    assert f"latentarena=={latentarena.__version__}" in (home / "requirements.txt").read_text()
    rules = (home / "contest.yaml").read_text().replace("dataset: mnist", "dataset: digits")
    (home / "contest.yaml").write_text(rules)
    git(home, "init", "-q", "-b", "main")
    git(home, "add", "-A")
    git(home, "commit", "-qm", "Start")
    return home


def pull_request(repository: Path, branch: str, entry: str, bundle: Path, **more: str) -> None:
    """A branch with a bundle, merged as GitHub merges it for its check: HEAD^1 is what was there before."""
    git(repository, "checkout", "-q", "-b", branch, "main")
    home = repository / "entries" / entry
    shutil.copytree(bundle, home)
    for name, text in more.items():
        (home / name.replace("_", ".")).write_text(text)
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "Enter")
    git(repository, "checkout", "-q", "main")
    git(repository, "merge", "-q", "--no-ff", "-m", "Merge", branch)


def run_steps(name: str, repository: Path, tools: Path) -> list[subprocess.CompletedProcess[str]]:
    """The shell steps of a workflow, but for those that install; as GitHub does, until one fails."""
    tools.mkdir(exist_ok=True)
    script = tools / "arena"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -m latentarena "$@"\n')
    script.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= {"PATH": f"{tools}:{os.environ['PATH']}", "PYTHONPATH": str(Path(latentarena.__file__).parents[1])}
    done = []
    for step in steps(name):
        if "run" in step and not step["name"].startswith("Install"):
            command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
            result = subprocess.run(
                command, cwd=repository, env=environment, capture_output=True, text=True, check=False
            )
            done.append(result)
            if result.returncode != 0:
                break
    return done


def test_a_pull_request_is_checked_and_the_board_is_published(repository: Path, tiny_run: Path, tmp_path: Path) -> None:
    before = run_steps("publish", repository, tmp_path / "tools")
    assert [one.returncode for one in before] == [0, 0]  # a board that nobody has entered yet
    (repository / "latentarena.py").write_text("raise SystemExit('ran what a stranger sent')")
    (repository / "torch.py").write_text("raise SystemExit('ran what a stranger sent')")
    pull_request(repository, "$(touch${IFS}pwned)", "alpha/one", tiny_run / "bundle")
    check = run_steps("check", repository, tmp_path / "tools")
    assert [one.returncode for one in check] == [0, 0], [one.stderr + one.stdout for one in check]
    assert "1/1  alpha/one: evaluated" in check[0].stdout
    card = json.loads((repository / "evaluated" / "alpha" / "one" / "card.json").read_text())
    assert card["bundle"] == open_bundle(tiny_run / "bundle", trust=OWN).digest
    assert (repository / "site" / "entries" / "alpha-one.samples.png").is_file()
    board = json.loads((repository / "site" / "board.json").read_text())
    assert [(line["team"], line["place"], line["verified"]) for line in board["lines"]] == [("alpha", 1, True)]
    assert not list(repository.rglob("pwned"))
    pull_request(repository, "second", "beta", tiny_run / "bundle", setup_py="open('pwned', 'w')")
    again = run_steps("check", repository, tmp_path / "tools")
    assert [one.returncode for one in again] == [1]  # only what changed is looked at, and it is no data
    assert "1/1  beta: refused: 'setup.py' has no place in a bundle" in again[0].stdout
    assert not list(repository.rglob("pwned"))


def test_refused_bundles_are_on_the_board_with_the_reason(repository: Path, tiny_run: Path, tmp_path: Path) -> None:
    pull_request(repository, "one", "alpha/one", tiny_run / "bundle")
    (repository / "entries" / "alpha" / "one" / "weights.safetensors").write_bytes(b"no tensors")
    published = run_steps("publish", repository, tmp_path / "tools")
    assert [one.returncode for one in published] == [0, 0]
    board = json.loads((repository / "site" / "board.json").read_text())
    assert board["lines"] == []
    assert board["others"][0]["refused"].startswith("it could not be evaluated: ")
    assert "Traceback" not in published[0].stdout + board["others"][0]["refused"]


def test_what_changed_is_found_whatever_it_is_called(repository: Path, tiny_run: Path) -> None:
    start = git(repository, "rev-parse", "HEAD")
    for name in ("alpha/one", "alpha/zwei Wörter", "-rf", "a\nb"):
        shutil.copytree(tiny_run / "bundle", repository / "entries" / name)
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "Four")
    entries = repository / "entries"
    assert len(find_bundles(entries)) == 4
    assert sorted(changed_since(entries, start)) == find_bundles(entries)
    assert changed_since(entries, "HEAD") == set()
    (entries / "-rf" / "card.json").write_text("{}")
    assert changed_since(entries, "HEAD") == {Path("-rf")}
    for commit in ("nowhere", "--output=x"):
        with pytest.raises(ConfigError, match="cannot compare") as caught:
            changed_since(entries, commit)
        assert "\n" not in str(caught.value)


def test_nothing_but_data_is_looked_at(tiny_run: Path, tmp_path: Path) -> None:
    entries, out = tmp_path / "entries", tmp_path / "out"
    for name in ("linked/one", "big", "folder", "a\u202eb"):
        shutil.copytree(tiny_run / "bundle", entries / name)
    (entries / "linked" / "one" / "weights.safetensors").unlink()
    (entries / "linked" / "one" / "weights.safetensors").symlink_to("/etc/passwd")
    (entries / "folder" / "inside").mkdir()
    (entries / "away").symlink_to(tiny_run / "bundle")
    small = OPEN.model_copy(update={"quotas": OPEN.quotas.model_copy(update={"bytes": 1000})})
    said = {one.entry: one.refused for one in evaluate_entries(entries, find_bundles(entries), small, out)}
    assert "'weights.safetensors' is no plain file" in said["linked/one"]
    assert "'inside' is no plain file" in said["folder"]
    assert "more than the 1,000 that this contest takes" in said["big"]
    assert "U+202E" in said["a\u202eb"]
    assert said["away"] == "the folder is a link; put the bundle itself there"
    assert sorted(path.name for path in out.rglob("*") if path.is_file()) == ["refusal.json"] * 5


def test_a_bundle_that_takes_too_long_is_stopped(tiny_run: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_run / "bundle", tmp_path / "entries" / "slow")
    [one] = evaluate_entries(tmp_path / "entries", [Path("slow")], OPEN, tmp_path / "out", minutes=0.0001)
    assert one.refused == "evaluation took more than 0.0001 minutes and was stopped"


def test_a_folder_in_use_is_not_made_a_repository(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("x")
    done = CliRunner().invoke(app, ["board", "init", str(tmp_path)])
    assert isinstance(done.exception, ConfigError)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    assert (CONTESTS / "open.yaml").is_file()
