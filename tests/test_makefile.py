"""What `make` installs, and from where: pip is a stand-in that writes down what it is asked for."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CPU = "https://download.pytorch.org/whl/cpu"
PYTHON = """#!/bin/sh
case "$*" in
  *"pip config list"*) echo "{config}" ;;
  *"--index-url"*) echo "$*" >> "{log}"; exit {status} ;;
  *) echo "$*" >> "{log}" ;;
esac
"""


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make here")
@pytest.mark.parametrize(
    ("system", "config", "index", "status", "from_cpu_index"),
    [
        ("Linux", "", None, 0, True),
        ("Linux", "", None, 1, True),
        ("Linux", "", "", 0, False),
        ("Linux", "global.index-url='https://mirror.example/simple'", None, 0, False),
        ("Linux", ":env:.find-links='/wheels'", None, 0, False),
        ("Darwin", "", None, 0, False),
    ],
    ids=["Linux", "not reached", "GPU", "own index", "own wheels", "macOS"],
)
def test_make_takes_the_build_for_cpus_on_linux(
    tmp_path: Path, system: str, config: str, index: str | None, status: int, from_cpu_index: bool
) -> None:
    programs = {"python": PYTHON.format(config=config, log=tmp_path / "log", status=status), "arena": "#!/bin/sh\n"}
    for name, text in programs.items():
        path = tmp_path / "venv" / "bin" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    (tmp_path / "uname").write_text(f"#!/bin/sh\necho {system}\n")
    (tmp_path / "uname").chmod(0o755)
    words = ["make", "-C", str(ROOT), f"VENV={tmp_path / 'venv'}", "demo"]
    words += [] if index is None else [f"TORCH_INDEX={index}"]
    path = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=path)
    assert done.returncode == 0, done.stderr
    asked = (tmp_path / "log").read_text().splitlines()
    assert "--editable ." in asked[-1]  # whatever came before it
    assert [f"--index-url {CPU} torch==" in line for line in asked] == [True] * from_cpu_index + [False]
    assert ("no build for CPUs" in done.stdout) == bool(status)
