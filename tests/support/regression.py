"""A small regression to train."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from latentarena.randomness import Draws
from latentarena.train.loop import FitConfig, Objective, Tick

SIZE, BATCH, WIDTH = 48, 8, 3
KEY = (7, "stage")
CONFIG = FitConfig(epochs=4, batch=BATCH, lr=0.02, ema=0.9, clip=1.0, weight_decay=0.01)
STEPS = CONFIG.steps(SIZE)


def advance(ticks: Iterator[Tick], step: int) -> None:
    """Run until the checkpoint of `step` is written, then leave as a crash would: in the middle of the next step."""
    for tick in ticks:
        if tick.step == step + 1:
            break
    ticks.close()


class Regression(Objective):
    """A small network on noisy inputs; it remembers the indices and the noise of every step."""

    def __init__(self, init: int = 0, spoil: tuple[str, int] | None = None) -> None:
        super().__init__()
        self.size, self.spoil = SIZE, spoil
        given = torch.Generator().manual_seed(1)
        self.inputs = torch.randn(SIZE, WIDTH, generator=given)  # (N, D)
        self.targets = torch.randn(SIZE, 1, generator=given)
        self.network = nn.Sequential(nn.Linear(WIDTH, 5), nn.SiLU(), nn.Linear(5, 1))
        weights = torch.Generator().manual_seed(init)
        for parameter in self.network.parameters():
            nn.init.normal_(parameter, generator=weights)
        self.seen: list[tuple[Tensor, Tensor]] = []

    def forward(self, index: Tensor, draws: Draws) -> dict[str, Tensor]:
        noise = draws.normal(len(index), WIDTH)
        self.seen.append((index.clone(), noise))
        loss = (self.network(self.inputs[index] + 0.1 * noise) - self.targets[index]).square().mean()
        if self.spoil == ("loss", len(self.seen) - 1):
            loss = loss * torch.nan
        if self.spoil == ("gradient", len(self.seen) - 1):
            loss = loss + (0 * self.network[0].weight.sum()).sqrt()  # 0, whose slope is infinite
        return {"loss": loss}
