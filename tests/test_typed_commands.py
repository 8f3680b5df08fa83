"""Every command of the shell blocks of README.md and docs/ is run, or it is said here why not."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from arena_parts import Parts
from command import Arena
from latentarena.bundle.portable import GRAPHS
from latentarena.card.columns import COLUMNS
from latentarena.data import where
from latentarena.judge.classifier import Judge
from typed_commands import run_for_uses, shell_lines

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
EXCEPTED = {  # a whole line -> why it is not run here, and what runs its like
    r"(apt|docker|export|git|make|pip|source|zip) .*|SITE_URL=.*": "another program",
    r"arena (serve|worker|status|submit) ?.*|ARENA_TOKEN=.*|arena board show .*": "a server: tests/web, tests/arena",
    r"arena study .* --on .*": "a cluster: tests/study",
    r"arena search .*": "many trainings: tests/search",
    r"arena train quickstart --seeds 3": "three trainings and their cards: tests/cli/test_cli.py",
    r"arena retrain .*": "a training and its card: tests/run/test_retrain.py",
    r"arena judge runs/mine/bundle --html card.html": "the same with --png and --json is run",
    r"arena judge .* --features .*": "networks from elsewhere: tests/judge/test_extractors*.py",
    r"arena judge (train|fakes/|images/) .*folder:photos.zip.*": "a judge's training: tests/evaluate/test_images.py",
    r"arena judge train seed=RANDOM .*": "a judge's training: tests/cli/test_cli.py",
    r"arena export .*": "ten seconds of torch.export: tests/bundle/test_portable.py",
    r"arena check .*|arena board check .*": "an evaluation in boxes: tests/test_docs.py, tests/evaluate",
    r"arena pack runs/mine .*": "an analysis in one's own words: tests/arena/test_packing.py",
    r"arena import-legacy .*": "a submission of 2025: tests/legacy",
    r"arena erase ID|arena team remove .*": "an entry or a team that is still needed: tests/arena",
    r"for view in .*": "a loop of arena show, which is run: tests/test_docs.py",
    r"arena board build evaluated --contest contest.yaml .*": "a contest's own key: tests/arena/test_keys.py",
}
HANDED_IN = {"runs/mine": "runs/judged", "zoo:small": "runs/before", "contest-2025": "digits"}  # a run of digits
OF_MNIST = r"arena (edit|inpaint|interpolate|show) .*zoo:.*"  # run where MNIST is


def told(of_mnist: bool) -> list[str]:
    """The lines that are to be run, each once, in the order of the pages; most of uses.md has a test of its own."""
    pages = ((page, line) for page in PAGES for line in shell_lines(page))
    lines = dict.fromkeys(line for page, line in pages if page.name != "uses.md" or not run_for_uses(line))
    kept = [line for line in lines if not any(re.fullmatch(one, line) for one in EXCEPTED)]
    return [line for line in kept if bool(re.fullmatch(OF_MNIST, line)) == of_mnist]


def adapted(line: str, place: Path) -> list[str]:
    """A line's words as they are run: on the embedded digits, hardly trained, few samples, in this folder."""
    words = shlex.split(line.replace("~/", f"{place}/").replace("/backups/", "backups/"))[1:]
    verb, data = words[0], [] if "folder:" in line else ["data.name=digits"]
    if verb == "analyse":
        words = [HANDED_IN.get(one, one) for one in words]
    return words + {
        "train": ["--budget", "0.01", "--no-judge", *data],
        "sample": ["-n", "200"] if ".npz" in line else [],
        "judge": ["--samples", "100", "--untimed"] if "/bundle" in line else ["--dataset", "digits"],
        "inpaint": ["--steps", "5"],
        "study": ["--dry-run"],
    }.get(verb, [])


@pytest.fixture
def place(tmp_path: Path, tiny_run: Path, portable_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with what the pages speak of: images, graphs, tables and a contest."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for folder, shape in {
        "photos/a": (32, 32, 3),
        "photos/b": (32, 32, 3),
        "fakes": (28, 28),
        "others": (28, 28),
    }.items():
        Path(folder).mkdir(parents=True)
        for number in range(100):
            Image.fromarray(rng.integers(0, 256, shape, np.uint8)).save(f"{folder}/{number}.png")
    for name in ("photos", "cifar10"):
        shutil.make_archive(name, "zip", "photos")
    shutil.make_archive("images", "zip", "fakes")
    np.savez("others.npz", images=rng.random((100, 28, 28), np.float32))
    for graph in GRAPHS:
        shutil.copy(portable_folder / f"{graph}.onnx", tmp_path)
    for folder in ("entries", "evaluated"):
        Path(folder).mkdir()
    for run in ("judged", "before"):
        shutil.copytree(tiny_run, tmp_path / "runs" / run)
    Parts(f"sqlite:///{tmp_path / 'arena.db'}", tmp_path).close()
    Path("my-notebook.ipynb").write_text("{}")
    Path("groups.csv").write_text("Team,Member,E-mail\nTeam A,Ben,ben@example.org\n")
    Path("raw.csv").write_text(",".join(["team", *COLUMNS]) + "\n" + "one" + ",1" * len(COLUMNS) + "\n")
    return tmp_path


def run(lines: list[str], place: Path, arena: Arena) -> None:
    """Run commands one after the other, each training into a new folder."""
    wrong = []
    for line in lines:
        words = adapted(line, place)
        if words[0] == "train" and "--out" in words:
            shutil.rmtree(words[words.index("--out") + 1], ignore_errors=True)
        done = arena(*words)
        if done.returncode:
            wrong.append(f"{line}: {done.stderr.strip()}")
    assert wrong == []


def test_commands_of_the_pages_run(place: Path, arena_here: Arena, digits_judge: Judge) -> None:
    lines = told(of_mnist=False)
    assert [line for line in lines if not line.startswith("arena ")] == []  # another program: run it, or say why not
    assert len(lines) > 40
    run(lines, place, arena_here)


@pytest.mark.mnist
@pytest.mark.skipif(where("mnist") is None, reason="MNIST is not here")
def test_commands_of_the_pages_run_on_mnist(place: Path, arena_here: Arena) -> None:
    run(told(of_mnist=True), place, arena_here)


@pytest.mark.parametrize("pattern", EXCEPTED)
def test_what_is_excepted_stands_on_a_page(pattern: str) -> None:
    assert any(re.fullmatch(pattern, line) for page in PAGES for line in shell_lines(page))
