"""Memory that runs out: the bundle's doing where its own limit was reached, the machine's where that had no more."""

from __future__ import annotations

import inspect
import json
import linecache
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from latentarena import system
from latentarena.errors import SandboxError
from latentarena.evaluate.evaluate import refusal_of, sentence_of
from latentarena.sandbox.cgroup import ControlGroup

MIB = 1 << 20


def test_a_process_is_held_to_less_than_its_machine_or_container_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert list(system._memories())
    monkeypatch.setattr(system, "_memories", lambda: iter([64 << 30, 8 << 30]))
    assert system.affordable(8 << 10) == 6 << 10
    assert system.affordable(300) == 300
    monkeypatch.setattr(system, "_memories", lambda: iter([1 << 30]))
    assert system.affordable(8 << 10) == system.LEAST
    monkeypatch.setattr(system, "_memories", lambda: iter([]))
    assert system.affordable(8 << 10) == 8 << 10
    for content, found in (("max\n", []), ("1048576\n", [MIB])):
        (tmp_path / "memory.max").write_text(content)
        assert list(system._limits(tmp_path)) == found


def test_an_evaluation_that_needs_more_than_its_limit_is_refused_at_once_and_told_the_limit(
    tiny_run: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "latentarena.evaluate.evaluate", str(tiny_run / "bundle"), "--memory", "200"]
    done = subprocess.run([*command, "--out", str(tmp_path / "out")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads((tmp_path / "out" / "refusal.json").read_text())
    assert (said["state"], said["reason"]) == ("refused", "memory")
    limit = "its evaluation needed more than the 200 MiB of memory that it may take"
    assert said["sentence"] == f"{limit}; make the model smaller"


def test_memory_that_ends_while_a_source_is_read_is_memory_that_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(*arguments: object) -> list[str]:
        raise MemoryError

    monkeypatch.setattr(linecache, "updatecache", ended)
    linecache.clearcache()
    with pytest.raises(OSError, match="source") as found:
        inspect.getsource(sentence_of)
    assert refusal_of(found.value) == ("refused", "memory")


def test_what_is_said_where_memory_ended_in_code_of_c_is_memory_that_ended() -> None:
    assert refusal_of(SystemError("error return without exception set")) == ("refused", "memory")
    for words in ("std::bad_alloc", "[enforce fail a", "could not create a primitive descriptor"):
        assert refusal_of(RuntimeError(words)) == ("refused", "memory")
    assert refusal_of(zlib.error("Error -4 while decompressing data")) == ("refused", "memory")
    assert refusal_of(zlib.error("Error -3 while decompressing data: invalid block type")) is None
    assert refusal_of(SystemError("bad argument to internal function")) is None


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("full", [True, False])
def test_a_group_tells_its_own_limit_from_the_machines(version: int, full: bool, tmp_path: Path) -> None:
    group = ControlGroup([tmp_path], version)
    assert not group.killed()
    assert not group.full()
    (tmp_path / "memory.events").write_text(f"low 0\noom {int(full)}\noom_kill 1\n")
    (tmp_path / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 1\n")
    (tmp_path / "memory.failcnt").write_text(f"{9 * full}\n")
    assert group.killed()
    assert group.full() == full


def test_a_machine_without_memory_is_no_verdict_on_a_bundle() -> None:
    assert refusal_of(SandboxError("machine", "this machine ran out of memory")) is None
    assert refusal_of(SandboxError("memory", "it needed more than 64 MiB of memory")) == ("refused", "memory")
    assert "the 5 MiB" in sentence_of(MemoryError(), Path("b"), 5)
