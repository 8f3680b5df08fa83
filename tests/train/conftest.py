"""What tests of the training loop share."""

from __future__ import annotations

import pytest
from lightning_fabric import Fabric

from latentarena.train import loop


@pytest.fixture(scope="module")
def fabric() -> Fabric:
    return Fabric(accelerator="cpu", devices=1)


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint after every step."""
    monkeypatch.setattr(loop, "SAVE_EVERY", -1.0)
