"""Where submissions may run."""

from __future__ import annotations

import pytest

from latentarena.sandbox import standing


@pytest.fixture(scope="session")
def tier2() -> None:
    """Skips, with the reason, where the sandbox is not tight enough for Python."""
    found = standing()
    if found.tier < 2:
        pytest.skip(f"needs a sandbox of tier 2, here is tier {found.tier}: {found.reason}")
