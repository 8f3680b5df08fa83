"""Orthogonal steps: against singular values, against PyTorch's Muon and AdamW, and through a stop."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from latentarena.randomness import Draws
from latentarena.train import loop
from latentarena.train.checkpoint import Checkpoints
from latentarena.train.loop import FitConfig, Objective, fit
from latentarena.train.muon import MOMENTUM, Muon, orthogonal

LR, TURN, DECAY, STEPS = 0.01, 0.03, 0.1, 5


class Mixed(nn.Module):
    """Every kind of weight: an embedding, a convolution, a matrix, a thin one, biases, and one that is not trained."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(10, 6)
        self.convolution = nn.Conv2d(4, 8, 3)
        self.matrix = nn.Linear(12, 5)
        self.thin = nn.Linear(2, 9)
        self.frozen = nn.Linear(6, 6).requires_grad_(False)


def model(seed: int = 0) -> Mixed:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Mixed()


def slopes(module: nn.Module, step: int) -> None:
    draws = torch.Generator().manual_seed(step)
    for parameter in module.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.randn(parameter.shape, generator=draws)


def walk(module: nn.Module, optimizer: torch.optim.Optimizer, steps: int = STEPS) -> None:
    for step in range(steps):
        slopes(module, step)
        optimizer.step()


@pytest.mark.parametrize("shape", [(8, 8), (5, 40), (40, 5), (112, 112)])
def test_singular_vectors_stay_and_singular_values_come_near_one(shape: tuple[int, int]) -> None:
    given = torch.randn(3, *shape, generator=torch.Generator().manual_seed(1))
    left, values, right = torch.linalg.svd(given, full_matrices=False)
    found = orthogonal(given)
    new = left.mT @ found @ right.mT  # what it is between the same singular vectors
    diagonal = new.diagonal(dim1=-2, dim2=-1)
    torch.testing.assert_close(new, torch.diag_embed(diagonal), atol=2e-4, rtol=0)
    large = values > 0.01 * values.norm(dim=-1, keepdim=True)
    assert large.float().mean() > 0.9
    assert diagonal[large].min() > 0.6
    assert diagonal.max() < 1.25


def test_a_matrix_of_zeros_stays() -> None:
    assert torch.equal(orthogonal(torch.zeros(2, 4, 6)), torch.zeros(2, 4, 6))


def test_matrices_move_as_by_pytorchs_own() -> None:
    """That one works in bfloat16, which is good for about three digits of a step."""
    ours, theirs = model(), model()
    before = ours.matrix.weight.detach().clone()
    walk(ours, Muon(ours, LR, DECAY, TURN))
    walk(theirs, torch.optim.Muon([theirs.matrix.weight], TURN, weight_decay=DECAY, momentum=MOMENTUM))
    moved, expected = ours.matrix.weight - before, theirs.matrix.weight - before
    assert (moved - expected).norm() < 0.02 * expected.norm()


def test_a_convolution_moves_as_the_matrix_that_it_is() -> None:
    ours, theirs = model(), model()
    flat = nn.Linear(36, 8, bias=False)
    flat.weight = nn.Parameter(theirs.convolution.weight.detach().flatten(1))
    walk(ours, Muon(ours, LR, DECAY, TURN))
    optimizer = Muon(flat, LR, DECAY, TURN)
    for step in range(STEPS):
        slopes(theirs, step)
        flat.weight.grad = theirs.convolution.weight.grad.flatten(1)
        optimizer.step()
    torch.testing.assert_close(ours.convolution.weight.flatten(1), flat.weight)


def test_all_else_moves_as_by_adamw_and_what_is_frozen_stays() -> None:
    ours, theirs = model(), model()
    walk(ours, Muon(ours, LR, DECAY, TURN))
    trained = [p for p in theirs.parameters() if p.requires_grad]
    walk(theirs, torch.optim.AdamW(trained, LR, weight_decay=DECAY))
    same = {name for name, p in ours.named_parameters() if torch.allclose(p, theirs.get_parameter(name), atol=1e-6)}
    alike = {"table.weight", "convolution.bias", "matrix.bias", "thin.weight", "thin.bias"}
    assert same == alike | {"frozen.weight", "frozen.bias"}


def test_gradients_are_there_after_the_step_and_what_has_none_stays() -> None:
    module = model()
    optimizer, before = Muon(module, LR, DECAY, TURN), module.matrix.weight.detach().clone()
    slopes(module, 0)
    kept, module.matrix.weight.grad = module.convolution.weight.grad.clone(), None
    optimizer.step()
    assert torch.equal(module.convolution.weight.grad, kept)
    assert torch.equal(module.matrix.weight, before)


class Recalled(Objective):
    """A network that learns by heart; `size` examples."""

    def __init__(self, init: int) -> None:
        super().__init__()
        self.size, given = 32, torch.Generator().manual_seed(1)
        self.inputs, self.targets = torch.randn(32, 6, generator=given), torch.randn(32, 4, generator=given)
        with torch.random.fork_rng():
            torch.manual_seed(init)
            self.network = nn.Sequential(nn.Linear(6, 8), nn.SiLU(), nn.Linear(8, 4))

    def forward(self, index: Tensor, draws: Draws) -> dict[str, Tensor]:
        return {"loss": (self.network(self.inputs[index]) - self.targets[index]).square().mean()}


def test_a_run_that_was_stopped_is_the_whole_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "SAVE_EVERY", -1.0)
    fabric = Fabric(accelerator="cpu", devices=1)
    config = FitConfig(epochs=4, batch=8, lr=LR, muon=TURN, ema=0.9, weight_decay=DECAY, clip=1.0)
    ends = []
    for name, stop in (("whole", None), ("parts", 7)):
        if stop is not None:
            ticks = fit(Recalled(3), config, fabric, tmp_path / name, (0, "stage"))
            next(tick for tick in ticks if tick.step == stop)
            ticks.close()
        list(fit(Recalled(3 if stop is None else 4), config, fabric, tmp_path / name, (0, "stage")))
        ends.append(Checkpoints(tmp_path / name, "stage").latest().tensors)
    assert ends[0].keys() == ends[1].keys()
    assert {f"optimizer.{i}.momentum" for i in (2, 3)} <= ends[0].keys()
    assert all(torch.equal(tensor, ends[1][name]) for name, tensor in ends[0].items())
