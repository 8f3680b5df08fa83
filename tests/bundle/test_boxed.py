"""Portable bundles in boxes: the same numbers as outside, refusals by reason, and nothing passes beside the latents."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from boxes import BOXED, tried
from corpus.case import Case, cases
from latentarena.bundle import OWN, PortableBundle, Trust, export_modules, open_bundle
from latentarena.bundle.boxed import LIMITS, read_boxed
from latentarena.bundle.pack import pack_graphs
from latentarena.contest.eligibility import Eligibility, LatentLimits
from latentarena.data.digits import embedded_digits
from latentarena.errors import BundleError, GateError
from latentarena.evaluate.evaluate import Step, evaluate, main, refusal_of
from latentarena.evaluate.scoring import Panel, judge_bundle
from latentarena.evaluate.verify import differences, recompute
from latentarena.files import digest
from latentarena.gates import open_files
from latentarena.judge.classifier import Judge
from latentarena.sandbox import Box, Limits, SandboxError, standing

SHAPE, LATENT = (1, 28, 28), (5,)


class Encoder(nn.Module):
    """Nothing that the lab has: a polynomial of pooled pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(49, 5)

    def forward(self, images: Tensor) -> Tensor:
        pooled = nn.functional.avg_pool2d(images, 4).flatten(1)
        return self.inner(pooled * pooled)


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(5, 784)

    def forward(self, latents: Tensor) -> Tensor:
        return torch.sigmoid(self.inner(latents)).view(-1, 1, 28, 28)


class Generator(nn.Module):
    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder, self.inner, self.classes = decoder, nn.Linear(5, 5), nn.Embedding(10, 5)

    def forward(self, noise: Tensor, labels: Tensor) -> Tensor:
        return self.decoder(noise + torch.tanh(self.inner(noise)) + self.classes(labels))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A portable bundle; no test changes it."""
    torch.manual_seed(0)
    decoder = Decoder()
    path = tmp_path_factory.mktemp("boxed") / "bundle"
    export_modules(
        path, "polynomial", Encoder(), decoder, Generator(decoder), SHAPE, LATENT, LATENT, tuple("0123456789"), True,
        dataset="digits",
    )  # fmt: skip
    return path


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """One that a test may spoil."""
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def put(folder: Path, graph: str, content: bytes) -> None:
    """Replace a graph, and declare its hash, so that the fault inside is what is found."""
    (folder / f"{graph}.onnx").write_bytes(content)
    card = json.loads((folder / "card.json").read_text())
    card["hashes"][graph] = digest(content)
    (folder / "card.json").write_text(json.dumps(card))


@BOXED
def test_scores_are_those_of_the_same_bundle_outside_bit_for_bit(folder: Path, digits_judge: Judge) -> None:
    def scored(bundle: PortableBundle) -> object:
        judged = judge_bundle(bundle, Panel(embedded_digits(), digits_judge), samples=100, timed=False)
        card, found = judged.card, judged.findings
        return card.model_dump(), found.generated.numpy().tobytes()

    with open_bundle(folder, trust=Trust.BOXED) as boxed:
        assert scored(boxed) == scored(open_bundle(folder, trust=OWN))
        noise, labels = boxed.model.noise(7, 0), torch.arange(7)
        torch.set_num_threads(2)
        try:
            again = boxed.model.generate(noise, labels)
            assert torch.equal(again, open_bundle(folder, trust=OWN).model.generate(noise, labels))
        finally:
            torch.set_num_threads(1)


@BOXED
def test_files_of_a_stranger_are_parsed_in_boxes_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def here(content: bytes) -> None:
        raise ValueError(f"{len(content)} bytes are parsed in the judge's own process")

    monkeypatch.setattr(onnx, "load_model_from_string", here)
    with pytest.raises(GateError, match="cannot be parsed"):  # as it would show
        open_bundle(folder, trust=OWN)
    with open_bundle(folder, trust=Trust.BOXED) as bundle:
        assert bundle.model.decode(torch.zeros(1, 5)).shape == (1, *SHAPE)
        assert bundle.model.measured()[0].multiply_adds == 5 * 5 + 5 * 784
    with open_bundle(folder, trust=Trust.BOXED) as guarded:  # as `arena verify` has it
        assert guarded.digest == bundle.digest
        assert guarded.model.encode(torch.zeros(1, *SHAPE)).shape == (1, *LATENT)


@BOXED
def test_an_evaluation_passes_gates_and_boxes_and_comes_to_the_card_of_one_s_own_process(
    folder: Path, digits_judge: Judge, tmp_path: Path
) -> None:
    path, steps = tmp_path / "bundle.zip", list[Step]()
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, file.name)
    rules = Eligibility(forms=("portable",), dataset="digits", latent=LatentLimits(precision="float8"))
    found = evaluate(path, rules, samples=100, timed=False, tell=steps.append)
    assert found.card.precision == "float8"  # the contest's, not the card's own
    assert differences(found.card, recompute(found.card, open_bundle(folder, trust=OWN))) == []
    assert found.card.sandbox == f"tier {standing().tier}"
    assert found.card.unverified == ()
    assert found.bundle["form"] == "portable"
    assert [step.name for step in steps] == ["files", "card", "sandbox", "graphs", "judge", "scored"]


@BOXED
def test_what_a_gate_in_a_box_refuses_is_refused_by_its_reason(copy: Path) -> None:
    put(copy, "decode", b"garbage")
    with pytest.raises(GateError, match=r"decode\.onnx of 'polynomial' is no ONNX file") as refusal:
        open_bundle(copy, trust=Trust.BOXED)
    assert refusal.value.reason == "onnx-parse"


@BOXED
def test_hidden_parameters_are_counted_and_a_card_that_leaves_them_out_is_refused(copy: Path) -> None:
    model = onnx.load(str(copy / "generate.onnx"))
    hidden = numpy_helper.from_array(torch.ones(1, 1, 28, 28).numpy(), "hidden")
    image = model.graph.output[0].name
    for node in model.graph.node:
        node.output[:] = ["before" if name == image else name for name in node.output]
    model.graph.node.append(helper.make_node("Constant", [], ["ones"], value=hidden))
    model.graph.node.append(helper.make_node("Mul", ["before", "ones"], [image]))
    put(copy, "generate", model.SerializeToString())
    with pytest.raises(BundleError, match=r"parameters = .* but the files hold .*'generator': (\d+)") as refusal:
        open_bundle(copy, trust=Trust.BOXED)
    found = re.search(r"hold .*'generator': (\d+)", str(refusal.value))
    declared = json.loads((copy / "card.json").read_text())["parameters"]["generator"]
    assert found is not None
    assert int(found[1]) == declared + 784


@BOXED
def test_a_graph_that_breaks_its_limits_is_ended_and_named(copy: Path) -> None:
    """One row at a time it is small; many rows at once make it multiply large squares for hours."""
    noise = helper.make_tensor_value_info("latents", TensorProto.FLOAT, ["n", 5])
    image = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", *SHAPE])
    start = [
        helper.make_node("Constant", [], ["wide"], value=numpy_helper.from_array(torch.ones(5, 784).numpy())),
        helper.make_node("MatMul", ["latents", "wide"], ["x0"]),
    ]
    turns = [
        node
        for i in range(1500)
        for node in (
            helper.make_node("Gemm", [f"x{i}", f"x{i}"], [f"y{i}"], transA=1),
            helper.make_node("MatMul", [f"x{i}", f"y{i}"], [f"x{i + 1}"]),
        )
    ]
    shape = helper.make_node("Constant", [], ["shape"], value_ints=[-1, *SHAPE])
    end = [shape, helper.make_node("Reshape", ["x1500", "shape"], ["images"])]
    graph = helper.make_graph([*start, *turns, *end], "slow", [noise], [image])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    put(copy, "decode", model.SerializeToString())
    with pytest.raises(BundleError, match="but the files hold") as refusal:
        open_bundle(copy, trust=Trust.BOXED)
    counts = {part: int(n) for part, n in re.findall(r"'(\w+)': (\d+)", str(refusal.value).partition("hold")[2])}
    card = json.loads((copy / "card.json").read_text())
    (copy / "card.json").write_text(json.dumps(card | {"parameters": counts}))
    with read_boxed(open_files(copy), copy, replace(LIMITS, seconds=5)) as bundle:
        with pytest.raises(
            SandboxError, match=r"decode\.onnx of 'polynomial': no answer within 5 s when it was run"
        ) as ended:
            bundle.model.decode(torch.randn(500, 5))
        assert ended.value.reason == "timeout"
        assert bundle.model.encode(torch.rand(2, *SHAPE)).shape == (2, 5)


WAY = "; make it run for all inputs, or export it anew"
FIRST = "a = Constant<value_ints=[0]>() b = Constant<value_ints=[1]>() x = Slice(noise, a, b, b)"
AS_IT_RUNS = {  # what generate computes, and why an entry of it is refused; `x` is the first number of the noise (n, 1)
    "rows that raise": (
        "two = Constant<value_float=2.0>() thousand = Constant<value_int=1000>() table = Constant<value_floats=[0.0]>()"
        "g = Greater(x, two) i = Cast<to=7>(g) far = Mul(i, thousand) y = Gather<axis=0>(table, far)",
        "onnx-run",
        r"generate\.onnx of 'spoilt' cannot be run on \d+ rows at its Gather node: indices element out of data bounds, "
        r"idx=1000 must be within the inclusive range \[-1,0\]" + WAY,
    ),
    "memory": (
        "s = Constant<value_ints=[1, 3500000]>() e = Tile(x, s) d = Mul(e, e) y = ReduceMean<keepdims=1>(d, b)",
        "memory",
        r"generate\.onnx of 'spoilt': it needed more than the 1,024 MiB of memory that it may take; make the model "
        "smaller",
    ),
    "numbers that are none": (
        "two = Constant<value_float=2.0>() d = Sub(two, x) y = Sqrt(d)",
        "not-finite",
        r"generate\.onnx of 'spoilt': its answer when it was run is refused: images holds values that are not "
        "finite; make it finite for all inputs",
    ),
}


@BOXED
@pytest.mark.parametrize("fault", AS_IT_RUNS)
def test_what_a_bundle_does_as_it_runs_is_its_own_fault_told_without_words_of_c(
    fault: str, folder: Path, digits_judge: Judge, tmp_path: Path
) -> None:
    body, reason, sentence = AS_IT_RUNS[fault]
    shape = "s1 = Constant<value_ints=[1, 784]>() s2 = Constant<value_ints=[-1, 1, 28, 28]>()"
    text = f"{FIRST} {body} {shape} grey = Sigmoid(y) flat = Tile(grey, s1) images = Reshape(flat, s2)"
    text = f"generate (float[n, 5] noise) => (float[n, 1, 28, 28] images) {{ {text} }}"
    onnx.save(onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["": 20]> {text}'), tmp_path / "generate.onnx")
    files = {name: folder / f"{name}.onnx" for name in ("encode", "decode")}
    pack_graphs(tmp_path / "spoilt", "spoilt", files | {"generate": tmp_path / "generate.onnx"}, "digits")
    assert main([str(tmp_path / "spoilt"), "--out", str(tmp_path / "out"), "--samples", "100"]) == 0
    said = json.loads((tmp_path / "out" / "refusal.json").read_text())
    assert (said["state"], said["reason"]) == ("refused", reason)
    assert re.fullmatch(sentence, said["sentence"]), said["sentence"]


def test_a_machine_without_a_sandbox_refuses_with_the_reason(folder: Path) -> None:
    with pytest.raises(SandboxError, match=r"needs a sandbox of tier 9, this machine has tier \d: ") as refusal:
        read_boxed(open_files(folder), folder, least=9)
    assert refusal_of(refusal.value) == ("failed", "no-sandbox")  # the machine's fault


@dataclass(frozen=True)
class Passed(Case):
    """Two scripts: one leaves an image where the encoder runs, the other looks for it where the decoder runs."""

    leave: str
    look: str


def asserts(condition: str) -> str:
    return f"assert {condition}, 'not there'"


PASSED = [
    Passed(21, name, leave, look)
    for name, (leave, look) in {
        "a global": ("import sys; sys.image = b'x'", "import sys\n" + asserts("hasattr(sys, 'image')")),
        "the environment": ("os.environ['IMAGE'] = 'x'", asserts("'IMAGE' in os.environ")),
        "a file in tmp": ("open('/tmp/image', 'wb').write(b'x')", "open('/tmp/image')"),
        "a file in shared memory": ("open('/dev/shm/image', 'wb').write(b'x')", "open('/dev/shm/image')"),
        "a file where it runs": ("open('image', 'wb').write(b'x')", "open('image')"),
        "a pipe with a name": ("os.mkfifo('/tmp/pipe')", "os.open('/tmp/pipe', os.O_RDONLY | os.O_NONBLOCK)"),
        "a socket with a name": (
            "import socket, sys; sys.s = socket.socket(socket.AF_UNIX); sys.s.bind('/tmp/s'); sys.s.listen()",
            "import socket; socket.socket(socket.AF_UNIX).connect('/tmp/s')",
        ),
        "a socket in the abstract": (
            "import socket, sys; sys.a = socket.socket(socket.AF_UNIX); sys.a.bind('\\0image'); sys.a.listen()",
            "import socket; socket.socket(socket.AF_UNIX).connect('\\0image')",
        ),
        "another process": (
            "import ctypes; ctypes.CDLL(None).prctl(15, b'image', 0, 0, 0)",
            "names = [open(f'/proc/{n}/comm').read() for n in os.listdir('/proc') if n.isdigit()]\n"
            + asserts("'image\\n' in names"),
        ),
    }.items()
]


@BOXED
@cases(PASSED)
def test_an_image_does_not_pass_beside_the_latents(case: Passed) -> None:
    limits = Limits(memory=256 << 20, processes=16, seconds=30)
    with Box("probe", limits=limits, least=1) as encode, Box("probe", limits=limits, least=1) as decode:
        assert tried(encode, {"leave": case.leave, "look": case.look}) == {"leave": "", "look": ""}
        assert tried(decode, {"look": case.look})["look"] != ""
