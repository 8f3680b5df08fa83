"""The workflows of .github: by GitHub's schema, with pinned actions, few rights, and steps that exist here too."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
import tarfile
from pathlib import Path
from types import ModuleType
from zipfile import ZipFile

import pytest
import yaml

from latentarena import __version__

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
workflows = pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
ELSEWHERE = ("sudo ", "python -m pip install ")  # what a machine of GitHub's needs first


def jobs(file: Path) -> dict[str, dict]:
    return yaml.safe_load(file.read_text("utf-8"))["jobs"]


def steps(file: Path) -> list[dict]:
    return [step for job in jobs(file).values() for step in job["steps"]]


@workflows
def test_by_githubs_schema(file: Path) -> None:
    """By the schema that check-jsonschema carries."""
    pytest.importorskip("check_jsonschema", reason="NOT CHECKED against GitHub's schema: pip install check-jsonschema")
    words = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(file)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@workflows
def test_actions_are_pinned_and_rights_are_few(file: Path) -> None:
    used = [step["uses"] for step in steps(file) if "uses" in step]
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", one) for one in used), used
    assert yaml.safe_load(file.read_text("utf-8"))["permissions"] == {"contents": "read"}
    for job in jobs(file).values():
        runs = any("run" in step for step in job["steps"])
        assert not (runs and "permissions" in job)  # a job that may publish runs nothing of the repository
        assert "timeout-minutes" in job


@workflows
def test_steps_are_commands_of_this_repository(file: Path) -> None:
    """`make` and the scripts of .ci, which are run here as well; nothing is written in a workflow alone."""
    for line in (line for step in steps(file) for line in step.get("run", "").splitlines()):
        if line.startswith(ELSEWHERE):
            continue
        words = shlex.split(line)
        if words[0] == "make":
            subprocess.run(["make", "--dry-run", *words[1:]], cwd=ROOT, check=True, capture_output=True)
        else:
            script = words[1] if words[0] == "python" else words[0]
            assert (ROOT / script).is_file(), line
            assert script.startswith(".ci/"), line


def test_pythons_of_the_matrix_are_those_of_the_classifiers() -> None:
    matrix = jobs(ROOT / ".github" / "workflows" / "tests.yml")["wheel"]["strategy"]["matrix"]["python"]
    listed = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', (ROOT / "pyproject.toml").read_text("utf-8"))
    assert matrix == listed


@pytest.fixture(scope="module")
def package() -> ModuleType:
    """.ci/package.py."""
    found = importlib.util.spec_from_file_location("package", ROOT / ".ci" / "package.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_only_the_versions_tag_is_released(package: ModuleType) -> None:
    assert package.release_faults("v9.9.9")[0] == f"the tag is v9.9.9, the version {__version__}"


def test_the_wheel_holds_what_the_package_does(tmp_path: Path) -> None:
    """Built without a network, by the build backend that is installed."""
    pytest.importorskip("hatchling")
    code = f"from hatchling.build import build_wheel; print(build_wheel({str(tmp_path)!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    names = set(ZipFile(tmp_path / done.stdout.strip()).namelist())
    source = ROOT / "src"
    wanted = {str(file.relative_to(source)) for file in source.rglob("*") if file.is_file() and file.suffix != ".pyc"}
    assert wanted <= names | {name for name in wanted if ".egg-info" in name}
    assert {name for name in names if not name.startswith("latentarena/")} >= {
        f"latentarena-{__version__}.dist-info/METADATA",
        f"latentarena-{__version__}.dist-info/licenses/LICENSE",
    }


def test_the_sdist_holds_what_is_tracked(tmp_path: Path) -> None:
    """So that whoever has it can test it, make the site and run the notebooks."""
    pytest.importorskip("hatchling")
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode:
        pytest.skip("no clone, as in the sdist itself")
    code = f"from hatchling.build import build_sdist; print(build_sdist({str(tmp_path)!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    with tarfile.open(tmp_path / done.stdout.strip()) as held:
        names = {name.partition("/")[2] for name in held.getnames()}
    assert {file for file in tracked.stdout.splitlines() if (ROOT / file).exists()} <= names
