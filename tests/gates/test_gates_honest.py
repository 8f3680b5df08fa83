"""Honest files pass each gate, and come out as independent readers of the same formats see them."""

from __future__ import annotations

import io
import json
import shutil
import stat
import struct
import subprocess
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import ModelProto, TensorProto, helper
from safetensors.numpy import load, save

from corpus.archive_cases import FILES, Entry, wide_end, zipped
from corpus.folder_cases import filled
from corpus.graph_cases import (
    FLOAT,
    INPUTS,
    OUTPUT,
    edited,
    floats,
    held,
    honest,
    ints,
    looked_at,
    node,
    then,
    unrolled,
)
from corpus.tensor_cases import honest as honest_tensors
from latentarena.errors import GateError
from latentarena.gates import Cost, check_card, check_graph, check_in_box, check_tensors, open_archive, open_files
from latentarena.gates.operators import OPERATORS, OPSETS, TYPES

CARD, WEIGHTS = (Entry(name.encode(), content) for name, content in FILES.items())
FOLDER, JUNK = Entry(b"model/", mode=stat.S_IFDIR | 0o755, method=0), Entry(b"__MACOSX/model/._card.json", b"x")
TIMES = struct.pack("<2HB2I", 0x5455, 9, 3, 0, 0)


def inside(entry: Entry, folder: bytes = b"model/") -> Entry:
    return replace(entry, name=folder + entry.name)


def streamed(entry: Entry, mark: bytes = b"PK\7\x08") -> Entry:
    """As written to a pipe: checksum and sizes follow."""
    machine = zlib.compressobj(wbits=-15)
    packed = machine.compress(entry.content) + machine.flush()
    tail = struct.pack("<3I", zlib.crc32(entry.content), len(packed), len(entry.content))
    lies = (("crc", 0), ("length", 0), ("size", 0))
    return replace(entry, flags=8, lies=lies, packed=packed, descriptor=mark + tail)


ARCHIVES: dict[str, list[Entry]] = {
    "flat": [CARD, WEIGHTS],
    "the other way round": [WEIGHTS, CARD],
    "stored": [replace(CARD, method=0), replace(WEIGHTS, method=0)],
    "in a folder": [inside(CARD), inside(WEIGHTS)],
    "in a folder that is told": [FOLDER, inside(CARD), inside(WEIGHTS)],
    "in a folder of another script": [inside(CARD, "模型 ü/".encode()), inside(WEIGHTS, "模型 ü/".encode())],
    "from a Mac": [FOLDER, inside(streamed(CARD)), inside(streamed(WEIGHTS)), JUNK, Entry(b"model/.DS_Store", b"y")],
    "from a pipe": [streamed(CARD, b""), streamed(WEIGHTS, b"")],
    "from Windows": [replace(CARD, system=0, mode=0x20 >> 16), replace(WEIGHTS, system=0, mode=0)],
    "with times": [replace(CARD, extra=TIMES), replace(WEIGHTS, extra=TIMES)],
    "UTF-8 flag": [replace(CARD, flags=2048), WEIGHTS],
    "beside what Windows adds": [CARD, Entry(b"Thumbs.db", b"x"), Entry(b"desktop.ini", b"y"), WEIGHTS],
    "beside what Windows added to videos": [CARD, Entry(b"ehthumbs.db", b"x"), WEIGHTS],
    "beside what a Mac adds to other disks": [CARD, Entry(b"._card.json", b"x"), WEIGHTS],
    "beside a Mac's picture of the folder": [CARD, Entry(b"Icon\r", b"x"), WEIGHTS],
    "beside a notebook's copies": [CARD, Entry(b".ipynb_checkpoints/card-checkpoint.json", b"{}"), WEIGHTS],
    "beside what a killed writer left": [CARD, Entry(b".weights.safetensors.4711.part", b"x"), WEIGHTS],
    "in a folder beside a notebook's copies": [
        inside(CARD),
        inside(Entry(b".ipynb_checkpoints/card-checkpoint.json", b"{}")),
        inside(WEIGHTS),
    ],
}


@pytest.mark.parametrize("kind", ARCHIVES)
def test_archives_hold_what_another_reader_finds(kind: str) -> None:
    content = zipped(ARCHIVES[kind])
    with zipfile.ZipFile(io.BytesIO(content)) as other:
        found = {Path(name).name: other.read(name) for name in other.namelist() if Path(name).name in FILES}
    assert open_archive(content) == found == FILES
    assert list(open_archive(content)) == list(FILES)


def test_archives_of_powershell_pass() -> None:
    """Windows PowerShell 5 puts backslashes between folder and file."""
    inner = [replace(inside(entry, b"model\\"), system=0, mode=0) for entry in (CARD, WEIGHTS)]
    assert open_archive(zipped(inner)) == FILES


class Pipe(io.RawIOBase):
    """What can be written to and has no places to go back to."""

    def __init__(self) -> None:
        super().__init__()
        self.content = b""

    def writable(self) -> bool:
        return True

    def write(self, piece: Any) -> int:
        self.content += bytes(piece)
        return len(piece)


@pytest.mark.parametrize("wide", [False, True])
def test_archives_streamed_by_python_pass(wide: bool) -> None:
    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in FILES.items():
            with archive.open(name, "w", force_zip64=wide) as entry:
                entry.write(content)
    assert open_archive(pipe.content) == FILES


def test_archives_of_python_with_room_for_large_files_pass() -> None:
    """Sizes of eight bytes before the data, filled in once they are known."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in FILES.items():
            with archive.open(name, "w", force_zip64=True) as entry:
                entry.write(content)
    assert open_archive(file.getvalue()) == FILES


def test_archives_with_a_wide_end_pass() -> None:
    """As zip writes them where something comes through a pipe."""
    assert open_archive(wide_end()()) == FILES


@pytest.mark.parametrize("comment", ["0c3a9f1e" * 5, "handed in by Zoë\non Monday"])
def test_archives_with_a_comment_pass(comment: str) -> None:
    """As `git archive` writes them, with the commit's hash."""
    assert open_archive(zipped([CARD, WEIGHTS], comment=comment.encode())) == FILES


@pytest.mark.skipif(shutil.which("zip") is None, reason="the program zip is not installed")
@pytest.mark.parametrize("options", [["-fz", "bundle.zip"], ["-fz", "-0", "bundle.zip"], ["-z", "bundle.zip"]])
def test_archives_of_zip_with_a_wide_end_or_a_comment_pass(options: list[str], tmp_path: Path) -> None:
    filled(tmp_path / "bundle")
    command = ["zip", "-q", "-r", *options, "bundle"]
    subprocess.run(command, cwd=tmp_path, check=True, input=b"handed in on Monday\n")
    assert open_archive(tmp_path / "bundle.zip") == FILES


def test_what_a_killed_writer_left_in_a_folder_is_no_part_of_its_bundle(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    for name, content in FILES.items():
        (tmp_path / "bundle" / name).write_bytes(content)
    (tmp_path / "bundle" / ".weights.safetensors.4711.part").write_bytes(b"half")
    assert open_files(tmp_path / "bundle") == FILES


@pytest.mark.skipif(shutil.which("zip") is None, reason="the program zip is not installed")
def test_archives_streamed_by_zip_pass(tmp_path: Path) -> None:
    filled(tmp_path / "bundle")
    made = subprocess.run(["zip", "-q", "-r", "-", "bundle"], cwd=tmp_path, check=True, stdout=subprocess.PIPE)
    assert open_archive(made.stdout) == FILES


WAYS_OUT = {
    "decode.onnx.data": "external_data=False",
    "weights.onnx_data": "arena pack",
    "model.safetensors": "weights.safetensors",
    "decoder.onnx": "decode.onnx",
    "recipe.yaml": "the folder `bundle`",
    "model.pt": "export_modules",
}


@pytest.mark.parametrize("name", WAYS_OUT)
def test_nobody_is_told_to_take_a_model_away(name: str, tmp_path: Path) -> None:
    """What a file is that lies beside a card, and what to do with it, in a folder and in an archive."""
    folder = filled(tmp_path / "bundle")
    (folder / name).write_bytes(b"x")
    for source in (folder, Path(shutil.make_archive(str(tmp_path / "made"), "zip", folder))):
        with pytest.raises(GateError) as refused:
            open_files(source)
        assert WAYS_OUT[name] in str(refused.value)
        assert "take it away" not in str(refused.value)


def test_archives_of_other_programs_pass(tmp_path: Path) -> None:
    folder = filled(tmp_path / "bundle")
    flat = shutil.make_archive(str(tmp_path / "flat"), "zip", folder)
    nested = shutil.make_archive(str(tmp_path / "nested"), "zip", tmp_path, "bundle")
    link = tmp_path / "link.zip"
    link.symlink_to(flat)
    for path in (folder, Path(flat), Path(nested), link):
        assert open_files(path) == FILES, path


@pytest.mark.skipif(shutil.which("zip") is None, reason="the program zip is not installed")
@pytest.mark.parametrize("options", [["-r"], ["-r", "-0"], ["-r", "-9", "-X"], ["-j", "-r"], ["-r", "-D"]])
def test_archives_of_zip_pass(options: list[str], tmp_path: Path) -> None:
    filled(tmp_path / "bundle")
    subprocess.run(["zip", "-q", *options, "bundle.zip", "bundle"], cwd=tmp_path, check=True)
    assert open_archive(tmp_path / "bundle.zip") == FILES


def test_tensors_are_where_another_reader_finds_them() -> None:
    content = save({"a": np.zeros((0, 3), np.float32), "b": np.float32([1, 2]), "c": np.float16([[3]])}, {"by": "us"})
    for whole in (content, honest_tensors()):
        found = check_tensors(whole)
        expected = load(whole)
        assert found.keys() == expected.keys()
        for name, tensor in found.items():
            assert (tensor.shape, tensor.end - tensor.start) == (expected[name].shape, expected[name].nbytes)
            assert whole[tensor.start : tensor.end] == expected[name].tobytes()


@pytest.mark.parametrize("name", ["a", "Übung 3", "模型", "модель", "نموذج", "🙂 model ❤️", "<script>", "'; DROP TABLE"])
def test_names_that_can_be_seen_pass(name: str) -> None:
    for content in (json.dumps({"name": name}), json.dumps({"name": name}, ensure_ascii=False)):
        assert check_card(content.encode()) == {"name": name}


def wordy(model: ModelProto) -> None:
    """What exporters tell of themselves."""
    model.producer_name, model.doc_string = "pytorch", "made on Monday"
    model.metadata_props.add(key="namespace", value="x" * 1000)
    model.graph.node[0].metadata_props.add(key="stack trace", value='File "model.py", line 3')
    model.graph.value_info.append(helper.make_tensor_value_info("h", FLOAT, ["n", 16]))
    model.graph.value_info.append(helper.make_tensor_value_info("g", FLOAT, None))


def listed(model: ModelProto) -> None:
    """Numbers in lists of their own instead of bytes."""
    for tensor in model.graph.initializer:
        array = onnx.numpy_helper.to_array(tensor)
        kind = FLOAT if array.dtype == np.float32 else TensorProto.INT64
        tensor.CopyFrom(helper.make_tensor(tensor.name, kind, array.shape, array.ravel().tolist()))


def halved(model: ModelProto) -> None:
    """Weights in half precision, converted as they are used."""
    tensor = model.graph.initializer[0]
    tensor.CopyFrom(held("a16", onnx.numpy_helper.to_array(tensor).astype(np.float16)))
    model.graph.node.insert(0, node("Cast", ["a16"], ["a"], to=FLOAT))


def constants(model: ModelProto) -> None:
    """Every weight as a node."""
    made = [node("Constant", [], [tensor.name], value=tensor) for tensor in model.graph.initializer]
    nodes = [*made, *model.graph.node]
    model.graph.ClearField("initializer")
    model.graph.ClearField("node")
    model.graph.node.extend(nodes)


def same(model: ModelProto) -> None:
    """As it is."""


@pytest.mark.parametrize("change", [same, wordy, listed, halved, constants])
def test_graphs_pass_and_are_counted(change: Callable[[ModelProto], None]) -> None:
    model = honest()
    change(model)
    content = model.SerializeToString()
    facts = check_in_box(content, INPUTS, OUTPUT, "decode.onnx")
    assert facts.parameters == 6 * 16 + 16 + 16 * 64 + 64 + 4
    assert facts.nodes == sum(facts.operators.values()) == len(model.graph.node)
    assert facts.cost == Cost(6 * 16 + 16 * 64, 6 * 16 + 16 * 64 + 16 + 64 + 16 + 64)  # biases, ReLU, sigmoid
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (images,) = session.run(None, {"latents": np.zeros((3, 6), np.float32)})
    assert images.shape == (3, 1, 8, 8)


@pytest.mark.parametrize("opset", OPSETS)
def test_opsets_pass(opset: int) -> None:
    model = honest()
    model.opset_import[0].version = opset
    facts = check_in_box(model.SerializeToString(), INPUTS, OUTPUT, "decode.onnx")
    assert (facts.opset, facts.multiply_adds) == (opset, 6 * 16 + 16 * 64)


def test_an_opset_that_is_not_known_is_refused_with_those_that_are() -> None:
    model = honest()
    model.opset_import[0].version = 26
    with pytest.raises(GateError, match=rf"opset \[26\].*from 11 to {OPSETS[-1]}.*name the opset when you export it"):
        check_graph(model.SerializeToString(), INPUTS, OUTPUT, "decode.onnx")


def test_long_samplers_pass() -> None:
    facts = check_graph(unrolled(4_000).SerializeToString(), INPUTS, OUTPUT, "generate.onnx")
    assert facts.nodes == 32_005


def test_a_tensor_that_comes_twice_counts_twice() -> None:
    again = then(twin=onnx.numpy_helper.to_array(honest().graph.initializer[2]))()
    one, two = (check_graph(c, INPUTS, OUTPUT, "x") for c in (honest().SerializeToString(), again))
    assert two.parameters - one.parameters == 16 * 64
    assert set(one.stored) == set(two.stored)


PLAIN = {
    "a lone infinity masks": then(w=np.float32(-np.inf)),
    "to the end": then(node("Slice", ["h", "s", "e"], ["v"]), s=ints(1, 1), e=ints((1 << 63) - 1, 1 << 31)),
    "dropout that is off": then(node("Dropout", ["h", "r", "off"], ["v"]), r=floats(0.5), off=np.array(False)),
    "enlarged twice": then(node("Resize", ["images", "", "s"], ["v"]), s=floats(1, 1, 2, 2)),
    "cropped": then(node("Pad", ["images", "s"], ["v"]), s=ints(0, 0, -1, -1, 0, 0, -1, -1)),
    "norm": then(node("BatchNormalization", ["h", *"bbbb"], ["v"], epsilon=1e-3, training_mode=0)),
}


@pytest.mark.parametrize("kind", PLAIN)
def test_what_honest_models_do_passes(kind: str) -> None:
    check_graph(PLAIN[kind](), INPUTS, OUTPUT, "decode.onnx")


def opened(*dims: str | int) -> Callable[[], bytes]:
    """An output whose sizes, or rank, the exporter's inference leaves open."""

    def change(model: ModelProto) -> bytes:
        shape = list(dims) or None
        model.graph.output[0].CopyFrom(helper.make_tensor_value_info("images", FLOAT, shape))
        return model.SerializeToString()

    return lambda: change(honest())


def imported(domain: str, version: int) -> Callable[[], bytes]:
    """A domain that an exporter names and no node is of."""

    def change(model: ModelProto) -> bytes:
        model.opset_import.append(helper.make_opsetid(domain, version))
        return model.SerializeToString()

    return lambda: change(honest())


MASK = np.triu(np.full((64, 64), -np.inf, np.float32), 1)
RUN = {
    "open sizes": opened("n", "c", "h", "w"),
    "one open size": opened("n", 1, 8, "w"),
    "open rank": opened(),
    "scikit-learn's domain": imported("ai.onnx.ml", 3),
    "torch's library": imported("pkg.onnxscript.torch_lib", 1),
    "Microsoft's domain": imported("com.microsoft", 1),
    "a causal mask": lambda: looked_at(then(node("Add", ["flat", "mask"], ["v"]), mask=MASK)()),
    "a causal mask with slopes": lambda: looked_at(then(node("Add", ["flat", "m"], ["v"]), m=MASK - 1)()),
}


@pytest.mark.parametrize("kind", RUN)
def test_what_a_run_shows_to_be_right_passes(kind: str) -> None:
    """Sizes that a file leaves open, domains that no node is of, and infinities that mask."""
    content = RUN[kind]()
    check_graph(content, INPUTS, OUTPUT, "decode.onnx")
    facts = check_in_box(content, INPUTS, OUTPUT, "decode.onnx")
    assert facts.cost is not None
    assert facts.cost.multiply_adds == 6 * 16 + 16 * 64


STOCK = """
    Abs Add And ArgMax Asin Atan Attention AveragePool Cast Celu Clip Concat Conv ConvTranspose CumSum DepthToSpace
    Div Einsum Elu Equal Erf Expand Floor GRU Gather GatherElements GatherND Gelu Gemm Greater GreaterOrEqual
    GridSample GroupNormalization HardSigmoid HardSwish InstanceNormalization IsInf IsNaN LSTM LayerNormalization
    LeakyRelu Less Log LogSoftmax MatMul MaxPool Mish Mod Mul Not PRelu Pad Pow RMSNormalization Range Reciprocal
    ReduceL2 ReduceLogSumExp ReduceMax ReduceMean ReduceProd ReduceSum Relu Reshape Resize Round ScatterElements
    Selu Shape Sigmoid Sign Slice Softmax Softplus Split Sqrt Squeeze Sub Tan Tile TopK Transpose Trilu Unsqueeze
    Where
"""


def test_what_torch_makes_of_its_own_layers_is_run() -> None:
    """What torch 2.13's exporter made of some 90 of its layers and functions, at opsets 18, 20 and 23."""
    assert set(STOCK.split()) <= OPERATORS


@pytest.mark.parametrize("kind", TensorProto.DataType.keys())
def test_a_type_is_run_or_refused_by_its_name(kind: str) -> None:
    """No type passes the walk that onnxruntime does not run."""
    number = TensorProto.DataType.Value(kind)

    def through(model: ModelProto) -> None:
        for one in model.graph.node:
            one.input[:] = ["back" if name == "latents" else name for name in one.input]
        model.graph.node.insert(0, node("Cast", ["there"], ["back"], to=FLOAT))
        model.graph.node.insert(0, node("Cast", ["latents"], ["there"], to=number))

    content = edited(through)()
    if kind in TYPES:
        check_in_box(content, INPUTS, OUTPUT, "decode.onnx")
        return
    with pytest.raises(
        GateError, match=f"makes values of {kind.lower()}, which are not run; of bool, int8, "
    ) as caught:
        check_graph(content, INPUTS, OUTPUT, "decode.onnx")
    assert caught.value.reason == "onnx-type"


def test_only_standard_operators_are_run() -> None:
    standard = {schema.name for schema in onnx.defs.get_all_schemas_with_history() if schema.domain == ""}
    assert standard >= OPERATORS


@pytest.mark.parametrize("kind", [TensorProto.DOUBLE, TensorProto.BFLOAT16])
@pytest.mark.parametrize("where", ["weight", "input", "output"])
def test_a_model_in_another_precision_is_told_how_to_become_float32(kind: int, where: str) -> None:
    def change(model: ModelProto) -> None:
        if where == "weight":
            model.graph.initializer.append(helper.make_tensor("wide", kind, [2], [1.0, 2.0]))
        else:
            (port,) = getattr(model.graph, where)
            port.type.tensor_type.elem_type = kind

    with pytest.raises(GateError, match=r"float(64|16).*make weights and inputs float32 .*module\.float\(\)"):
        check_graph(edited(change)(), INPUTS, OUTPUT, "decode.onnx")
