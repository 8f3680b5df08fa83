"""What works without the packages of a server, and what says which extra it needs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml

from latentarena import __version__
from latentarena.cli import SERVER
from latentarena.judge.classifier import Judge

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ABSENT = """
import sys
from importlib.abc import MetaPathFinder

class Absent(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
"""
RUN = """
from latentarena.cli import main

for words in {commands}:
    sys.argv = ["arena", *words.split()]
    try:
        main()
        status = 0
    except SystemExit as stop:
        status = stop.code or 0
    print(f"== {{status}} {{words}}", flush=True)
"""
TINY = (
    "autoencoder.latent=[6] autoencoder.widths=[4,8] generator.backbone.width=16 generator.backbone.depth=1"
    " training.autoencoder.epochs=0.2 training.generator.epochs=0.2"
)
WORK = (
    f"train quickstart-digits {TINY} --out run --no-judge",
    "sample run -n 4 --steps 1",
    "judge run --samples 100 --untimed",
    "board build entries",
)
REFUSE = ("serve open", "worker", "team list", "certify", "backup there", "restore there", "erase entry")


def modules(extra: str) -> set[str]:
    """The modules that an extra's packages bring, without what torch needs too."""
    names = {re.split(r"[\[<>=]", one)[0].lower() for one in PROJECT["optional-dependencies"][extra]} - {"fsspec"}
    found = {module for module, brought in packages_distributions().items() if names & {one.lower() for one in brought}}
    return {module for module in found if not module.startswith("_")}


@pytest.fixture
def without_server(tmp_path: Path) -> Callable[[tuple[str, ...]], str]:
    """Run commands one after the other where a server's packages are absent; what they print."""
    hidden = modules("arena") | {"starlette", "psycopg", "procrastinate"}

    def run(commands: tuple[str, ...]) -> str:
        code = ABSENT.format(names=hidden) + RUN.format(commands=commands)
        env = os.environ | {"OMP_NUM_THREADS": "1"}
        words = [sys.executable, "-c", code]
        done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path, env=env)
        return done.stdout + done.stderr

    return run


@pytest.mark.timeout(900)  # half a minute; more on a busy machine
def test_training_sampling_and_judging_need_no_server(
    without_server: Callable[[tuple[str, ...]], str], tmp_path: Path, digits_judge: Judge
) -> None:
    (tmp_path / "entries").mkdir()
    said = without_server(WORK)
    assert re.findall(r"^== (\d+) (\S+)", said, re.M) == [("0", one.split()[0]) for one in WORK], said


def test_a_servers_commands_say_which_extra_they_need(without_server: Callable[[tuple[str, ...]], str]) -> None:
    said = without_server(REFUSE)
    assert re.findall(r"^== (\d+)", said, re.M) == ["1"] * len(REFUSE), said
    assert len(re.findall(r"^arena: this command needs \w+: pip install 'latentarena\[arena\]'$", said, re.M)) == 7, (
        said
    )


def test_what_is_refused_is_the_extra() -> None:
    assert modules("arena") - {"multipart", "python_multipart"} <= SERVER


def test_one_version() -> None:
    assert "version" in PROJECT["dynamic"]
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert cited["version"] == __version__
    assert {"cff-version", "message", "title", "authors"} <= set(cited)


def test_classifiers_begin_with_the_oldest_python() -> None:
    listed = [one.rpartition("::")[2].strip() for one in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", one)]
    assert listed == ["3.11", "3.12", "3.13", "3.14"]
    assert PROJECT["requires-python"] == f">={listed[0]}"
