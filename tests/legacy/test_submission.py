"""A submission in a box: how its faults are told, where its weights come from, and what it cannot do."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpus.case import Case, cases
from latentarena.errors import SandboxError
from latentarena.legacy.form import FACTS, PROGRAM
from latentarena.sandbox import Box, Limits
from sample_submission import FLOW, SOURCE, VAE, submission

boxed = pytest.mark.usefixtures("tier2")


def asked(tmp_path: Path, source: str, shipped: int = 2, name: str = "dense_submission.py") -> dict[str, object]:
    """What a submission says of itself in a box."""
    files = {path.name: path.read_bytes() for path in submission(tmp_path, source, name, shipped).parent.iterdir()}
    with Box(PROGRAM, files=files, limits=Limits(seconds=120), least=2) as box:
        return box.call("facts", FACTS, {"threads": 1})[0]


@boxed
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("class SubmissionInterface", "class Submission"), "has no class SubmissionInterface"),
        (("import os\n", "import os\nraise SystemExit\n"), "fails when it is imported at line 5: SystemExit"),
        (("import os\n", "import os\nos._exit(0)\n"), "ended without an answer"),
        (
            ("the training used it\n", "\nTO = transforms.ToTensor()\n"),
            "torchvision.transforms.ToTensor is not available",
        ),
        (("hidden=(256, 64)", "hidden=(99, 64)"), r"fails at line 7\d: RuntimeError: .* size mismatch"),
    ],
)
def test_a_fault_is_told_with_its_line(change: tuple[str, str], reason: str, tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match=reason):
        asked(tmp_path, SOURCE.replace(*change))


@boxed
def test_a_missing_weight_file_is_told_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match=r"downloaded_flow\.safetensors.*ships downloaded_vae\.safetensors; put"):
        asked(tmp_path, SOURCE, shipped=1)


@boxed
def test_weights_under_other_names_are_found(tmp_path: Path) -> None:
    """By a name within the name that is asked for, and by the id in the link."""
    submission(tmp_path)
    (tmp_path / VAE).rename(tmp_path / "vae.safetensors")
    (tmp_path / FLOW).rename(tmp_path / "1flowFLOWflowFLOWflowFLOWflowFLO2.safetensors")
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with Box(PROGRAM, files=files, limits=Limits(seconds=120), least=2) as box:
        assert box.call("facts", FACTS, {"threads": 1})[0]["team"] == "dense"


ATTEMPTS = {
    "tcp": "import socket; socket.create_connection(('1.1.1.1', 80), 2)",
    "dns": "import socket; socket.getaddrinfo('example.org', 80)",
    "pip": "import subprocess, sys; subprocess.run([sys.executable, '-m', 'pip', 'install', 'cowsay'], check=True)",
    "magic": "\n!pip install cowsay\nimport subprocess; subprocess.run('pip install cowsay', shell=True, check=True)",
    "download": "import urllib.request; urllib.request.urlopen('https://drive.google.com', timeout=2)",
    "home": "open('SECRET').read()",
    "secrets": "assert open('/etc/shadow').read()",
    "write": "open('/in/dense_submission.py', 'a').write('#')",
    "source": "open(__import__('latentarena').__file__, 'a').write('#')",
    "parent": "import os; os.kill(os.getppid(), 9)",
}
TABLE = [
    Case(17 if name in ("home", "secrets", "write", "source", "parent") else 16, f"legacy-{name}") for name in ATTEMPTS
]


@pytest.fixture(scope="module")
def escapes(tier2: None, tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The attempts that succeed; one submission makes them all and says so as its team."""
    folder, tries = tmp_path_factory.mktemp("escapes"), ""
    secret = folder / "secret.txt"
    secret.write_text("of the host")
    for name, code in ATTEMPTS.items():
        lines = "\n".join(
            f"    {line}" for line in [*code.replace("SECRET", str(secret)).split("\n"), f"DONE.append({name!r})"]
        )
        tries += f"try:\n{lines}\nexcept BaseException:\n    pass\n"
    source = SOURCE.replace("import os\n", f"import os\nDONE = ['made']\n{tries}", 1)
    said = asked(folder / "in", source.replace('"team": "dense"', '"team": " ".join(DONE)'))
    done = set(str(said["team"]).split())
    assert "made" in done
    return done


@boxed
@cases(TABLE)
def test_code_of_a_submission_is_contained(case: Case, escapes: set[str]) -> None:
    assert case.name.removeprefix("legacy-") not in escapes
