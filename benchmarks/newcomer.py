"""Time the ways of a newcomer and write docs/newcomer.md: `python benchmarks/newcomer.py`, on a quiet machine.

From a clone to a first picture, from modules of one's own to an entry on a local board, import, sample, site, and all
notebooks, shortened. Needs MNIST, git, make and what `make test` installs; about ten minutes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from latentarena.facts import machine, versions
from latentarena.files import write_text

ROOT = Path(__file__).resolve().parents[1]
PYTHON, ARENA = sys.executable, str(Path(sys.executable).with_name("arena"))
OWN = """import torch, latentarena as la
from torch import nn
class Velocity(nn.Sequential):
    def forward(self, x, t, labels):
        return super().forward(torch.cat([x, t[:, None]], 1))
encode = nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.SiLU(), nn.Linear(128, 32), nn.LayerNorm(32))
decode = nn.Sequential(nn.Linear(32, 128), nn.SiLU(), nn.Linear(128, 784), nn.Sigmoid(), nn.Unflatten(1, (1, 28, 28)))
network = Velocity(nn.Linear(33, 256), nn.SiLU(), nn.Linear(256, 256), nn.SiLU(), nn.Linear(256, 32))
images = la.datasets.load("mnist").train.images
la.fit(nn.Sequential(encode, decode), images, loss=lambda m, x, labels, draws: (m(x) - x).square().mean(), epochs=2)
la.fit(network, encode(images).detach(), epochs=4)
la.save({"encode": encode, "decode": decode, "network": network}, "mine", steps=8)
"""
BOARD = (
    ("python", "own.py"),
    ("arena", "check", "mine/bundle", "--out", "entries/me/mine"),
    ("arena", "board", "build", "entries", "--out", "board"),
)


@dataclass(frozen=True)
class Way:
    """What a newcomer does, how much he writes, how long it takes, and the bar."""

    what: str
    written: str
    seconds: float
    bar: float | None

    def cells(self) -> str:
        bar = "" if self.bar is None else f"<= {self.bar:g}"
        met = "" if self.bar is None else "yes" if self.seconds <= self.bar else "**no**"
        return f"| {self.what} | {self.written} | {self.seconds:.3g} | {bar} | {met} |"


def timed(*commands: tuple[str, ...], folder: Path) -> float:
    """Wall time of commands one after the other, in a folder."""
    names = {"python": PYTHON, "arena": ARENA}
    start = time.perf_counter()
    for command in commands:
        print("+", *command, flush=True)
        words = [names.get(command[0], command[0]), *command[1:]]
        subprocess.run(words, cwd=folder, check=True, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"})
    return time.perf_counter() - start


def spent(command: tuple[str, ...], folder: Path) -> float:
    """Processor time of a command and of those that it starts."""
    before = sum(os.times()[2:4])
    timed(command, folder=folder)
    return sum(os.times()[2:4]) - before


def measured(home: Path) -> list[Way]:
    """Every way once; the short ones thrice, of which the fastest counts."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(home / "clone")], check=True)
    first = (("make", ".venv/.installed"), (".venv/bin/arena", "sample", "zoo:quickstart"))
    bare = min(timed(("python", "-c", "pass"), folder=home) for _ in range(3))
    loaded = min(timed(("python", "-c", "import latentarena"), folder=home) for _ in range(3))
    drawn = min(timed(("arena", "sample", "zoo:quickstart"), folder=home) for _ in range(3))
    examined = min(timed(("arena", "doctor"), folder=home) for _ in range(3))
    notebooks = ("python", "benchmarks/notebooks.py", "--budget", "0.02", "--out", str(home / "notebooks"))
    (home / "own.py").write_text(OWN)
    (home / "entries" / "me" / "mine").mkdir(parents=True)
    return [
        Way("a clone to a first picture, packages included", "2 commands", timed(*first, folder=home / "clone"), None),
        Way("`import latentarena`", "1 line", max(loaded - bare, 0.0), 0.2),
        Way("`arena sample zoo:quickstart`", "1 command", drawn, 3),
        Way("`arena doctor`", "1 command", examined, 3),
        Way(
            "modules of one's own to an entry on a local board, MNIST",
            f"{len(OWN.splitlines())} lines, {len(BOARD)} commands",
            timed(*BOARD, folder=home),
            None,
        ),
        Way("`make site`", "1 command", timed(("python", "-m", "mkdocs", "build", "--quiet"), folder=ROOT), 60),
        Way("all notebooks at the budget of CI, processor time", "1 command", spent(notebooks, ROOT), 360),
    ]


def page(ways: list[Way]) -> str:
    """docs/newcomer.md."""
    lines = ["# Newcomers", "", "Made by `python benchmarks/newcomer.py`; do not edit.", ""]
    lines += ["| what | written | seconds | bar | met |", "|---|---|---:|---:|---|", *(way.cells() for way in ways), ""]
    lines += ["The module and its entry:", "", "```", OWN.rstrip(), "```", "", "```sh"]
    lines += [" ".join(command) for command in BOARD]
    about = ", ".join(f"{name} {version}" for name, version in versions().items())
    return "\n".join([*lines, "```", "", f"Machine: {machine()}. {about}."]) + "\n"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_text(ROOT / "docs" / "newcomer.md", page(measured(Path(folder))))


if __name__ == "__main__":
    main()
