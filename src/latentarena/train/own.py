"""Training of a module that is no part of a recipe, by a loss of its own, in a folder that it can go on from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from latentarena.documents import parse_json
from latentarena.errors import ConfigError
from latentarena.files import digest, write_json
from latentarena.randomness import Draws
from latentarena.train.logs import curve, logged
from latentarena.train.loop import FitConfig, Objective, fit
from latentarena.train.shelter import Shelter, go_on, held
from latentarena.train.stages import Watch

if TYPE_CHECKING:
    from lightning_fabric import Fabric

STAGE, CLAIM = "network", "training.json"
Loss = Callable[[nn.Module, Tensor, Tensor | None, torch.Generator], Tensor | Mapping[str, Tensor]]


class OwnObjective(Objective):
    """Any loss of a module on rows of data; what draws from torch's global generator is seeded anew in every step."""

    def __init__(self, network: nn.Module, loss: Loss, data: Tensor, labels: Tensor | None) -> None:
        super().__init__()
        self.network, self.loss, self.data, self.labels, self.size = network, loss, data, labels, len(data)

    def forward(self, index: Tensor, draws: Draws) -> dict[str, Tensor]:
        labels = None if self.labels is None else self.labels[index]
        devices = [self.data.device] if self.data.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            _seed(draws.generator.initial_seed(), self.data.device)
            found = self.loss(self.network, self.data[index], labels, draws.generator)
        losses = dict(found) if isinstance(found, Mapping) else {"loss": found}
        if not isinstance(losses.get("loss"), Tensor) or losses["loss"].numel() != 1:
            raise ConfigError("loss gives no scalar tensor; return one, or a mapping with one under the name loss")
        return losses


def _seed(seed: int, device: torch.device) -> None:
    """Seed torch's global generators; for work on the CPU its own alone, since that of all takes as long as a layer."""
    if device.type == "cpu":
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)


def train_module(
    network: nn.Module,
    data: Tensor,
    labels: Tensor | None,
    loss: Loss,
    config: FitConfig,
    seed: int,
    fabric: Fabric,
    folder: Path,
    resume: bool,
    watch: Watch,
) -> dict[str, list[float]]:
    """Train a module in place, from the newest checkpoint in the folder if there is one; it is left in evaluation mode.

    Returns:
        The columns of the loss curve.

    Raises:
        ConfigError: there is nothing to train or to train on, or the folder holds another training.
    """
    _refuse(network, data, labels)
    with held(folder):
        _claim(folder, _identity(network, data, labels, config, seed), resume)
        place, before = Shelter(folder), data.device
        place.remember(CLAIM)
        objective = OwnObjective(
            network.train(), loss, data.to(fabric.device), None if labels is None else labels.to(fabric.device)
        )
        ticks = fit(objective, config, fabric, folder / "checkpoints", (seed, STAGE), place.reach)
        for _ in watch(logged(ticks, folder / "logs", STAGE, place.reach), STAGE):
            pass
        network.eval().to(before)
        return curve(place.settle() / "logs", STAGE)


def _refuse(network: nn.Module, data: Tensor, labels: Tensor | None) -> None:
    """Raise a ConfigError where there is nothing to train, or to train on."""
    if not isinstance(network, nn.Module) or not any(p.requires_grad for p in network.parameters()):
        raise ConfigError(f"network is a {type(network).__name__} without weights to train; give a torch.nn.Module")
    if not isinstance(data, Tensor) or not len(data):
        what = f"of {len(data)} rows" if isinstance(data, Tensor) else f"a {type(data).__name__}"
        raise ConfigError(f"data are {what}; give a tensor (N, ...), such as torch.as_tensor(array)")
    if labels is not None and len(labels) != len(data):
        raise ConfigError(f"labels are {len(labels)} for {len(data)} rows of data; give one for each")


def _identity(network: nn.Module, data: Tensor, labels: Tensor | None, config: FitConfig, seed: int) -> dict[str, Any]:
    """What a training is known by: settings, data and the shapes of the weights, not their values."""
    rows = [one.detach().cpu().contiguous().numpy().tobytes() for one in (data, labels) if one is not None]
    shapes = {name: list(tensor.shape) for name, tensor in network.state_dict().items()}
    return {"seed": seed, "fit": config.model_dump(mode="json"), "data": digest(*rows), "weights": shapes}


def _claim(folder: Path, identity: dict[str, Any], resume: bool) -> None:
    """Note what a folder is for, or make sure that it is the one to go on with."""
    go_on(folder, resume, "set resume=True")
    path = folder / CLAIM
    if path.exists():
        if not resume:
            raise ConfigError(f"{folder} holds a training already; set resume=True to go on, or choose another folder")
        found = parse_json(path.read_bytes())
        differing = "; ".join(_differing(found, identity))
        if differing:
            raise ConfigError(
                f"{folder} holds another training, which cannot be gone on with: {differing}; give what it was begun "
                "with, or choose another folder"
            )
    write_json(path, identity)


def _differing(found: Mapping[str, Any], identity: Mapping[str, Any]) -> Iterator[str]:
    """What is different now than it was when a training began, in words."""
    was = {"seed": found.get("seed")} | found.get("fit", {})
    for key, value in ({"seed": identity["seed"]} | identity["fit"]).items():
        if was.get(key) != value:
            yield f"{key} was {was.get(key)}, now it is {value}"
    if found.get("data") != identity["data"]:
        yield "data or labels are not the same"
    shapes = found.get("weights", {})
    for name in [*shapes, *(identity["weights"].keys() - shapes.keys())]:
        if shapes.get(name) != identity["weights"].get(name):
            before, now = (one.get(name, "not there") for one in (shapes, identity["weights"]))
            yield f"the network is another: {name} was {before}, now it is {now}"
            return
