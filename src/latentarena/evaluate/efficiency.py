"""Sampling timed beside a reference model in the same run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from latentarena.autoencoder import ConvVAEConfig
from latentarena.backbone import MLPConfig
from latentarena.card.score_card import Timing
from latentarena.judge.metrics import Figure
from latentarena.model.config import GeneratorConfig, SamplingConfig
from latentarena.model.latent_model import AnyModel, Architecture, LatentModel, labels_for

REFERENCE = Architecture(  # untrained: its weights do not change its speed; no recipe's, so that speeds stay comparable
    shape=(1, 28, 28),
    classes=tuple("0123456789"),
    autoencoder=ConvVAEConfig(latent=(28,), widths=(12, 24), neck=4),
    generator=GeneratorConfig(backbone=MLPConfig(width=112, depth=2, loops=3, conditioning=10)),
    sampling=SamplingConfig(solver="heun", steps=8),
)
BATCH, REPEATS, THREADS = 100, 5, 1


def time_sampling(model: AnyModel) -> Timing:
    """Median seconds of sampling on one thread, after a warm-up, in turn with a reference model."""
    reference = LatentModel(REFERENCE).eval()
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
        ms_per_sample=Figure(value=median, low=min(own), high=max(own)),
        reference_ms=other,
        ratio=median / other,
    )


def milliseconds(model: AnyModel, n: int) -> float:
    """Milliseconds for one of n samples that are drawn together."""
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
