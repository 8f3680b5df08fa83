"""Frechet distance by training time: examples of other projects rebuilt from their documented settings, and ours.

Nothing is copied: networks, matchers, paths, solvers and noise schedules are imported from the packages, and the loops
here are written anew from what their examples say. Each is trained on the train split of MNIST for the same processor
time, interrupted for samples, which our own judge looks at. All samples take the same number of network evaluations.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import latentarena as la
from latentarena.data import DataConfig, load_dataset

PILOT = 0.04  # of the quickstart's epochs: by what they take it is known how many fit into a time
ROWS = 100  # samples drawn at a time


@dataclass(frozen=True)
class Point:
    """What a contender's samples came to.

    Attributes:
        who: the contender; seed: of its training.
        seconds: of processor time that its training had taken; steps: of the optimizer until then.
        frechet, low, high: distance of the samples from real images, with its 95 % interval.
        real: that of as many test images.
        sampling: seconds of processor time that the samples took.
    """

    who: str
    seed: int
    seconds: float
    steps: int
    samples: int
    frechet: float
    low: float
    high: float
    real: float
    sampling: float


@dataclass(frozen=True)
class Contender:
    """A peer's example.

    Attributes:
        network: what is trained; about: where it comes from and with which settings.
        batch: images per step.
        loss: of images (B, 1, 28, 28) in [-1, 1] and their labels.
        optimizer: of the network.
        draw: images (B, 1, 28, 28) in [-1, 1] of noise and labels, each (B, ...).
    """

    network: nn.Module
    about: str
    batch: int
    loss: Callable[[Tensor, Tensor], Tensor]
    optimizer: torch.optim.Optimizer
    draw: Callable[[Tensor, Tensor], Tensor]


def _unet() -> nn.Module:
    """The network of torchcfm's MNIST example."""
    from torchcfm.models.unet import UNetModel

    return UNetModel(dim=(1, 28, 28), num_channels=32, num_res_blocks=1)


def _torchcfm(evaluations: int) -> Contender:
    from torchcfm.conditional_flow_matching import ExactOptimalTransportConditionalFlowMatcher
    from torchdiffeq import odeint

    network, matcher = _unet(), ExactOptimalTransportConditionalFlowMatcher(sigma=0.0)

    def loss(images: Tensor, labels: Tensor) -> Tensor:
        t, x, velocity = matcher.sample_location_and_conditional_flow(torch.randn_like(images), images)
        return (network(t, x) - velocity).square().mean()

    def draw(noise: Tensor, labels: Tensor) -> Tensor:
        ends = torch.tensor([0.0, 1.0])
        return odeint(network, noise, ends, method="midpoint", options={"step_size": 2 / evaluations})[-1]

    about = (
        "`examples/images/mnist_example.ipynb`: OT-CFM of pixels, U-Net of 32 channels and one block a level, Adam at "
        "its default rate, batches of 128; sampled by torchdiffeq, as in its conditional example, but by the midpoint "
        f"rule in {evaluations} evaluations where it has dopri5"
    )
    return Contender(network, about, 128, loss, torch.optim.Adam(network.parameters()), draw)


def _flow_matching(evaluations: int) -> Contender:
    from flow_matching.path import CondOTProbPath
    from flow_matching.solver import ODESolver

    network, path = _unet(), CondOTProbPath()
    solver = ODESolver(velocity_model=lambda x, t: network(t, x))

    def loss(images: Tensor, labels: Tensor) -> Tensor:
        point = path.sample(t=torch.rand(len(images)), x_0=torch.randn_like(images), x_1=images)
        return (network(point.t, point.x_t) - point.dx_t).square().mean()

    def draw(noise: Tensor, labels: Tensor) -> Tensor:
        return solver.sample(x_init=noise, method="midpoint", step_size=2 / evaluations)

    about = (
        "it has no MNIST example: `examples/image` with its default path, AdamW (rate 1e-4, betas 0.9 and 0.95), "
        f"midpoint rule ({evaluations} evaluations where it has 200) and batches of 32; the package brings no network, "
        "so that of torchcfm's example, which descends from the same guided-diffusion code"
    )
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, betas=(0.9, 0.95))
    return Contender(network, about, 32, loss, optimizer, draw)


class _LabelledUNet(nn.Module):
    """A U-Net of diffusers, told the class by channels of its input."""

    def __init__(self) -> None:
        from diffusers import UNet2DModel

        super().__init__()
        self.classes = nn.Embedding(10, 4)
        self.unet = UNet2DModel(
            sample_size=28,
            in_channels=5,
            out_channels=1,
            layers_per_block=2,
            block_out_channels=(32, 64, 64),
            down_block_types=("DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
        )

    def forward(self, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        told = self.classes(labels)[:, :, None, None].expand(-1, -1, *x.shape[2:])
        return self.unet(torch.cat([x, told], 1), t, return_dict=False)[0]


def _diffusers(evaluations: int) -> Contender:
    from diffusers import DDIMScheduler, DDPMScheduler

    network = _LabelledUNet()
    forward = DDPMScheduler(num_train_timesteps=1000, beta_schedule="squaredcos_cap_v2")

    def loss(images: Tensor, labels: Tensor) -> Tensor:
        noise, t = torch.randn_like(images), torch.randint(0, 999, (len(images),))
        return (network(forward.add_noise(images, noise, t), t, labels) - noise).square().mean()

    def draw(noise: Tensor, labels: Tensor) -> Tensor:
        backward = DDIMScheduler.from_config(forward.config)
        backward.set_timesteps(evaluations)
        x = noise
        for t in backward.timesteps:
            x = backward.step(network(x, t, labels), t, x).prev_sample
        return x

    about = (
        "the MNIST notebook of Hugging Face's diffusion course (unit 2): class-conditional DDPM of pixels with the "
        "cosine schedule, UNet2DModel of 32, 64, 64 channels, Adam at 1e-3, batches of 128; sampled by DDIM in "
        f"{evaluations} evaluations where it has DDPM in 1,000, and told the classes in turn"
    )
    return Contender(network, about, 128, loss, torch.optim.Adam(network.parameters(), lr=1e-3), draw)


PEERS: dict[str, Callable[[int], Contender]] = {
    "torchcfm": _torchcfm,
    "diffusers": _diffusers,
    "flow_matching": _flow_matching,
}
OURS = "latentarena"
QUICKSTART = (
    "`arena train quickstart`: autoencoder, then a flow of its latents, guided by a weaker one. Rates "
    "anneal to the end, so each of its points is a training of its own with fewer epochs; the time is "
    "that of all stages, and of writing the bundle"
)


def about(who: str, evaluations: int) -> str:
    """A contender's settings in words."""
    if who == OURS:
        return QUICKSTART
    contender = PEERS[who](evaluations)
    return f"{contender.about}. {sum(p.numel() for p in contender.network.parameters()):,} weights"


def judged(who: str, seed: int, seconds: float, steps: int, images: Tensor, sampling: float) -> Point:
    """A point of a curve, of images in [0, 1]."""
    found = la.judge(images, progress=False)["frechet"]
    assert found.real is not None
    point = Point(
        who, seed, seconds, steps, len(images), found.value, found.low, found.high, found.real.value, sampling
    )
    print(point, flush=True)
    return point


@torch.no_grad()
def _drawn(contender: Contender, samples: int, seed: int) -> Tensor:
    """Images in [0, 1]."""
    noise = torch.randn(samples, 1, 28, 28, generator=torch.Generator().manual_seed(seed))
    labels = torch.arange(samples) % 10
    contender.network.eval()
    parts = zip(noise.split(ROWS), labels.split(ROWS), strict=True)
    images = torch.cat([contender.draw(*part) for part in parts])
    contender.network.train()
    return ((images + 1) / 2).nan_to_num().clamp(0, 1)


def peer(who: str, ends: list[float], samples: int, seed: int, evaluations: int) -> Iterator[Point]:
    """The curve of a peer's example: one training, interrupted."""
    torch.manual_seed(seed)
    contender, train = PEERS[who](evaluations), load_dataset(DataConfig()).train
    images, labels = 2 * train.batch(slice(None)) - 1, train.labels
    ends, spent, steps = list(ends), 0.0, 0
    while ends:
        for index in torch.randperm(len(images)).split(contender.batch)[:-1]:
            start = time.process_time()
            contender.optimizer.zero_grad()
            contender.loss(images[index], labels[index]).backward()
            contender.optimizer.step()
            spent, steps = spent + time.process_time() - start, steps + 1
            if spent >= ends[0]:
                del ends[0]
                start = time.process_time()
                drawn = _drawn(contender, samples, seed)
                yield judged(who, seed, spent, steps, drawn, time.process_time() - start)
                if not ends:
                    break


def ours(ends: list[float], samples: int, seed: int) -> Iterator[Point]:
    """The curve of the quickstart: a training for each point, as many epochs as fit into the time."""
    pilot, _, _ = _trained(PILOT, seed)
    for end in ends:
        budget = min(1.0, PILOT * end / pilot)
        spent, model, steps = _trained(budget, seed)
        start = time.process_time()
        images = model.sample(samples, seed=seed)
        yield judged(OURS, seed, spent, steps, images, time.process_time() - start)
        if budget == 1:
            return


def _trained(budget: float, seed: int) -> tuple[float, Any, int]:
    """Processor seconds, model and steps of the quickstart with a share of its epochs, none from a cache."""
    with tempfile.TemporaryDirectory() as place:
        before = os.environ.get("LATENTARENA_CACHE")
        os.environ["LATENTARENA_CACHE"] = str(Path(place) / "cache")
        try:
            start = time.process_time()
            run = Path(place) / "run"
            model = la.train("quickstart", folder=run, budget=budget, judged=False, progress=False, seed=seed)
            spent = time.process_time() - start
        finally:
            del os.environ["LATENTARENA_CACHE"]
            if before is not None:
                os.environ["LATENTARENA_CACHE"] = before
        tables = (run / "logs").glob("*.csv")
        steps = sum(int(path.read_text("utf-8").splitlines()[-1].split(",")[0]) for path in tables)
        return spent, model, steps


def curve(
    who: str, seconds: float, points: int, samples: int, seeds: int, evaluations: int
) -> Iterator[dict[str, Any]]:
    """A contender's points, the last of a training after so many seconds and each before it after half of them."""
    ends = [seconds / 2**halvings for halvings in reversed(range(points))]
    for seed in range(seeds):
        found = ours(ends, samples, seed) if who == OURS else peer(who, ends, samples, seed, evaluations)
        yield from map(asdict, found)
