"""The lines of the pages that need a server, typed in the order of the pages against one that they start."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from arena_parts import until
from arena_site import free_port, wait_until_healthy
from command import Arena
from forked import Forked
from latentarena.arena.client import Client
from latentarena.judge.classifier import Judge
from typed_commands import OF_A_SERVER, lines_of_all_pages

ADDRESSES = r"http://127\.0\.0\.1:8000|https://arena\.example\.org"
TEAM = "Kites"
PATIENCE = 240  # seconds until an entry is evaluated, on a busy machine


@pytest.fixture
def place(tmp_path: Path, tiny_run: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with a run, a bundle whose weights were cut off, and a class list."""
    shutil.copytree(tiny_run, tmp_path / "runs" / "mine")
    cut = Path(shutil.copytree(tiny_run / "bundle", tmp_path / "runs" / "own" / "model" / "bundle"))
    weights = cut / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    Path(tmp_path / "groups.csv").write_text(f"team,member\nBlue Herons,Ada\n{TEAM},Ben\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")  # a narrow terminal breaks names
    return tmp_path


@contextmanager
def serving(words: list[str], folder: Path) -> Iterator[str]:
    """The address of a site that `arena serve ...` serves."""
    port = free_port()
    with (folder / "log").open("ab") as log:
        command = [sys.executable, "-m", "latentarena", *words, "--port", str(port)]
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        try:
            wait_until_healthy(f"http://127.0.0.1:{port}", process, folder)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(60)


@contextmanager
def working(words: list[str], folder: Path) -> Iterator[None]:
    """While `arena worker` works."""
    process = Forked(words, log=folder / "log")
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


class Walk:
    """Somebody who types the lines, at a site of the digits in this folder."""

    def __init__(self, folder: Path, arena: Arena, patch: pytest.MonkeyPatch, running: ExitStack) -> None:
        self.folder, self.arena, self.patch, self.running = folder, arena, patch, running
        self.url = self.id = self.token = ""

    def type(self, line: str) -> str:
        """Type a line, with this site's address and this entry's number in it, and tell what is answered."""
        words = shlex.split(re.sub(ADDRESSES, self.url, line).replace("erase ID", f"erase {self.id}"))[1:]
        if line.startswith("export ARENA_TOKEN="):
            return self.sign_in()
        if words[0] == "worker":
            self.running.enter_context(working(words, self.folder))
            return ""
        if words[0] == "serve":
            self.running.close()
            self.url = self.running.enter_context(serving(["serve", "digits", *words[2:]], self.folder))
            return self.sign_in()
        if words[:2] == ["board", "show"]:  # is two seconds behind
            until(lambda: bool(self.board()["lines"]), PATIENCE)
        done = self.arena(*words)
        assert done.returncode == 0, (line, done.stderr)
        if words[0] == "submit":
            self.id = done.stdout.split()[0]
            until(lambda: self.state() not in ("queued", "running"), PATIENCE)
        return done.stdout

    def sign_in(self) -> str:
        """Put the team's token into ARENA_TOKEN, as it was told when the class list was added."""
        if not self.token:
            added = self.arena("team", "add", "groups.csv").stdout
            self.token = next(line for line in added.split() if line.startswith(TEAM)).rpartition(",")[2]
        self.patch.setenv("ARENA_TOKEN", self.token)
        return ""

    def board(self) -> dict[str, Any]:
        """What the site says of places."""
        with Client(self.url) as client:
            return client.board()

    def state(self) -> str:
        """Of the entry that was handed in last."""
        with Client(self.url, self.token) as client:
            return str(client.status(self.id)["state"])


@pytest.mark.timeout(600)  # fifteen seconds of the processor, which a busy machine may not have
def test_the_lines_that_need_a_server_run_in_the_order_of_the_pages(
    place: Path, arena_here: Arena, monkeypatch: pytest.MonkeyPatch, digits_judge: Judge
) -> None:
    lines = [line for line in lines_of_all_pages() if re.fullmatch(OF_A_SERVER, line)]
    said, ids = {}, {}
    with ExitStack() as running:
        walk = Walk(place, arena_here, monkeypatch, running)
        for line in lines:
            said[line], ids[line] = walk.type(line), walk.id
        assert walk.state() == "refused"  # what was handed in last, whose weights were cut off
    good, shown = (next(line for line in lines if word in line) for word in ("submit", "board show"))
    status, erased = (next(line for line in lines if word in line) for word in ("status", "erase"))
    assert {ids[line] for line in lines if "submit runs/mine" in line} == {ids[good]}  # the same bundle once more
    assert TEAM in said[shown]
    assert f"{ids[good]}  scored  " in said[status]
    assert said[erased].startswith(f"erased {ids[good]} with ")
    assert "Blue Herons" not in arena_here("team", "list").stdout
    assert ids[lines[-1]] != ids[good]
