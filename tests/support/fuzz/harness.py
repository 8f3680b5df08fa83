"""The atheris harness: `python tests/fuzz/harness.py GATE [libFuzzer options] [folders of files to start from]`."""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[1]))
with atheris.instrument_imports(include=["latentarena.gates", "latentarena.config"]):
    from fuzz.gates import accepted


def main() -> None:
    """Fuzz one gate with the coverage of its code as the guide."""
    gate = sys.argv.pop(1)
    atheris.Setup(sys.argv, lambda content: (accepted(gate, content), None)[1])
    atheris.Fuzz()


main()
