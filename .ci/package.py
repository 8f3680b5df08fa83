"""Build wheel and sdist, and try the wheel in a clean environment of each Python that is named; else of this one.

    python .ci/package.py [--out DIST] [--tag vVERSION] [PYTHON ...]
    python .ci/package.py --here

The wheel is made of the sdist, so both are tried. With --tag, the tag has to be the version's, and the changelog has to
have its section. With --here, the wheel is tried beside the packages of this environment, without a network and in less
than a minute: it says whether the wheel holds all its files, not whether it names all it needs. Needs the package
`build`, and with --here `hatchling`; runs on Linux, macOS and Windows.
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


def built(out: Path, here: bool) -> Path:
    """Build the sdist, and of it the wheel, which is given back."""
    builder = [sys.executable, "-m", "build", *(["--no-isolation"] if here else []), "--outdir", out, ROOT]
    subprocess.run(builder, check=True, stdout=subprocess.DEVNULL)
    (wheel,) = out.glob("*.whl")
    return wheel


def used(arena: list[str | Path], home: Path, environment: dict[str, str]) -> Path:
    """Use the program from an empty folder, which is given back."""
    empty = home / "empty"
    empty.mkdir()
    for command in COMMANDS:
        subprocess.run([*arena, *command.split()], check=True, cwd=empty, env=environment, stdout=subprocess.DEVNULL)
    return empty


def tried_here(wheel: Path, home: Path) -> None:
    """Use the wheel beside the packages of this environment, in the place of what is installed in it."""
    there = home / "there"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps"]
    subprocess.run([*pip, "--target", there, wheel], check=True)
    environment = os.environ | {"PYTHONPATH": str(there)}
    place = [sys.executable, "-c", "import latentarena; print(latentarena.__file__)"]
    found = subprocess.run(place, check=True, env=environment, cwd=home, capture_output=True, text=True).stdout.strip()
    if not Path(found).is_relative_to(there):
        raise SystemExit(f"{found} is what runs, not the wheel")
    used([sys.executable, "-m", "latentarena"], home, environment)
    print(f"{wheel.name} works beside the packages of this environment")


def tried(wheel: Path, python: str, home: Path) -> None:
    """Install the wheel into a new environment and use it from an empty folder."""
    subprocess.run([python, "-m", "venv", home / "venv"], check=True)
    binaries = home / "venv" / ("Scripts" if os.name == "nt" else "bin")
    pip = [binaries / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--constraint", ROOT / "constraints.txt", wheel], check=True)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    empty = used([binaries / "arena"], home, clean)
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
    arguments.add_argument("--here", action="store_true", help="beside the packages of this environment")
    given = arguments.parse_args()
    if given.tag is not None and (faults := release_faults(given.tag)):
        raise SystemExit("; ".join(faults))
    with tempfile.TemporaryDirectory() as folder:
        wheel = built(given.out or Path(folder) / "dist", given.here)
        if given.here:
            tried_here(wheel, Path(folder))
            return
        for number, python in enumerate(given.python):
            home = Path(folder) / str(number)
            home.mkdir()
            tried(wheel, python, home)


if __name__ == "__main__":
    main()
