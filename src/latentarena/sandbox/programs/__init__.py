"""What runs inside boxes. A program is a module here with `prepare(arguments) -> Answers`.

`prepare` is called once, at the first request. Every answer takes a request's facts and arrays and returns those of
the reply. What it raises becomes a SandboxError outside: its `reason` attribute, where it has one, and its text.
Files of strangers lie read-only in `INPUTS`; `$OMP_NUM_THREADS` says how many threads a library may use.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from latentarena.sandbox.wire import Array

__all__ = ["INPUTS", "Answer", "Answers"]

INPUTS = Path(os.environ.get("LATENTARENA_INPUTS", "/in"))
Answer = Callable[[dict[str, Any], Mapping[str, Array]], tuple[dict[str, Any], Mapping[str, Array]]]
Answers = Mapping[str, Answer]  # by verb
