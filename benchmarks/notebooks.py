"""The notebooks: made of the scripts in notebooks/, executed, and stored beside them with outputs and pictures.

python benchmarks/notebooks.py                                  # all of them, in full
python benchmarks/notebooks.py first_model --budget 0.05 --out tried   # one of them, for a quick look

Prints what each took, and the sum: above six minutes of the processor, with a budget below 0.1, the status is 1.
"""

from __future__ import annotations

import argparse
import base64
import io
import os
import re
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import jupytext
import nbformat
from nbclient import NotebookClient
from PIL import Image

HOME = Path(__file__).resolve().parents[1] / "notebooks"
BUDGET = "LATENTARENA_NOTEBOOK_BUDGET"  # the variable that notebooks read
QUICK, BAR = 0.1, 360.0  # a budget below which the sum has a bar; seconds of processor time
SHADES, MANY = 128, 20_000  # of pictures; bytes above which they are reduced to these


def blank(source: Path) -> nbformat.NotebookNode:
    """The notebook that a script says, without outputs; cells are numbered, so that it is the same each time."""
    notebook = jupytext.read(source)
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return notebook


def executed(source: Path) -> nbformat.NotebookNode:
    """The notebook with its outputs, run in an empty folder; an error in a cell is raised."""
    notebook = blank(source)
    with TemporaryDirectory() as folder:
        NotebookClient(notebook, timeout=1800, resources={"metadata": {"path": folder}}).execute()
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.outputs = [plain(small(output)) for output in cell.outputs if output.get("name") != "stderr"]
    notebook.metadata["language_info"] = {"name": "python"}
    return notebook


def small(output: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """An output whose picture has few colours and is there once."""
    output.get("data", {}).pop("image/jpeg", None)  # Pillow offers it beside the PNG
    content = base64.b64decode(output.get("data", {}).get("image/png", ""))
    if len(content) > MANY:
        buffer = io.BytesIO()
        picture = Image.open(io.BytesIO(content)).convert("RGB")
        picture.quantize(SHADES, Image.Quantize.MAXCOVERAGE).save(buffer, "PNG", optimize=True)
        output.data["image/png"] = base64.b64encode(buffer.getvalue()).decode()
    return output


def plain(output: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """An output whose text has no colours of a terminal."""
    if "text" in output:
        output.text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", output.text).replace("\r\n", "\n")
    return output


def spent() -> float:
    """Seconds of processor time of this process and of those it has waited for."""
    return sum(os.times()[:4])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="all unless given")
    parser.add_argument("--budget", type=float, default=1.0, help="less trains and samples less")
    parser.add_argument("--out", type=Path, default=HOME)
    chosen = parser.parse_args()
    os.environ[BUDGET] = str(chosen.budget)
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    chosen.out.mkdir(parents=True, exist_ok=True)
    total = 0.0
    for source in [HOME / f"{name}.py" for name in chosen.names] or sorted(HOME.glob("*.py")):
        began, before = time.monotonic(), spent()
        text = nbformat.writes(executed(source)) + "\n"
        (chosen.out / f"{source.stem}.ipynb").write_text(text, "utf-8")
        used = spent() - before
        total += used
        took = f"{time.monotonic() - began:.0f} s, {used:.0f} s of processor time"
        print(f"{source.stem}: {took}, {len(text) / 1000:.0f} kB", flush=True)
    quick = chosen.budget < QUICK
    print(f"together: {total:.0f} s of processor time" + (f"; the bar is {BAR:.0f}" if quick else ""))
    return int(quick and total > BAR)


if __name__ == "__main__":
    sys.exit(main())
