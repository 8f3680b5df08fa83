"""The example of parts of one's own, and registries that are as they were after a test."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from latentarena import parts
from latentarena.parts import Kinds
from latentarena.registry import REGISTRIES

EXAMPLE = Path(__file__).parents[2] / "examples" / "gated-parts"
GATED = EXAMPLE / "gated_parts.py"


@contextmanager
def restored() -> Generator[None]:
    """Forget what is registered and loaded meanwhile."""
    before = {kind: (dict(one._parts), dict(one.foreign)) for kind, one in REGISTRIES.items()}
    loaded, brought = dict(parts._loaded), dict(parts._brought)
    try:
        yield
    finally:
        for kind, (known, foreign) in before.items():
            REGISTRIES[kind]._parts, REGISTRIES[kind].foreign = known, foreign
            if isinstance(REGISTRIES[kind], Kinds):
                REGISTRIES[kind]._adapter = None
        for now, then in ((parts._loaded, loaded), (parts._brought, brought)):
            now.clear()
            now.update(then)
