"""Submissions in the form of the 2025 contest, made for the tests: its sample's class structure, in other words."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

__all__ = ["FLOW", "SOURCE", "VAE", "notebook", "submission", "weights"]

VAE, FLOW = "downloaded_vae.safetensors", "downloaded_flow.safetensors"

SOURCE = '''# a submission: an MLP VAE with 3 latents, and a flow that 100 Euler steps integrate
!pip install -q gdown safetensors
%matplotlib inline
import os

import gdown
import matplotlib.pyplot as plt
import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import load_file
from torchvision import transforms  # only the training used it


class DenseVAE(nn.Module):
    def __init__(self, latent_dim=3, hidden=(256, 64), act=nn.LeakyReLU):
        super().__init__()
        wide, narrow = hidden
        self.encoder = nn.Sequential(
            nn.Linear(784, wide), act(), nn.Linear(wide, narrow), act(), nn.Linear(narrow, 2 * latent_dim)
        )
        self.decoder = nn.Sequential(
            nn.Linear(latent_dim, narrow), act(), nn.Linear(narrow, wide), act(), nn.Linear(wide, 784)
        )

    def forward(self, x):
        mu, log_var = self.encoder(x.view(x.size(0), -1)).chunk(2, dim=-1)
        return self.decoder(mu + torch.randn_like(mu) * torch.exp(0.5 * log_var))


class DenseFlow(nn.Module):
    def __init__(self, latent_dim=3, width=32, depth=3, act=nn.LeakyReLU):
        super().__init__()
        inner = [nn.Sequential(nn.Linear(width, width), act()) for _ in range(depth - 1)]
        self.layers = nn.Sequential(nn.Linear(latent_dim + 1, width), act(), *inner, nn.Linear(width, latent_dim))

    def forward(self, x, t):
        return self.layers(torch.cat([x, t.expand(x.size(0), 1)], dim=1))


@torch.no_grad()
def euler(model, points, t, dt):
    return points + model(points, t) * dt


@torch.no_grad()
def flow_along(model, start, step=euler, n_steps=100):
    """% of the way: 0 is noise, 1 is data.
!this line is prose, not a command
    """
    points = start.clone()
    ts = torch.linspace(0, 1, n_steps).to(next(model.parameters()).device)
    for i in range(len(ts) - 1):
        points = step(model, points, ts[i], ts[i + 1] - ts[i])
    return points


class SubmissionInterface(nn.Module):
    def __init__(self):
        super().__init__()
        self.info = {"team": "dense", "names": "Jane Private"}
        self.latent_dim = 3
        self.load_vae()
        self.load_flow_model()
        self.device = "cpu"

    def load_vae(self):
        self.vae = DenseVAE(latent_dim=self.latent_dim)
        file = "downloaded_vae.safetensors"
        if not os.path.exists(file):
            link = "https://drive.google.com/file/d/1vaeVAEvaeVAEvaeVAEvaeVAEvaeVAE01/view?usp=sharing"
            gdown.download(link, file, quiet=False, fuzzy=True)
        self.vae.load_state_dict(load_file(file))

    def load_flow_model(self):
        self.flow_model = DenseFlow(latent_dim=self.latent_dim)
        file = "downloaded_flow.safetensors"
        if not os.path.exists(file):
            link = "https://drive.google.com/file/d/1flowFLOWflowFLOWflowFLOWflowFLO2/view?usp=sharing"
            gdown.download(link, file, quiet=False, fuzzy=True)
        self.flow_model.load_state_dict(load_file(file))

    def generate_samples(self, n_samples: int, n_steps=100) -> torch.Tensor:
        z0 = torch.randn([n_samples, self.latent_dim]).to(self.device)
        z1 = flow_along(self.flow_model, z0, n_steps=n_steps)
        return F.sigmoid(self.decode(z1).view(-1, 28, 28))

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        images = images.view(images.size(0), -1)
        with torch.no_grad():
            return self.vae.encoder(images.to(self.device))[:, : self.latent_dim]

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        return self.vae.decoder(latents)

    def to(self, device):
        self.device = device
        self.vae.to(device)
        self.flow_model.to(device)
        return self


if __name__ == "__main__":
    plt.imshow(SubmissionInterface().to("cuda").generate_samples(1)[0])
    !ls -l
'''


def weights(seed: int = 0) -> dict[str, dict[str, torch.Tensor]]:
    """Random weights of both files; the decoder gives logits of a plausible size."""

    def layers(sizes: list[int], at: list[str]) -> dict[str, torch.Tensor]:
        made = {}
        for name, inward, outward in zip(at, sizes, sizes[1:], strict=False):
            layer = nn.Linear(inward, outward)
            made |= {f"{name}.weight": layer.weight.detach().clone(), f"{name}.bias": layer.bias.detach().clone()}
        return made

    torch.manual_seed(seed)
    encoder = layers([784, 256, 64, 6], ["encoder.0", "encoder.2", "encoder.4"])
    decoder = layers([3, 64, 256, 784], ["decoder.0", "decoder.2", "decoder.4"])
    decoder["decoder.4.weight"] *= 40
    decoder["decoder.4.bias"] -= 2
    flow = layers([4, 32, 32, 32, 3], ["layers.0", "layers.2.0", "layers.3.0", "layers.4"])
    return {VAE: encoder | decoder, FLOW: flow}


def submission(folder: Path, source: str = SOURCE, name: str = "dense_submission.py", shipped: int = 2) -> Path:
    """A folder with the source and the first `shipped` of its weight files; the file of the source."""
    folder.mkdir(parents=True, exist_ok=True)
    for file, tensors in list(weights().items())[:shipped]:
        save_file(tensors, folder / file)
    content = notebook(source) if name.endswith(".ipynb") else source
    (folder / name).write_text(content)
    return folder / name


def notebook(source: str) -> str:
    """The source as a notebook: a cell of words, a cell for the shell, and the code in two cells."""
    before, marker, after = source.partition("\n\nclass SubmissionInterface")
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": ["# My model\n", "It has 3 latents."]},
        {"cell_type": "code", "metadata": {}, "outputs": [], "source": "%%bash\npip install torch\nls | wc"},
        {"cell_type": "code", "metadata": {}, "outputs": [], "source": "%%capture\nprint('quiet')"},
        {"cell_type": "code", "metadata": {}, "outputs": [], "source": before.splitlines(keepends=True)},
        {"cell_type": "code", "metadata": {}, "outputs": [], "source": (marker + after).splitlines(keepends=True)},
    ]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
