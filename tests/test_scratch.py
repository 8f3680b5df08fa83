"""Temporary folders: gone with their process, however it ends, and never taken from one that lives."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from latentarena.arena.drawing import DrawingProcess
from latentarena.arena.objects import Objects
from latentarena.files import scratch

HOLD = """
import sys
from latentarena.files import scratch
with scratch("arena-evaluation-") as folder:
    (folder / "bundle.zip").write_bytes(b"x")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's folder of temporary files."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def holder() -> tuple[subprocess.Popen[str], Path]:
    """A process with a folder of its own, and that."""
    process = subprocess.Popen((sys.executable, "-c", HOLD), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_the_folder_of_a_killed_process_is_removed_by_the_next_and_that_of_a_live_one_stays(temporary: Path) -> None:
    (dead, left), (alive, kept) = holder(), holder()
    dead.kill()
    dead.communicate()
    assert (left / "bundle.zip").exists()
    (temporary / "arena-evaluation-of-mine").mkdir()
    with scratch("arena-evaluation-") as first, scratch("arena-evaluation-") as second:
        assert not left.exists()
        assert all((kept / "bundle.zip").exists() and one.is_dir() for one in (first, second))
    alive.communicate("")
    assert [path.name for path in temporary.iterdir()] == ["arena-evaluation-of-mine"]


def test_a_link_is_not_followed(temporary: Path) -> None:
    (temporary / "precious").mkdir()
    (temporary / "arena-evaluation-abcdefgh").symlink_to(temporary / "precious")
    with scratch("arena-evaluation-"):
        assert (temporary / "precious").is_dir()


def test_who_draws_nothing_leaves_no_folder(temporary: Path) -> None:
    drawing = DrawingProcess(Objects(str(temporary / "objects")))
    drawing.forget("0" * 64)
    assert not list(temporary.glob("arena-playground-*"))
    drawing.close()
