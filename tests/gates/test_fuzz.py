"""Fuzzing: whatever becomes of an honest file, a gate reads it as others do or refuses it, and soon."""

from __future__ import annotations

import json
import re
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import ModelProto

from corpus import graph_cases
from corpus.tensor_cases import framed
from fuzz.gates import GATES, HONEST, accepted

SECONDS = 3  # of atheris, for each gate
MOST_SECONDS = 2.0
HARNESS = Path(__file__).parents[1] / "support" / "fuzz" / "harness.py"
FUZZED = settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
ODD = st.sampled_from([0, 1, 2, 7, 0x7F, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 62, (1 << 63) - 1, (1 << 64) - 1])


def soon(gate: str, content: bytes) -> bool:
    """Whether the gate accepts; it has to say so within seconds of this process."""
    started = time.process_time()
    passed = accepted(gate, content)
    assert time.process_time() - started < MOST_SECONDS
    return passed


@pytest.mark.parametrize("gate", GATES)
def test_the_file_that_fuzzing_starts_from_is_accepted(gate: str) -> None:
    assert soon(gate, HONEST[gate])


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """An honest file with bits flipped, cut, copied and numbers of various widths written over it."""
    changed = bytearray(content)
    for _ in range(draw(st.integers(1, 6))):
        if not changed:
            break
        at = draw(st.integers(0, len(changed) - 1))
        end = min(len(changed), at + draw(st.integers(1, 40)))
        kind = draw(st.sampled_from(["flip", "cut", "truncate", "copy", "write", "insert"]))
        if kind == "flip":
            changed[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "cut":
            del changed[at:end]
        elif kind == "truncate":
            del changed[at:]
        elif kind == "copy":
            changed[at:at] = changed[at:end]
        elif kind == "write":
            width = draw(st.sampled_from([1, 2, 4, 8]))
            changed[at : at + width] = (draw(ODD) % (1 << 8 * width)).to_bytes(width, "little")
        else:
            changed[at:at] = draw(st.binary(min_size=1, max_size=20))
    return bytes(changed)


@pytest.mark.parametrize("gate", GATES)
@given(data=st.data())
@FUZZED
def test_damaged_files(gate: str, data: st.DataObject) -> None:
    soon(gate, data.draw(damaged(HONEST[gate])))


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | ODD | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
SIZES = st.lists(st.integers(-1, 9) | ODD, max_size=4)


def reached(raw: Any, draw: st.DrawFn, leaf: st.SearchStrategy[Any]) -> Any:
    """Plain data with one value, somewhere inside, in the place of another."""
    if not isinstance(raw, dict | list) or not raw or draw(st.booleans()):
        return draw(leaf)
    keys = list(raw) if isinstance(raw, dict) else range(len(raw))
    key = draw(st.sampled_from(keys))
    changed = raw.copy()
    changed[key] = reached(raw[key], draw, leaf)
    return changed


@given(data=st.data())
@settings(FUZZED, max_examples=80)
def test_tensors_with_another_header(data: st.DataObject) -> None:
    content = HONEST["tensors"]
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    for _ in range(data.draw(st.integers(1, 3))):
        kinds = st.sampled_from(["F32", "F16", "F64", "I64", "", "BF16"])
        header = reached(header, data.draw, PLAIN | SIZES | kinds)
    soon("tensors", framed(json.dumps(header).encode(), content[8 + length :]))


@given(data=st.data())
@settings(FUZZED, max_examples=80)
def test_cards_with_other_values(data: st.DataObject) -> None:
    card = json.loads(HONEST["card"])
    for _ in range(data.draw(st.integers(1, 3))):
        card = reached(card, data.draw, PLAIN)
    soon("card", json.dumps(card, ensure_ascii=data.draw(st.booleans())).encode("utf-8", "surrogatepass"))


@given(data=st.data())
@FUZZED
def test_graphs_with_other_fields(data: st.DataObject) -> None:
    model = ModelProto()
    model.CopyFrom(graph_cases.honest())
    for _ in range(data.draw(st.integers(1, 4))):
        _change(model, data.draw)
    soon("graph", model.SerializeToString())


def _change(message: Any, draw: st.DrawFn) -> None:
    """Set, clear, repeat or go into one field of a protobuf message."""
    field = draw(st.sampled_from(list(message.DESCRIPTOR.fields)))
    held = getattr(message, field.name)
    inner = list(held) if field.is_repeated else [held]
    if draw(st.integers(0, 9)) == 0:
        message.ClearField(field.name)
    elif field.message_type is not None and inner and draw(st.integers(0, 9)):
        _change(draw(st.sampled_from(inner)), draw)
    elif field.message_type is not None:
        if field.is_repeated:
            held.add()
    else:
        named = field.enum_type  # of which protobuf takes the known values alone
        value = draw(st.sampled_from([one.number for one in named.values]) if named else VALUES[field.type])
        if field.is_repeated:
            held.append(value)
        else:
            setattr(message, field.name, value)


WORDS = st.sampled_from(["", "latents", "images", "h", "Sigmoid", "Loop", "com.microsoft", "a\nb", "é"]) | st.text(
    max_size=9
)
LARGE = st.integers(-2, 20) | ODD.map(lambda n: n if n < 1 << 63 else -(1 << 63))
VALUES: dict[int, st.SearchStrategy[Any]] = {
    1: st.floats(),
    2: st.floats(width=32),
    3: LARGE,
    4: st.integers(0, 99),
    5: st.integers(-2, 99),
    9: WORDS,
    12: st.binary(max_size=40),
}


@pytest.mark.parametrize("gate", GATES)
def test_what_coverage_leads_to(gate: str, tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="atheris, which has no build for this system, is not installed")
    seeds = tmp_path / "seeds"
    seeds.mkdir()
    (seeds / "honest").write_bytes(HONEST[gate])
    options = [f"-max_total_time={SECONDS}", f"-timeout={int(MOST_SECONDS)}", "-rss_limit_mb=2048"]
    command = [sys.executable, str(HARNESS), gate, *options, f"-artifact_prefix={tmp_path}/", str(seeds)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    runs = re.search(r"Done (\d+) runs", done.stderr)
    assert runs, done.stderr[-3000:]
    assert int(runs[1]) > 100
    covered = [int(found) for found in re.findall(r"cov: (\d+)", done.stderr)]
    assert covered[-1] > covered[0] > 0, "the fuzzer sees the gate's code and finds its way in it"
