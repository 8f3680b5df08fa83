"""Derivatives of paths that say nothing of them, as plain operators: exporters lose some forward-mode derivatives."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from latentarena.process import Path

Slopes = Callable[[Tensor], tuple[Tensor, Tensor]]


@contextmanager
def plain_slopes() -> Iterator[None]:
    """Trace `Path.slopes` for each path and shape of times as they are first asked for, and ask the trace from then on.

    What is run before anything is exported makes the traces; times of a shape that was never run are derived as ever.
    """
    from torch.fx.experimental.proxy_tensor import make_fx

    derived = Path.slopes
    traces: dict[Hashable, Slopes] = {}

    def slopes(path: Path, t: Tensor) -> tuple[Tensor, Tensor]:
        kind = (path, t.shape, t.dtype, t.device)
        if kind not in traces and not torch.compiler.is_exporting():
            traces[kind] = make_fx(lambda u: derived(path, u))(t)
        return traces[kind](t) if kind in traces else derived(path, t)

    Path.slopes = slopes  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        Path.slopes = derived  # type: ignore[method-assign]
