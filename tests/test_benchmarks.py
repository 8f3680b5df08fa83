"""The scripts that make the documents' figures."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

SCRIPTS = sorted(Path(__file__).resolve().parents[1].glob("benchmarks/*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_all_that_a_benchmark_imports_of_the_package_is_there(script: Path) -> None:
    """A benchmark runs once in a while and would be the last to learn that a function has a new name."""
    for node in ast.walk(ast.parse(script.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("latentarena"):
            module = importlib.import_module(node.module)
            for alias in node.names:
                assert hasattr(module, alias.name) or importlib.import_module(f"{node.module}.{alias.name}"), alias.name
