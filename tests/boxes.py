"""Whether boxes are to be had on this machine."""

from __future__ import annotations

import pytest

from latentarena.sandbox import standing

BOXED = pytest.mark.skipif(standing().tier < 1, reason=f"no sandbox here: {standing().reason}")
