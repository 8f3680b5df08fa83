"""Training of a module that is no part of a recipe, by a loss of its own, in a folder that it can go on from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from latentarena.documents import parse_json
from latentarena.errors import ConfigError, TrainingError
from latentarena.files import digest, write_json
from latentarena.process.held import lowered
from latentarena.randomness import Draws
from latentarena.train.checkpoint import refuse_other_state
from latentarena.train.logs import curve, logged
from latentarena.train.loop import FitConfig, Objective, fit
from latentarena.train.shelter import Shelter, go_on, held
from latentarena.train.stages import Watch

if TYPE_CHECKING:
    from lightning_fabric import Fabric

STAGE, CLAIM = "network", "training.json"
COLUMNS = ("step", "samples", "seconds", "lr", "samples_per_second")  # of the curve, beside the losses
Loss = Callable[[nn.Module, Tensor, Tensor | None, torch.Generator], Tensor | Mapping[str, Tensor | float]]


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
        return _losses(found, index.device)


def _losses(found: object, device: torch.device) -> dict[str, Tensor]:
    """What a loss of somebody's own gives, as scalars by name.

    Raises:
        ConfigError: there is no loss that can be minimised, or a name that the curve has for something else.
    """
    given: Mapping[str, Any] = found if isinstance(found, Mapping) else {"loss": found}
    if not isinstance(given.get("loss"), Tensor) or given["loss"].numel() != 1:
        raise ConfigError("loss gives no scalar tensor; return one, or a mapping with one under the name loss")
    lowered("loss", given["loss"])
    losses = {name: torch.as_tensor(value, device=device) for name, value in given.items()}
    for name, one in losses.items():
        if one.numel() != 1 or name in COLUMNS:
            why = f"is {list(one.shape)}, no scalar" if one.numel() != 1 else "is the name of another column"
            raise ConfigError(f"loss gives {name!r}, which {why}; the curve has a number for each name")
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
    learned: Mapping[str, str],
    config: FitConfig,
    seed: int,
    fabric: Fabric,
    folder: Path,
    resume: bool,
    watch: Watch,
) -> dict[str, list[float]]:
    """Train a module in place, from the newest checkpoint in the folder if there is one; it is left in evaluation mode.

    Args:
        loss: of a batch; learned: what it is, in words by key, by which a training is known too.

    Returns:
        The columns of the loss curve.

    Raises:
        ConfigError: there is nothing to train or to train on, or the folder holds another training.
    """
    _refuse(network, data, labels)
    with held(folder):
        _claim(folder, _identity(network, data, labels, learned, config, seed), resume)
        place, before = Shelter(folder), data.device
        place.remember(CLAIM)
        objective = OwnObjective(
            network.train(),
            loss,
            data.detach().to(fabric.device),
            None if labels is None else labels.detach().to(fabric.device),
        )
        ticks = fit(objective, config, fabric, folder / "checkpoints", (seed, STAGE), place.reach)
        untrained = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        try:
            for _ in watch(logged(ticks, folder / "logs", STAGE, place.reach), STAGE):
                pass
        except TrainingError:
            network.load_state_dict(untrained)  # else the next call would begin with weights that are not finite
            raise
        network.eval().to(before)
        return curve(place.settle() / "logs", STAGE)


def _refuse(network: nn.Module, data: Tensor, labels: Tensor | None) -> None:
    """Raise a ConfigError where there is nothing to train, or to train on."""
    if not isinstance(network, nn.Module) or not any(p.requires_grad for p in network.parameters()):
        raise ConfigError(f"network is a {type(network).__name__} without weights to train; give a torch.nn.Module")
    if any(map(is_lazy, (*network.parameters(), *network.buffers()))):
        raise ConfigError("network has lazy layers, whose shapes are not known yet; call it once on a batch before")
    _refuse_no_rows("data", data)
    if labels is not None:
        _refuse_no_rows("labels", labels)
        if len(labels) != len(data):
            raise ConfigError(f"labels are {len(labels)} for {len(data)} rows of data; give one for each")


def _refuse_no_rows(what: str, rows: object) -> None:
    if isinstance(rows, Tensor) and rows.ndim and len(rows):
        bad = (~rows.isfinite()).flatten(1).any(1) if rows.ndim > 1 else ~rows.isfinite()
        if bad.any():
            many = f"{int(bad.sum())} of {len(rows)} rows"
            raise ConfigError(f"{what}: {many} hold NaN or infinite values, such as row {int(bad.nonzero()[0])}")
        return
    given = f"of shape {list(rows.shape)}" if isinstance(rows, Tensor) else f"a {type(rows).__name__}"
    raise ConfigError(f"{what} are {given}; give a tensor (N, ...) of rows, such as torch.as_tensor(array)")


def _identity(
    network: nn.Module,
    data: Tensor,
    labels: Tensor | None,
    learned: Mapping[str, str],
    config: FitConfig,
    seed: int,
) -> dict[str, Any]:
    """What a training is known by: what is learned, settings, data and the shapes of the weights, not their values."""
    rows = [_bytes(one) for one in (data, labels) if one is not None]
    state = network.state_dict()
    refuse_other_state(state)
    shapes = {name: list(tensor.shape) for name, tensor in state.items()}
    settings = {**config.model_dump(mode="json"), **learned}
    return {"seed": seed, "fit": settings, "data": digest(*rows), "weights": shapes}


def _bytes(rows: Tensor) -> bytes:
    """The memory of a tensor; NumPy knows no bfloat16."""
    return rows.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()


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
        if key in was and was[key] != value:
            yield f"{key} was {was.get(key)}, now it is {value}"
    if found.get("data") != identity["data"]:
        yield "data or labels are not the same"
    shapes = found.get("weights", {})
    for name in [*shapes, *(identity["weights"].keys() - shapes.keys())]:
        if shapes.get(name) != identity["weights"].get(name):
            before, now = (one.get(name, "not there") for one in (shapes, identity["weights"]))
            yield f"the network is another: {name} was {before}, now it is {now}"
            return
