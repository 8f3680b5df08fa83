"""Every block of docs/python.md runs, in order, in an empty folder."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest
import torch

from latentarena.judge.classifier import Judge
from latentarena.registry import Registry
from own_parts import restored

PAGE = Path(__file__).parents[2] / "docs" / "python.md"


@pytest.mark.timeout(900)  # a minute; more on a busy machine
def test_the_blocks_of_the_page_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digits_judge: Judge, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
    assert len(blocks) > 7
    known: dict[str, object] = {}
    with torch.random.fork_rng():
        for number, block in enumerate(blocks):
            exec(compile(block, f"block {number} of {PAGE.name}", "exec"), known)  # our own page
    assert (tmp_path / "digits.png").stat().st_size > 0
    assert (tmp_path / "runs" / "own" / "model" / "weights.safetensors").exists()
    assert len(known["states"]) == 17  # type: ignore[arg-type]


def test_names_on_the_page_are_those_there_are() -> None:
    from latentarena.process import COUPLINGS, PATHS, TARGETS, TIMES, WEIGHTINGS
    from latentarena.sample import SOLVERS

    rows = dict(re.findall(r"^\| `(\w+)` \| (`.*?) \|", PAGE.read_text(), re.M))
    hidden = {"end", "consistency"}  # of use to a stage of recipes alone
    known = {"path": PATHS, "target": TARGETS, "coupling": COUPLINGS, "times": TIMES, "weighting": WEIGHTINGS}
    for part, names in (known | {"solver": SOLVERS}).items():
        assert set(re.findall(r"`(\w+)`", rows[part])) == set(names) - hidden, part


def test_the_blocks_of_the_page_on_parts_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = PAGE.with_name("parts.md")
    known: dict[str, object] = {}
    with torch.random.fork_rng(), restored():
        for number, block in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(), re.S)):
            exec(compile(block, f"block {number} of {page.name}", "exec"), known)  # our own page
        for kind, registry in re.findall(r"^\| ([\w ]+) \| `([\w.]+)\.register`", page.read_text(), re.M):
            module, _, name = registry.rpartition(".")
            assert isinstance(getattr(import_module(module), name), Registry), kind
    assert (tmp_path / "portable" / "generate.onnx").exists()
