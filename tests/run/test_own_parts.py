"""Parts of users' own: registered by a file or a package, trained, judged, exported; never imported for a stranger."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from collections.abc import Generator
from pathlib import Path

import pytest
import torch

import latentarena as la
from command import TINY, Arena
from latentarena.arena.contest_files import load_contest
from latentarena.autoencoder import AUTOENCODERS, build_autoencoder
from latentarena.backbone import BACKBONES, build_backbone
from latentarena.bundle import BOXED, OWN, open_bundle
from latentarena.data.digits import embedded_digits
from latentarena.documents import read_yaml
from latentarena.errors import BundleError, ConfigError, GateError
from latentarena.evaluate.contests import CONTESTS
from latentarena.evaluate.evaluate import refuse_ineligible
from latentarena.judge.classifier import Judge
from latentarena.parts import fault_in_parts, foreign_in, load_parts
from latentarena.process import PATHS
from latentarena.process import Path as Process
from latentarena.registry import source_behind
from latentarena.run.pipeline import prepare
from latentarena.train.fabric import make_fabric
from latentarena.train.recipe import load_recipe
from latentarena.train.reuse import Reuse
from own_parts import EXAMPLE, GATED, restored


@pytest.fixture(autouse=True)
def as_before() -> Generator[None]:
    with restored():
        yield


@pytest.fixture(scope="module")
def gated_run(tmp_path_factory: pytest.TempPathFactory, arena: Arena, digits_judge: Judge) -> Path:
    """The folder of a run of the example's recipe, trained and judged by the command line."""
    folder = tmp_path_factory.mktemp("gated") / "run"
    done = arena("train", EXAMPLE / "gated.yaml", *TINY, "--out", folder, "--samples", 100)
    assert done.returncode == 0, done.stderr
    assert f"--plugin {GATED}" in done.stdout
    return folder


def test_a_run_is_judged_and_its_card_names_the_part(gated_run: Path) -> None:
    assert json.loads((gated_run / "score.json").read_text())["scores"]["frechet"]["value"] > 0
    card = json.loads((gated_run / "bundle" / "card.json").read_text())
    (part,) = card["parts"]
    assert (part["kind"], part["name"], part["source"]) == ("backbone", "gated", "gated_parts.py")
    assert card["provenance"]["recipe"]["parts"] == ["gated_parts.py"]  # and no path of this machine


def test_a_bundle_is_opened_once_its_parts_are_loaded(gated_run: Path) -> None:
    with pytest.raises(BundleError, match=r"backbone 'gated' of gated_parts.py, which is not loaded; give .* --plugin"):
        open_bundle(gated_run / "bundle", trust=OWN)
    assert la.load(gated_run, parts=[GATED]).sample(3).shape == (3, 1, 28, 28)


def test_a_server_refuses_it_whether_the_part_is_loaded_or_not(gated_run: Path, tmp_path: Path) -> None:
    forged = tmp_path / "forged"
    shutil.copytree(gated_run / "bundle", forged)
    card = json.loads((forged / "card.json").read_text())
    (forged / "card.json").write_text(json.dumps(card | {"parts": []}))  # it does not say so
    for loaded in (False, True):
        if loaded:
            load_parts([GATED])
        for bundle in (gated_run / "bundle", *[forged] * loaded):
            with pytest.raises(GateError, match=r"'gated' of gated_parts.py.*arena export BUNDLE") as refusal:
                open_bundle(bundle, trust=BOXED)
            assert refusal.value.reason == "parts"


def test_a_run_remembers_the_files_it_was_trained_with(tmp_path: Path, arena: Arena) -> None:
    """Those of the command that the recipe uses, and no others; so what the run tells to type works as it stands."""
    own, other, run = tmp_path / "sub" / "mine.py", tmp_path / "other.py", tmp_path / "run"
    own.parent.mkdir()
    shutil.copy(GATED, own)
    other.write_text(OVAL)
    how = ("--plugin", os.path.relpath(own))
    chosen = ("generator.backbone={kind: gated}", *(one for one in TINY if "width=16" not in one))
    done = arena("train", "quickstart-digits", *chosen, *how, "--plugin", other, "--out", run, "--no-judge")
    assert done.returncode == 0, done.stderr
    assert read_yaml(run / "recipe.yaml")["parts"] == [str(own)]
    assert json.loads((run / "bundle" / "card.json").read_text())["provenance"]["recipe"]["parts"] == ["mine.py"]
    again = next(line for line in done.stdout.splitlines() if "recipe.yaml seed=1" in line)
    assert again.endswith(f" --plugin {own}")
    repeated = arena(*shlex.split(again)[1:], "--no-judge")
    assert repeated.returncode == 0, repeated.stderr
    bare = arena("train", run / "recipe.yaml", "--out", tmp_path / "bare", "--no-judge")
    assert bare.returncode == 0, bare.stderr


def test_a_file_of_metrics_alone_is_no_part_of_what_a_bundle_was_trained_with(tmp_path: Path) -> None:
    ink = tmp_path / "ink.py"
    ink.write_text(INK)
    how = {"training.autoencoder.epochs": 0.1, "training.generator.epochs": 0.1, "metrics": ["ink"]}
    run = tmp_path / "run"
    made = la.train("quickstart-digits", folder=run, judged=False, progress=False, parts=[ink], **how)
    assert read_yaml(run / "recipe.yaml")["parts"] == [str(ink)]
    provenance = made.bundle.card.provenance
    assert provenance is not None
    assert provenance.recipe["parts"] == []


def test_what_a_file_imports_is_remembered_by_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "beside_oval.py").write_text(OVAL)
    (tmp_path / "own.py").write_text("import beside_oval\n")
    monkeypatch.syspath_prepend(tmp_path)
    load_parts([tmp_path / "own.py"])
    assert load_recipe("quickstart-digits", ["generator.path=oval"]).parts == (str(tmp_path / "own.py"),)
    assert load_recipe("quickstart-digits").parts == ()


STRIPES = """
import torch
from latentarena.data import DATASETS, Dataset, Images

@DATASETS.register("stripes")
def stripes(root):
    "Bars, upright or lying, at random places."
    place, lying = torch.randint(10, (400,)), torch.randint(2, (400,))
    rows = torch.zeros(400, 1, 12, 12, dtype=torch.uint8)
    for i, at in enumerate(place.tolist()):
        rows[i, 0, at : at + 2] = 255
    pixels = torch.where(lying.bool().view(-1, 1, 1, 1), rows, rows.mT)
    return Dataset.of("stripes", Images(pixels[80:], lying[80:]), Images(pixels[:80], lying[:80]), ("upright", "lying"))

@DATASETS.register("nothing")
def nothing(root):
    return None
"""


def test_a_dataset_of_ones_own_is_trained_on(tmp_path: Path, arena_here: Arena) -> None:
    (tmp_path / "own.py").write_text(STRIPES)
    own = ("--plugin", tmp_path / "own.py")
    listed = arena_here("parts", *own).stdout
    assert f"stripes: of {tmp_path / 'own.py'}" in listed
    assert "mnist, fashion-mnist" in listed
    done = arena_here("data", "stripes", *own, "--out", tmp_path / "sheet.png")
    assert "lying" in done.stdout, done.stderr
    how = ("data.name=stripes", *TINY, *own, "--no-judge", "--out", tmp_path / "run")
    done = arena_here("train", "quickstart-digits", *how)
    assert done.returncode == 0, done.stderr
    assert la.load(tmp_path / "run").sample(2).shape == (2, 1, 12, 12)
    done = arena_here("train", "quickstart-digits", *how, "data.name=nothing")
    assert (done.returncode, "its loader gave NoneType, not a latentarena.data.Dataset" in done.stderr) == (1, True)


def test_a_dataset_that_is_not_loaded_is_unknown(tmp_path: Path, arena_here: Arena) -> None:
    done = arena_here("train", "quickstart-digits", "data.name=stripes", "--out", tmp_path)
    assert done.returncode != 0
    assert "stripes" in done.stderr
    assert "digits, folder:PATH" in " ".join(done.stderr.split())


def test_nothing_that_a_card_names_is_imported(gated_run: Path, tmp_path: Path) -> None:
    trap, ran = tmp_path / "trap.py", tmp_path / "ran"
    trap.write_text(f"open({str(ran)!r}, 'w')\n")
    bundle = tmp_path / "bundle"
    shutil.copytree(gated_run / "bundle", bundle)
    card = json.loads((bundle / "card.json").read_text())
    card["parts"][0]["source"] = str(trap)
    card["provenance"]["recipe"]["parts"] = [str(trap)]
    (bundle / "card.json").write_text(json.dumps(card))
    shutil.copy(trap, bundle.parent / "gated_parts.py")
    for trust in (OWN, BOXED):
        with pytest.raises(BundleError, match="gated"):
            open_bundle(bundle, trust=trust)
    assert not ran.exists()


def test_the_portable_form_needs_no_parts(gated_run: Path, tmp_path: Path) -> None:
    native = la.load(gated_run, parts=[GATED])
    la.export(native, tmp_path / "portable")
    drawn = native.sample(4)
    with restored():
        portable = la.load(tmp_path / "portable")
    assert torch.allclose(portable.sample(4), drawn, atol=1e-4)
    assert "parts" not in json.loads((tmp_path / "portable" / "card.json").read_text())


SQUARES = """
import torch

from latentarena.data import DATASETS, Dataset, Images


@DATASETS.register("squares")
def squares(root):
    def split(seed):
        rows = torch.Generator().manual_seed(seed)
        sizes = torch.randint(4, 14, (300,), generator=rows)
        pixels = torch.randint(0, 60, (300, 1, 16, 16), generator=rows, dtype=torch.uint8)
        for image, size in zip(pixels, sizes.tolist()):
            image[:, :size, :size] += 190
        return Images(pixels, (sizes > 8).long())

    return Dataset.of("squares", split(0), split(1), ("small", "large"))
"""


def test_a_model_of_ones_own_data_is_used_without_them(tmp_path: Path, arena_here: Arena) -> None:
    own, run, portable = tmp_path / "squares.py", tmp_path / "run", tmp_path / "portable"
    own.write_text(SQUARES)
    with restored():
        how = ("data.name=squares", "--plugin", own, "--no-judge", "--out", run)
        done = arena_here("train", "quickstart-digits", *TINY, *how)
        assert done.returncode == 0, done.stderr
    done = arena_here("export", run / "bundle", "--out", portable)
    assert done.returncode == 0, done.stderr
    drawn = [la.load(bundle).sample(3) for bundle in (run, portable)]
    torch.testing.assert_close(*drawn, atol=1e-4, rtol=0)
    for what in (run, portable):
        with pytest.raises(ConfigError, match=r"dataset 'squares' is unknown; .*--plugin FILE, in Python parts="):
            la.judge(what)
    with pytest.raises(GateError, match="a model of squares, not of mnist"):
        refuse_ineligible(open_bundle(portable, trust=OWN), load_contest("open").eligibility, None)


def test_a_run_of_ones_own_parts_is_packed_with_them(gated_run: Path, tmp_path: Path, arena_here: Arena) -> None:
    run, out, rules = tmp_path / "my run", tmp_path / "submission", tmp_path / "class.yaml"
    shutil.copytree(gated_run, run)
    rules.write_text((CONTESTS / "open.yaml").read_text().replace("dataset: mnist", "dataset: digits"))
    done = arena_here("analyse", run, "--plugin", GATED, "--contest", rules, "--out", tmp_path / "analysis")
    told = [shlex.split(line)[1:] for line in done.stdout.splitlines() if line.startswith("then: ")]
    assert [one[:2] for one in told] == [["arena", "export"], ["arena", "judge"], ["arena", "analyse"]], done.stderr
    assert all(str(GATED) in one for one in told)
    done = arena_here("pack", run, "--plugin", GATED, "--contest", rules)
    assert done.returncode != 0
    export, judge, pack = done.stderr.partition("for a run of it: ")[2].strip().split(", ")
    for command in (export, f"{judge} --samples 100"):  # as a shell reads them, the space of the name included
        done = arena_here(*shlex.split(command.replace("FILE", str(GATED)))[1:])
        assert done.returncode == 0, done.stderr
    done = arena_here(*shlex.split(pack)[1:], "--contest", rules, "--out", tmp_path / "without")
    told = "recipe.yaml needs gated_parts.py to train it again, which is not packed; add --plugin FILE"
    assert told in " ".join(done.stdout.split()), done.stderr
    done = arena_here(*shlex.split(pack)[1:], "--plugin", GATED, "--contest", rules, "--out", out)
    assert told not in " ".join(done.stdout.split())
    assert "decode.onnx" in {path.name for path in out.rglob("*")}, done.stderr + done.stdout
    assert (out / "recipe.yaml").read_text().count("gated_parts.py") == (out / "gated_parts.py").is_file()


def test_a_run_is_not_gone_on_with_after_the_source_has_changed(
    gated_run: Path, tmp_path: Path, arena_here: Arena
) -> None:
    folder, changed = tmp_path / "run", tmp_path / "gated_parts.py"
    shutil.copytree(gated_run, folder)
    changed.write_text(GATED.read_text() + "\n# another version\n")
    shutil.copy(EXAMPLE / "gated.yaml", tmp_path)
    done = arena_here("train", tmp_path / "gated.yaml", *TINY, "--out", folder, "--resume", "--no-judge")
    assert done.returncode == 2
    assert "holds a run with another version of gated_parts.py; choose another --out" in done.stderr


def test_a_recipe_without_its_parts_is_refused(tmp_path: Path) -> None:
    shutil.copy(EXAMPLE / "gated.yaml", tmp_path)
    with pytest.raises(ConfigError, match=r"parts .*gated_parts.py: No such file"):
        load_recipe(str(tmp_path / "gated.yaml"))
    with pytest.raises(ConfigError, match=r"'gated': choose from mlp, conv, unet, dit; one of your own .*--plugin"):
        load_recipe("quickstart-digits", ["generator.backbone={kind: gated}"])
    load_parts([GATED])
    recipe = load_recipe("quickstart-digits", ["generator.backbone={kind: gated}", "generator.backbone.width=8"])
    assert recipe.generator.backbone.model_dump() == {"kind": "gated", "width": 8, "depth": 3, "conditioning": 16}
    assert [part.name for part in foreign_in(recipe)] == ["gated"]


def test_the_source_of_a_part_is_in_the_keys_of_stages(tmp_path: Path) -> None:
    data, fabric = embedded_digits(), make_fabric("cpu")
    keys, own = [], tmp_path / "own.py"
    for comment in ("", "# another version\n", ""):
        own.write_text(GATED.read_text() + comment)
        load_parts([own])
        recipe = load_recipe("quickstart-digits", ["generator.backbone={kind: gated}"])
        keys.append(Reuse(recipe, data, fabric, tmp_path)._key("generator"))
    assert keys[0] == keys[2] != keys[1]


INK = """
from typing import ClassVar, Literal

from latentarena.judge.metrics import OWN_METRICS, OwnMetric, mean_of

@OWN_METRICS.register("ink")
class Ink(OwnMetric):
    kind: Literal["ink"] = "ink"
    title: ClassVar[str] = "ink"
    what: ClassVar[str] = "how much"

    def of_samples(self, samples):
        return mean_of(samples.images.double().flatten(1).mean(1))
"""
OVAL = """
from latentarena.process import COUPLINGS, PATHS, Path
from latentarena.sample import SOLVERS, Method, euler

@PATHS.register("oval")
class Oval(Path):
    def alpha(self, t):
        return 1 - t**2
    def sigma(self, t):
        return t

COUPLINGS.register("turned")(lambda data, noise: noise.flip(0))
SOLVERS.register("plain")(Method(lambda eta, fresh: euler, 1, 1))
"""


def test_parts_without_settings_are_named_by_recipes(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OVAL)
    how = ["generator.path=oval", "training.generator.coupling=turned", "sampling.solver=plain"]
    with pytest.raises(ConfigError, match=r"choose from straight.*; one of your own needs its file: --plugin FILE"):
        load_recipe("quickstart-digits", how)
    load_parts([tmp_path / "own.py"])
    recipe = load_recipe("quickstart-digits", how)
    assert [part.words for part in foreign_in(recipe)] == [
        "coupling 'turned' of own.py",
        "path 'oval' of own.py",
        "solver 'plain' of own.py",
    ]
    short = {"training.autoencoder.epochs": 0.1, "training.generator.epochs": 0.1}
    changes = dict(one.split("=") for one in how) | short
    made = la.train("quickstart-digits", folder=tmp_path / "run", judged=False, progress=False, **changes)
    assert [part["name"] for part in json.loads((tmp_path / "run/bundle/card.json").read_text())["parts"]] == [
        "oval",
        "plain",
    ]
    assert made.sample(2).shape[0] == 2


FUNCTION = """from latentarena.process import COUPLINGS
from latentarena.sample import SOLVERS


def own(one):
    return one


"""


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("x = 1\nnothing\n", "line 2: NameError: name 'nothing' is not defined"),
        ("def (:\n", "SyntaxError"),
        (OVAL.replace('"oval"', '"straight"'), "path 'straight' of own.py: latentarena has one of this name"),
        (OVAL.replace('"oval"', '"The Oval"'), "a name of small letters, digits, - and _ is wanted"),
        (GATED.read_text().replace('register("gated")', 'register("other")'), "kind: Literal['other'] = 'other'"),
        (
            GATED.read_text().replace("def build", "def make"),
            "'gated' of own.py cannot be built: give it a method build(",
        ),
        (GATED.read_text().replace(", times: int = 1) ->", ") ->"), "build(self, latent, classes, times=1)"),
        (
            OVAL.replace("def sigma", "def beta"),
            "path 'oval' of own.py is none: register a class of latentarena.process.Path",
        ),
        (
            f"{FUNCTION}SOLVERS.register('mine')(own)",
            "solver 'mine' of own.py is none: register a latentarena.sample.Method",
        ),
        (f"{FUNCTION}COUPLINGS.register('mine')(own)", "is none: register a function of data and noise"),
        (f"{FUNCTION}COUPLINGS.register(own)", "coupling without a name: register it with one"),
        ("import sys\nsys.exit(3)\n", "it ends the program as it is loaded; leave sys.exit() out"),
        ("import beside\n", "No module named 'beside'; what lies beside it is not found: put all into one file"),
        ("from . import beside\n", "what lies beside it is not found"),
    ],
)
def test_a_file_that_cannot_be_loaded_is_refused_with_its_line(source: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(source)
    (tmp_path / "beside.py").write_text("")
    with pytest.raises(ConfigError) as refusal:
        load_parts([tmp_path / "own.py"])
    assert said in str(refusal.value)
    assert "own.py" in str(refusal.value)


def test_a_name_belongs_to_the_file_that_took_it_first(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "own.py").write_text(OVAL)
    load_parts([tmp_path / "a" / "own.py"])
    first = PATHS["oval"]
    load_parts([tmp_path / "b" / "own.py"])  # the same source: as of a file that is installed, too
    assert PATHS["oval"] is first
    (tmp_path / "b" / "own.py").write_text(f"{OVAL}\n# another version\n")
    with pytest.raises(ConfigError, match=rf"path 'oval' of own.py: {tmp_path}/a/own.py has one of this name"):
        load_parts([tmp_path / "b" / "own.py"])
    assert PATHS["oval"] is first
    assert issubclass(first, Process)
    assert len(source_behind(first)) == 64
    assert source_behind(Process) == ""


WRONG = """
from typing import Literal

import torch
from torch import nn

from latentarena.autoencoder import AUTOENCODERS, Autoencoder, Posterior
from latentarena.config import Config


class Halves(Autoencoder):
    encoding = ()
    latent_shape = (1, 14, 28)

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))

    def encode(self, images):
        return ENCODED

    def decode(self, latents):
        return DECODED


@AUTOENCODERS.register("halves")
class HalvesConfig(Config):
    kind: Literal["halves"] = "halves"

    def build(self, shape):
        return Halves()
"""
HALF = "images[:, :, :14]"
WHOLE = "torch.cat([latents, self.gain * latents], 2)"


@pytest.mark.parametrize(
    ("encoded", "decoded", "says"),
    [
        (f"Posterior.certain({HALF})", WHOLE, None),
        (HALF, WHOLE, r"encode gives a Tensor; give a Posterior: Posterior\.certain\(latents\)"),
        ("Posterior.certain(images)", WHOLE, r"encode gives \[2, 1, 28, 28\] for two images; \[2, 1, 14, 28\] is"),
        (f"Posterior.certain({HALF})", "latents", r"decode gives \[2, 1, 14, 28\] for two images"),
        ("self.missing", WHOLE, r"fails on two images \[1, 28, 28\]: AttributeError: .*'missing'"),
    ],
)
def test_an_autoencoder_of_ones_own_is_tried_before_it_is_trained(
    tmp_path: Path, encoded: str, decoded: str, says: str | None
) -> None:
    own = tmp_path / "halves.py"
    own.write_text(WRONG.replace("ENCODED", encoded).replace("DECODED", decoded))
    load_parts([own])
    shape = (1, 28, 28)
    if says is None:
        made = build_autoencoder(AUTOENCODERS["halves"](), shape)
        assert made.training
        assert load_recipe("quickstart-digits", ["autoencoder={kind: halves}"]).autoencoder.kind == "halves"
        return
    with pytest.raises(ConfigError, match=rf"^autoencoder 'halves' of halves\.py: .*{says}"):
        build_autoencoder(AUTOENCODERS["halves"](), shape)


NETWORK = """
from typing import Literal

from torch import nn

from latentarena.backbone import BACKBONES
from latentarena.config import Config


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, SIGNATURE):
        return ANSWER


@BACKBONES.register("net")
class NetConfig(Config):
    kind: Literal["net"] = "net"

    def build(self, latent, classes, times=1):
        return MADE
"""


@pytest.mark.parametrize(
    ("signature", "answer", "made", "says"),
    [
        ("x, t, labels", "self.layer(x)", "Net()", None),
        (
            "x, t",
            "self.layer(x)",
            "Net()",
            r"fails on x \[2, 4\], t \[2\] and labels \[2\]: TypeError: .* 3 positional",
        ),
        ("x, t, labels", "self.layer(x) / nothing", "Net()", "line 16: NameError: name 'nothing'"),
        ("x, t, labels", "self.layer(x)[:, :3]", "Net()", r"gives \[2, 3\] for x of \[2, 4\]; give the shape of x"),
        ("x, t, labels", "(self.layer(x), t)", "Net()", "gives a tuple for x of"),
        ("x, t, labels", "self.layer(x.mul_(2))", "Net()", "changes x or t in place; let it work on a copy"),
        ("x, t, labels", "x", "lambda x, t, labels: x", "build gives a function; give a torch.nn.Module"),
    ],
)
def test_a_network_of_ones_own_is_tried_before_anything_is_trained(
    tmp_path: Path, signature: str, answer: str, made: str, says: str | None
) -> None:
    own = tmp_path / "own.py"
    own.write_text(NETWORK.replace("SIGNATURE", signature).replace("ANSWER", answer).replace("MADE", made))
    load_parts([own])
    config = BACKBONES["net"]()
    if says is None:
        assert build_backbone(config, (4,), 10).training
        return
    with pytest.raises(ConfigError, match=rf"^backbone 'net' of own\.py: .*{says}"):
        build_backbone(config, (4,), 10)


FAILING = """
from typing import Literal

import torch

from latentarena.config import Config
from latentarena.process import COUPLINGS, LOSSES, TIMES, WEIGHTINGS
from latentarena.sample import GUIDES, SOLVERS, Method
from latentarena.train.error import ERRORS

COUPLINGS.register("short")(lambda data, noise: noise[:2])
COUPLINGS.register("halved")(lambda data, noise: noise.flip(0) / 2)
TIMES.register("missing")(lambda draws, n: draws.missing(n))
TIMES.register("ddpm")(lambda draws, n: torch.randint(1000, (n,)))
WEIGHTINGS.register("flat")(lambda at, row: at.alpha.flatten())
SOLVERS.register("missing")(Method(lambda eta, fresh: lambda path, denoise, labels: lambda x, t, s: x.missing, 1, 1))


@LOSSES.register("by_row")
class ByRow(Config):
    kind: Literal["by_row"] = "by_row"
    scale: float = 0.0

    def build(self):
        def loss(network, lesson):
            errors = network(lesson.x, lesson.t, lesson.labels) - lesson.answer
            return errors.flatten(1).mean(1) if not self.scale else errors.mean() * float('nan')
        return loss


@LOSSES.register("still")
class Still(Config):
    kind: Literal["still"] = "still"

    def build(self):
        return lambda network, lesson: (network(lesson.x, lesson.t, lesson.labels) - lesson.answer).mean().detach()


@LOSSES.register("unbuilt")
class Unbuilt(Config):
    kind: Literal["unbuilt"] = "unbuilt"

    def build(self):
        return lambda lesson: 0


@ERRORS.register("error")
class Error(Config):
    kind: Literal["error"] = "error"
    how: str = ""

    def build(self):
        return {
            "number": lambda a, b: float(((a - b) ** 2).mean()),
            "numpy": lambda a, b: ((a - b) ** 2).detach().numpy().mean(),
            "detached": lambda a, b: ((a - b) ** 2).mean().detach(),
            "marked": lambda a, b: torch.tensor(float(((a - b) ** 2).mean()), requires_grad=True),
            "row": lambda a, b: ((a - b) ** 2).flatten(1).mean(1),
            "place": lambda a, b: (a.sigmoid_() - b.exp()).square_().mean() + a.clamp_(0).log_().mean(),
        }.get(self.how)


@GUIDES.register("alone")
class Alone(Config):
    kind: Literal["alone"] = "alone"

    def build(self, model):
        return lambda denoise: lambda x, t, labels: model.weaker(x, t, labels)
"""


ERROR = r"reconstruction error 'error' of own\.py"
UNMOVED = r"a number that no weight of the network moves; leave detach\(\), item\(\)"


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("training.generator.coupling=short", r"^coupling 'short' of own\.py gives \[2, 16\] for a batch of 8"),
        (
            "training.generator.coupling=halved",
            r"^coupling 'halved' of own\.py gives other numbers than the noise \(a mean square of 0.*noise\[order\]",
        ),
        ("training.generator.times=ddpm", r"^times 'ddpm' of own\.py gives times from \d+ to 9\d\d; times in \[0, 1\]"),
        ("training.reflow={epochs: 1, times: ddpm}", r"^times 'ddpm' of own\.py gives times from"),
        ("training.generator.times=missing", "no attribute 'missing'"),
        ("training.generator.weighting=flat", r"weighting 'flat' of own\.py gives \[8\]"),
        (
            "training.generator.loss={kind: by_row}",
            r"^loss 'by_row' of own\.py gives \[8\]; a tensor of one number is wanted",
        ),
        ("training.generator.loss={kind: still}", rf"^loss 'still' of own\.py gives {UNMOVED}"),
        (
            "training.generator.loss={kind: unbuilt}",
            r"'unbuilt' of own\.py: build gives .* other arguments; give a function of a network and a Lesson",
        ),
        (
            "training.autoencoder.error={kind: error, how: number}",
            rf"^{ERROR} gives a float; a tensor of one number is",
        ),
        (
            "training.autoencoder.error={kind: error, how: numpy}",
            rf"^{ERROR} gives a float32; a tensor of one number is",
        ),
        ("training.autoencoder.error={kind: error, how: detached}", rf"^{ERROR} gives {UNMOVED}"),
        ("training.autoencoder.error={kind: error, how: marked}", rf"^{ERROR} gives {UNMOVED}"),
        (
            "training.autoencoder.error={kind: error, how: row}",
            rf"^{ERROR} gives \[8\]; a tensor of one number is wanted",
        ),
        ("training.autoencoder.error={kind: error}", rf"^{ERROR}: build gives a NoneType; give a function of reconstr"),
        (
            "training.autoencoder.error={kind: error, how: place}",
            rf"^{ERROR}: a step .* fails .*: RuntimeError: .*inplace",
        ),
        (
            "training.generator.loss={kind: by_row, scale: 1}",
            "generator: the loss of the first 8 images is nan",
        ),
        ("sampling.guide={kind: alone}", "'NoneType' object is not callable"),
        ("sampling.solver=missing", "no attribute 'missing'"),
    ],
)
def test_parts_of_later_stages_fail_before_the_first_is_trained(tmp_path: Path, override: str, says: str) -> None:
    (tmp_path / "own.py").write_text(FAILING)
    load_parts([tmp_path / "own.py"])
    with pytest.raises((ConfigError, AttributeError, TypeError), match=says) as fault:
        prepare("quickstart-digits", [override], tmp_path / "run")
    told = fault_in_parts(fault.value) if fault.type is not ConfigError else "own.py"
    assert "own.py" in told
    assert not (tmp_path / "run").exists()


def test_a_rehearsal_takes_stages_in_turn(tmp_path: Path) -> None:
    """The features of a perceptual loss are frozen once they are trained, before the autoencoder is."""
    (tmp_path / "own.py").write_text(OVAL)
    load_parts([tmp_path / "own.py"])
    features = ["training.features={epochs: 1}", "training.autoencoder.perceptual=0.1"]
    prepare("quickstart-digits", [*features, "training.generator.coupling=turned"], tmp_path / "run")
    assert (tmp_path / "run" / "recipe.yaml").exists()


def test_a_part_that_fails_while_it_is_used_is_told_by_its_file(tmp_path: Path, arena_here: Arena) -> None:
    own = tmp_path / "own.py"
    own.write_text(
        "from latentarena.data import DATASETS\n\n\n@DATASETS.register('lost')\ndef lost(folder):\n    return nothing\n"
    )
    done = arena_here("train", "quickstart-digits", "data.name=lost", "--plugin", own, "--out", tmp_path / "run")
    assert done.returncode == 1
    assert f"arena: parts {own}: line 6: NameError: name 'nothing' is not defined; " in done.stderr


@pytest.mark.parametrize(
    "times",
    ["[1.0, 0.5, 0.0]", "torch.linspace(1, 0, steps)", "torch.linspace(0, 1, steps + 1)"],
)
def test_a_time_grid_that_is_none_is_one_line(tmp_path: Path, times: str) -> None:
    own = tmp_path / "own.py"
    own.write_text(
        "import torch\n\nfrom latentarena.sample import GRIDS\n\n\n@GRIDS.register('own')\n"
        f"def own(path, steps):\n    return {times}\n"
    )
    load_parts([own])
    with pytest.raises(
        ConfigError, match=r"^time grid 'own' gives .* for 2 steps; a tensor of falling times is wanted"
    ):
        la.Process().sample(lambda x, t, labels: x, torch.zeros(2, 2), steps=2, grid="own")
