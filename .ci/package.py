"""Build wheel and sdist, and try the wheel in a clean environment of each Python that is named; else of this one.

    python .ci/package.py [--out DIST] [--tag vVERSION] [PYTHON ...]

The wheel is made of the sdist, so both are tried. With --tag, the tag has to be the version's, and the changelog has to
have its section. Needs the package `build`; runs on Linux, macOS and Windows.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
COMMANDS = (
    "--version",
    "zoo",
    "sample zoo:quickstart -n 4 --out four.png",
    "train quickstart-digits --budget 0.002 --no-judge",
)


def release_faults(tag: str) -> list[str]:
    """What keeps a tag from being released."""
    version = re.findall(r'^__version__ = "(.*)"$', (ROOT / "src/latentarena/__init__.py").read_text("utf-8"), re.M)[0]
    changes = (ROOT / "CHANGELOG.md").read_text("utf-8")
    faults = [] if tag == f"v{version}" else [f"the tag is {tag}, the version {version}"]
    return faults + ([] if f"## [{version}]" in changes else [f"CHANGELOG.md has no section [{version}]"])


def built(out: Path) -> Path:
    """Build the sdist, and of it the wheel, which is given back."""
    subprocess.run([sys.executable, "-m", "build", "--outdir", out, ROOT], check=True, stdout=subprocess.DEVNULL)
    (wheel,) = out.glob("*.whl")
    return wheel


def tried(wheel: Path, python: str, home: Path) -> None:
    """Install the wheel into a new environment and use it from an empty folder."""
    subprocess.run([python, "-m", "venv", home / "venv"], check=True)
    binaries = home / "venv" / ("Scripts" if os.name == "nt" else "bin")
    pip = [binaries / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--constraint", ROOT / "constraints.txt", wheel], check=True)
    empty = home / "empty"
    empty.mkdir()
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    for command in COMMANDS:
        subprocess.run(
            [binaries / "arena", *command.split()], check=True, cwd=empty, env=clean, stdout=subprocess.DEVNULL
        )
    serve = subprocess.run([binaries / "arena", "serve", "open"], cwd=empty, env=clean, capture_output=True, text=True)
    if "latentarena[arena]" not in serve.stderr:
        raise SystemExit(f"arena serve does not name its extra: {serve.stderr}")
    version = subprocess.run([binaries / "python", "--version"], check=True, capture_output=True, text=True).stdout
    print(f"{wheel.name} works in a clean environment of {version.strip()}")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("python", nargs="*", default=[sys.executable])
    arguments.add_argument("--out", type=Path)
    arguments.add_argument("--tag")
    given = arguments.parse_args()
    if given.tag is not None and (faults := release_faults(given.tag)):
        raise SystemExit("; ".join(faults))
    with tempfile.TemporaryDirectory() as folder:
        wheel = built(given.out or Path(folder) / "dist")
        for number, python in enumerate(given.python):
            home = Path(folder) / str(number)
            home.mkdir()
            tried(wheel, python, home)


if __name__ == "__main__":
    main()
