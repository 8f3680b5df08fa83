"""A step of training or guided sampling reads no number back from the device, for which a GPU would have to wait."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from command import TINY
from latentarena.data.digits import embedded_digits
from latentarena.latents import encode_all
from latentarena.model.latent_model import LatentModel
from latentarena.randomness import Draws, stream
from latentarena.train.recipe import load_recipe
from latentarena.train.stages import Critics, autoencoder_stages, latent_stages


class ReadBack(TorchDispatchMode):
    """Remembers the operators that hand numbers, or how many there are, to Python."""

    NAMES = ("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal")

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        self.found += [name] * (name in self.NAMES)
        return func(*args, **kwargs or {})


def test_what_reads_back_is_seen() -> None:
    with ReadBack() as seen:
        float(torch.ones(3).sum())
    assert seen.found == ["_local_scalar_dense"]


@pytest.mark.parametrize("more", [[], ["generator.conditional=true"]], ids=["plain", "conditional"])
def test_no_number_is_read_back_within_a_step(more: list[str]) -> None:
    recipe, data = load_recipe("quickstart-digits", [*TINY, *more]), embedded_digits()
    model = LatentModel(recipe.architecture(data.shape, data.classes))
    critics = Critics.of(recipe, data.shape, len(data.classes))
    stages = list(autoencoder_stages(recipe, model.autoencoder, data.train, critics))
    with torch.no_grad():
        latents = encode_all(model.autoencoder, data.train, data.digest)
    stages += list(latent_stages(recipe, model, latents, data.train, critics))
    assert {"autoencoder", "generator"} <= {name for name, _ in stages}
    for name, objective in stages:
        with ReadBack() as seen:
            objective(torch.arange(8), Draws(stream(0, name)))["loss"].backward()
        assert seen.found == [], name


def test_more_steps_of_guided_sampling_read_no_more_back() -> None:
    model = LatentModel(
        load_recipe("quickstart-digits", [*TINY, "generator.conditional=true"]).architecture((1, 28, 28), ("0", "1"))
    ).eval()
    found = []
    for steps in (2, 6):
        with torch.no_grad(), ReadBack() as seen:
            model.generate(
                model.noise(4, 0), torch.tensor([0, 1, 0, 1]), model.architecture.sampling.but(guidance=2, steps=steps)
            )
        found.append(seen.found)
    assert found[0] == found[1]
