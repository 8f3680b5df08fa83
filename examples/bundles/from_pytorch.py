"""A model made with PyTorch: two linear layers as autoencoder, and a flow from noise to latents in eight Euler steps.

python from_pytorch.py
arena pack encode.onnx decode.onnx generate.onnx --name pytorch --dataset digits --out pytorch
"""

import torch
from torch import nn

import latentarena as la

torch.manual_seed(0)
images = la.datasets.load("digits").train.images
WIDTH, STEPS = 16, 8

encoder = nn.Sequential(nn.Flatten(), nn.Linear(784, WIDTH), nn.BatchNorm1d(WIDTH, affine=False))
decoder = nn.Sequential(nn.Linear(WIDTH, 784), nn.Sigmoid(), nn.Unflatten(1, (1, 28, 28)))
velocity = nn.Sequential(nn.Linear(WIDTH + 1, 128), nn.SiLU(), nn.Linear(128, WIDTH))


def learn(modules, loss, steps=1000):
    """Minimise the loss of random batches of images."""
    optimizer = torch.optim.AdamW(nn.ModuleList(modules).parameters(), lr=3e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(images[torch.randint(len(images), (128,))]).backward()
        optimizer.step()


def reconstruction(batch):
    return (decoder(encoder(batch)) - batch).square().mean()


def matching(batch):
    """Of a straight path from data (t = 0) to noise (t = 1)."""
    data, t = encoder(batch).detach(), torch.rand(len(batch), 1)
    noise = torch.randn_like(data)
    return (velocity(torch.cat([data + t * (noise - data), t], 1)) - (noise - data)).square().mean()


class Generate(nn.Module):
    def forward(self, noise):
        for step in range(STEPS):
            t = noise[:, :1] * 0 + (1 - step / STEPS)
            noise = noise - self.velocity(torch.cat([noise, t], 1)) / STEPS
        return self.decoder(noise)


learn([encoder, decoder], reconstruction)
encoder.eval()
learn([velocity], matching)
generate = Generate()
generate.velocity, generate.decoder = velocity, decoder

rows = {"encode": (encoder, images[:2]), "decode": (decoder, torch.randn(2, WIDTH))}
for name, (module, row) in (rows | {"generate": (generate, torch.randn(2, WIDTH))}).items():
    shapes = ({0: torch.export.Dim.DYNAMIC},)  # the number of rows is open
    torch.onnx.export(module.eval(), (row,), f"{name}.onnx", dynamo=True, dynamic_shapes=shapes)
