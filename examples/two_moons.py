"""Flow matching in two dimensions: a plain velocity network of one's own learns two moons and draws them."""

import sys

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import make_moons
from torch import nn

import latentarena as la


class Velocity(nn.Sequential):
    def forward(self, x: torch.Tensor, t: torch.Tensor, labels: torch.Tensor | None) -> torch.Tensor:
        return super().forward(torch.cat([x, t[:, None]], 1))


epochs = float(sys.argv[1]) if len(sys.argv) > 1 else 120
points = torch.as_tensor(make_moons(4096, noise=0.05, random_state=0)[0]).float()
points = (points - points.mean(0)) / points.std(0)  # zero mean, unit variance, as the noise
hidden = [layer for _ in range(2) for layer in (nn.Linear(64, 64), nn.SiLU())]
network = Velocity(nn.Linear(3, 64), nn.SiLU(), *hidden, nn.Linear(64, 2))
process = la.Process(path="straight", target="velocity")
la.fit(network, points, process=process, epochs=epochs, lr=1e-2, ema=0.99)
states = list(process.trajectory(network, torch.randn(2000, 2), steps=20))
figure, panels = plt.subplots(1, 5, figsize=(15, 3), sharex=True, sharey=True)
for panel, step in zip(panels, (0, 10, 15, 18, 20), strict=True):
    panel.scatter(*states[step].T, s=1)
    panel.set_title(f"t = {1 - step / 20:.2f}")
figure.savefig("two-moons.png", bbox_inches="tight")
