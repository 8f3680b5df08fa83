"""The source of a submission as plain Python: notebooks become their code cells, magics become `pass`."""

from __future__ import annotations

import ast
import json
import re

from latentarena.documents import half_a_letter
from latentarena.errors import BundleError

NOTEBOOK = ".ipynb"
PYTHON_CELLS = {"capture", "prun", "time", "timeit"}  # `%%` magics whose cell is Python that runs here
TIMED = re.compile(r"%(?:time|prun)\s+(?=\S)")  # line magics that run the rest of the line as Python
MAGIC = re.compile(r"(?P<indent>\s*)(?P<names>[\w.,\s]*=\s*)?(?P<call>[!%?].*|.*[\w)\]]\?{1,2}\s*$)")


def read_source(name: str, content: bytes) -> str:
    """The Python in a file, its magics taken away.

    Args:
        name: of the file; `.ipynb` is a notebook, anything else Python.

    Raises:
        BundleError: it is not UTF-8, no notebook, or no Python.
    """
    try:
        text = content.decode("utf-8-sig")
        return without_magics(_cells(text) if name.endswith(NOTEBOOK) else text, name)
    except UnicodeDecodeError as error:
        raise BundleError(f"{name} is not UTF-8: byte {error.start} is {content[error.start]:#04x}") from None
    except (KeyError, TypeError, RecursionError, json.JSONDecodeError) as error:
        raise BundleError(f"{name} cannot be read as a notebook: {type(error).__name__}: {error}") from None


def _cells(text: str) -> str:
    """The code cells one below the other; cells for other languages are commented out."""
    cells = []
    for cell in json.loads(text)["cells"]:
        if cell["cell_type"] == "code":
            cells.append(_cell(cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])))
    return "\n\n".join(cells) + "\n"


def _cell(code: str) -> str:
    first, _, rest = code.lstrip("\n").partition("\n")
    if not first.startswith("%%"):
        return code
    if (first[2:].split() or [""])[0] in PYTHON_CELLS:
        return f"# {first}\n{rest}"
    return "\n".join(f"# {line}" for line in code.split("\n"))


def without_magics(source: str, name: str) -> str:
    """Python with the same number of lines, in which `!` and `%` lines do nothing.

    Only lines that Python itself cannot read are touched, so what looks like a magic inside a string stays.

    Raises:
        BundleError: a line is no Python and no magic.
    """
    lines = source.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for _ in range(len(lines) + 1):
        try:
            ast.parse("\n".join(lines))
        except SyntaxError as error:
            at = (error.lineno or 1) - 1
            found = MAGIC.fullmatch(lines[at]) if at < len(lines) else None
            if found is None:
                raise BundleError(f"{name} is not Python at line {at + 1}: {error.msg}") from None
            _take_away(lines, at, found)
        except ValueError as error:  # such as null bytes
            fault = half_a_letter(error) if isinstance(error, UnicodeEncodeError) else error
            raise BundleError(f"{name} is not Python: {fault}") from None
        else:
            break
    return "\n".join(lines)


def _take_away(lines: list[str], at: int, found: re.Match[str]) -> None:
    indent, names, call = found["indent"], found["names"], found["call"]
    timed = TIMED.match(call)
    if timed:
        lines[at] = f"{indent}{names or ''}{call[timed.end() :]}"
        return
    while lines[at].endswith("\\") and at + 1 < len(lines):  # the command goes on: its first line comes last
        lines[at] = ""
        at += 1
    lines[at] = f"{indent}{names}None" if names else f"{indent}pass"
