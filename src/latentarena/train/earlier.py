"""The network of a run as earlier stages left it, read from the run's checkpoints: what a last stage started from."""

from __future__ import annotations

from pathlib import Path

import torch

from latentarena.errors import CheckpointError
from latentarena.model.latent_model import LatentModel
from latentarena.train.averages import reconstructed
from latentarena.train.checkpoint import Checkpoint, Checkpoints
from latentarena.train.training import Training


def is_student(training: Training) -> bool:
    """Whether the last stage made a model of one or a few steps, whose network is no flow's any more."""
    return training.consistency is not None or (training.reflow is not None and training.reflow.times == "end")


def flows_before(model: LatentModel, training: Training, checkpoints: Path) -> dict[str, LatentModel]:
    """Flows that reflow or distillation started from, by name: `Flow-1`, and with more rounds `Flow-2` and so on.

    Args:
        checkpoints: the run's folder of them; a flow whose checkpoint is not there is left out.

    Raises:
        CheckpointError: a checkpoint is damaged, or of another model.
    """
    reflow = training.reflow
    if reflow is None and training.consistency is None:
        return {}
    rounds = reflow.rounds if reflow is not None else 1
    names = ["generator", *(f"reflow{number}" for number in range(1, rounds))]
    found = [(Checkpoints(checkpoints, name).latest(), training.stages()[name].ema_length) for name in names]
    return {f"Flow-{n}": earlier(model, left, length) for n, (left, length) in enumerate(found, 1) if left is not None}


@torch.no_grad()
def earlier(model: LatentModel, checkpoint: Checkpoint, ema_length: float = 0.0) -> LatentModel:
    """The model with the network of a checkpoint: the averaged weights, where they were averaged.

    Args:
        ema_length: of the stage, see `FitConfig`.

    Raises:
        CheckpointError: the checkpoint is of another model.
    """
    before = LatentModel(model.architecture)
    before.load_state_dict(model.state_dict())
    tensors = checkpoint.tensors
    if ema_length:
        kept = {name.removeprefix("average."): one for name, one in tensors.items() if name.startswith("average.")}
        tensors = {f"average.{i}": mean for i, mean in enumerate(reconstructed(kept, ema_length))}
    averaged = ema_length or "average.0" in tensors
    for i, (name, parameter) in enumerate(before.network.named_parameters()):
        key = f"average.{i}" if averaged else f"model.network.{name}"
        stored = tensors.get(key)
        if stored is None or stored.shape != parameter.shape:
            raise CheckpointError(f"the checkpoint of step {checkpoint.step} is of another model: {key} does not fit")
        parameter.copy_(stored)
    return before.to(model.device).eval().requires_grad_(False)
