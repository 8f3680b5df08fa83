"""The command line under test, and overrides that make a run of it tiny."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

TINY = [
    "autoencoder.latent=[6]",
    "autoencoder.widths=[4,8]",
    "generator.backbone.width=16",
    "generator.backbone.depth=1",
    "training.autoencoder.epochs=1",
    "training.generator.epochs=2",
    "sampling.steps=2",
]


Arena = Callable[..., "subprocess.CompletedProcess[str]"]
