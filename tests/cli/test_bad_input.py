"""What the command line refuses: one line that names key, value and choices, and a status that is not zero."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from command import TINY, Arena
from latentarena.bundle import save_bundle
from latentarena.cli import main
from latentarena.errors import ConfigError
from latentarena.model.latent_model import LatentModel
from latentarena.run.pipeline import prepare
from latentarena.train.recipe import load_recipe
from latentarena.zoo import MODELS
from small_disk import mounted
from untrained import provenance

Refusal = tuple[int, str]
Refuse = Callable[..., Refusal]


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Refuse:
    """Run a command that is refused, in an empty folder; its exit status and its one line on stderr."""
    monkeypatch.delenv("LATENTARENA_DATA", raising=False)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Refusal:
        monkeypatch.setattr(sys, "argv", ["arena", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        return one_line(int(stop.value.code or 0), capsys.readouterr().err)

    return run


def one_line(code: int, error: str) -> Refusal:
    """The refusal, without its prefix, once it is known to be one."""
    assert code != 0
    assert error.startswith("arena: ")
    assert error.endswith("\n")
    assert error.count("\n") == 1
    return code, error.removeprefix("arena: ").rstrip("\n")


ADDRESS = "https://example.com/x.zip"


@pytest.mark.parametrize(
    "words",
    [
        *([command, ADDRESS] for command in ("sample", "judge", "check", "export", "analyse", "pack", "retrain")),
        ["verify", "card.json", ADDRESS],
        ["submit", ADDRESS, "--to", "http://127.0.0.1:9"],
        ["show", "latent", ADDRESS],
        ["analyse", "zoo:digits", "--against", ADDRESS],
        ["judge", "images.npy", "--dataset", "digits", "--against", ADDRESS],
        ["judge", "images.npy", "--dataset", "digits", "--against", "https://example.com/x.npz"],
        ["judge", "images.npy", "--dataset", f"folder:{ADDRESS}"],
        ["data", f"folder:{ADDRESS}"],
        ["train", "quickstart-digits", f"data.name=folder:{ADDRESS}"],
    ],
    ids=" ".join,
)
def test_an_address_is_said_to_be_none_of_a_file(
    refuse: Refuse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.setenv("ARENA_TOKEN", "any")
    np.save(tmp_path / "images.npy", np.eye(28, dtype=np.uint8)[None].repeat(100, 0) * 255)
    shutil.copy(MODELS / "digits" / "score.json", tmp_path / "card.json")
    said = "is an address, and nothing is fetched from the network: download it first"
    line = refuse(*words)[1]
    assert any(f"{one} {said}" in line for one in (ADDRESS, "https://example.com/x.npz"))


@pytest.mark.parametrize("model", ["zoo:digits", "mine", "mine/bundle"])
def test_a_model_in_the_place_of_images_is_answered_with_how_to_make_some(
    refuse: Refuse, tmp_path: Path, model: str
) -> None:
    shutil.copytree(MODELS / "digits" / "bundle", tmp_path / "mine" / "bundle")
    np.save(tmp_path / "images.npy", np.eye(28, dtype=np.uint8)[None].repeat(100, 0) * 255)
    line = refuse("judge", "images.npy", "--dataset", "digits", "--against", model)[1]
    made = f"make some of it: arena sample {model} -n 1000 --out images.npz"
    assert line == f"--against {model} is a model, and --against takes images; {made}"


def test_a_run_s_folder_is_answered_with_the_recipe_in_it(refuse: Refuse, tmp_path: Path) -> None:
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    assert "recipe 'runs/mine' is unknown" in refuse("train", "runs/mine")[1]
    (tmp_path / "runs" / "mine" / "recipe.yaml").write_text("seed: 1")
    assert refuse("train", "runs/mine")[1] == "runs/mine is a folder; the recipe in it is runs/mine/recipe.yaml"
    shipped = "zoo:digits is a trained model; arena zoo names the recipe that each is trained by"
    assert refuse("train", "zoo:digits")[1] == shipped


RECIPES = [
    (["nosuch"], ["'nosuch'", "quickstart, quickstart-digits", ".yaml"]),
    (["nosuch.yaml"], ["no file 'nosuch.yaml'", "no YAML file in that folder"]),
    (["x" * 300], ["recipe 'xxx", "is unknown"]),
    (["x" * 300 + ".yaml"], ["no file 'xxx"]),
    (["quickstart-digits", "name=../../x"], ["name = '../../x'", "one plain path part"]),
    (["quickstart-digits", "name="], ["name = ''", "one plain path part"]),
    (["quickstart-digits", "data.name=folder:"], ["data.name = 'folder:'", "path is missing"]),
    (["quickstart-digits", "seed=1:30"], ["seed = '1:30'", "valid integer"]),
    (["quickstart-digits", "training.generator.lr=true"], ["lr = 'true'", "valid number"]),
    (["quickstart-digits", "autoencoder.latent=28"], ["latent = '28'", "write [28]"]),
    (["quickstart-digits", "autoencoder.latent=" + "[" * 3000], ["autoencoder.latent = [[[", "64 levels"]),
    (["quickstart-digits", "seed=" + "[" * 3000], ["seed = '[[[", "valid integer"]),
    (["quickstart-digits", "sed=1"], ["unknown key 'sed'", "did you mean 'seed'", "sampling", "training"]),
    (["quickstart-digits", "data=digits"], ["data = 'digits'", "or data.name=digits for a name"]),
    (["quickstart-digits", "plugins=[mine.py]"], ["unknown key 'plugins'", "did you mean 'parts'"]),
    (
        ["quickstart-digits", "training.generator.epoch=1"],
        ["training.generator", "unknown key 'epoch'", "did you mean 'epochs'", "drop_labels"],
    ),
    (["quickstart-digits", "zzz.y=1"], ["unknown key 'zzz'", "autoencoder"]),
    (["quickstart-digits", "seed"], ["'seed'", "key=value"]),
    (["quickstart-digits", "=1"], ["'=1'", "key=value"]),
    (["quickstart-digits", "seed.x=1"], ["seed.x = 1", "'seed' holds a value"]),
    (["quickstart-digits", "about.x=1"], ["about.x = 1", "'about' holds a value"]),
    (["quickstart-digits", "seed=[["], ["seed = '[['", "integer"]),
    (["quickstart-digits", "seed=2024-13-45"], ["seed = '2024-13-45'", "integer"]),
    (["quickstart-digits", "seed=-1"], ["seed = -1", "greater than or equal to 0"]),
    (["quickstart-digits", "seed=one"], ["seed = 'one'", "integer"]),
    (["quickstart-digits", "training.generator.lr=nan"], ["training.generator.lr", "nan", "finite"]),
    (["quickstart-digits", "training.autoencoder.epochs=0"], ["training.autoencoder.epochs = 0", "greater than 0"]),
    (["quickstart-digits", "sampling.solver=rk5"], ["sampling.solver = 'rk5'", "euler, heun"]),
    (["quickstart-digits", "generator.path=curvy"], ["generator.path = 'curvy'", "choose from straight"]),
    (["quickstart-digits", "generator.target=love"], ["generator.target = 'love'", "choose from", "velocity"]),
    (["quickstart-digits", "training.generator.times=now"], ["training.generator.times = 'now'", "uniform"]),
    (["quickstart-digits", "autoencoder.kind=vq"], ["autoencoder", "'vq'", "conv, dc, mlp, identity"]),
    (
        ["quickstart-digits", "generator.backbone.kind=gpt"],
        ["generator.backbone", "'gpt'", "mlp, conv, unet, dit"],
    ),
    (["quickstart-digits", "data.name=cifar"], ["data", "'cifar'", "mnist, fashion-mnist, kmnist, digits, folder:"]),
    (["quickstart-digits", "data.size=16"], ["data", "size = 16", "folder:PATH only"]),
    (["quickstart-digits", "data={name: 'folder:x', size: 4}"], ["data.size = 4", "greater than or equal to 8"]),
    (["quickstart-digits", "autoencoder.encoder=[1]"], ["encoder = [1]", "each of 2 levels"]),
    (["quickstart-digits", "training.autoencoder=null"], ["training.autoencoder is missing", "conv"]),
    (
        ["quickstart-digits", "autoencoder={kind: identity}"],
        ["training.autoencoder", "autoencoder.kind = identity", "nothing to train"],
    ),
]

LATENTS = [
    (["autoencoder.latent=[]"], ["latent = []", "[d] or [channels, height, width]"]),
    (["autoencoder.latent=[0]"], ["latent = [0]", "at least 1"]),
    (["autoencoder.latent=[2,3]"], ["latent = [2, 3]", "[d] or [channels, height, width]"]),
    (["autoencoder.latent=[785]"], ["autoencoder.latent = [785]", "more than the 784", "[1, 28, 28]"]),
    (["autoencoder.latent=[17,7,7]"], ["autoencoder.latent = [17, 7, 7]", "more than the 784"]),
    (
        ["autoencoder.latent=[1,6,6]", "generator.backbone={kind: conv}"],
        ["autoencoder.latent = [1, 6, 6]", "2 widths", "[1, 28, 28]", "[C, 14, 14] with 1 widths", "[C, 7, 7] with 2"],
    ),
    (["generator.backbone={kind: conv}"], ["generator.backbone.kind = conv", "not [16]", "choose mlp"]),
    (
        ["generator.backbone={kind: dit, patch: 3}"],
        ["generator.backbone.patch = 3", "[16]", "choose from 1, 2, 4, 8"],
    ),
]

ABSENT = "cuda" if sys.platform == "darwin" else "mps"
FABRICS = [
    (["--accelerator", "tpu"], ["accelerator = 'tpu'", "choose from auto, cpu, cuda, mps"]),
    (["--accelerator", "abacus"], ["accelerator = 'abacus'", "auto", "cuda", "cpu"]),
    (["--accelerator", ABSENT], [f"accelerator = {ABSENT}", "none on this machine; choose auto or cpu"]),
    (["--precision", "7"], ["precision = '7'", "32-true", "bf16-mixed"]),
    (["--devices", "0"], ["devices = '0'", "how many, such as 2, or auto"]),
    (["--devices", "some"], ["devices = 'some'", "how many, such as 2, or auto"]),
    (["--devices", "1.5"], ["devices = '1.5'", "how many, such as 2, or auto"]),
    (["--nodes", "0"], ["nodes = 0", "1 or more"]),
    *[
        (["--strategy", name], [f"strategy = '{name}'", "choose from auto, ddp, fsdp"])
        for name in ("luck", "ddp_spawn", "deepspeed", "")
    ],
]


def _named(table: list[tuple[list[str], list[str]]]) -> pytest.MarkDecorator:
    ids = [" ".join(arguments) for arguments, _ in table]
    return pytest.mark.parametrize(("arguments", "fragments"), table, ids=ids)


@_named(RECIPES + [(["quickstart-digits", *arguments], fragments) for arguments, fragments in LATENTS])
def test_impossible_recipe_leaves_nothing_behind(
    refuse: Refuse, tmp_path: Path, arguments: list[str], fragments: list[str]
) -> None:
    code, line = refuse("train", *arguments)
    assert code == 2
    assert [part for part in fragments if part not in line] == []
    assert list(tmp_path.iterdir()) == []


def test_a_recipe_s_file_of_another_suffix_is_told_from_a_name(refuse: Refuse, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("seed: 1\n")
    _, line = refuse("train", "mine.txt")
    assert line == "mine.txt: a recipe is a .yaml file; give it that suffix if it is one"


@_named(FABRICS)
def test_impossible_fabric_is_named(refuse: Refuse, arguments: list[str], fragments: list[str]) -> None:
    code, line = refuse("train", "quickstart-digits", *TINY, *arguments)
    assert code == 2
    assert [part for part in fragments if part not in line] == []


@pytest.mark.parametrize(
    ("content", "fragments"),
    [
        (b"seed: [1\ndata: {}\n", ["line 2", "not YAML"]),
        (b"- seed\n", ["a mapping of keys is wanted, such as name: mine; it is a list"]),
        (b"", ["it is empty"]),
        (b"\xff\xfe\x00", ["not text", "UTF-8"]),
        (b"seed: 1\n", ["autoencoder", "required"]),
        (b"about: 2024-13-45\n", ["autoencoder", "required"]),
    ],
    ids=["syntax", "list", "empty", "binary", "incomplete", "impossible date"],
)
def test_bad_recipe_file_is_named(refuse: Refuse, tmp_path: Path, content: bytes, fragments: list[str]) -> None:
    (tmp_path / "mine.yaml").write_bytes(content)
    code, line = refuse("train", "mine.yaml")
    assert code == 2
    assert "mine" in line
    assert [part for part in fragments if part not in line] == []


@pytest.mark.parametrize(
    ("arguments", "code", "fragments"),
    [
        (["quickstart", "--data", "file"], 2, ["--data file is not a folder"]),
        (["quickstart", "--data", "nowhere"], 2, ["--data nowhere is not a folder"]),
        (["quickstart", "otherwise=null", "--data", "empty"], 1, ["train-images-idx3-ubyte", "empty", "mnist"]),
        (["quickstart", "--data", "bad"], 1, ["bad/train-images-idx3-ubyte.gz", "damaged"]),
        (["quickstart", "data.name=folder:nowhere"], 1, ["folder:nowhere does not exist"]),
        (["quickstart", "data.name=folder:empty"], 1, ["folder:empty holds no images"]),
        (["quickstart", "data.name=folder:file"], 1, ["folder:file is neither a directory nor a readable zip"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bad_data_is_named(
    refuse: Refuse, tmp_path: Path, arguments: list[str], code: int, fragments: list[str]
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "train-images-idx3-ubyte.gz").write_bytes(b"\x1f\x8b and no more")
    found, line = refuse("train", *arguments)
    assert found == code
    assert [part for part in fragments if part not in line] == []
    assert not (tmp_path / "runs").exists()


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["arena", "train", "nosuch", "--debug"])
    with pytest.raises(ConfigError):
        main()


def test_folder_of_another_run_is_kept(refuse: Refuse, tmp_path: Path) -> None:
    out = tmp_path / "out"
    held = prepare("quickstart-digits", TINY, out, None, resume=False).lock
    assert held is not None
    held.release()
    before = (out / "recipe.yaml").read_bytes()
    refusals = {
        (): ["holds a run already", "--resume", "--out"],
        ("--resume", "seed=1"): ["another recipe", "seed was 0 and is now 1", "--out"],
        ("--resume", "training.generator.lr=0.1"): ["training.generator.lr was 0.003 and is now 0.1"],
        ("--resume", "training.autoencoder.epochs=2"): ["training.autoencoder.epochs was 1.0 and is now 2.0"],
    }
    for extra, fragments in refusals.items():
        code, line = refuse("train", "quickstart-digits", *TINY, *extra, "--out", out)
        assert code == 2
        assert str(out) in line
        assert [part for part in fragments if part not in line] == []
    assert (out / "recipe.yaml").read_bytes() == before
    prepare("quickstart-digits", TINY, out, None, resume=True)


@pytest.fixture(scope="module", params=[False, True], ids=["unconditional", "conditional"])
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model of two classes, `cat` and `dog`."""
    recipe = load_recipe("quickstart-digits", [*TINY, f"generator.conditional={request.param}"])
    made = provenance(recipe.model_dump(mode="json"), "none", "")
    folder = tmp_path_factory.mktemp("untrained") / "bundle"
    save_bundle(folder, "untrained", LatentModel(recipe.architecture((1, 28, 28), ("cat", "dog"))), made)
    return folder


def test_bad_sampling_is_named(refuse: Refuse, bundle: Path, request: pytest.FixtureRequest) -> None:
    refusals = {
        ("--solver", "rk5"): ["solver = 'rk5'", "euler, heun"],
        ("--out", "picture.bmp"): ["--out picture.bmp", ".png or .gif or .mp4 or .npz"],
        ("--out", "picture"): ["--out picture", "no suffix", ".png or .gif or .mp4 or .npz"],
    }
    if "unconditional" in request.node.name:
        refusals[("--labels", "cat")] = ["--labels cat", "unconditional", "leave --labels out"]
    else:
        refusals[("--labels", "cow")] = ["--labels cow", "cat, dog"]
        refusals[("--labels", "cat,3")] = ["--labels 3", "cat, dog"]
        refusals[("--labels", "")] = ["--labels", "cat, dog"]
    for arguments, fragments in refusals.items():
        code, line = refuse("sample", bundle, "-n", 4, "--steps", 1, *arguments)
        assert code == 2
        assert [part for part in fragments if part not in line] == []


@pytest.mark.parametrize("command", ["sample", "judge"])
def test_missing_bundle_is_named(refuse: Refuse, command: str) -> None:
    code, line = refuse(command, "nowhere")
    assert code == 1
    assert "nowhere" in line
    assert "card.json and weights.safetensors" in line


@pytest.mark.parametrize("command", ["sample", "judge", "check", "export", "analyse", "pack"])
def test_a_misspelt_folder_is_answered_with_its_neighbour(refuse: Refuse, tmp_path: Path, command: str) -> None:
    (tmp_path / "runs" / "quickstart").mkdir(parents=True)
    for named in ("runs/quikstart", "run/quickstart"):
        code, line = refuse(command, tmp_path / named)
        assert code != 0
        assert f"did you mean '{tmp_path / 'runs' / 'quickstart'}'?" in line


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        (["--dataset", "cifar"], ["--dataset", "'cifar'", "mnist, fashion-mnist, kmnist, digits, folder:PATH"]),
        (["--dataset", "digits", "--size", "16"], ["size = 16", "folder:PATH only"]),
        (["widht=8"], ["judge", "'widht'", "did you mean 'width'"]),
        (["fit.epochs=-1"], ["judge", "fit.epochs = -1", "greater than 0"]),
    ],
)
def test_impossible_judge_is_named(refuse: Refuse, arguments: list[str], fragments: list[str]) -> None:
    code, line = refuse("judge", "train", *arguments)
    assert code == 2
    assert [part for part in fragments if part not in line] == []


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A folder that this user cannot write to: by its mode, or by its mount for root, whom no mode stops."""
    if os.geteuid() == 0:
        with mounted(tmp_path / "sealed", "ro,size=1m") as folder:
            yield folder
    else:
        folder = tmp_path / "sealed"
        folder.mkdir(mode=0o500)
        yield folder
        folder.chmod(0o700)


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A folder on a full disk."""
    with mounted(tmp_path / "full", "size=64k") as folder:
        with suppress(OSError), (folder / "ballast").open("wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
        assert shutil.disk_usage(folder).free == 0
        yield folder


@pytest.mark.parametrize(("place", "reason"), [("read_only", ("read-only", "permission denied")), ("full", ("full",))])
def test_unwritable_folder_stops_a_run_before_it_starts(
    refuse: Refuse, request: pytest.FixtureRequest, place: str, reason: tuple[str, ...]
) -> None:
    folder = request.getfixturevalue(place)
    code, line = refuse("train", "quickstart-digits", *TINY, "--out", folder / "run")
    assert code == 1
    assert str(folder / "run") in line
    assert any(word in line for word in reason)
    assert "choose another folder" in line


@pytest.mark.parametrize(
    ("out", "fragment"),
    [("~nobody-of-that-name/x", "~ stands for no folder here"), ("runs/\udcff", "bytes that are no UTF-8")],
)
def test_a_folder_that_cannot_be_meant_stops_a_run_before_it_starts(
    refuse: Refuse, tmp_path: Path, out: str, fragment: str
) -> None:
    _, said = refuse("train", "quickstart-digits", *TINY, "--out", out)
    assert fragment in said
    assert not list(tmp_path.iterdir())


def test_disk_that_fills_up_during_a_run(refuse: Refuse, tmp_path: Path) -> None:
    with mounted(tmp_path / "small", "size=48k") as folder:
        code, line = refuse(
            "train", "quickstart-digits", *TINY, "training.autoencoder.epochs=0.1", "--out", folder / "run"
        )
        assert code == 1
        assert str(folder / "run") in line
        assert "the disk is full" in line
        assert list(folder.rglob("*.part")) == []


def test_picture_on_an_unwritable_place(refuse: Refuse, bundle: Path, full: Path) -> None:
    code, line = refuse("sample", bundle, "-n", 4, "--steps", 1, "--out", full / "grid.png")
    assert code == 1
    assert str(full) in line
    assert "the disk is full" in line


@pytest.mark.parametrize(
    ("arguments", "code", "fragments"),
    [
        (["train", "quickstart-digits", "sed=1"], 2, ["unknown key 'sed'", "did you mean 'seed'"]),
        (["train", "quickstart-digits", "autoencoder.latent=[785]"], 2, ["autoencoder.latent = [785]", "784"]),
        (["sample", "nowhere"], 1, ["nowhere", "card.json"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_refusal_in_a_process_of_its_own(
    arena: Arena, tmp_path: Path, arguments: list[str], code: int, fragments: list[str]
) -> None:
    done = arena(*arguments, *(["--out", tmp_path / "out"] if arguments[0] == "train" else []))
    found, line = one_line(done.returncode, done.stderr)
    assert found == code
    assert done.stdout == ""
    assert [part for part in fragments if part not in line] == []


@pytest.mark.parametrize(
    ("words", "near"),
    [
        (["train", "quickstart-digits", "generator.backbone=mlp_smal"], "mlp_small"),
        (["train", "quickstart-digits", "generator.backbone={kind: mpl}"], "mlp"),
        (["train", "quickstart-digits", "training.generator.loss={kind: pseudohuber}"], "pseudo_huber"),
        (["train", "quickstart-digits", "--accelerator", "cdua"], "cuda"),
        (["train", "quickstart-digits", "--precision", "bf16-mixd"], "bf16-mixed"),
        (["show", "paht", "zoo:quickstart"], "paths"),
        (["inpaint", "zoo:quickstart", "--hide", "rigth"], "right"),
        (["serve", "opne"], "open"),
        (["board", "rank", "raw.csv", "--contest", "contest-205"], "contest-2025"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_word_that_is_nearly_one_is_answered_with_it(refuse: Refuse, words: list[str], near: str) -> None:
    code, line = refuse(*words)
    assert code > 0
    assert f"did you mean '{near}'?" in line


@pytest.mark.parametrize("token", ["la_sécret", "la_se\ncret", "la_se\r\nX-Other: cret", "la se cret", "la_se\tcret"])
@pytest.mark.parametrize("where", ["variable", "file"])
def test_a_token_that_no_header_carries_is_refused_and_not_shown(
    refuse: Refuse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: str, where: str
) -> None:
    file = tmp_path / "token"
    file.write_bytes(token.encode("latin-1"))  # which is no UTF-8 where it has an accent
    monkeypatch.setenv("ARENA_TOKEN", token if where == "variable" else "")
    named = ["--token-file", file] if where == "file" else []
    code, said = refuse("status", "--to", "http://127.0.0.1:1", *named)
    assert code == 2
    assert said.startswith("the token holds a space, a line break or a letter that no token has")
    assert "copy it anew" in said
    assert "cret" not in said.replace("secret", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("words", [["zoo"], ["recipes"], ["--help"], ["study", "--help"], ["--version"]], ids=" ".join)
def test_output_that_cannot_be_written_is_told_in_one_line(words: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "latentarena", *words], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    code, said = one_line(done.returncode, done.stderr)
    assert (code, said) == (
        1,
        "cannot write the output: No space left on device; free some space, or send it elsewhere",
    )


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ["sample", "zoo:one-step", "--steps", "8"],
            "--steps 8: one-step was trained for one step from",
        ),
        (
            ["interpolate", "zoo:one-step"],
            "the way between noise and data: 'one-step' goes from noise",
        ),
        (
            ["likelihood", "zoo:one-step", "-n", "2"],
            "likelihood: 'one-step' goes from noise",
        ),
        (["inpaint", "zoo:one-step", "--index", "0"], "filling in: 'one-step' goes from noise"),
    ],
    ids=["sample", "interpolate", "likelihood", "inpaint"],
)
def test_a_model_of_one_step_is_asked_for_no_more(
    words: list[str], says: str, refuse: Refuse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("latentarena.evaluate.scoring.data_of", lambda *_: None)  # MNIST
    code, line = refuse(*words)
    assert code == 2
    assert line.startswith(says)
    assert "such as zoo:quickstart" in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    ["pack", "analyse", "judge", "sample", "check", "export", "retrain", "submit --to http://localhost:9"],
)
def test_of_several_trainings_one_is_to_be_chosen(
    words: str, refuse: Refuse, tmp_path: Path, tiny_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARENA_TOKEN", "token")
    for seed in (1, 0):
        shutil.copytree(tiny_run, tmp_path / "several" / f"seed-{seed}")
    _, line = refuse(*words.split(), "several")
    assert line == "several holds 2 trainings; choose one: several/seed-0"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("sample zoo:digits -n 0", "(see arena sample --help)"),
        ("judge zoo:digits --samples 3", "(see arena judge bundle --help)"),
        ("board rank", "(see arena board rank --help)"),
        ("compare a b", "No such command 'compare'. (see arena --help)"),
        ("recipes quickstart", "; a recipe is shown by arena recipes show quickstart (see arena recipes --help)"),
        ("zoo quickstart", "; images of a model are drawn by arena sample zoo:quickstart (see arena zoo --help)"),
    ],
)
def test_a_refusal_names_the_help_that_lists_what_is_asked_for(words: str, says: str, refuse: Refuse) -> None:
    _, line = refuse(*words.split())
    assert line.endswith(says)
