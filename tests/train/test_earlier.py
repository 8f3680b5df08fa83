"""Earlier flows: the network as the checkpoint of a stage left it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from latentarena.bundle import NativeBundle
from latentarena.errors import CheckpointError
from latentarena.model.latent_model import LatentModel
from latentarena.train.checkpoint import Checkpoints
from latentarena.train.earlier import earlier, flows_before, is_student
from latentarena.train.recipe import load_recipe


def test_earlier_weights_come_from_the_generator_stage(tiny_run: Path, tiny_bundle: NativeBundle) -> None:
    changed = LatentModel(tiny_bundle.card.architecture)
    changed.load_state_dict(tiny_bundle.model.state_dict())
    for parameter in changed.network.parameters():
        torch.nn.init.zeros_(parameter)
    checkpoint = Checkpoints(tiny_run / "checkpoints", "generator").latest()
    assert checkpoint is not None
    before = earlier(changed, checkpoint)
    for name, tensor in tiny_bundle.model.state_dict().items():
        assert torch.equal(before.state_dict()[name], tensor)
    fewer = replace(checkpoint, tensors=dict(list(checkpoint.tensors.items())[:1]))
    with pytest.raises(CheckpointError, match=r"is of another model: .* does not fit"):
        earlier(changed, fewer)


@pytest.mark.parametrize(
    ("stages", "flows", "student"),
    [
        ([], [], False),
        (["training.reflow={epochs: 1, rounds: 2}"], ["Flow-1"], False),  # that of its first round is not there
        (["training.reflow={epochs: 1, times: end}"], ["Flow-1"], True),
        (["training.consistency={epochs: 1}"], ["Flow-1"], True),
    ],
)
def test_flows_before_the_last_stage_are_those_whose_checkpoints_are_there(
    stages: list[str], flows: list[str], student: bool, tiny_run: Path, tiny_bundle: NativeBundle, tmp_path: Path
) -> None:
    training = load_recipe("quickstart-digits", stages).training
    assert list(flows_before(tiny_bundle.model, training, tiny_run / "checkpoints")) == flows
    assert flows_before(tiny_bundle.model, training, tmp_path) == {}
    assert is_student(training) == student
