"""Every command of the shell blocks of README.md, CONTRIBUTING.md and docs/ is run, or it is said here why not."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image
from safetensors.torch import save_file

from arena_parts import Parts
from command import Arena
from latentarena.arena.contest_files import contest_file, load_contest
from latentarena.arena.site import build_site, read_folder
from latentarena.bundle.portable import GRAPHS
from latentarena.card.columns import COLUMNS
from latentarena.data import where
from latentarena.judge.classifier import Judge
from latentarena.sandbox import standing
from photographs import library
from sample_submission import SOURCE, submission
from typed_commands import OF_A_SERVER, PAGES, lines_of_all_pages, shell_lines

EXCEPTED = {  # a whole line -> why it is not run here, and what runs its like
    r"(apt|docker|git|make|pip|source|zip) .*|export (?!ARENA_TOKEN).*|SITE_URL=.*": "another program",
    r"python (-m http.server|\.ci/package\.py) .*": "another program",
    r"python own.py": "a module that MNIST trains for half a minute: benchmarks/newcomer.py",
    OF_A_SERVER: "a server: tests/test_typed_server.py",
    r"arena study .* --on .*": "a cluster: tests/study",
    r"arena search .*": "twenty seconds: tests/search",
    r"arena retrain .*": "ten seconds, and another verdict on another machine: tests/run/test_retrain.py",
    r"arena judge .* --features timm:.*": "a download: below, with weights in a file",
    r"arena judge .* --features dinov2-small": "a download: as that of a folder, transformers:models/vit, which is run",
    r"arena judge .* --features inception": "a download of 95 MB: its file in tests/judge/test_extractors_named.py",
}
HANDED_IN = {  # names of the pages -> what stands for them: all that is trained here is of digits
    "analyse": {"runs/mine": "runs/judged", "zoo:small": "runs/before", "contest-2025": "digits"},
    "board": {"entries": "bundles"},
    "check": {
        "open": "digits",
        "mine/bundle": "mine",
        "runs/own/model/bundle": "runs/judged/bundle",
        "submission.zip": "dense.zip",
        "contest-2025": "boxes.yaml",
    },
    "export": {"runs/mine/bundle": "runs/judged/bundle"},
    "import-legacy": {"submission.zip": "dense.zip"},
    "judge": {"timm:convnext_tiny": "timm:test_resnet:timm.safetensors"},
    "pack": {"runs/mine": "runs/judged", "contest-2025": "digits"},
    "train": {"quickstart": "quickstart-digits", "3": "2"},  # of --seeds
}
OF_MNIST = r"arena (edit|inpaint|interpolate|show) .*zoo:.*"  # run where MNIST is
BOXED = {
    r"arena check (mine|portable).*": 1,
    r"arena (import-legacy|check) submission.zip .*": 2,
}  # tiers of the sandbox that lines need
QUICK = ["width=4", "fit.epochs=1"]  # a judge that has learnt little
WORDS = re.compile(r"(<!-- your words: .* -->\n)\n+(<!-- end of your words -->)")
PLAIN = {  # pages -> what their blocks without a language are
    "README.md": "a drawing",
    "CONTRIBUTING.md": "a drawing",
    "newcomer.md": "a module that benchmarks/newcomer.py runs on MNIST",
    "operating.md": "a file of Caddy's",
}


def told(of_mnist: bool) -> list[str]:
    """The lines that are to be run."""
    kept = [line for line in lines_of_all_pages() if not any(re.fullmatch(one, line) for one in EXCEPTED)]
    return [line for line in kept if bool(re.fullmatch(OF_MNIST, line)) == of_mnist]


def adapted(line: str, place: Path) -> list[str]:
    """A line's words as they are run: on the embedded digits, hardly trained, few samples, in this folder."""
    words = shlex.split(line.replace("~/", f"{place}/").replace("/backups/", "backups/").replace("RANDOM", "7"))[1:]
    verb, data = words[0], [] if "folder:" in line else ["data.name=digits"]
    if words[:2] != ["board", "build"]:
        words = [HANDED_IN.get(verb, {}).get(one, one) for one in words]
    contest = [] if "--contest" in words else ["--contest", "digits"]
    return words + {
        "train": ["--budget", "0.01", *(["--samples", "100"] if "--seeds" in words else ["--no-judge"]), *data],
        "sample": ["-n", "200"] if ".npz" in line else [],
        "judge": _judged(line),
        "inpaint": ["--steps", "5"],
        "study": ["--dry-run"],
        "check": ["--fast", *contest],
        "board": contest if words[:2] == ["board", "build"] else [],
        "pack": ["--dataset", "digits"] if "--name" in words else [],
    }.get(verb, [])


def _judged(line: str) -> list[str]:
    """What is added to a line of `arena judge`."""
    if "/bundle" in line:
        return ["--samples", "100", "--untimed"]
    data = [] if "folder:" in line else ["--dataset", "digits"]
    return [*QUICK, *data] if line.startswith("arena judge train") else data


@pytest.fixture
def place(tmp_path: Path, tiny_run: Path, portable_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with what the pages speak of: images, graphs, tables and a contest."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for folder, shape in {
        "photos/a": (28, 28),
        "photos/b": (28, 28),
        "cifar10/a": (32, 32, 3),
        "cifar10/b": (32, 32, 3),
        "fakes": (28, 28),
        "others": (28, 28),
        "images": (64, 64),
    }.items():
        Path(folder).mkdir(parents=True)
        for number in range(100):
            Image.fromarray(rng.integers(0, 256, shape, np.uint8)).save(f"{folder}/{number}.png")
    for name in ("photos", "cifar10"):
        shutil.make_archive(name, "zip", name)
    shutil.make_archive("images", "zip", "fakes")
    np.savez("others.npz", images=rng.random((100, 28, 28), np.float32))
    for graph in GRAPHS:
        shutil.copy(portable_folder / f"{graph}.onnx", tmp_path)
    for folder in ("entries", "evaluated"):
        Path(folder).mkdir()
    for run in ("judged", "before"):
        shutil.copytree(tiny_run, tmp_path / "runs" / run)
    shutil.copytree(tiny_run / "bundle", "bundles/me/mine")
    shutil.copy(contest_file("digits"), "contest.yaml")
    forms = "forms: [native, portable"
    Path("boxes.yaml").write_text(Path("contest.yaml").read_text().replace(forms, f"{forms}, python-2025"))
    rules = load_contest("digits")
    build_site(*read_folder(tmp_path / "runs", rules, verified=False), rules, tmp_path / "ranked")
    shutil.copy("ranked/board.json", tmp_path)
    submission(tmp_path / "dense", SOURCE.replace("n_steps=100", "n_steps=3"))
    shutil.make_archive("dense", "zip", "dense")
    Parts(f"sqlite:///{tmp_path / 'arena.db'}", tmp_path).close()
    Path("my-notebook.ipynb").write_text("{}")
    Path("groups.csv").write_text("Team,Member,E-mail\nTeam A,Ben,ben@example.org\n")
    rows = [["team", *COLUMNS], *([team, *"1" * len(COLUMNS)] for team in "ab")]
    Path("raw.csv").write_text("".join(",".join(row) + "\n" for row in rows))
    return tmp_path


@pytest.fixture
def networks(place: Path) -> None:
    """Networks whose features are looked at: a tiny transformer in a folder, and a graph that makes images small."""
    if find_spec("transformers"):
        from transformers import Dinov2Config, Dinov2Model

        sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "mlp_ratio": 2}
        Dinov2Model(Dinov2Config(image_size=28, patch_size=14, **sizes)).save_pretrained(place / "models" / "vit")
    images, seen = (
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", 3, side, side])
        for name, side in (("images", 64), ("seen", 2))
    )
    node = onnx.helper.make_node("AveragePool", ["images"], ["seen"], kernel_shape=[32, 32], strides=[32, 32])
    graph = onnx.helper.make_graph([node], "network", [images], [seen])
    opsets = [onnx.helper.make_opsetid("", 18)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=9), place / "network.onnx")


def tier_of(line: str) -> int:
    """The tier of the sandbox that a line needs."""
    return next((tier for pattern, tier in BOXED.items() if re.fullmatch(pattern, line)), 0)


def run(lines: list[str], place: Path, arena: Arena) -> None:
    """Run commands one after the other, each training into a new folder, with one's own words in what is packed."""
    wrong = []
    for line in lines:
        words = adapted(line, place)
        if words[0] in ("train", "import-legacy") and "--out" in words:
            shutil.rmtree(words[words.index("--out") + 1], ignore_errors=True)
        if words[:2] == ["pack", "runs/judged"]:
            text = Path("runs/judged/analysis/analysis.md")
            text.write_text(WORDS.sub(r"\1My words.\n\2", text.read_text()))
        done = arena(*words)
        if done.returncode:
            wrong.append(f"{line}: {done.stderr.strip()}")
    assert wrong == []


@pytest.mark.timeout(900)  # half a minute of the processor, more on a busy machine
@pytest.mark.usefixtures("networks")
def test_commands_of_the_pages_run(place: Path, arena_here: Arena, digits_judge: Judge) -> None:
    lines = told(of_mnist=False)
    assert [line for line in lines if not line.startswith("arena ")] == []  # another program: run it, or say why not
    assert len(lines) > 70
    run([line for line in lines if tier_of(line) <= standing().tier], place, arena_here)
    assert json.loads(Path("card.json").read_text())["dataset"] == "digits"
    runs = {path.parent.parent.name: path for path in Path("runs").glob("*/bundle/weights.safetensors")}
    trained = {"mine", "small", "by-class", "photos", "large", "quick", "other", "tenth", "fifth"}
    assert runs.keys() >= trained
    assert runs["tenth"].read_bytes() != runs["fifth"].read_bytes()
    assert '"me"' in Path("site/board.json").read_text()
    assert Path("my-contest/.github/workflows").is_dir()
    assert len(Path("ranked.csv").read_text().splitlines()) == 3
    assert Path("new.db").stat().st_size > 0


def test_a_network_of_timm_is_looked_through(place: Path, arena_here: Arena) -> None:
    weights = library("timm").create_model("test_resnet").state_dict()
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, place / "timm.safetensors")
    lines = [line for line in lines_of_all_pages() if "--features timm:" in line]
    assert lines != []
    run(lines, place, arena_here)


@pytest.mark.mnist
@pytest.mark.skipif(where("mnist") is None, reason="MNIST is not here")
def test_commands_of_the_pages_run_on_mnist(place: Path, arena_here: Arena) -> None:
    run(told(of_mnist=True), place, arena_here)


@pytest.mark.parametrize("pattern", EXCEPTED)
def test_what_is_excepted_stands_on_a_page(pattern: str) -> None:
    assert any(re.fullmatch(pattern, line) for page in PAGES for line in shell_lines(page))


def test_blocks_of_the_pages_have_a_language() -> None:
    """Else nobody runs them; what has none is said to be no program."""
    plain = [
        page.name
        for page in PAGES
        for fence in re.findall(r"^ *```(.*)$", page.read_text("utf-8"), re.M)[::2]
        if not fence
    ]
    assert plain == list(PLAIN)
