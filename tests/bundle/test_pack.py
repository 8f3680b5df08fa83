"""Bundles made of three ONNX graphs: what any exporter writes becomes one that the gates take."""

from __future__ import annotations

import re
import runpy
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import FunctionProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from torch import Tensor, nn
from typer.testing import CliRunner

from albums import album, store
from latentarena.bundle import OWN, open_bundle
from latentarena.bundle.export import export_modules
from latentarena.bundle.pack import named_graphs, pack_graphs
from latentarena.bundle.portable import PortableCard
from latentarena.cli.app import app
from latentarena.errors import ArenaError, BundleError
from latentarena.evaluate.scoring import data_of
from latentarena.gates import open_files

ROOT = Path(__file__).parents[2]


class Encode(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.flatten(1))


class Decode(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 64)

    def forward(self, z: Tensor) -> Tensor:
        return self.layer(z).sigmoid().unflatten(1, (1, 8, 8))


class Asked(Decode):
    def __init__(self) -> None:
        super().__init__()
        self.label = nn.Embedding(10, 4)

    def forward(self, z: Tensor, c: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(z + self.label(c))


def written(folder: Path, generate: nn.Module, dynamo: bool, beside: bool) -> dict[str, Path]:
    """The three graphs as `torch.onnx.export` writes them, under names of its own for their ports."""
    folder.mkdir()
    modules = {"encode": Encode(), "decode": Decode(), "generate": generate}
    for graph, module in modules.items():
        row = torch.rand(2, 1, 8, 8) if graph == "encode" else torch.randn(2, 4)
        rows = (row, torch.tensor([1, 2])) if isinstance(module, Asked) else (row,)
        names = ["x", "c"][: len(rows)]
        how = {"dynamic_shapes": tuple({0: torch.export.Dim.DYNAMIC} for _ in rows)} if dynamo else {}
        axes = {} if dynamo else {"dynamic_axes": {name: {0: "batch"} for name in [*names, "y"]}}
        external = {"external_data": beside} if dynamo else {}
        torch.onnx.export(
            module.eval(), rows, folder / f"{graph}.onnx", input_names=names, output_names=["y"], dynamo=dynamo,
            verbose=False, **how, **axes, **external,
        )  # fmt: skip
    return {graph: folder / f"{graph}.onnx" for graph in modules}


@pytest.mark.parametrize("conditional", [False, True])
@pytest.mark.parametrize(("dynamo", "beside"), [(True, True), (True, False), (False, False)])
def test_what_torch_exports_becomes_a_bundle(tmp_path: Path, conditional: bool, dynamo: bool, beside: bool) -> None:
    generate = Asked() if conditional else Decode()
    files = written(tmp_path / "raw", generate, dynamo, beside)
    assert (tmp_path / "raw" / "decode.onnx.data").exists() == beside
    made = CliRunner().invoke(
        app, ["pack", *map(str, files.values()), "--name", "mine", "--dataset", "digits", "--out", str(tmp_path / "b")]
    )
    assert made.exit_code == 0, made.output
    bundle = open_bundle(tmp_path / "b", trust=OWN)
    assert set(open_files(tmp_path / "b")) == {"card.json", "encode.onnx", "decode.onnx", "generate.onnx"}
    assert (bundle.card.shape, bundle.card.latent, bundle.card.conditional) == ((1, 8, 8), (4,), conditional)
    noise, labels = torch.randn(3, 4), torch.tensor([0, 5, 9]) if conditional else None
    with torch.no_grad():
        expected = generate(noise, labels) if conditional else generate(noise)
    torch.testing.assert_close(bundle.model.generate(noise, labels), expected, atol=1e-5, rtol=0)
    counted = sum(tensor.numel() for tensor in generate.parameters())
    assert 0 <= bundle.card.parameters["generator"] - counted < 20  # and what shapes are told by


def test_graphs_of_photographs_at_a_chosen_size_are_packed_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATENTARENA_CACHE", str(tmp_path / "cache"))
    photos, bundle = store(tmp_path / "photos", album(30)), tmp_path / "b"
    files = written(tmp_path / "raw", Decode(), dynamo=False, beside=False)
    words = ["pack", *map(str, files.values()), "--name", "mine", "--dataset", f"folder:{photos}", "--out", str(bundle)]
    words += ["--classes", "cat,doggy"]
    assert CliRunner().invoke(app, words).exit_code == 0
    way_out = r"makes images \[1, 8, 8\] .* folder:photos has \[1, 8, 10\] of 2; say how .*arena pack --size"
    with pytest.raises(BundleError, match=way_out):
        data_of(open_bundle(bundle, trust=OWN), None)
    made = CliRunner().invoke(app, [*words, "--size", "8", "--crop", "center"])
    assert made.exit_code == 0, made.output
    assert data_of(open_bundle(bundle, trust=OWN), None).shape == (1, 8, 8)
    refused = CliRunner().invoke(app, ["pack", str(bundle), "--size", "8"])
    assert "--size 8: a run has its own already; it is for three graphs" in " ".join(refused.output.split())


def test_a_bundle_is_made_in_place_and_no_weight_is_lost(tmp_path: Path) -> None:
    files = written(tmp_path / "b", Decode(), dynamo=True, beside=True)
    whole = onnx.load(files["decode"])
    pack_graphs(tmp_path / "b", "mine", files, "digits")
    assert {path.name for path in (tmp_path / "b").iterdir()} == {"card.json", *(f"{graph}.onnx" for graph in files)}
    again = onnx.load(files["decode"])
    kept = {one.name: onnx.numpy_helper.to_array(one) for one in again.graph.initializer}
    for one in whole.graph.initializer:
        assert (kept[one.name] == onnx.numpy_helper.to_array(one)).all()


def graph_of(takes: list[tuple[str, int, list[int | str]]], path: Path) -> Path:
    """A graph that gives its first input again."""
    inputs = [helper.make_tensor_value_info(*port) for port in takes]
    output = helper.make_tensor_value_info("y", takes[0][1], takes[0][2])
    nodes = [helper.make_node("Identity", [takes[0][0]], ["y"])]
    model = helper.make_model(
        helper.make_graph(nodes, "g", inputs, [output]), opset_imports=[helper.make_opsetid("", 20)]
    )
    onnx.save(model, path)
    return path


FLOAT = TensorProto.FLOAT
WRONG = {
    "open size": ([("x", FLOAT, ["n", 1, "h", 8])], "leave only the number of rows open"),
    "bytes": (
        [("x", TensorProto.UINT8, ["n", 1, 8, 8])],
        "has to be float32; export a module that takes images in [0, 1]",
    ),
    "no channel": ([("x", FLOAT, ["n", 8, 8])], "(n, C, H, W); export a module that hands on images[:, 0]"),
    "doubles": ([("x", TensorProto.DOUBLE, ["n", 1, 8, 8])], "float64; it has to be float32; make weights and inputs"),
    "two inputs": ([("x", FLOAT, ["n", 1, 8, 8]), ("z", FLOAT, ["n", 4])], "2 inputs and 1 outputs"),
    "flat": ([("x", FLOAT, ["n", 64])], "images have channels, height and width"),
    "channels last": (
        [("x", FLOAT, ["n", 8, 8, 1])],
        "encode.onnx takes [8, 8, 1]; images have channels, height and width: (n, C, H, W); these have their channels "
        "last; export a module that hands on images.permute(0, 2, 3, 1)",
    ),
}


@pytest.mark.parametrize("fault", WRONG)
def test_graphs_that_make_no_bundle_are_refused_with_the_way_out(tmp_path: Path, fault: str) -> None:
    takes, words = WRONG[fault]
    files = written(tmp_path / "raw", Decode(), dynamo=False, beside=False)
    files["encode"] = graph_of(takes, tmp_path / "wrong.onnx")
    with pytest.raises(ArenaError, match=re.escape(words)):
        pack_graphs(tmp_path / "b", "mine", files, "digits")
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    ("kind", "row", "way"),
    [
        (TensorProto.UINT8, [1, 8, 8], "gives images / 255"),
        (FLOAT, [8, 8], "gives images[:, None]"),
        (FLOAT, [8, 8, 1], "gives images.permute(0, 3, 1, 2)"),
    ],
)
def test_a_generator_of_other_images_is_refused_with_the_way_out(
    tmp_path: Path, kind: int, row: list[int], way: str
) -> None:
    files = written(tmp_path / "raw", Decode(), dynamo=False, beside=False)
    model = onnx.load(files["generate"])
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("y", kind, ["n", *row]))
    onnx.save(model, files["generate"])
    words = r"expected images float32 \[n, 1, 8, 8\], n being any number of rows; .*export a module that "
    with pytest.raises(ArenaError, match=words + re.escape(way)):
        pack_graphs(tmp_path / "b", "mine", files, "digits")


class OfSomeRows(Decode):
    """Joins a constant that has as many rows as the example that it is exported with."""

    def forward(self, z: Tensor) -> Tensor:
        zeros = torch.zeros(len(z), 1).numpy()
        return super().forward(torch.cat([z, torch.from_numpy(zeros)], 1)[:, :4])


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_a_graph_for_one_number_of_rows_is_refused_with_the_way_out(tmp_path: Path) -> None:
    """Also where that number is the one that it is tried with."""
    files = written(tmp_path / "raw", OfSomeRows(), dynamo=False, beside=False)
    with pytest.raises(BundleError, match=r"runs with 2 rows at a time and not with 1; leave the number of rows open"):
        pack_graphs(tmp_path / "b", "fixed", files, "digits")


def test_graphs_are_known_by_their_names_in_any_order() -> None:
    """As `*.onnx` gives them."""
    files = [Path("m") / f"{name}.onnx" for name in ("decode", "encode", "generate")]
    assert named_graphs(files) == {path.stem: path for path in files}
    assert named_graphs([Path("vae-enc.onnx"), Path("vae-dec.onnx"), Path("flow.onnx")]) == {
        "encode": Path("vae-enc.onnx"),
        "decode": Path("vae-dec.onnx"),
        "generate": Path("flow.onnx"),
    }


def test_a_file_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    files = written(tmp_path / "raw", Decode(), dynamo=False, beside=False)
    shutil.copy(__file__, files["decode"])
    with pytest.raises(BundleError, match="is no ONNX file"):
        pack_graphs(tmp_path / "b", "mine", files, "digits")


class Spread(nn.Module):
    def forward(self, *rows: Tensor) -> Tensor:
        return rows[0].sigmoid()


def test_wrapped_modules_are_exported_as_what_is_inside(tmp_path: Path) -> None:
    shape = (1, 8, 8)
    wrapped = {"encode": torch.compile(Spread()), "decode": nn.DataParallel(Spread()), "generate": Spread()}
    bundle = export_modules(tmp_path / "b", "x", **wrapped, image_shape=shape, latent_shape=shape, noise_shape=shape)  # type: ignore[arg-type]
    noise = torch.randn(3, *shape)
    torch.testing.assert_close(bundle.model.generate(noise), noise.sigmoid())


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (torch.jit.script(nn.Sigmoid()), "TorchScript.*give the module it was made of"),
        (torch.sigmoid, "no torch.nn.Module"),
        (nn.Conv2d(1, 1, 1, device="meta"), r"on the device `meta`, and so holds no weights; .*to_empty"),
        (nn.BatchNorm2d(1, device="meta"), r"on the device `meta`, and so holds no weights; .*to_empty"),
    ],
)
def test_modules_that_cannot_be_traced_are_refused_with_the_way_out(
    tmp_path: Path, module: nn.Module, words: str
) -> None:
    shape, plain = (1, 8, 8), nn.Sigmoid()
    with pytest.raises(BundleError, match=words):
        export_modules(tmp_path / "b", "x", module, plain, plain, shape, shape, shape)


class Halved(nn.Module):
    """Rounds to half precision within, and otherwise for a row alone."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1, dtype=torch.float16))

    def forward(self, rows: Tensor) -> Tensor:
        return (rows.sigmoid().half() * self.weight).float() + len(rows) * 1e-3


def test_a_module_of_half_precision_is_told_to_become_float32(tmp_path: Path) -> None:
    shape, plain = (1, 8, 8), nn.Sigmoid()
    with pytest.raises(BundleError, match=r"its weights are float16; call \.float\(\) on it"):
        export_modules(tmp_path / "b", "x", Halved(), plain, plain, shape, shape, shape)


def test_the_page_on_bundles_says_what_the_code_does() -> None:
    made = runpy.run_path(str(ROOT / "benchmarks" / "bundles_page.py"))
    text = (ROOT / "docs" / "bundles.md").read_text(encoding="utf-8")
    assert made["page"](text) == text
    assert set(made["ABOUT"]) == set(PortableCard.model_fields)
    assert made["schema_text"]() == made["SCHEMA"].read_text(encoding="utf-8")


def test_weights_that_an_exporter_stores_for_each_step_are_stored_once(tmp_path: Path) -> None:
    """As torch's exporter does with weights that it transposes."""
    files = written(tmp_path / "raw", Decode(), dynamo=False, beside=False)
    model, layer = onnx.load(files["generate"]), np.float32(np.random.default_rng(0).standard_normal((4, 4)))
    first, before = model.graph.node[0], "x"
    for step in range(3):
        model.graph.initializer.append(numpy_helper.from_array(layer, f"w{step}"))
        model.graph.node.insert(step, helper.make_node("MatMul", [before, f"w{step}"], [f"h{step}"]))
        before = f"h{step}"
    first.input[0] = before
    onnx.save(model, files["generate"])
    noise = np.float32(np.random.default_rng(1).standard_normal((2, 4)))
    (expected,) = ReferenceEvaluator(model).run(None, {"x": noise})
    bundle = pack_graphs(tmp_path / "b", "steps", files, "digits")
    plain = pack_graphs(tmp_path / "c", "plain", files | {"generate": files["decode"]}, "digits")
    assert bundle.card.parameters["generator"] - plain.card.parameters["generator"] in (16, 16 + 4 * 64 + 64)
    assert torch.allclose(bundle.model.generate(torch.from_numpy(noise), None), torch.from_numpy(expected), atol=1e-6)


def test_graphs_that_were_merged_name_their_operators_once(tmp_path: Path) -> None:
    files = written(tmp_path / "raw", Decode(), dynamo=False, beside=False)
    model = onnx.load(files["generate"])
    twice = [helper.make_opsetid(one.domain, one.version) for one in model.opset_import]
    model.opset_import.extend(twice)  # as onnx.compose.merge_models leaves it
    onnx.save(model, files["generate"])
    pack_graphs(tmp_path / "b", "merged", files, "digits")
    assert len(onnx.load(tmp_path / "b" / "generate.onnx").opset_import) == 1


@pytest.mark.parametrize("kind", ["value", "weight"])
def test_a_value_inside_that_has_the_name_of_a_port_gets_another(tmp_path: Path, kind: str) -> None:
    files = written(tmp_path / "raw", Decode(), dynamo=False, beside=False)
    model = onnx.load(files["decode"])
    plain = pack_graphs(tmp_path / "a", "plain", files, "digits")
    graph = model.graph
    graph.output[0].name, graph.node[-1].output[0] = "given", "given"
    inner = graph.node[0].output[0] if kind == "value" else graph.initializer[0].name
    for port in (*graph.initializer, *graph.value_info):
        port.name = "images" if port.name == inner else port.name
    for node in graph.node:
        node.input[:] = ["images" if one == inner else one for one in node.input]
        node.output[:] = ["images" if one == inner else one for one in node.output]
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, files["decode"])
    packed = pack_graphs(tmp_path / "b", "renamed", files, "digits")
    latents = plain.model.noise(3, 0)
    assert torch.equal(packed.model.decode(latents), plain.model.decode(latents))


def rewritten(path: Path, nodes: list[NodeProto], functions: list[FunctionProto]) -> tuple[Path, ModelProto]:
    """A graph of which the noise passes these nodes first, from `x` to `h`."""
    model = onnx.load(path)
    model.graph.node[0].input[0] = "h"
    for place, node in enumerate(nodes):
        model.graph.node.insert(place, node)
    model.functions.extend(functions)
    model.opset_import.extend([helper.make_opsetid(name, 1) for name in ("own", "ai.onnx.ml")])
    onnx.save(model, path)
    return path, model


def doubled(opset: int) -> list[FunctionProto]:
    """`own.Twice` calls `own.Once` twice, which adds one."""
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("own", 1)]
    one = helper.make_node("Constant", [], ["one"], value_float=1.0)
    body = [one, helper.make_node("Add", ["a", "one"], ["b"])]
    once = helper.make_function("own", "Once", ["a"], ["b"], body, opsets)
    calls = [helper.make_node("Once", [a], [b], domain="own") for a, b in ("ac", "cb")]
    return [once, helper.make_function("own", "Twice", ["a"], ["b"], calls, opsets)]


def test_functions_of_a_models_own_are_inlined(tmp_path: Path) -> None:
    files = written(tmp_path / "raw", Decode(), dynamo=False, beside=False)
    (opset,) = (one.version for one in onnx.load(files["generate"]).opset_import)
    call = [helper.make_node("Twice", ["x"], ["h"], domain="own")]
    files["generate"], model = rewritten(files["generate"], call, doubled(opset))
    noise = np.float32(np.random.default_rng(1).standard_normal((2, 4)))
    model.graph.node[0].CopyFrom(helper.make_node("Identity", ["x"], ["h"]))
    del model.functions[:]
    (expected,) = ReferenceEvaluator(model).run(None, {"x": noise + 2})
    bundle = pack_graphs(tmp_path / "b", "own", files, "digits")
    assert torch.allclose(bundle.model.generate(torch.from_numpy(noise), None), torch.from_numpy(expected), atol=1e-6)


def test_functions_of_another_opset_are_inlined_or_refused_with_the_way_out(tmp_path: Path) -> None:
    files = written(tmp_path / "raw", Decode(), dynamo=False, beside=False)
    call = [helper.make_node("Twice", ["x"], ["h"], domain="own")]
    files["generate"], _ = rewritten(files["generate"], call, doubled(13))
    with pytest.raises(BundleError, match="make functions and graph for one opset"):
        pack_graphs(tmp_path / "b", "own", files, "digits")


def test_operators_of_converters_are_written_out(tmp_path: Path) -> None:
    """tf2onnx leaves an Erfc, skl2onnx a Scaler of ai.onnx.ml."""
    files = written(tmp_path / "raw", Decode(), dynamo=False, beside=False)
    scaler = {"offset": [0.1, 0.2, 0.3, 0.4], "scale": [1.0, 2.0, 3.0, 4.0]}
    nodes = [
        helper.make_node("Scaler", ["x"], ["s"], domain="ai.onnx.ml", **scaler),  # type: ignore[arg-type]
        helper.make_node("Erfc", ["s"], ["h"]),
    ]
    files["generate"], model = rewritten(files["generate"], nodes, [])
    noise = torch.randn(2, 4, generator=torch.Generator().manual_seed(1))
    model.graph.node.pop(0)
    model.graph.node[0].CopyFrom(helper.make_node("Identity", ["x"], ["h"]))
    hidden = torch.special.erfc((noise - torch.tensor(scaler["offset"])) * torch.tensor(scaler["scale"]))
    (expected,) = ReferenceEvaluator(model).run(None, {"x": hidden.numpy()})
    bundle = pack_graphs(tmp_path / "b", "converted", files, "digits")
    assert torch.allclose(bundle.model.generate(noise, None), torch.from_numpy(expected), atol=1e-6)


def test_labels_of_int32_are_taken_as_int64(tmp_path: Path) -> None:
    """As jax2onnx leaves `table[labels]`: labels below zero count from the end."""
    files = written(tmp_path / "raw", Asked(), dynamo=False, beside=False)
    model = onnx.load(files["generate"])
    graph = model.graph
    for node in graph.node:
        node.input[:] = ["place" if one == "c" else one for one in node.input]
    graph.initializer.extend(
        numpy_helper.from_array(np.int32(number), name) for name, number in (("zero", 0), ("classes", 10))
    )
    nodes = [
        helper.make_node("Less", ["c", "zero"], ["below"]),
        helper.make_node("Add", ["c", "classes"], ["labels_int32"]),  # a name that is wanted for the cast labels
        helper.make_node("Where", ["below", "labels_int32", "c"], ["place"]),
    ]
    for node in reversed(nodes):
        graph.node.insert(0, node)
    graph.input[1].type.tensor_type.elem_type = TensorProto.INT32
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, files["generate"])
    noise, labels = np.float32(np.random.default_rng(1).standard_normal((3, 4))), np.array([9, 0, 4])
    (expected,) = ReferenceEvaluator(model).run(None, {"x": noise, "c": labels.astype(np.int32)})
    bundle = pack_graphs(tmp_path / "b", "jax", files, "digits", [str(k) for k in range(10)])
    assert onnx.load(tmp_path / "b" / "generate.onnx").graph.input[1].type.tensor_type.elem_type == TensorProto.INT64
    made = bundle.model.generate(torch.from_numpy(noise), torch.from_numpy(labels))
    assert torch.allclose(made, torch.from_numpy(expected), atol=1e-6)
    bundle.model.measured()  # as a box measures it: with ONNX's own checker


def changed(path: Path, nodes: list[NodeProto], **known: np.float32) -> None:
    """A graph of which the output passes these nodes last, from `given` to `y`."""
    model = onnx.load(path)
    graph = model.graph
    for node in graph.node:
        node.output[:] = ["given" if one == "y" else one for one in node.output]
    graph.node.extend(nodes)
    graph.initializer.extend(numpy_helper.from_array(np.asarray(one), name) for name, one in known.items())
    onnx.save(model, path)


LESS_MEAN = [
    helper.make_node("Constant", [], ["axes"], value_ints=[0]),
    helper.make_node("ReduceMean", ["given", "axes"], ["mean"]),
    helper.make_node("Sub", ["given", "mean"], ["y"]),
]
UNFIT = {
    "in [-1, 1]": (
        "decode",
        [helper.make_node("Tanh", ["given"], ["tanh"]), helper.make_node("Neg", ["tanh"], ["y"])],
        "images of decode.onnx of 'mine' reach from -0.",
        "outside the declared range [0, 1]; they look as if in [-1, 1]: return (x + 1) / 2",
    ),
    "of the batch": (
        "encode",
        LESS_MEAN,
        "encode of 'mine' gives other numbers for a row alone than for the same row among others; take no statistics",
        "apart, more than 0.0",
    ),
    "not finite": (
        "encode",
        [helper.make_node("Sub", ["given", "given"], ["none"]), helper.make_node("Log", ["none"], ["y"])],
        "encode.onnx of 'mine' gives NaN or infinite values",
        "it divides by 0 or overflows on the way",
    ),
}


@pytest.mark.parametrize("fault", UNFIT)
def test_what_a_judge_would_refuse_is_refused_with_the_way_out(tmp_path: Path, fault: str) -> None:
    graph, nodes, words, way = UNFIT[fault]
    files = written(tmp_path / "raw", Decode(), dynamo=False, beside=False)
    changed(files[graph], nodes)
    with pytest.raises(BundleError, match=f"{re.escape(words)}.*{re.escape(way)}") as refused:
        pack_graphs(tmp_path / "b", "mine", files, "digits")
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "b").exists()


def test_rounding_is_no_fault(tmp_path: Path) -> None:
    """As much as the judge allows: images a little beyond [0, 1]."""
    files = written(tmp_path / "raw", Decode(), dynamo=False, beside=False)
    nodes = [helper.make_node("Round", ["given"], ["whole"]), helper.make_node("Mul", ["whole", "more"], ["y"])]
    for graph in ("decode", "generate"):
        changed(files[graph], nodes, more=np.float32(1.0009))
    bundle = pack_graphs(tmp_path / "b", "mine", files, "digits")
    assert 1 < float(bundle.model.decode(torch.randn(9, 4)).max()) < 1.001


def test_nobody_decodes_the_latents_of_a_model_of_pixels(tmp_path: Path) -> None:
    files = written(tmp_path / "raw", Decode(), dynamo=False, beside=False)
    for graph in ("encode", "decode"):
        graph_of([("x", FLOAT, ["n", 1, 8, 8])], files[graph])
    pack_graphs(tmp_path / "b", "mine", files, "digits", pixels=True)
    with pytest.raises(BundleError, match=r"images of decode\.onnx of 'mine' reach from"):
        pack_graphs(tmp_path / "c", "mine", files, "digits")


def test_a_label_that_a_graph_does_not_know_is_named(tmp_path: Path) -> None:
    files = written(tmp_path / "raw", Asked(), dynamo=False, beside=False)
    model = onnx.load(files["generate"])
    for tensor in model.graph.initializer:
        if list(tensor.dims) == [10, 4]:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor)[:5], tensor.name))
    onnx.save(model, files["generate"])
    words = r"that is for label 5 of 10 classes; name those that it takes, in their order: --classes A,B,\.\.\."
    with pytest.raises(BundleError, match=words):
        pack_graphs(tmp_path / "b", "mine", files, "digits", [str(k) for k in range(10)])
    pack_graphs(tmp_path / "b", "mine", files, "digits", list("abcde"))
