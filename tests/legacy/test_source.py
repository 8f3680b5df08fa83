"""Reading a submission's source: magics do nothing, everything else stays what and where it is."""

from __future__ import annotations

import ast
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latentarena.errors import BundleError
from latentarena.legacy.source import read_source, without_magics
from sample_submission import SOURCE, notebook

MAGICS = [
    "!pip install torch",
    "%matplotlib inline",
    "    !ls 'unclosed",
    "%%time",
    "%load_ext autoreload",
    "torch.nn?",
]


def test_code_without_magics_is_left_alone() -> None:
    source = 's = """\n!not a command\n%not a magic\n"""\nx = 5 % 3\n'
    assert without_magics(source, "a.py") == source


@given(st.lists(st.sampled_from([*MAGICS[:2], *MAGICS[3:], "x = 1", "def f():\n    return 2", ""]), max_size=20))
def test_magics_become_pass_and_no_line_moves(lines: list[str]) -> None:
    source = "\n".join(lines)
    plain = without_magics(source, "a.py")
    kept = [(at, line) for at, line in enumerate(source.split("\n")) if line not in MAGICS]
    assert [(at, plain.split("\n")[at]) for at, _ in kept] == kept
    assert len(plain.split("\n")) == len(source.split("\n"))
    ast.parse(plain)


@pytest.mark.parametrize(
    ("magic", "plain"),
    [
        ("if True:\n    !pip install x", "if True:\n    pass"),
        ("files = !ls", "files = None"),
        ("!pip install a \\\n    b\nx = 1", "\npass\nx = 1"),
        ("%time x = 3", "x = 3"),
        ("!echo don't\nx = 1", "pass\nx = 1"),
    ],
)
def test_shapes_of_magics(magic: str, plain: str) -> None:
    assert without_magics(magic, "a.py") == plain


def test_what_is_neither_is_named_with_its_line() -> None:
    with pytest.raises(BundleError, match=r"a\.py is not Python at line 2"):
        without_magics("x = 1\nhere stands prose\n!ls", "a.py")


def test_a_notebook_is_its_python_cells() -> None:
    read = ast.parse(read_source("a.ipynb", notebook(SOURCE).encode()))
    whole = ast.parse(read_source("a.py", SOURCE.encode()))
    dumped = [ast.dump(node) for node in read.body if ast.unparse(node) != "print('quiet')"]
    assert dumped == [ast.dump(node) for node in whole.body]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"cells": 3}', b'{"cells": [{"cell_type": "code"}]}', b"[" * 100_000, b"\xff\xfe"],
)
def test_what_is_no_notebook_is_refused(content: bytes) -> None:
    with pytest.raises(BundleError, match=r"a\.ipynb"):
        read_source("a.ipynb", content)


def test_half_a_letter_in_a_notebook_is_told_in_words_of_ours() -> None:
    content = b'{"cells": [{"cell_type": "code", "source": "x = 1  # \\ud800"}]}'
    with pytest.raises(BundleError, match=r"a\.ipynb is not Python: it holds \\ud800, which is half of a letter"):
        read_source("a.ipynb", content)


@given(st.text(max_size=60))
def test_any_text_is_python_afterwards_or_refused(text: str) -> None:
    try:
        plain = read_source("a.py", text.encode("utf-8", "surrogatepass"))
    except BundleError as error:
        assert "a.py" in str(error)  # noqa: PT017 - nothing else may be raised
    else:
        ast.parse(plain)


@given(st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner) | st.dictionaries(
    st.sampled_from(["cells", "cell_type", "source", "code"]), inner), max_leaves=20))  # fmt: skip
def test_any_json_is_a_notebook_or_refused(raw: object) -> None:
    try:
        ast.parse(read_source("a.ipynb", json.dumps(raw).encode()))
    except BundleError as error:
        assert "a.ipynb" in str(error)  # noqa: PT017
