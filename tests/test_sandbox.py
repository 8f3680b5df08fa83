"""Boxes: what a program may see and use, what is said of one that breaks a rule, and that nothing is left of it."""

from __future__ import annotations

import numpy as np
import pytest

from latentarena.sandbox import Box, Limits, SandboxError, standing

BOXED = pytest.mark.skipif(standing().tier < 1, reason=f"no sandbox here: {standing().reason}")


@BOXED
def test_facts_arrays_arguments_and_files_arrive() -> None:
    sent = {"images": np.random.default_rng(0).random((3, 28, 28), np.float32), "label": np.array(7)}
    with Box("echo", ["one", "two"], files={"a.onnx": b"12", "b/c": b""}, limits=Limits(), least=1) as box:
        for turn in range(2):
            facts, arrays = box.call("echo", {"turn": turn}, sent)
            assert facts == {"turn": turn, "arguments": ["one", "two"], "files": ["a.onnx", "b/c"]}
            for name, array in sent.items():
                np.testing.assert_array_equal(arrays[name], array)


@BOXED
def test_a_program_that_fails_can_be_asked_again() -> None:
    with Box("echo", limits=Limits(), least=1) as box:
        with pytest.raises(SandboxError, match="echo: KeyError: 'sing'") as caught:
            box.call("sing")
        assert caught.value.reason == "failed"
        assert box.call("echo", {"still": "here"})[0]["still"] == "here"


@BOXED
def test_a_closed_box_says_so() -> None:
    with Box("echo", limits=Limits(), least=1) as box:
        pass
    with pytest.raises(SandboxError, match="closed") as caught:
        box.call("echo")
    assert caught.value.reason == "died"


def test_a_tier_that_is_not_there_is_refused_with_the_reason() -> None:
    box = Box("echo", limits=Limits(), least=9)
    with pytest.raises(SandboxError, match=r"echo needs a sandbox of tier 9, this machine has tier \d: \w+") as caught:
        box.__enter__()
    assert caught.value.reason == "no-sandbox"
