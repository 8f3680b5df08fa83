"""A part is added by touching the files that CONTRIBUTING names, and no others: tried on a copy of the package."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from command import TINY
from copied import Copied, files_of

RALSTON = '''
def ralston(path: Path, denoise: Denoiser, labels: Tensor | None) -> Jump:
    """Ralston's method: second order, two evaluations a step."""
    velocity = _velocity(path, denoise, labels)

    def jump(x: Tensor, t: Tensor, s: Tensor) -> Tensor:
        here = velocity(x, t)
        there = velocity(x + 2 / 3 * (s - t) * here, t + 2 / 3 * (s - t))
        return x + (s - t) * (here + 3 * there) / 4

    return jump


def rk4('''

POOLED = '''"""Means of squares of pixels as latents, and a linear map back."""

from __future__ import annotations

from math import prod
from typing import Literal

from torch import Tensor, nn

from latentarena.autoencoder.base import Autoencoder, Posterior
from latentarena.config import Config


class PooledConfig(Config):
    """A pooled autoencoder.

    Attributes:
        latent: `[d]`, a square number.
    """

    kind: Literal["pooled"] = "pooled"
    latent: tuple[int] = (16,)
    deterministic: bool = True

    def build(self, shape: tuple[int, int, int]) -> Pooled:
        """For images of this shape."""
        return Pooled(shape, self)


class Pooled(Autoencoder):
    """Encoder without parameters but a scale, linear decoder."""

    encoding = ("scale",)

    def __init__(self, shape: tuple[int, int, int], config: PooledConfig) -> None:
        super().__init__()
        self.shape, self.latent_shape = shape, config.latent
        side = round(config.latent[0] ** 0.5)
        self.pool, self.scale = nn.AdaptiveAvgPool2d(side), nn.Linear(1, 1)
        self.out = nn.Linear(config.latent[0], prod(shape))

    def encode(self, images: Tensor) -> Posterior:
        pooled = self.pool(images).mean(1).flatten(1)
        return Posterior.certain(self.scale(pooled.unsqueeze(2)).squeeze(2))

    def decode(self, latents: Tensor) -> Tensor:
        return self.out(latents).sigmoid().unflatten(1, self.shape)
'''


ERRORS = """
import sys
from pathlib import Path
from latentarena.bundle import OWN, native_of, open_bundle
from latentarena.model.config import SamplingConfig
from latentarena.model.modes import evaluated
import torch
model = native_of(open_bundle(Path(sys.argv[1]), trust=OWN)).model
noise = torch.randn(16, *model.noise_shape, generator=torch.Generator().manual_seed(0))
def drawn(solver, steps):
    return model.generate(noise, None, SamplingConfig(solver=solver, steps=steps)).double()
with evaluated(model), torch.no_grad():
    exact = drawn("rk4", 200)
    print(*(float((drawn("ralston", steps) - exact).abs().mean()) for steps in (16, 32)))
"""


@pytest.fixture
def copied(tmp_path: Path) -> Copied:
    return Copied(tmp_path)


def test_a_solver(copied: Copied, tiny_run: Path, tmp_path: Path) -> None:
    """Ralston's method: it draws from a bundle, converges with order 2 and is exported."""
    solver = "sample/solver.py"
    copied.change(solver, "\ndef rk4(", RALSTON)
    copied.change(solver, "    rk4=_fixed(rk4, 4, 4),\n", "    rk4=_fixed(rk4, 4, 4), ralston=_fixed(ralston, 2, 2),\n")
    assert copied.touched == files_of("A solver")

    few, many = map(float, copied.python(ERRORS, tiny_run / "bundle").split())
    assert math.log2(few / many) > 1.6
    how = [*TINY, "sampling.solver=ralston", "sampling.steps=2"]
    copied.arena("train", "quickstart-digits", *how, "--out", tmp_path / "run", "--no-judge")
    assert "unrolling ralston x 2" in copied.arena(
        "export", tmp_path / "run" / "bundle", "--out", tmp_path / "portable"
    )


def test_an_autoencoder(copied: Copied, tmp_path: Path) -> None:
    """An autoencoder of mean pixels: trained by a recipe, judged, its encoder's two numbers counted as such."""
    union = "autoencoder/__init__.py"
    known = "import MLPVAE, MLPVAEConfig\n"
    copied.write("autoencoder/pooled.py", POOLED)
    copied.change(union, known, f"{known}from latentarena.autoencoder.pooled import PooledConfig\n")
    copied.change(union, "MLPVAEConfig | IdentityConfig", "MLPVAEConfig | PooledConfig | IdentityConfig")
    assert copied.touched == files_of("An autoencoder")
    how = ["autoencoder={kind: pooled, latent: [16]}", *TINY[2:], "training.autoencoder.beta=0"]
    copied.arena("train", "quickstart-digits", *how, "--out", tmp_path / "run", "--samples", 100)
    card = json.loads((tmp_path / "run" / "score.json").read_text())
    assert card["parameters"]["encoder"] == 2
    assert card["scores"]["mse"]["value"] < 0.3
