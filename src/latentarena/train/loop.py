"""The one training loop: whatever is trained here is trained by `fit`.

Every random number of step k is a function of (seed, stage, k), so a resumed run needs weights, optimizer state
and k alone, and is the same run bit for bit.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from latentarena.config import Config
from latentarena.errors import CheckpointError, ConfigError, Interrupted, OutputError, TrainingError
from latentarena.randomness import Draws, stream
from latentarena.system import noted_signals
from latentarena.train.averages import LONGEST, SHORTEST, Averages, Exponential, PowerFunction
from latentarena.train.checkpoint import Checkpoint, Checkpoints, load_exactly, pack_optimizer, unpack_optimizer
from latentarena.train.divided import is_divided, undivide, whole
from latentarena.train.muon import Muon
from latentarena.train.shelter import Reach, plainly

if TYPE_CHECKING:
    from lightning_fabric import Fabric

LOGGED = 200  # points on a full loss curve
SAVE_EVERY = 20.0  # seconds


class FitConfig(Config):
    """How long and how fast one stage learns.

    Attributes:
        epochs: passes over the train split (fractions allowed); the learning rate always anneals to the end.
        batch: examples per step, over all processes together.
        lr: peak learning rate of AdamW.
        muon: peak learning rate of Muon, which then moves the matrices and convolutions (see `train.muon`) while
            AdamW moves the rest; 0 leaves all to AdamW.
        warmup: fraction of the steps in which the rate rises linearly.
        weight_decay: decoupled weight decay.
        ema: decay of the exponential moving average of the weights, which is what is kept; 0 switches it off.
        ema_length: keeps an average whose length can be changed after training instead (see `train.averages`): its
            relative standard deviation, as a share of the training; 0 switches it off.
        clip: largest gradient norm; 0 switches clipping off.
    """

    epochs: float = Field(gt=0, le=1e6)
    batch: int = Field(default=256, ge=1)
    lr: float = Field(default=1e-3, gt=0, le=1)
    muon: float = Field(default=0.0, ge=0, le=1)
    warmup: float = Field(default=0.05, ge=0, lt=1)
    weight_decay: float = Field(default=0.0, ge=0, le=1)
    ema: float = Field(default=0.0, ge=0, lt=1)
    ema_length: float = Field(default=0.0, ge=0, le=LONGEST)
    clip: float = Field(default=0.0, ge=0)

    @model_validator(mode="after")
    def _one_average(self) -> Self:
        if 0 < self.ema_length < SHORTEST:
            raise ValueError(f"ema_length = {self.ema_length:g}: it is 0, or from {SHORTEST:g} to {LONGEST:g}")
        if self.ema and self.ema_length:
            raise ValueError("ema and ema_length are two ways to average the weights; leave one at 0")
        return self

    def steps(self, size: int) -> int:
        """Steps for a train split of `size` examples."""
        return max(1, round(self.epochs * (size // min(self.batch, size))))


class Objective(nn.Module):
    """What the loop minimises: a module over the indices of `size` training examples.

    Attributes:
        progress: the share of the steps that is done, in [0, 1); kept up to date by the loop.
        averages: the moving averages of the trained parameters, which the loop keeps; empty without averaging.
    """

    size: int
    progress: float = 0.0
    averages: tuple[Tensor, ...] = ()

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The averaged weights in place of the trained ones, for the length of a block; then all is as it was."""
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad][: len(self.averages)]
        kept = [parameter.detach().clone() for parameter in trained]
        try:
            with torch.no_grad():
                for parameter, mean in zip(trained, self.averages, strict=True):
                    parameter.copy_(mean)
            yield
        finally:
            with torch.no_grad():
                for parameter, value in zip(trained, kept, strict=True):
                    parameter.copy_(value)

    def forward(self, index: Tensor, draws: Draws) -> dict[str, Tensor]:
        """Losses of a batch: `index` int64 (B,) -> scalars; the one called `loss` is minimised."""
        raise NotImplementedError


@dataclass(frozen=True)
class Tick:
    """Where training stands after `step` of `steps`; `metrics` is filled at logging points only."""

    step: int
    steps: int
    samples: int
    seconds: float
    metrics: dict[str, float] = field(default_factory=dict)


def rate(step: int, steps: int, peak: float, warmup: float) -> float:
    """Learning rate at a step: linear warm-up, then half a cosine to zero (Loshchilov & Hutter, 2017)."""
    warm = warmup * steps
    if step < warm:
        return peak * (step + 1) / (warm + 1)
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1.0, steps - warm)))


def optimizer_of(module: nn.Module, config: FitConfig) -> torch.optim.Optimizer:
    """AdamW, or Muon where the config asks for it, on the parameters of a module that want a gradient."""
    if config.muon:
        return Muon(module, config.lr, config.weight_decay, config.muon)
    trained = [p for p in module.parameters() if p.requires_grad]
    return torch.optim.AdamW(trained, config.lr, weight_decay=config.weight_decay, foreach=True)


def averages_of(config: FitConfig, parameters: Iterable[Tensor], steps: int) -> Averages | None:
    """The averages of the weights that a config asks for, in a training of so many steps; None without any."""
    if config.ema_length:
        return PowerFunction(parameters, config.ema_length, steps)
    return Exponential(parameters, config.ema) if config.ema else None


def fit(
    objective: Objective,
    config: FitConfig,
    fabric: Fabric,
    folder: Path,
    key: tuple[int, str],
    reach: Reach = plainly,
) -> Generator[Tick]:
    """Train `objective` to the end, from the newest checkpoint in `folder` if there is one.

    A generator: it trains as it is iterated and yields after every step; the averaged weights are in
    `objective` when it is exhausted. An OutputError that is thrown into it is raised once the state is saved, if it
    can be.

    Args:
        objective: on return holds the final (averaged) weights.
        config: length, batch and rates.
        fabric: device, precision and processes.
        folder: where checkpoints go: at logging points, of which a stage has 200, at most every 20 seconds.
        key: (seed, stage name): names the checkpoints and all random numbers.
        reach: what stands for the folder while that cannot be reached.

    Raises:
        TrainingError: the loss is not finite; the last good checkpoint is kept.
        Interrupted: Ctrl-C, or the program was told to end; the state was saved.
        OutputError: the disk is full; the state is saved where `reach` has another place for it.
        ConfigError: the batch does not divide among the processes.
    """
    run = _Run(objective, config, fabric, Checkpoints(folder, key[1], reach), key)
    start, before = run.restore()
    began = saved = logged = time.monotonic()
    every = max(1, run.steps // LOGGED)
    yield Tick(start, run.steps, start * run.batch, before)

    with noted_signals() as interrupted:
        for step in range(start, run.steps):
            run.step(step)
            done, now = step + 1, time.monotonic()
            metrics: dict[str, float] = {}
            if done % every == 0 or done == run.steps:
                metrics = run.metrics(done, now - logged)
                logged = now
            spent = before + now - began
            try:
                # Logged before it is saved: the curve of a resumed run has no gaps.
                yield Tick(done, run.steps, done * run.batch, spent, metrics)
                stop = _any(fabric, bool(interrupted), at_logging_point=bool(metrics))
                due = bool(metrics) and _any(fabric, now - saved > SAVE_EVERY or done == run.steps)
                if stop or due:
                    run.save(done, spent)
                    saved = time.monotonic()
            except OutputError:  # there is no room: what takes the folder's place has some, or has nothing
                if not run.divided:  # among processes that would all have to save now
                    with suppress(OutputError):
                        run.save(done, spent)
                raise
            if stop:
                kept = f"stopped at step {done} of {run.steps}, saved"
                line = f"{key[1]}: {kept}; the same command goes on (arena train: with --resume)"
                told = Interrupted(line, *interrupted[:1])
                raise told if fabric.is_global_zero else SystemExit(told.exit_code)  # the first speaks for all
    run.finish()


def refuse_uneven(config: FitConfig, size: int, processes: int, stage: str) -> None:
    """Raise a ConfigError where a stage's batch does not divide among the processes."""
    batch = min(config.batch, size)
    if batch % processes:
        cut = f" (all the images there are, {config.batch} were asked for)" if batch < config.batch else ""
        raise ConfigError(
            f"training.{stage}.batch = {batch}{cut} does not divide among {processes} processes; choose a multiple"
        )


class _Run:
    """The state of one call of `fit`."""

    def __init__(
        self,
        objective: Objective,
        config: FitConfig,
        fabric: Fabric,
        store: Checkpoints,
        key: tuple[int, str],
    ) -> None:
        self.objective, self.config, self.fabric, self.store, self.key = objective, config, fabric, store, key
        self.batch, self.steps = min(config.batch, objective.size), config.steps(objective.size)
        refuse_uneven(config, objective.size, fabric.world_size, key[1])
        self.module = fabric.setup_module(objective)
        self.trained = [p for p in objective.parameters() if p.requires_grad]
        self.divided = any(map(is_divided, self.trained))
        prepared: Any = fabric.setup_optimizers(optimizer_of(objective, config))  # one, since one is given
        self.optimizer: torch.optim.Optimizer = prepared
        self.peaks = [group["lr"] for group in self.optimizer.param_groups]
        self.averages = averages_of(config, self.trained, self.steps)
        objective.averages = () if self.averages is None else tuple(self.averages.current)
        self.sums: dict[str, Tensor] = {}
        self.counted = 0

    def step(self, step: int) -> None:
        for group, peak in zip(self.optimizer.param_groups, self.peaks, strict=True):
            group["lr"] = rate(step, self.steps, peak, self.config.warmup)
        generator = stream(*self.key, step, device=self.fabric.device)
        draws = Draws(generator, self.fabric.global_rank, self.fabric.world_size)
        self.objective.progress = step / self.steps
        losses = self.module(draws.mine(self._indices(step)), draws)
        self.optimizer.zero_grad(set_to_none=True)
        self.fabric.backward(losses["loss"])
        if self.config.clip:
            self.fabric.clip_gradients(self.module, self.optimizer, max_norm=self.config.clip, error_if_nonfinite=False)
        self.optimizer.step()
        if self.averages is not None:
            self.averages.follow(step)
        self.sums = {name: self.sums.get(name, 0) + loss.detach() for name, loss in losses.items()}
        self.counted += 1

    def _indices(self, step: int) -> Tensor:
        """The global batch of a step: a slice of that epoch's permutation, int64 (batch,)."""
        epoch, position = divmod(step, self.objective.size // self.batch)
        order = _permutation(self.objective.size, self.key, epoch, self.fabric.device)
        return order[position * self.batch : (position + 1) * self.batch]

    def metrics(self, done: int, seconds: float) -> dict[str, float]:
        """The mean of each loss since the last call, over all processes, with rate and speed."""
        means = {name: _mean(self.fabric, s) / self.counted for name, s in self.sums.items()}
        if not all(math.isfinite(value) for value in means.values()):
            raise self._lost("the loss is", done)
        speed = self.counted * self.batch / seconds
        self.sums, self.counted = {}, 0
        lr = rate(done - 1, self.steps, self.config.lr, self.config.warmup)
        return means | {"lr": lr, "samples_per_second": speed}

    def _lost(self, what: str, step: int) -> TrainingError:
        kept, muon = self.store.latest(), " or muon" if self.config.muon else ""
        return TrainingError(
            f"{self.key[1]}: {what} not finite near step {step}; the last good state (step "
            f"{kept.step if kept else 0}) is kept in {self.store.folder}; try a lower lr{muon}, or set clip"
        )

    def save(self, step: int, seconds: float) -> None:
        state = sorted(self._state(), key=itemgetter(0))  # every process has to ask for the same in turn
        tensors = {name: whole(tensor) for name, tensor in state}
        trained = [name for name, p in self.objective.named_parameters() if p.requires_grad]
        if not all(bool(tensors[f"model.{name}"].isfinite().all()) for name in trained):
            raise self._lost("a weight is", step)  # a finite loss may have a slope that is not
        if self.fabric.is_global_zero:
            self.store.save(Checkpoint(step, tensors, {"seconds": seconds}))

    def _state(self) -> Iterator[tuple[str, Tensor]]:
        """All that a resumed run needs, by name."""
        parts = {"model": self.objective.state_dict(), "optimizer": pack_optimizer(self.optimizer)}
        if self.averages is not None:
            parts["average"] = self.averages.state()
        for part, tensors in parts.items():
            yield from ((f"{part}.{name}", tensor) for name, tensor in tensors.items())

    def restore(self) -> tuple[int, float]:
        """Step and seconds so far: those of the newest intact checkpoint, else zero."""
        found = self.store.latest() if self.fabric.is_global_zero else None
        self.fabric.barrier()  # the others look once the first has put damaged files out of the way
        found = found or self.store.latest()
        start = found.step if found else 0
        if _mean(self.fabric, torch.tensor(float(start), device=self.fabric.device)) != start:
            raise CheckpointError(
                f"the processes of {self.key[1]} found checkpoints of different steps in {self.store.folder}; "
                "all of them need to see the same folder"
            )
        if found is None:
            return 0, 0.0
        parts: dict[str, dict[str, Tensor]] = {"model": {}, "average": {}, "optimizer": {}}
        for name, tensor in found.tensors.items():
            part, rest = name.split(".", 1)
            parts[part][rest] = tensor
        load_exactly(self.objective, parts["model"], f"checkpoint {self.key[1]} at step {found.step}")
        if self.averages is not None:
            self.averages.restore(parts["average"])
        unpack_optimizer(self.optimizer, parts["optimizer"])
        return found.step, float(found.facts["seconds"])

    @torch.no_grad()
    def finish(self) -> None:
        """Put the averaged weights, whole, into the objective."""
        if self.averages is not None:
            for parameter, mean in zip(self.trained, self.averages.final(), strict=True):
                parameter.copy_(mean)
        undivide(self.objective)


@lru_cache(maxsize=1)
def _permutation(size: int, key: tuple[int, str], epoch: int, device: torch.device) -> Tensor:
    return torch.randperm(size, generator=stream(*key, "order", epoch)).to(device)


def _any(fabric: Fabric, wanted: bool, at_logging_point: bool = True) -> bool:
    """Whether any process wants to stop, or to save; several ask each other, at logging points only."""
    if fabric.world_size == 1:
        return wanted
    return at_logging_point and _mean(fabric, torch.tensor(float(wanted), device=fabric.device)) > 0


def _mean(fabric: Fabric, value: Tensor) -> float:
    """A scalar's mean over all processes."""
    return float(torch.as_tensor(fabric.all_reduce(value, reduce_op="mean")))
