"""A submission of the 2025 contest: its facts, `encode`, `decode` and `generate`, or all of it traced into ONNX files.

Which of them a box is asked for is up to its host, who gives each of the three functions a box of its own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latentarena.errors import BundleError
from latentarena.legacy.interface import Submission2025
from latentarena.sandbox.programs import INPUTS, Answer, Answers
from latentarena.sandbox.wire import Array

HOME = Path("/tmp")  # noqa: S108 - the box's own
ENVIRONMENT = {"HOME": str(HOME), "USER": "box", "MPLBACKEND": "Agg", "MPLCONFIGDIR": str(HOME)}
Reply = tuple[dict[str, Any], Mapping[str, Array]]


def prepare(arguments: Sequence[str]) -> Answers:
    """The submission among the inputs, loaded.

    Args:
        arguments: none are taken.

    Raises:
        BundleError: it cannot be loaded, with its line and the reason.
    """
    os.environ.update(ENVIRONMENT)
    submission = Submission2025(INPUTS)

    def threaded(answer: Answer) -> Answer:
        def run(facts: dict[str, Any], arrays: Mapping[str, Array]) -> Reply:
            torch.set_num_threads(int(facts["threads"]))
            return answer(facts, arrays)

        return run

    def generate(facts: dict[str, Any], arrays: Mapping[str, Array]) -> Reply:
        submission.seed(int(facts["seed"]))
        return {}, {"images": submission.generate(int(facts["n"])).numpy()}

    def trace(facts: dict[str, Any], arrays: Mapping[str, Array]) -> Reply:
        from latentarena.legacy.tracing import trace as write  # only here: it imports all that exports

        folder = HOME / "portable"
        told = tuple(facts["latent"]), facts["logits"], facts["dataset"]
        write(submission, folder, *told)
        return {}, {path.name: _bytes(path) for path in folder.iterdir()}

    answers = {
        "facts": lambda facts, arrays: (submission.facts(), {}),
        "encode": _function(submission.encode, "images", "latents"),
        "decode": _function(submission.decode, "latents", "images"),
        "generate": generate,
        "trace": trace,
    }
    return {verb: threaded(answer) for verb, answer in answers.items()}


def _function(run: Callable[[Tensor], Tensor], given: str, made: str) -> Answer:
    def answer(facts: dict[str, Any], arrays: Mapping[str, Array]) -> Reply:
        if given not in arrays:
            raise BundleError(f"no {given} were handed in")
        return {}, {made: run(torch.from_numpy(arrays[given].copy())).numpy()}

    return answer


def _bytes(path: Path) -> Array:
    return torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8).numpy()
