"""Frames: what goes in comes out, and whatever else comes is refused before anything is allocated."""

from __future__ import annotations

import io
import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from latentarena.sandbox.wire import Frame, WireError, pack, read

MOST = 1 << 20
DTYPES = st.sampled_from(["|b1", "|u1", "|i1", "<i2", ">i4", "<i8", "<f2", ">f4", "<f8"])
NAMES = st.text(min_size=1, max_size=8).filter(str.isprintable)
ARRAYS = st.dictionaries(NAMES, hnp.arrays(DTYPES, hnp.array_shapes(min_dims=0, min_side=0)), max_size=3)
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
FACTS = st.dictionaries(st.text(max_size=5), NUMBERS | st.text())


def packed(frame: Frame) -> bytes:
    return b"".join(pack(frame))


def unpacked(content: bytes, most: int = MOST) -> Frame | None:
    return read(io.BytesIO(content).read, most)


def header(text: str, magic: bytes = b"LAW1", length: int | None = None) -> bytes:
    content = text.encode("utf-8", "surrogatepass")
    return magic + struct.pack("<I", len(content) if length is None else length) + content


def arrays(*listed: object) -> bytes:
    return header(json.dumps({"verb": "v", "facts": {}, "arrays": list(listed)}))


@given(ARRAYS, FACTS)
def test_what_goes_in_comes_out(sent: dict[str, np.ndarray], facts: dict[str, object]) -> None:
    frame = unpacked(packed(Frame("verb", facts, sent)))
    assert frame is not None
    assert (frame.verb, frame.facts, set(frame.arrays)) == ("verb", facts, set(sent))
    for name, array in sent.items():
        np.testing.assert_array_equal(frame.arrays[name], array)
        assert frame.arrays[name].dtype == array.dtype.newbyteorder("<")


def test_an_array_out_of_order_in_memory_arrives_in_order() -> None:
    turned = np.arange(24.0).reshape(2, 3, 4).transpose(2, 0, 1)[::-1]
    frame = unpacked(packed(Frame("v", {}, {"x": turned})))
    assert frame is not None
    np.testing.assert_array_equal(frame.arrays["x"], turned)


@given(st.binary(max_size=200))
def test_noise_is_refused_or_no_frame(content: bytes) -> None:
    if content:
        with pytest.raises(WireError):
            unpacked(content)


@given(ARRAYS, st.data())
def test_a_frame_cut_short_is_refused(sent: dict[str, np.ndarray], data: st.DataObject) -> None:
    content = packed(Frame("v", {}, sent))
    cut = data.draw(st.integers(1, len(content) - 1))
    with pytest.raises(WireError, match="early"):
        unpacked(content[:cut])


HOSTILE = {
    "magic": (header("{}", magic=b"PK\3\4"), "in place of"),
    "no header": (header("", length=0), "claims 0 bytes"),
    "huge header": (header("{}", length=2**32 - 1), "claims 4,294,967,295 bytes"),
    "no json": (header("{verb"), "not JSON"),
    "bad utf-8": (b"LAW1" + struct.pack("<I", 2) + b"\xff\xfe", "not JSON"),
    "deep json": (header("[" * 100_000), "not JSON"),
    "long number": (header('{"verb": "v", "facts": {"n": %s}, "arrays": []}' % ("9" * 10_000)), "not JSON"),
    "nan": (header('{"verb": "v", "facts": {"n": NaN}, "arrays": []}'), "NaN"),
    "infinite": (header('{"verb": "v", "facts": {"n": 1e999}, "arrays": []}'), "not JSON"),
    "half a letter": (header('{"verb": "v", "facts": {"n": "\\ud800"}, "arrays": []}'), "not JSON"),
    "key twice": (header('{"verb": "v", "verb": "w", "facts": {}, "arrays": []}'), "twice"),
    "extra key": (header('{"verb": "v", "facts": {}, "arrays": [], "more": 1}'), "alone"),
    "no object": (header("[]"), "alone"),
    "no verb": (header('{"verb": "", "facts": {}, "arrays": []}'), "verb"),
    "verb of numbers": (header('{"verb": 1, "facts": {}, "arrays": []}'), "verb"),
    "facts a list": (header('{"verb": "v", "facts": [], "arrays": []}'), "facts"),
    "arrays an object": (header('{"verb": "v", "facts": {}, "arrays": {}}'), "no list"),
    "many arrays": (arrays(*([f"a{i}", "<f4", [0]] for i in range(65))), "no list"),
    "array of two": (arrays(["x", "<f4"]), "name, dtype and shape"),
    "array twice": (arrays(["x", "<f4", []], ["x", "<f4", []]), "twice"),
    "long name": (arrays(["x" * 65, "<f4", []]), "too long"),
    "objects": (arrays(["x", "|O", [1]]), "dtype"),
    "fields": (arrays(["x", [["a", "<f4"]], [1]]), "dtype"),
    "dates": (arrays(["x", "<M8[s]", [1]]), "dtype"),
    "strings": (arrays(["x", "<U2147483647", [1]]), "dtype"),
    "negative": (arrays(["x", "<f4", [-1]]), "whole number"),
    "true": (arrays(["x", "<f4", [True]]), "whole number"),
    "half": (arrays(["x", "<f4", [1.5]]), "whole number"),
    "side": (arrays(["x", "<f4", [2**63]]), "whole number"),
    "rank": (arrays(["x", "<f4", [1] * 9]), "dimensions"),
    "overflow": (arrays(["x", "<f4", [2**32, 2**32]]), "at most 1,048,576"),
    "sum": (arrays(*([f"x{i}", "<f4", [2**16]] for i in range(5))), "at most 1,048,576"),
    "empty and too big": (arrays(["x", "<f4", [0, 2**39, 2**39]]), "not possible"),
    "booleans of 7": (arrays(["x", "|b1", [2]]) + b"\x01\x07", "booleans"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_frame_is_refused_by_name(name: str) -> None:
    content, reason = HOSTILE[name]
    with pytest.raises(WireError, match=reason):
        unpacked(content)


@pytest.mark.parametrize("bad", [{"x": np.array([None])}, {"x": np.zeros(1, "M8[s]")}, {"x" * 65: np.zeros(1)}])
def test_what_no_frame_can_hold_is_not_sent(bad: dict[str, np.ndarray]) -> None:
    with pytest.raises(WireError):
        pack(Frame("v", {}, bad))


@pytest.mark.parametrize("facts", [{"x": float("nan")}, {"x": object()}, {"x": b""}])
def test_facts_are_json(facts: dict[str, object]) -> None:
    with pytest.raises(WireError, match="JSON"):
        pack(Frame("v", facts))


def test_the_end_of_a_stream_between_frames_is_no_error() -> None:
    assert unpacked(b"") is None
