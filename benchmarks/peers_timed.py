"""The cost of equal work: ours, other projects' and a loop written by hand, in alternating blocks of one process.

Seconds are of processor time, with one thread, so that other programs on the machine change little but caches. In every
round each contestant has a block, in an order that rotates; a ratio compares blocks of the same round.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import latentarena as la
from latentarena.autoencoder import Posterior
from latentarena.backbone import MLPConfig, UNetConfig
from latentarena.data import DataConfig, load_dataset
from latentarena.judge.material import Seen
from latentarena.judge.metrics import frechet_distance, ssims
from latentarena.judge.training import judge_for
from latentarena.model.counting import used
from latentarena.model.latent_model import LatentModel
from latentarena.process import optimal_transport
from latentarena.randomness import stream
from latentarena.train.fabric import make_fabric
from latentarena.train.loop import FitConfig, Objective, fit
from latentarena.train.own import OwnObjective
from latentarena.train.recipe import load_recipe
from latentarena.train.stages import GeneratorObjective

OURS, BY_HAND = "latentarena", "by hand"
MATRIX = 256  # rows and columns of the matrices by which the machine is measured: three of them fit a core's cache
LR = 1e-3
STEPS = 20  # of every sampler, an evaluation each
Block = Callable[[], float]  # does some work; how much, in the row's unit


@dataclass(frozen=True)
class Row:
    """A contestant's speed at a piece of work.

    Attributes:
        part: training, sampling, coupling or judging; work: which; unit: in which speed counts.
        who: the contestant.
        speed: units a second, the median over rounds.
        ratio: to ours of the same round, the median; low, high: its 10 % and 90 % quantiles.
        share: of the machine's matrix rate that the network's multiply-adds come to, if there is a network.
        value: what it came to, where contestants have to agree.
    """

    part: str
    work: str
    unit: str
    who: str
    speed: float
    ratio: float
    low: float
    high: float
    share: float | None = None
    value: float | None = None


def alternated(blocks: dict[str, Block], rounds: int) -> dict[str, list[float]]:
    """Work a second of every contestant in each round; a round before the first warms up."""
    names, speeds = list(blocks), {name: [] for name in blocks}
    for number in range(-1, rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            start = time.process_time()
            done = blocks[name]()
            speed = done / (time.process_time() - start)
            if number >= 0:
                speeds[name].append(speed)
    return speeds


def compared(
    part: str,
    work: str,
    unit: str,
    blocks: dict[str, Block],
    rounds: int,
    products: float = 0.0,
    values: dict[str, float] | None = None,
) -> Iterator[Row]:
    """A row for each contestant.

    Args:
        products: multiply-adds of one unit of work, if shares of the matrix rate are wanted.
        values: what contestants came to.
    """
    a, b = torch.randn(2, MATRIX, MATRIX).unbind()

    def matrices() -> float:
        for _ in range(200):
            a @ b
        return 200.0 * MATRIX**3

    speeds = alternated(blocks | ({"matrix": matrices} if products else {}), rounds)
    for who in blocks:
        ratios = [theirs / ours for theirs, ours in zip(speeds[who], speeds[OURS], strict=True)]
        low, middle, high = np.quantile(ratios, [0.1, 0.5, 0.9]).tolist()
        shares = (
            [products * s / rate for s, rate in zip(speeds[who], speeds["matrix"], strict=True)] if products else []
        )
        share = statistics.median(shares) if shares else None
        row = Row(part, work, unit, who, statistics.median(speeds[who]), middle, low, high, share)
        row = Row(**asdict(row) | {"value": (values or {}).get(who)})
        print(row, flush=True)
        yield row


# Training -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A network with data in memory.

    Attributes:
        name: on the page; data: (N, ...); batch: rows per step; steps: in a block; drawn: rows that a sampler draws.
        build: the network, a module of (x, t, labels).
    """

    name: str
    data: Tensor
    batch: int
    steps: int
    drawn: int
    build: Callable[[], nn.Module]

    def network(self) -> nn.Module:
        """The network, with the same weights at every call, all of which count."""
        torch.manual_seed(0)
        made = self.build()
        with torch.no_grad():
            for parameter in made.parameters():
                parameter.add_(0.02 * torch.randn_like(parameter))  # layers that start at zero hide disagreement
        return made

    def products(self) -> int:
        """Multiply-adds of one evaluation for one row."""
        network = self.network()
        x, t = self.data[:1], torch.full((1,), 0.5)
        return used(lambda x, t: network(x, t, None), [x, t])[0].multiply_adds


def cases() -> list[Case]:
    """The quickstart's network of latents, and a small U-Net of pixels."""
    images = 2 * load_dataset(DataConfig()).train.batch(slice(0, 10_000)) - 1
    latents = torch.randn(10_000, 28)
    backbone = load_recipe("quickstart").generator.backbone
    assert isinstance(backbone, MLPConfig)
    return [
        Case("MLP of 28 latents, batch 1,024", latents, 1024, 10, 1000, lambda: backbone.build((28,), None)),
        Case("MLP of 28 latents, batch 128", latents, 128, 40, 128, lambda: backbone.build((28,), None)),
        Case("U-Net of 28x28 pixels, batch 64", images, 64, 2, 16, lambda: UNetConfig().build((1, 28, 28), None)),
    ]


def _steps(case: Case, loss: Callable[[nn.Module, Tensor], Tensor]) -> Block:
    """A plain loop: loss, backward pass, AdamW."""
    network = case.network().train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=LR, weight_decay=0.0)

    def batches() -> Iterator[Tensor]:
        while True:
            yield from torch.randperm(len(case.data)).split(case.batch)[: len(case.data) // case.batch]

    endless = batches()

    def block() -> float:
        for index in islice(endless, case.steps):
            optimizer.zero_grad()
            loss(network, case.data[index]).backward()
            optimizer.step()
        return case.steps

    return block


def _fitted(case: Case, objective: Objective, folder: str) -> Block:
    """The product's own loop, with its checkpoints and logged losses."""
    fabric = make_fabric("cpu")
    fabric.launch()
    config = FitConfig(epochs=1e4, batch=case.batch, lr=LR)
    ticks = fit(objective.train(), config, fabric, Path(folder) / "checkpoints", (0, "network"))
    next(ticks)  # the state before the first step

    def block() -> float:
        for _ in islice(ticks, case.steps):
            pass
        return case.steps

    return block


def _as_la_fit(case: Case) -> Objective:
    """What `la.fit` trains."""
    process = la.Process()

    def loss(network: nn.Module, data: Tensor, labels: Tensor | None, generator: torch.Generator) -> Tensor:
        return process.loss(network, data, labels, generator=generator)

    return OwnObjective(case.network(), loss, case.data, None)


def _as_arena_train(case: Case) -> Objective:
    """What `arena train` trains in the stage `generator`, on latents with a spread."""
    recipe = load_recipe("quickstart")
    model = LatentModel(recipe.architecture((1, 28, 28), tuple("0123456789")))
    model.scale.fit(case.data)
    latents = Posterior(case.data, torch.full((1, *case.data.shape[1:]), -8.0))
    plain = recipe.training.generator.model_copy(update={"times": "uniform"})
    return GeneratorObjective(model, case.network(), latents, torch.zeros(len(case.data), dtype=torch.int64), plain)


def _by_hand(network: nn.Module, data: Tensor) -> Tensor:
    """Flow matching in four lines."""
    noise, t = torch.randn_like(data), torch.rand(len(data))
    at = t.view(-1, *[1] * (data.ndim - 1))
    return (network((1 - at) * data + at * noise, t, None) - (noise - data)).square().mean()


def _peer_losses() -> dict[str, Callable[[nn.Module, Tensor], Tensor]]:
    """Losses by the path and loss objects of each peer."""
    from diffusers import DDPMScheduler
    from flow_matching.path import CondOTProbPath
    from torchcfm.conditional_flow_matching import ConditionalFlowMatcher

    matcher, path, schedule = ConditionalFlowMatcher(sigma=0.0), CondOTProbPath(), DDPMScheduler()

    def torchcfm(network: nn.Module, data: Tensor) -> Tensor:
        t, x, velocity = matcher.sample_location_and_conditional_flow(torch.randn_like(data), data)
        return (network(x, t, None) - velocity).square().mean()

    def flow_matching(network: nn.Module, data: Tensor) -> Tensor:
        point = path.sample(t=torch.rand(len(data)), x_0=torch.randn_like(data), x_1=data)
        return (network(point.x_t, point.t, None) - point.dx_t).square().mean()

    def diffusers(network: nn.Module, data: Tensor) -> Tensor:
        noise, t = torch.randn_like(data), torch.randint(0, 1000, (len(data),))
        return (network(schedule.add_noise(data, noise, t), t / 1000, None) - noise).square().mean()

    return {"torchcfm": torchcfm, "flow_matching": flow_matching, "diffusers (DDPM)": diffusers}


def training(rounds: int) -> Iterator[Row]:
    """Training steps a second: the same network, batch, optimizer and data."""
    for case in cases():
        with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
            blocks = {OURS: _fitted(case, _as_la_fit(case), first), BY_HAND: _steps(case, _by_hand)}
            if case.data.ndim == 2:
                blocks[f"{OURS}, arena train"] = _fitted(case, _as_arena_train(case), second)
            blocks |= {name: _steps(case, loss) for name, loss in _peer_losses().items()}
            work = 3.0 * case.batch * case.products()  # a backward pass is two forward ones
            yield from compared("training", case.name, "steps", blocks, rounds, work)


# Sampling -------------------------------------------------------------------------------------------------------------


def _samplers(network: nn.Module, noise: Tensor) -> dict[str, Callable[[], Tensor]]:
    """Euler's method in the straight path's ODE; time runs from noise at 1, and from noise at 0 for the peers."""
    from diffusers import FlowMatchEulerDiscreteScheduler
    from flow_matching.solver import ODESolver
    from torchdiffeq import odeint

    process, rows = la.Process(), len(noise)
    solver = ODESolver(velocity_model=lambda x, t: -network(x, (1 - t).expand(rows), None))

    def by_hand() -> Tensor:
        x = noise
        for step in range(STEPS):
            x = x - network(x, torch.full((rows,), 1 - step / STEPS), None) / STEPS
        return x

    def torchdiffeq() -> Tensor:
        ends, how = torch.tensor([0.0, 1.0]), {"step_size": 1 / STEPS}
        slope = lambda t, x: -network(x, (1 - t).expand(rows), None)  # noqa: E731
        return odeint(slope, noise, ends, method="euler", options=how)[-1]

    def diffusers() -> Tensor:
        scheduler, x = FlowMatchEulerDiscreteScheduler(), noise
        scheduler.set_timesteps(sigmas=np.linspace(1, 1 / STEPS, STEPS))
        for t in scheduler.timesteps:
            x = scheduler.step(network(x, (t / 1000).expand(rows), None), t, x, return_dict=False)[0]
        return x

    return {
        OURS: lambda: process.sample(network, noise, steps=STEPS, solver="euler"),
        BY_HAND: by_hand,
        "flow_matching": lambda: solver.sample(x_init=noise, method="euler", step_size=1 / STEPS),
        "torchdiffeq (torchcfm)": torchdiffeq,
        "diffusers (FlowMatchEuler)": diffusers,
    }


def _ddim(network: nn.Module, noise: Tensor) -> dict[str, Callable[[], Tensor]]:
    """DDIM with a network that predicts the noise; the grids of times differ a little, the work does not."""
    from diffusers import DDIMScheduler

    process, rows = la.Process(path="vp_linear", target="noise"), len(noise)

    def diffusers() -> Tensor:
        scheduler, x = DDIMScheduler(clip_sample=False), noise
        scheduler.set_timesteps(STEPS)
        for t in scheduler.timesteps:
            x = scheduler.step(network(x, (t / 1000).expand(rows), None), t, x, return_dict=False)[0]
        return x

    return {
        OURS: lambda: process.sample(network, noise, steps=STEPS, solver="ddim"),
        "diffusers (DDIM)": diffusers,
    }


@torch.no_grad()
def sampling(rounds: int) -> Iterator[Row]:
    """Samples a second: the same network, noise, solver and steps. Its value is the largest distance to our sample."""
    for case in cases():
        network, noise = case.network().eval(), torch.randn(case.drawn, *case.data.shape[1:])
        name = f"{case.name.split(',')[0]}, {case.drawn:,} at once"
        work = float(STEPS * case.products())
        euler = _samplers(network, noise)
        samples = {who: draw() for who, draw in euler.items()}
        far = {who: float((one - samples[OURS]).abs().max()) for who, one in samples.items()}
        blocks = {who: _drawing(draw, len(noise)) for who, draw in euler.items()}
        yield from compared("sampling", f"{name}, Euler", "samples", blocks, rounds, work, far)
        blocks = {who: _drawing(draw, len(noise)) for who, draw in _ddim(network, noise).items()}
        yield from compared("sampling", f"{name}, DDIM", "samples", blocks, rounds, work)


def _drawing(draw: Callable[[], Tensor], rows: int) -> Block:
    def block() -> float:
        draw()
        return rows

    return block


# Coupling and judging -------------------------------------------------------------------------------------------------


def coupling(rounds: int) -> Iterator[Row]:
    """Batches a second paired with noise by exact optimal transport; the value is the mean squared distance."""
    from torchcfm.optimal_transport import OTPlanSampler

    theirs, images = OTPlanSampler("exact"), 2 * load_dataset(DataConfig()).train.batch(slice(0, 1024)) - 1
    for batch in (64, 128, 256, 512, 1024):
        data, noise = images[:batch], torch.randn(batch, *images.shape[1:], generator=stream("noise"))
        repeats = max(1, 256 // batch)

        def repeated(work: Callable[[], object], repeats: int = repeats) -> Block:
            def block() -> float:
                for _ in range(repeats):
                    work()
                return repeats

            return block

        squares = torch.cdist(data.flatten(1), noise.flatten(1)).square().numpy()
        plan = theirs.get_map(noise, data)
        values = {
            OURS: float((data - optimal_transport(data, noise)).square().flatten(1).sum(1).mean()),
            "torchcfm": float((plan.T * squares).sum()),
        }
        blocks = {
            OURS: repeated(lambda data=data, noise=noise: optimal_transport(data, noise)),
            "torchcfm": repeated(lambda data=data, noise=noise: theirs.sample_plan(noise, data)),
        }
        yield from compared("coupling", f"batch {batch:,} of 784 pixels", "batches", blocks, rounds, values=values)


@contextmanager
def _without_torchvision() -> Iterator[None]:
    """An empty torchvision in a block: torch-fidelity imports it for networks that are not used here."""
    names = ("torchvision", "torchvision.datasets", "torchvision.transforms", "torchvision.transforms.functional")
    stand_ins = {name: ModuleType(name) for name in names if name not in sys.modules}
    for name in ("CIFAR10", "CIFAR100", "STL10"):
        setattr(stand_ins.get("torchvision.datasets", ModuleType("")), name, object)
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name in stand_ins:
            del sys.modules[name]


def judging(rounds: int) -> Iterator[Row]:
    """Figures a second: Frechet distance of 10,000 rows of features, and structural similarity of image pairs."""
    from skimage.metrics import structural_similarity

    with _without_torchvision():
        from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric

    data = load_dataset(DataConfig())
    judge, test = judge_for(data), data.test.batch(slice(None))
    features = judge.look(test).features.double()
    others = judge.look((test + 0.1 * torch.randn(test.shape, generator=stream("noise"))).clamp(0, 1)).features.double()

    def ours() -> float:
        return frechet_distance(*Seen(features, features).statistics(), *Seen(others, others).statistics())

    def theirs() -> float:
        both = (fid_features_to_statistics(one) for one in (features, others))
        return fid_statistics_to_metric(*both, verbose=False)[KEY_METRIC_FID]

    blocks = {OURS: lambda: bool(ours() + 1), "torch-fidelity": lambda: bool(theirs() + 1)}
    values = {OURS: ours(), "torch-fidelity": theirs()}
    work = f"Frechet distance of {len(features):,} x {features.shape[1]} features"
    yield from compared("judging", work, "figures", blocks, rounds, values=values)

    images = test[:500]
    again = (images + 0.1 * torch.randn(images.shape, generator=stream("again"))).clamp(0, 1)
    pairs = list(zip(images[:, 0].numpy(), again[:, 0].numpy(), strict=True))

    def by_scikit_image() -> float:
        return statistics.mean(structural_similarity(a, b, data_range=1.0) for a, b in pairs)

    values = {OURS: float(ssims(images, again).mean()), "scikit-image": float(by_scikit_image())}
    blocks = {
        OURS: lambda: len(ssims(images, again)),
        "scikit-image": lambda: len(pairs) * bool(by_scikit_image() + 2),
    }
    yield from compared("judging", "structural similarity", "image pairs", blocks, rounds, values=values)


def timed(rounds: int) -> Iterator[dict[str, Any]]:
    """All rows; with one thread."""
    for part in (training, sampling, coupling, judging):
        yield from map(asdict, part(rounds))
