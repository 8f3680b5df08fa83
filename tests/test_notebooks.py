"""The notebooks as they are committed: they say what their scripts say, ran without a fault, and begin on Colab too.

`make notebooks` executes them.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import jupytext
import nbformat
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))
import notebooks

SCRIPTS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.py"))
NAMES = ["first_model", "latent_space"]
LARGEST = 600_000  # bytes of a notebook
PATHS = re.compile(r"/(?:home|root|Users|tmp|work|content|usr|opt|var)/|[A-Z]:\\\\")
each = pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)


def cells(path: Path) -> list[tuple[str, str]]:
    return [(cell.cell_type, cell.source) for cell in jupytext.read(path).cells]


def setup(script: Path) -> str:
    """The first cell with code."""
    return next(source for kind, source in cells(script) if kind == "code")


def test_there_are_notebooks() -> None:
    assert len(SCRIPTS) >= 6


@each
def test_a_notebook_says_what_its_script_says(script: Path) -> None:
    assert cells(script.with_suffix(".ipynb")) == cells(script)


@each
def test_outputs_hold_pictures_and_neither_faults_nor_places(script: Path) -> None:
    path = script.with_suffix(".ipynb")
    assert path.stat().st_size <= LARGEST
    code = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    words = [output.get("text", "") + output.get("data", {}).get("text/plain", "") for output in outputs]
    assert {output.output_type for output in outputs} <= {"stream", "display_data", "execute_result"}
    assert not [text for text in words if PATHS.search(text) or "Warning" in text or "\x1b" in text]


@pytest.mark.parametrize(
    ("budget", "used", "status", "said"),
    [
        ("0.02", 170, 0, "together: 340 s of processor time; the bar is 360"),
        ("0.02", 190, 1, "together: 380 s of processor time; the bar is 360"),
        ("0.1", 190, 0, "together: 380 s of processor time"),
    ],
)
def test_a_quick_look_at_all_has_a_bar(
    budget: str,
    used: float,
    status: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock = iter([0, used, used, 2 * used])  # before and after each of two
    monkeypatch.setattr(notebooks, "executed", notebooks.blank)
    monkeypatch.setattr(notebooks, "spent", lambda: next(clock))
    monkeypatch.setattr(sys, "argv", ["notebooks.py", *NAMES, "--budget", budget, "--out", str(tmp_path)])
    monkeypatch.setenv(notebooks.BUDGET, budget)
    monkeypatch.setenv("PATH", os.environ["PATH"])  # both are set for the notebooks, and undone here
    assert notebooks.main() == status
    assert capsys.readouterr().out.splitlines()[-1] == said
    assert sorted(path.stem for path in tmp_path.iterdir()) == NAMES


def test_all_begin_with_the_same_cell() -> None:
    assert len({setup(script) for script in SCRIPTS}) == 1


def test_on_colab_it_installs_and_takes_the_drive(tmp_path: Path) -> None:
    """Colab is stood in for by a module of its name; what is installed is there already, so pip needs no network."""
    (tmp_path / "google").mkdir()
    (tmp_path / "google" / "colab.py").write_text("class drive:\n    mount = lambda place: print('mounted', place)\n")
    cell = setup(SCRIPTS[0]).replace("DRIVE = False", "DRIVE = True")
    code = f"import google.colab\n{cell}\nprint(RUNS, BUDGET)"
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "PIP_NO_INDEX": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.stdout.splitlines()[-2:] == ["mounted /content/drive", "/content/drive/MyDrive/latentarena 1.0"], done
