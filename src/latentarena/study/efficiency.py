"""What a model costs: multiply-adds counted, and sampling timed beside a reference model in the same run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.utils.flop_counter import FlopCounterMode

from latentarena.backbone.attention import forward_mode
from latentarena.bundle import AnyModel, LegacyModel, PortableModel
from latentarena.judge.card import Timing
from latentarena.judge.metrics import Estimate
from latentarena.study.labels import labels_for
from latentarena.train.model import Architecture, LatentModel
from latentarena.train.recipe import load_recipe

__all__ = ["multiply_adds", "time_sampling"]

REFERENCE = "quickstart"  # the architecture of this recipe, untrained: its weights do not change its speed
BATCH, REPEATS, THREADS = 100, 5, 1


def multiply_adds(model: AnyModel) -> int | None:
    """Multiply-adds of one sample, from noise to image, all steps of the model's own sampler; None if not known."""
    if isinstance(model, LegacyModel):
        return None
    if isinstance(model, PortableModel):
        return model.multiply_adds
    noise, labels = model.noise(1, 0), labels_for(model, 1)
    with forward_mode(), FlopCounterMode(display=False) as counter:  # of attention kernels it knows the plain one
        model.generate(noise, labels)
    return int(counter.get_total_flops()) // 2


def time_sampling(model: AnyModel) -> Timing:
    """Median seconds of sampling on one thread, after a warm-up, in turn with a reference model."""
    reference = LatentModel(Architecture.of(load_recipe(REFERENCE), (1, 28, 28), tuple("0123456789"))).eval()
    with threads(THREADS):
        milliseconds(model, 10)
        milliseconds(reference, 10)
        pairs = [(milliseconds(model, BATCH), milliseconds(reference, BATCH)) for _ in range(REPEATS)]
    own, others = zip(*pairs, strict=True)
    median, other = statistics.median(own), statistics.median(others)
    return Timing(
        threads=THREADS,
        batch=BATCH,
        repeats=REPEATS,
        ms_per_sample=Estimate(value=median, low=min(own), high=max(own)),
        reference_ms=other,
        ratio=median / other,
    )


def milliseconds(model: AnyModel, n: int) -> float:
    """For one of n samples that are drawn together."""
    noise, labels = model.noise(n, 0), labels_for(model, n)
    start = time.perf_counter()
    model.generate(noise, labels)
    return 1000 * (time.perf_counter() - start) / n


@contextmanager
def threads(n: int) -> Iterator[None]:
    """So many threads of torch, then as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)
