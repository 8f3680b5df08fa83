"""Whether boxes are to be had on this machine, and how tests talk to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from latentarena.sandbox import Box, standing
from latentarena.sandbox.answers import Expected, Numbers, texts
from latentarena.sandbox.room import Room
from latentarena.sandbox.wire import Frame

BOXED = pytest.mark.skipif(standing().tier < 1, reason=f"no sandbox here: {standing().reason}")


def mirrored(facts: Mapping[str, Any], arrays: Mapping[str, Any]) -> Expected:
    """What `echo` answers to these, with `arguments` and `files` beside the facts."""
    expected = {name: Numbers(a.dtype.name, len(a), a.shape[1:]) for name, a in arrays.items()}
    return Expected(dict.fromkeys([*facts, "arguments", "files"], Any), expected)


def echoed(box: Box | Room, facts: Mapping[str, Any] | None = None, arrays: Mapping[str, Any] | None = None) -> Any:
    """Facts and arrays as the program `echo` gives them back."""
    facts, arrays = dict(facts or {}), dict(arrays or {})
    expected = mirrored(facts, {name: np.asarray(array) for name, array in arrays.items()})
    if isinstance(box, Box):
        return box.call("echo", expected, facts, arrays)
    reply = box.call(Frame("echo", facts, arrays), expected)
    return reply.facts, reply.arrays


def tried(box: Box | Room, scripts: Mapping[str, str]) -> dict[str, str]:
    """What became of scripts in a box of the program `probe`, by name."""
    if isinstance(box, Box):
        return box.call("try", texts(scripts), {"scripts": dict(scripts)})[0]
    return box.call(Frame("try", {"scripts": dict(scripts)}), texts(scripts)).facts
