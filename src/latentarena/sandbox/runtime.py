"""ONNX graphs run by onnxruntime: bytes and arrays in, arrays out, alike inside a box and outside."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from latentarena.errors import BundleError
from latentarena.gates.run_fault import run_fault
from latentarena.sandbox.wire import Array

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

QUIET = 4  # onnxruntime's log level: what is wrong comes as an exception


def open_session(content: bytes | Path, threads: int, what: str) -> InferenceSession:
    """A graph made ready to run on the CPU, the same numbers for the same input on the same machine.

    Args:
        content: of the ONNX file, or where it is.
        threads: that an operator may use.
        what: its name in messages.

    Raises:
        GateError: onnxruntime refuses it, in plain words.
    """
    import onnxruntime  # not before there is a graph to run

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.use_deterministic_compute = True
    options.log_severity_level = QUIET
    source = content if isinstance(content, bytes) else str(content)
    try:
        return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions have no common base of their own
        raise run_fault(what, error) from None


def run(session: InferenceSession, inputs: Mapping[str, Array], row: tuple[int, ...], what: str) -> Array:
    """The graph's only output, float32 (n, *row), for inputs of n rows.

    Raises:
        GateError: it fails on them.
        BundleError: it gives anything else.
    """
    rows = len(next(iter(inputs.values())))
    try:
        (output,) = session.run(None, dict(inputs))
    except Exception as error:
        raise run_fault(what, error, rows) from None
    refuse_output(output, (rows, *row), what)
    return np.asarray(output)


def refuse_output(output: Any, expected: tuple[int, ...], what: str) -> None:
    """Raise a BundleError where an output is anything but float32 of the expected shape."""
    if not isinstance(output, np.ndarray) or output.dtype != np.float32 or output.shape != expected:
        given = f"{output.dtype} {output.shape}" if isinstance(output, np.ndarray) else type(output).__name__
        raise BundleError(f"{what} gave {given}, expected float32 {expected}; export it anew")
