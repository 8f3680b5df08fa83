"""A box that answers anything: to every caller of one, nothing but a refusal of one line may follow."""

from __future__ import annotations

import base64
import io
import json
import struct
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import repeat
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from boxes import BOXED, tried
from latentarena.bundle import boxed, door, export_modules
from latentarena.contest.eligibility import Eligibility
from latentarena.errors import ArenaError, GateError, SandboxError
from latentarena.evaluate.evaluate import evaluate, refusal_of
from latentarena.gates import Files, Port, check_in_box, open_files
from latentarena.judge.classifier import Judge
from latentarena.legacy import form as legacy
from latentarena.legacy.importing import PORTABLE, import_legacy
from latentarena.sandbox import Box, Standing, box, tier
from latentarena.sandbox.answers import AnswerError, Expected, Numbers, texts
from latentarena.sandbox.programs import onnx_model
from latentarena.sandbox.room import Limits, Room
from latentarena.sandbox.wire import Frame, pack, read
from latentarena.use.playground import answers

ODD = [
    "",
    "x",
    "../x",
    "../../escaped.py",
    "/tmp/escaped.txt",
    "card.json",
    "encode.onnx",
    "a\x1b[31mb",
    "\u202egpj",
    "x" * 65,
]
NAMES = st.sampled_from([*ODD, "images", "latents", "hashes", "sizes", "times", *PORTABLE]) | st.text(max_size=8)
WORDS = st.sampled_from(["\x1b[2J", "a\nb", "\u202e", "[bold]", "<script>", "x" * 5000]) | st.text(max_size=30)
NUMBERS = st.integers() | st.floats() | st.sampled_from([10**400, -1, 1 << 63, 1e308, True])
FACTS = st.sampled_from(
    ["opset", "nodes", "operators", "multiply_adds", "team", "decode", "steps", "parameters", "text"]
)
JSON = st.recursive(
    st.none() | NUMBERS | WORDS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3)
)
DEEP = json.loads("[" * 300 + "]" * 300)
DTYPES = st.sampled_from(["|b1", "|u1", "<i8", "<f2", "<f4", "<f8", "|O", "<U3"])
SHAPES = st.lists(st.sampled_from([0, 1, 2, 3, 32, 500, 1 << 39, -1, 2.5]), max_size=5)


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """The bytes of an answer, well formed or not, with names, types, shapes, numbers and words of any kind."""
    facts = draw(st.dictionaries(FACTS | NAMES, JSON | st.just(DEEP), max_size=5))
    layout = draw(st.lists(st.tuples(NAMES, DTYPES, SHAPES), max_size=4))
    verb = draw(st.sampled_from(["done", "done", "done", "failed", "trace", "x" * 65]))
    header = json.dumps({"verb": verb, "facts": facts, "arrays": layout}).encode()
    filler = draw(st.sampled_from([b"\0", b"\xff", b"\x7f\xc0"]))
    content = filler * draw(st.integers(0, 4000))
    return b"LAW1" + struct.pack("<I", len(header)) + header + content


class Fitted(Room):
    """A room that answers what its schema allows, with values of any kind, and now and then something else.

    What a box says of an ONNX file is true, so that whoever asks comes to the point of having it run.
    """

    draws = np.random.default_rng(0)
    spoiled = 0.0  # share of answers that break their schema
    traced: ClassVar[Files] = {}
    counted = True

    def __init__(
        self, program: str, arguments: Sequence[str], _: object, files: Files, limits: Limits, bare: bool
    ) -> None:
        self.program, self.limits, self._over, self._log = program, limits, None, b""
        self.told = honest(arguments[0], *files.values()) if program == "onnx_model" else None

    def close(self) -> None:
        pass

    def call(self, request: Frame, expected: Expected) -> Frame:
        self.expected = expected
        return super().call(request, expected)

    def _talk(self, request: Frame) -> Frame:
        facts, arrays = {}, {}
        if request.verb == "facts" and self.told is not None:
            facts, arrays = self.told
        elif request.verb == "trace":
            arrays = {name: np.frombuffer(content, np.uint8) for name, content in self.traced.items()}
        else:
            facts = {name: self._fact(name) for name in self.expected.facts}
            arrays = {name: self._array(one) for name, one in self.expected.arrays.items()}
        if self.draws.random() < self.spoiled:
            facts, arrays = self._spoiled(dict(facts), dict(arrays))
        found = read(io.BytesIO(b"".join(pack(Frame("done", facts, arrays)))).read, self.limits.output)
        assert found is not None
        return found

    def _fact(self, name: str) -> object:
        if name == "parameters":
            return {"vae": int(self.draws.integers(1 << 40)), "flow_model": 0}
        texts_of = ["logits", "images", "\x1b[2J[bold]x", "$\\frac{"]
        return int(self.draws.choice([1, 3, -1, 1 << 61])) if name == "steps" else str(self.draws.choice(texts_of))

    def _array(self, one: Numbers) -> np.ndarray:
        rows = one.rows if isinstance(one.rows, int) else int(self.draws.integers(4))
        row = one.row if one.row is not None else ((3,), (1, 3), (2, 1, 1 << 10))[self.draws.integers(3)]
        value = self.draws.choice([0.0, 0.5, 1.0, one.low, one.high, -3.0])
        spread = self.draws.choice([0.0, 1.0])
        return np.asarray(value + spread * self.draws.random((rows, *row)), one.dtype)

    def _spoiled(self, facts: dict[str, Any], arrays: dict[str, np.ndarray]) -> tuple[Any, Any]:
        kind = self.draws.integers(5)
        name = next(iter(arrays), "x")
        array = arrays.get(name, np.zeros(2, np.float32))
        if kind == 0:
            return facts, arrays | {"/tmp/escaped.txt": array}
        if kind == 1:
            return facts | {"../x": [[[]]]}, arrays
        if kind == 2:
            return facts, arrays | {name: array[:-1]}
        return (facts, arrays | {name: array.astype(np.float64) + np.nan}) if kind == 3 else ({}, {})


@cache
def honest(told: str, content: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What the program in a box says of an ONNX file."""
    said = json.loads(told)
    ports = [Port(name, dtype, tuple(row)) for name, dtype, row in (*said["inputs"], said["output"])]
    facts, arrays = onnx_model._told(check_in_box(content, ports[:-1], ports[-1], said["what"]))
    return facts, dict(arrays)


class AnyAnswer(Room):
    """A room without a program: whatever it is asked, it answers the next of the given bytes, over the real wire."""

    says: Iterator[bytes] = iter(())
    limits = Limits(output=1 << 20)
    counted = True

    def __init__(self, program: str, *_: Any) -> None:
        self.program, self._over, self._log = program, None, b"\x1b[31m said \xff"

    def close(self) -> None:
        pass

    def _talk(self, request: Frame) -> Frame:
        frame = read(io.BytesIO(next(self.says)).read, self.limits.output)
        if frame is None:
            raise EOFError
        return frame

    def _death(self, verb: str) -> SandboxError:
        return SandboxError("died", f"{self.program}: it ended without an answer to {verb!r}")


@contextmanager
def saying(content: bytes) -> Iterator[None]:
    """Boxes of this machine answer this, again and again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AnyAnswer, "says", repeat(content))
        patch.setattr(tier, "Room", AnyAnswer)
        with boxes_are(AnyAnswer):
            yield


@contextmanager
def fitting(seed: int, spoiled: float, traced: Files | None = None) -> Iterator[None]:
    """Boxes of this machine answer what their schemas allow, but for a share of answers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Fitted, "draws", np.random.default_rng(seed))
        patch.setattr(Fitted, "spoiled", spoiled)
        patch.setattr(Fitted, "traced", traced or {})
        with boxes_are(Fitted):
            yield


@contextmanager
def boxes_are(room: type[Room]) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(box, "Room", room)
        for module in (box, legacy, door):
            patch.setattr(module, "standing", lambda: Standing(2, ""))
        yield


def plain(said: str) -> bool:
    return said.isprintable() and len(said) < 1500


@pytest.fixture(scope="module")
def portable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("answers") / "portable"
    encode = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    decode = nn.Sequential(nn.Linear(3, 64), nn.Sigmoid(), nn.Unflatten(1, (1, 8, 8)))
    export_modules(folder, "p", encode, decode, decode, (1, 8, 8), (3,), (3,), dataset="digits")
    return folder


@pytest.fixture
def submission(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "sub.py"
    path.parent.mkdir()
    path.write_text("class SubmissionInterface: pass")
    return path


FEW = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@FEW
@given(content=frames())
def test_an_import_writes_nothing_and_refuses_in_a_line(content: bytes, submission: Path, tmp_path: Path) -> None:
    before = set(tmp_path.rglob("*"))
    with saying(content), pytest.raises(ArenaError) as caught:
        import_legacy(submission, tmp_path / "out")
    assert plain(str(caught.value)), str(caught.value)
    assert set(tmp_path.rglob("*")) == before


@FEW
@given(content=frames())
def test_an_evaluation_refuses_in_a_line(content: bytes, portable: Path, submission: Path) -> None:
    for path in (portable, submission):
        with saying(content), pytest.raises(ArenaError) as caught:
            evaluate(path, Eligibility(forms=("portable", "python-2025"), dataset=None))
        assert plain(str(caught.value)), str(caught.value)


@FEW
@given(content=frames())
def test_a_playground_refuses_in_a_line(content: bytes, portable: Path) -> None:
    asked = json.dumps({"bundle": str(portable), "asked": {"verb": "samples"}})
    with saying(content):
        (said,) = answers(iter([asked]))
    assert list(json.loads(said)) == ["refused"]
    assert plain(json.loads(said)["refused"])


@FEW
@given(content=frames())
def test_a_probe_has_a_tier_whatever_it_hears(content: bytes) -> None:
    with saying(content):
        found = tier.standing.__wrapped__()
    assert found.tier in (0, 1, 2)
    assert plain(found.reason)
    assert all(plain(probe.found) for probe in found.probes)


@FEW
@given(seed=st.integers(0, 1 << 32), spoiled=st.sampled_from([0.0, 0.1]))
def test_an_import_of_what_fits_is_a_bundle_or_a_refusal(
    seed: int, spoiled: float, submission: Path, tmp_path: Path, portable: Path
) -> None:
    before = set(tmp_path.rglob("*"))
    with fitting(seed, spoiled, open_files(portable)), pytest.raises(ArenaError) as caught:
        import_legacy(submission, tmp_path / "out")  # of another size than what the box says it has traced
    assert plain(str(caught.value)), str(caught.value)
    assert set(tmp_path.rglob("*")) == before


@settings(FEW, max_examples=12)
@given(seed=st.integers(0, 1 << 32), spoiled=st.sampled_from([0.0, 0.05]))
def test_an_evaluation_of_what_fits_is_a_card_or_a_refusal(
    seed: int, spoiled: float, portable: Path, digits_judge: Judge
) -> None:
    with fitting(seed, spoiled):
        try:
            found = evaluate(portable, samples=100, timed=False)
        except ArenaError as error:
            said = str(error)
        else:
            said = found.card.model_dump_json()[:100]
    assert plain(said), said


@FEW
@given(seed=st.integers(0, 1 << 32), verb=st.sampled_from(["samples", "walk", "redraw", "facts"]))
def test_a_playground_draws_what_fits_or_refuses(seed: int, verb: str, portable: Path) -> None:
    more = {"pixels": base64.b64encode(bytes(64)).decode()} if verb == "redraw" else {}
    with fitting(seed, 0.1):
        (line,) = answers(iter([json.dumps({"bundle": str(portable), "asked": {"verb": verb} | more})]))
    said = json.loads(line, parse_constant=pytest.fail)
    assert set(said) in ({"refused"}, {"kind", "content"}, {"kind", "content", "facts"}, {"facts"})
    assert plain(said.get("refused", ""))


RUN = Expected({}, {"images": Numbers("float32", 2, (1, 8, 8))})
GOOD = np.zeros((2, 1, 8, 8), np.float32)
WRONG: dict[str, tuple[dict[str, Any], dict[str, np.ndarray], str]] = {
    "another name": ({}, {"../x": GOOD}, "arrays are not images: there is '../x'"),
    "one more": ({}, {"images": GOOD, "x": GOOD}, "there is 'x'"),
    "none": ({}, {}, "images is not there"),
    "a fact": ({"x": 1}, {"images": GOOD}, "facts are not none: there is 'x'"),
    "another type": ({}, {"images": GOOD.astype(np.float64)}, r"images is float64 \[2, 1, 8, 8\], expected float32"),
    "another row": ({}, {"images": GOOD[..., :7]}, r"expected float32 \[2, 1, 8, 8\]"),
    "fewer rows": ({}, {"images": GOOD[:1]}, r"is float32 \[1, 1, 8, 8\]"),
    "no rows": ({}, {"images": np.float32(1)}, r"is float32 \[\]"),
    "not a number": ({}, {"images": GOOD + np.nan}, "not finite"),
    "infinite": ({}, {"images": GOOD - np.inf}, "not finite"),
    "huge": ({}, {"images": GOOD + 1e20}, "beyond"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_each_part_of_an_answer_is_checked(kind: str) -> None:
    facts, arrays, said = WRONG[kind]
    with pytest.raises(AnswerError, match=said):
        RUN.checked(Frame("done", facts, arrays))
    assert RUN.checked(Frame("done", {}, {"images": GOOD})).arrays["images"] is GOOD


def test_arrays_of_one_word_have_equally_many_rows() -> None:
    facts: dict[str, Any] = {"opset": 20, "nodes": 3, "operators": {"Gemm": 3}, "multiply_adds": 5} | {
        "operations": 5,
        "settings": 0,
        "unpacked": 0,
    }
    told = {name: np.ones(2, np.int64) for name in ("sizes", "times", "bits")}
    told |= {"hashes": np.zeros((2, 32), np.uint8), "weights": np.ones(2, np.uint8)}
    assert boxed.COUNTED.checked(Frame("done", facts, told)).facts == facts
    with pytest.raises(AnswerError, match=r"is int64 \[[23]\], expected int64 \[n\]"):
        boxed.COUNTED.checked(Frame("done", facts, told | {"sizes": np.ones(3, np.int64)}))
    for name, value in [("opset", -1), ("nodes", 1.5), ("nodes", 10**400), ("operators", {"a": -1}), ("opset", True)]:
        with pytest.raises(AnswerError, match=f"{name} is refused"):
            boxed.COUNTED.checked(Frame("done", facts | {name: value}, told))


def test_text_of_a_box_is_printable() -> None:
    said = texts(["it"]).checked(Frame("done", {"it": "a\x1b[2J\nb\u202ec"})).facts["it"]
    assert said == "a [2J b c"
    with pytest.raises(AnswerError, match="it is refused: String should have at most 1000"):
        texts(["it"]).checked(Frame("done", {"it": "x" * 1001}))
    with pytest.raises(AnswerError, match="it is refused: Input should be a valid string"):
        texts(["it"]).checked(Frame("done", {"it": DEEP}))


@BOXED
def test_a_program_cannot_pass_its_own_death_off_as_a_box_that_did_not_start() -> None:
    with Box("probe", limits=Limits(seconds=20), least=1) as one, pytest.raises(SandboxError) as caught:
        tried(one, {"it": "os.write(2, b'bwrap: no room\\n'); os._exit(1)"})
    assert caught.value.reason == "died"
    assert refusal_of(caught.value) == ("refused", "died")
    assert refusal_of(SandboxError("start", "a box did not start")) is None  # the machine's fault: tried again


def test_an_archive_is_looked_into_by_the_gate_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crowded, small = tmp_path / "crowded.zip", tmp_path / "small.zip"
    for path, many in ((crowded, 3000), (small, 2)):
        with zipfile.ZipFile(path, "w") as archive:
            for i in range(many):
                archive.writestr(f"{i}.py", b"")
    monkeypatch.setattr(zipfile, "ZipFile", pytest.fail)
    assert legacy.is_legacy(small)
    assert not legacy.is_legacy(crowded)
    with pytest.raises(GateError, match="has 3,000 entries") as caught:
        evaluate(crowded)
    assert caught.value.reason == "zip-entries"


WRITE = """
import base64
content = base64.b64decode({content!r})
for descriptor in range(3, 64):
    try:
        os.write(descriptor, content)
    except OSError:
        pass
os._exit({status})
"""


@BOXED
@settings(FEW, max_examples=8)
@given(frames(), st.sampled_from([0, 1]))
def test_a_real_box_that_writes_anything_to_its_pipe_is_refused_in_one_line(content: bytes, status: int) -> None:
    expected = Expected({"images": str}, {"latents": Numbers("float32", 2, (3,))})
    reply = written(content, status, expected)
    if isinstance(reply, SandboxError):
        assert refusal_of(reply) is not None
        assert str(reply).isprintable()
        assert len(str(reply)) < 3000
    else:
        assert isinstance(reply[0]["images"], str)
        assert reply[1]["latents"].shape == (2, 3)
        assert np.isfinite(reply[1]["latents"]).all()


def written(content: bytes, status: int, expected: Expected) -> Any:
    """What comes of a program in a real box that writes this to whatever it can write to, and ends."""
    script = WRITE.format(content=base64.b64encode(content).decode(), status=status)
    with Box("probe", limits=Limits(seconds=20), least=1) as one:
        try:
            return one.call("try", expected, {"scripts": {"answer": script}})
        except SandboxError as error:
            return error


@BOXED
@pytest.mark.parametrize("reason", ["start", "machine", "no-sandbox"])
def test_a_program_cannot_pass_its_refusal_off_as_the_machines_fault(reason: str) -> None:
    content = b"".join(pack(Frame("failed", {"reason": reason, "text": "try me again"})))
    reply = written(content, 0, Expected())
    assert (reply.reason, refusal_of(reply)) == ("failed", ("refused", "failed"))
