"""Portable bundles: the same images as the native ones, from files that any runtime reads; whatever is off is named."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import ModelProto, TensorProto, helper
from PIL import Image
from torch import Tensor, nn

from latentarena.autoencoder import AUTOENCODERS
from latentarena.backbone import BACKBONES
from latentarena.bundle import (
    OWN,
    BundleCard,
    NativeBundle,
    PortableBundle,
    PortableCard,
    export_bundle,
    export_modules,
    native_of,
    open_bundle,
)
from latentarena.bundle.portable import parameters_of
from latentarena.cli import main
from latentarena.errors import BundleError, ConfigError
from latentarena.evaluate.efficiency import time_sampling
from latentarena.evaluate.scoring import Panel, data_of, judge_bundle
from latentarena.files import digest
from latentarena.gates import Port, check_graph, check_in_box, open_files
from latentarena.judge.classifier import Judge
from latentarena.model.config import JUMP
from latentarena.sample import SOLVERS
from latentarena.train.recipe import load_recipe
from latentarena.use.sampling import ROUND, chosen_sampling
from untrained import CLASSES, SHAPE, native

FILES = ("encode.onnx", "decode.onnx", "generate.onnx")
MEANFLOW = [
    "meanflow-latent",
    "autoencoder={kind: mlp, latent: [3], widths: [16]}",
    "generator.backbone={kind: mlp, width: 16, depth: 1}",
]
MLP = [
    "quickstart-digits",
    "autoencoder={kind: mlp, latent: [3], widths: [16]}",
    "generator.backbone={kind: mlp, width: 16, depth: 1}",
]
KINDS = {  # few and small: an export takes seconds
    "deep compression, quantised, transformer, guided by itself": [
        "digitdreamer",
        "autoencoder={kind: dc, latent: [4, 4, 4], widths: [4], fsq_levels: 5}",
        "generator={backbone: {kind: dit, width: 8, depth: 1, heads: 2}, path: vp_linear, target: v}",
        "generator.conditional=true",
        "sampling={solver: consistency, steps: 1, guidance: 2}",
    ],
    "pixels, convolutions, guided by a classifier's gradient": [
        "classifier-guidance-pixel",
        "generator.backbone={kind: conv, width: 4, depth: 1, conditioning: 4}",
        "generator.classifier={width: 4, depth: 1, conditioning: 4}",
        "sampling={solver: ddim, steps: 1, guidance: 2}",
    ],
    "spatial, U-Net with a memory, guided by a weaker network in an interval": [
        "autoguidance-latent",
        "autoencoder={kind: conv, latent: [1, 4, 4], widths: [4]}",
        "generator.backbone={kind: unet, widths: [4], blocks: [1], attention: [0], heads: 2, conditioning: 4}",
        "generator.weaker={kind: conv, width: 4, depth: 1, conditioning: 4}",
        "sampling={solver: dpm_solver_pp, steps: 2, guidance: 1.5, interval: [0.7, 1]}",
    ],
    "linear, multi-layer perceptrons, guided by a classifier's gradient": [
        "classifier-guidance-latent",
        "autoencoder={kind: mlp, latent: [3], widths: [16]}",
        "generator.backbone={kind: mlp, width: 16, depth: 1}",
        "generator.classifier={width: 4, depth: 2, conditioning: 4}",
        "sampling={solver: euler, steps: 1, guidance: 2}",
    ],
    "one jump of a mean velocity": [*MEANFLOW, "sampling={solver: jump, steps: 1}"],
    "one jump of a plain mean velocity": [
        *MEANFLOW,
        "sampling={solver: jump, steps: 1}",
        "generator.correction=none",
    ],
    "a plain velocity": [*MLP, "generator.correction=none", "sampling={solver: heun, steps: 2}"],
    "the path of DDPM, Heun": [
        *MLP,
        "generator.path=vp_linear",
        "generator.target=v",
        "sampling={solver: heun, steps: 2}",
    ],
    "a corrected velocity, Euler": [*MLP, "sampling={solver: euler, steps: 2}"],
    **{solver: [*MLP, f"sampling={{solver: {solver}, steps: 1}}"] for solver in ("midpoint", "rk4")},
}


QUICK = MLP[:2]


@pytest.fixture(scope="module")
def portable(portable_folder: Path) -> PortableBundle:
    return open_bundle(portable_folder, trust=OWN)


@pytest.fixture
def copy(portable_folder: Path, tmp_path: Path) -> Path:
    """A portable bundle that a test may spoil."""
    return Path(shutil.copytree(portable_folder, tmp_path / "copy"))


def same(native: NativeBundle, portable: PortableBundle) -> None:
    """The same images, latents and reconstructions, whatever the number of rows."""
    one, other = native.model, portable.model
    for n in (1, 3, 17):
        noise, labels = other.noise(n, seed=n), torch.arange(n) % 10 if one.conditional else None
        assert torch.equal(noise, one.noise(n, seed=n))
        images = one.generate(noise, labels)
        assert float(images.std()) > 0.01
        torch.testing.assert_close(other.generate(noise, labels), images, atol=1e-4, rtol=0)
        latents = one.encode(images)
        torch.testing.assert_close(other.encode(images), latents, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(other.decode(latents), one.decode(latents), atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_native_and_portable_are_one_model(kind: str, tmp_path: Path) -> None:
    bundle = native(tmp_path / "native", *KINDS[kind])
    portable = export_bundle(bundle, tmp_path / "portable")
    same(bundle, portable)
    for name, content in open_files(tmp_path / "portable").items():
        if name in FILES:
            check_in_box(content, *portable.card.ports(name.removesuffix(".onnx")), name)
    assert portable.card.provenance == bundle.card.provenance
    assert portable.card.data == bundle.card.data
    assert portable.card.pixels == (not bundle.model.learned)
    assert portable.model.measured() == bundle.model.measured()
    for part, n in bundle.card.parameters.items():
        assert 0 <= portable.card.parameters[part] - n < 500, part


def test_every_registered_family_is_among_the_kinds() -> None:
    """So that none has other figures as a graph than natively."""
    recipes = [load_recipe(recipe, ["data={name: digits}", *overrides]) for recipe, *overrides in KINDS.values()]
    autoencoders = set(AUTOENCODERS)
    backbones = set(BACKBONES)
    assert {recipe.autoencoder.kind for recipe in recipes} == autoencoders
    assert {recipe.generator.backbone.kind for recipe in recipes} == backbones
    portable = set(SOLVERS) - {"dopri5", "ddpm", "sde"}  # consistency in one step adds no noise
    assert {recipe.sampling.solver for recipe in recipes} - {JUMP} == portable


def test_a_trained_model_is_one_model_in_both_forms(tiny_bundle: NativeBundle, portable: PortableBundle) -> None:
    same(tiny_bundle, portable)
    assert portable.digest != tiny_bundle.digest


def test_a_graph_is_plain(portable_folder: Path) -> None:
    for file in FILES:
        model = onnx.load(portable_folder / file, load_external_data=False)
        onnx.checker.check_model(model, full_check=True)
        assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 20)]
        assert not model.functions
        assert {node.domain for node in model.graph.node} == {""}
        assert not any(a.HasField("g") or a.graphs for node in model.graph.node for a in node.attribute)
        kinds = {tensor.data_type for tensor in model.graph.initializer}
        assert kinds <= {TensorProto.FLOAT, TensorProto.INT64}
        assert not model.metadata_props
        assert not any(node.metadata_props or node.doc_string for node in model.graph.node)


@pytest.mark.parametrize(
    ("sampling", "words"),
    [
        ("{solver: ddim, eta: 0.5}", "ddim adds fresh noise.*set sampling.eta to 0$"),
        ("{solver: ddpm}", "ddpm adds fresh noise.*euler, heun, midpoint, rk4, ddim, dpm_solver_pp$"),
        ("{solver: sde}", "sde adds fresh noise.*deterministic"),
        ("{solver: dopri5}", "dopri5 chooses its steps while it runs.*deterministic one of fixed steps: euler, heun"),
        ("{solver: consistency, steps: 2}", "consistency with 2 steps adds fresh noise.*steps to 1"),
    ],
)
def test_samplers_that_are_no_function_are_refused(sampling: str, words: str, tmp_path: Path) -> None:
    bundle = native(tmp_path / "native", *QUICK, f"sampling={sampling}")
    with pytest.raises(BundleError, match=words):
        export_bundle(bundle, tmp_path / "portable")
    assert not (tmp_path / "portable").exists()


class Coupling(nn.Module):
    """An affine coupling layer of a normalising flow: half of the numbers say how the others are scaled and moved."""

    def __init__(self, half: int, flip: bool) -> None:
        super().__init__()
        self.flip, self.label = flip, nn.Embedding(10, half)
        self.net = nn.Sequential(nn.Linear(half, 12), nn.LeakyReLU(), nn.BatchNorm1d(12), nn.Linear(12, 2 * half))

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        kept, moved = x.chunk(2, 1)[:: -1 if self.flip else 1]
        scale, shift = self.net(kept + self.label(labels)).chunk(2, 1)
        moved = moved * scale.tanh().exp() + shift
        return torch.cat([moved, kept] if self.flip else [kept, moved], 1)


class Picture(nn.Module):
    """Latents to images by a few outer products that are enlarged: no layer of it is in the lab."""

    def __init__(self) -> None:
        super().__init__()
        self.rows, self.columns = nn.Linear(6, 28), nn.Linear(6, 28)

    def forward(self, latents: Tensor) -> Tensor:
        rows, columns = (layer(latents).reshape(-1, 2, 14) for layer in (self.rows, self.columns))
        small = torch.einsum("nkh,nkw->nhw", rows, columns)[:, None]
        return nn.functional.interpolate(small, scale_factor=2, mode="bilinear").sigmoid()


class Flow(nn.Module):
    """A normalising flow from noise to latents, then to images."""

    def __init__(self, picture: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Coupling(3, bool(i % 2)) for i in range(3))
        self.picture = picture

    def forward(self, noise: Tensor, labels: Tensor) -> Tensor:
        for layer in self.layers:
            noise = layer(noise, labels)
        return self.picture(noise)


def test_any_modules_can_be_exported(tmp_path: Path, digits_judge: Judge) -> None:
    encode = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(784, 6), nn.Hardswish())
    decode = Picture()
    flow = Flow(decode).train()
    bundle = export_modules(
        tmp_path / "alien", "alien", encode, decode, flow, (1, 28, 28), (6,), (6,), CLASSES, True, dataset="digits"
    )
    assert flow.training, "modules are left in the mode they were in"
    flow.eval()
    for n in (1, 3, 17):
        noise, labels = bundle.model.noise(n, 0), torch.arange(n) % 10
        with torch.no_grad():
            torch.testing.assert_close(bundle.model.generate(noise, labels), flow(noise, labels), atol=1e-4, rtol=0)
    assert open_bundle(tmp_path / "alien", trust=OWN).digest == bundle.digest
    assert bundle.card.parameters["decoder"] - sum(p.numel() for p in decode.parameters()) in range(100)
    judged = judge_bundle(bundle, Panel(data_of(bundle, None), digits_judge), samples=100, timed=False)
    card, found = judged.card, judged.findings
    assert (card.solver, card.steps, card.latent, card.by_steps) == ("graph", 1, (6,), {})
    assert "train_seconds" not in card.scores
    assert found.asked is not None


RUNS = 4  # of the module itself at an export: three that it is tried by, one that shows how it calls others


class Counted(nn.Module):
    """A network that says when it is asked."""

    def __init__(self, told: Callable[[], None]) -> None:
        super().__init__()
        self.layer, self.told = nn.Linear(6, 6), told  # what is kept here the exporter would set back

    def forward(self, x: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
        self.told()
        shift = t[:, None] if labels is None else (t * labels)[:, None]
        return (self.layer(x) + shift).tanh()


class Stepped(nn.Module):
    """A sampler of so many steps, each of which asks its network with labels and without."""

    def __init__(self, steps: int, network: nn.Module) -> None:
        super().__init__()
        self.steps, self.network, self.picture = steps, network, Picture()

    def forward(self, noise: Tensor, labels: Tensor) -> Tensor:
        for step in range(self.steps):
            t = torch.tensor(step / 7).expand(noise.shape[0])
            noise = noise + self.network(noise, t, labels) - 0.5 * self.network(noise, t, None)
        return self.picture(noise)


def test_a_network_is_traced_once_however_many_steps_there_are(tmp_path: Path) -> None:
    """And its weights are in the graph once, though it is asked in two ways."""
    traced = []
    for steps in (2, 9):
        asked = list[int]()
        network, folder = Counted(lambda asked=asked: asked.append(1)), tmp_path / str(steps)  # type: ignore[misc]
        sampler = Stepped(steps, network).eval()
        encode, shapes = nn.Sequential(nn.Flatten(), nn.Linear(784, 6)), ((1, 28, 28), (6,), (6,))
        parts = (encode, sampler.picture, sampler)
        bundle = export_modules(folder, "x", *parts, *shapes, CLASSES, True, dataset="digits", repeated=[network])
        traced.append(len(asked) - steps * 2 * RUNS)
        noise, labels = bundle.model.noise(17, 0), torch.arange(17) % 10
        with torch.no_grad():
            torch.testing.assert_close(bundle.model.generate(noise, labels), sampler(noise, labels), atol=1e-4, rtol=0)
        held = bundle.card.parameters["generator"] - sum(one.numel() for one in network.parameters())
        assert held in range(60)
    assert traced[0] == traced[1] > 0


class Random(nn.Module):
    def forward(self, noise: Tensor) -> Tensor:
        return torch.rand_like(noise)


class Undecided(nn.Module):
    def forward(self, noise: Tensor) -> Tensor:
        return noise.sigmoid() if float(noise.sum()) > 0 else (-noise).sigmoid()


class Logarithm(nn.Module):
    def forward(self, latents: Tensor) -> Tensor:
        return (latents - latents).log()


class Together(nn.Module):
    def forward(self, noise: Tensor) -> Tensor:
        return (noise - noise.mean(0)).sigmoid()


def broken(module: nn.Conv2d) -> nn.Conv2d:
    """A module one of whose weights is NaN, as after a training that diverged."""
    nn.init.constant_(module.weight, float("nan"))
    return module


CUT = nn.Hardtanh(0, 1)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"generate": Random()}, "generate of 'alien' gives other numbers the next time; noise is an input"),
        ({"generate": Undecided()}, "generate of 'alien' cannot be exported: it branches on the values of a tensor"),
        ({"generate": Together()}, "generate of 'alien' gives other numbers for a row alone than for the same"),
        ({"decode": nn.Flatten()}, r"decode of 'alien' gives \(5, 64\), expected \(5, 1, 8, 8\)"),
        (
            {"encode": nn.Linear(7, 7)},
            "encode of 'alien' fails: RuntimeError: mat1 and mat2 shapes",
        ),
        ({"encode": nn.Conv2d(1, 1, 1).half()}, r"'alien' fails: its weights are float16, its .*call .float\(\) on it"),
        ({"decode": nn.Conv2d(1, 1, 1).double()}, "'alien' fails: its weights are float64, its inputs float32"),
        (
            {"decode": broken(nn.Conv2d(1, 1, 1))},
            r"decode of 'alien' gives NaN or .*: so are weights of it \(.*weight\); its training diverged",
        ),
        ({"decode": Logarithm()}, "decode of 'alien' gives NaN or infinite values: its weights are finite"),
    ],
    ids=[
        "random",
        "undecided",
        "rows together",
        "wrong shape",
        "wrong input",
        "half",
        "double",
        "weights NaN",
        "output NaN",
    ],
)
def test_modules_that_are_no_function_are_refused(changes: dict[str, nn.Module], words: str, tmp_path: Path) -> None:
    parts = {"encode": CUT, "decode": CUT, "generate": CUT} | changes
    with pytest.raises(BundleError, match=words) as refusal:
        export_modules(tmp_path / "x", "alien", **parts, image_shape=SHAPE, latent_shape=SHAPE, noise_shape=SHAPE)
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "x").exists()


def test_impossible_facts_are_refused(tmp_path: Path) -> None:
    module = nn.Identity()
    with pytest.raises(ConfigError, match="conditional = true, but there are no classes"):
        export_modules(tmp_path / "x", "x", module, module, module, SHAPE, SHAPE, SHAPE, conditional=True)
    with pytest.raises(ConfigError, match="'imagenet' is unknown; choose from mnist"):
        export_modules(tmp_path / "x", "x", module, module, module, SHAPE, SHAPE, SHAPE, dataset="imagenet")


def test_both_forms_have_the_same_scores(
    tiny_bundle: NativeBundle, portable: PortableBundle, digits_judge: Judge
) -> None:
    data, bundles = (
        data_of(portable, None),
        (tiny_bundle, replace(portable, digest=tiny_bundle.digest)),
    )  # so that noise is the same
    one, other = (judge_bundle(bundle, Panel(data, digits_judge), samples=300, timed=False).card for bundle in bundles)
    assert set(one.scores) - set(other.scores) == {"straightness", "held_out_loss", "held_out_flow_loss"}
    for name, score in other.scores.items():
        known = one.scores[name]
        if name != "bytes":
            width = max((known.high - known.low) / 2, 1e-4 * abs(known.value))
            assert abs(score.value - known.value) <= width, name
    for name in ("parameters", "information", "macs", "operations"):
        assert other.scores[name].value == one.scores[name].value > 0, name
    assert other.scores["bytes"].value == sum(other.files.values())
    assert (other.by_steps, other.solver, other.steps) == ({}, one.solver, one.steps)
    assert set(other.files) == set(FILES)


def test_forms_of_other_hashes_are_asked_other_things_and_agree_within_their_intervals(
    tiny_bundle: NativeBundle, portable: PortableBundle, digits_judge: Judge
) -> None:
    data = data_of(portable, None)
    bundles = (replace(tiny_bundle, digest="1" * 64), replace(portable, digest="2" * 64))  # the same in every run
    one, other = (judge_bundle(bundle, Panel(data, digits_judge), samples=300, timed=False).card for bundle in bundles)
    assert one.scores["frechet"].value != other.scores["frechet"].value
    for name in ("frechet", "confidence", "class_kl", "prior_frechet", "reconstruction_gap", "probe", "mse"):
        a, b = one.scores[name], other.scores[name]
        assert a.low <= b.high, name
        assert b.low <= a.high, name


def test_sampling_is_timed_on_as_many_threads_as_asked_for(portable: PortableBundle) -> None:
    timing = time_sampling(portable.model)
    assert timing.threads == 1
    assert 0 < timing.ms_per_sample.low <= timing.ms_per_sample.high


def card_with(**changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        card = json.loads((folder / "card.json").read_text())
        (folder / "card.json").write_text(json.dumps(card | changes))

    return change


def without(file: str) -> Callable[[Path], None]:
    return lambda folder: (folder / file).unlink()


def written(file: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """A file changed and its hash declared, so that the fault inside is what is found."""

    def spoil(folder: Path) -> None:
        content = change((folder / file).read_bytes())
        (folder / file).write_bytes(content)
        card = json.loads((folder / "card.json").read_text())
        hashes = card["hashes"] | {file.removesuffix(".onnx"): digest(content)}
        (folder / "card.json").write_text(json.dumps(card | {"hashes": hashes}))

    return spoil


def edited(file: str, change: Callable[[ModelProto], object]) -> Callable[[Path], None]:
    def spoil(content: bytes) -> bytes:
        model = onnx.load_model_from_string(content)
        change(model)
        return model.SerializeToString()

    return written(file, spoil)


def renamed(model: ModelProto) -> None:
    model.graph.input[0].name = "z"


def first_size(size: int) -> Callable[[ModelProto], None]:
    def change(model: ModelProto) -> None:
        model.graph.output[0].type.tensor_type.shape.dim[0].dim_value = size

    return change


def last_size(model: ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 7


def double(model: ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.DOUBLE


def extra_input(model: ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [1]))


def elsewhere(model: ModelProto) -> None:
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL


def cut_short(model: ModelProto) -> None:
    tensor = max(model.graph.initializer, key=lambda one: len(one.raw_data))
    tensor.raw_data = tensor.raw_data[:-4]


def unknown(model: ModelProto) -> None:
    model.graph.node[0].op_type = "Teleport"


def more_weights(model: ModelProto) -> None:
    model.graph.initializer.append(helper.make_tensor("more", TensorProto.FLOAT, [3], [1.0, 2.0, 3.0]))


NOISE = r"noise float32 \[n, 6\]"
WRONG: dict[str, tuple[Callable[[Path], Any], str]] = {
    "unknown key": (card_with(extra=1), "card.json: unknown key 'extra'"),
    "native key": (card_with(architecture={}), "card.json: unknown key 'architecture'"),
    "no such form": (card_with(form="quantum"), "card.json"),
    "other format": (card_with(format=2), "card.json: format = 2"),
    "no hash": (card_with(hashes={"encode": "0"}), "card.json: hashes"),
    "other latent": (card_with(latent=[7]), r"encode.onnx gives latents float32 \[n, 6\], expected .*\[n, 7\]"),
    "conditional": (card_with(conditional=True), rf"generate.onnx takes {NOISE}, expected .*labels int64 \[n\]"),
    "pixels": (card_with(pixels=True), r"pixels = true, but latent = \[6\] and shape = \[1, 28, 28\] differ"),
    "a million numbers": (
        card_with(noise=[1 << 20]),
        r"noise = \[1048576\] is 1,048,576 numbers a sample; at most 65,5",
    ),
    "a latent of millions": (card_with(latent=[2048, 64]), r"latent = \[2048, 64\] is 131,072 numbers a sample"),
    "a lie about parameters": (card_with(parameters={"encoder": 1}), "parameters = .*but the files hold .*'decoder'"),
    "not JSON": (lambda folder: (folder / "card.json").write_text("{"), "card.json is not JSON"),
    "extra file": (lambda folder: (folder / "notes").write_text(""), "notes is no part of a bundle.*take it"),
    "code": (lambda folder: (folder / "model.py").write_text(""), "model.py is a program.*export_modules"),
    "weights beside": (
        lambda folder: (folder / "decode.onnx.data").write_bytes(b"x"),
        "into one file with `arena pack",
    ),
    **{f"no {file}": (without(file), f"{file}: No such file.*encode.onnx, decode.onnx and gen") for file in FILES},
    "no card": (without("card.json"), "card.json: No such file"),
    "garbage": (written("encode.onnx", lambda c: b"\xff" * 99), "encode.onnx is no ONNX file: its 99 bytes"),
    "empty": (written("decode.onnx", lambda c: b""), "decode.onnx is no ONNX file: there is no graph"),
    "truncated": (written("generate.onnx", lambda c: c[:-9]), "generate.onnx is no ONNX file"),
    "swapped": (lambda folder: (folder / "encode.onnx").replace(folder / "decode.onnx"), "encode.onnx: No such file"),
    "another model's": (
        lambda folder: (folder / "encode.onnx").write_bytes((folder / "encode.onnx").read_bytes() + b"\x12\x01x"),
        "encode.onnx does not have the hash that card.json declares",
    ),
    "input name": (edited("generate.onnx", renamed), rf"generate.onnx takes z float32 \[n, 6\], expected {NOISE}"),
    "input shape": (edited("generate.onnx", last_size), rf"takes noise float32 \[n, 7\], expected {NOISE}"),
    "input type": (
        edited("generate.onnx", double),
        rf"takes noise float64 \[n, 6\], expected {NOISE}.*\.float\(\)",
    ),
    "extra input": (edited("generate.onnx", extra_input), rf"takes {NOISE}, more float32 \[1\], expected {NOISE}, n"),
    "fixed batch": (edited("decode.onnx", first_size(4)), r"gives images float32 \[4, 1, 28, 28\], expected .*\[n, 1"),
    "external": (edited("encode.onnx", elsewhere), "encode.onnx: tensor .* lies in another file"),
    "damaged": (edited("encode.onnx", cut_short), "tensor .* is damaged"),
    "no operator": (edited("decode.onnx", unknown), "decode.onnx: node .* is a Teleport, which is not run"),
    "hidden weights": (edited("encode.onnx", more_weights), "parameters = .*but the files hold"),
}


@pytest.mark.parametrize("fault", WRONG)
def test_what_is_no_portable_bundle_is_refused(copy: Path, fault: str) -> None:
    spoil, words = WRONG[fault]
    spoil(copy)
    with pytest.raises(BundleError) as refusal:
        open_bundle(copy, trust=OWN)
    message = str(refusal.value)
    assert "\n" not in message
    assert message.startswith((str(copy), f"cannot read {copy}"))
    assert re.search(words, message), message


def test_graphs_that_fail_are_refused_when_they_run(copy: Path, portable: PortableBundle) -> None:
    def wrong_size(model: ModelProto) -> None:  # says one thing, does another
        node = helper.make_node("Slice", [model.graph.node[-1].input[0], *"abc"], ["images"])
        model.graph.node[-1].CopyFrom(node)
        for name, value in zip("abc", (0, 4, 3), strict=True):
            model.graph.initializer.append(helper.make_tensor(name, TensorProto.INT64, [1], [value]))

    edited("decode.onnx", wrong_size)(copy)
    contents = {file.removesuffix(".onnx"): (copy / file).read_bytes() for file in FILES}
    facts = {name: check_graph(content, *portable.card.ports(name), name) for name, content in contents.items()}
    card_with(parameters=parameters_of(facts))(copy)
    model = open_bundle(copy, trust=OWN).model
    with pytest.raises(BundleError, match=r"decode.onnx of .*(cannot be run|failed|gave)"):
        model.decode(torch.zeros(2, 6))


def test_a_native_bundle_is_still_native(tiny_run: Path, portable_folder: Path) -> None:
    assert isinstance(open_bundle(tiny_run / "bundle", trust=OWN).card, BundleCard)
    assert isinstance(open_bundle(portable_folder, trust=OWN).card, PortableCard)
    with pytest.raises(BundleError, match=r"card\.json: a portable bundle.*give a native one"):
        native_of(open_bundle(portable_folder, trust=OWN))


def graph_of(*nodes: onnx.NodeProto, **shapes: list[int]) -> ModelProto:
    """A model of these nodes, from x to y, with float32 weights of these shapes."""
    weights = [helper.make_tensor(k, TensorProto.FLOAT, v, np.ones(v).ravel()) for k, v in shapes.items() if k in "wv"]
    ports = [helper.make_tensor_value_info(k, TensorProto.FLOAT, ["n", *shapes[k]]) for k in "xy"]
    graph = helper.make_graph(nodes, "test", ports[:1], ports[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])


def test_every_stored_number_counts_wherever_it_hides() -> None:
    hidden = helper.make_node("Constant", [], ["v"], value=helper.make_tensor("v", TensorProto.FLOAT, [5], [0.0] * 5))
    listed = helper.make_node("Constant", [], ["u"], value_floats=[1.0, 2.0])
    single = helper.make_node("Constant", [], ["s"], value_int=3)
    slopes = [("x", "a", 0.25), ("a", "b", 0.25), ("b", "y", 0.5)]  # a setting is one number however often it is used
    leaky = [helper.make_node("LeakyRelu", [one], [other], alpha=slope) for one, other, slope in slopes]
    model = graph_of(hidden, listed, single, *leaky, x=[1], y=[5], w=[2, 2])
    ports = [Port("x", "float32", (1,))], Port("y", "float32", (5,))
    facts = check_graph(model.SerializeToString(), *ports, "test")
    assert facts.parameters == 4 + 5 + 2 + 1 + 2


def said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: object) -> tuple[int, str, str]:
    """Exit status, output and errors of `arena` with these words, in this process."""
    monkeypatch.setattr(sys, "argv", ["arena", *map(str, words)])
    with pytest.raises(SystemExit) as left:
        main()
    output = capsys.readouterr()
    return int(left.value.code or 0), output.out, output.err


def test_command_line_exports_samples_and_refuses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = native(tmp_path / "native", *MEANFLOW)
    folder, out = tmp_path / "portable", tmp_path / "images.npz"
    status, shown, _ = said(capsys, monkeypatch, "export", tmp_path / "native", "--out", folder)
    assert status == 0
    assert str(folder) in shown
    same(bundle, open_bundle(folder, trust=OWN))
    assert said(capsys, monkeypatch, "sample", folder, "-n", 5, "--seed", 3, "--out", out)[0] == 0
    images = bundle.model.generate(bundle.model.noise(5, 3))
    np.testing.assert_allclose(np.load(out)["images"], images, atol=1e-4)
    status, _, error = said(capsys, monkeypatch, "sample", folder, "--steps", 4)
    assert status == 2
    assert re.search("--steps 4: the sampler of portable bundle .* leave --steps out", error), error
    assert error.count("\n") == 1
    assert said(capsys, monkeypatch, "sample", folder, "-n", 2, "--out", tmp_path / "x.gif")[0] == 0
    assert Image.open(tmp_path / "x.gif").n_frames == ROUND
    for source, out, words in (
        (folder, tmp_path / "again", "card.json: a portable bundle"),
        (tmp_path / "native", tmp_path / "native", "it holds weights.safetensors; choose an empty folder"),
    ):
        status, _, error = said(capsys, monkeypatch, "export", source, "--out", out)
        assert (status, words in error, error.count("\n")) == (1, True, 1)
    assert native_of(open_bundle(tmp_path / "native", trust=OWN)).digest == bundle.digest


def test_a_sampler_that_is_fixed_says_so(portable: PortableBundle, tiny_bundle: NativeBundle) -> None:
    assert chosen_sampling(portable) is None
    assert chosen_sampling(tiny_bundle, "euler", 3) == tiny_bundle.card.sampling.but("euler", 3)
    with pytest.raises(ConfigError, match=r"--guidance 2\.0: the sampler of portable bundle"):
        chosen_sampling(portable, guidance=2.0)
