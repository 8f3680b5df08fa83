"""What a model costs: multiply-adds counted, and sampling timed beside a reference model in the same run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from latentarena.backbone.attention import forward_mode
from latentarena.bundle import AnyModel, LegacyModel, PortableModel
from latentarena.card.score_card import Timing
from latentarena.evaluate.counting import counted
from latentarena.gates import Cost, Size, size_of, stored
from latentarena.judge.metrics import Figure
from latentarena.model.latent_model import LatentModel
from latentarena.train.recipe import load_recipe
from latentarena.use.labels import labels_for

REFERENCE = "quickstart"  # the architecture of this recipe, untrained: its weights do not change its speed
BATCH, REPEATS, THREADS = 100, 5, 1


def measured(model: AnyModel) -> tuple[Cost, Size] | None:
    """What one sample takes, from noise to image, all steps of the model's own sampler, and what the model holds.

    Returns:
        None for a model of the 2025 form, whose program cannot be looked into.
    """
    if isinstance(model, LegacyModel):
        return None
    if isinstance(model, PortableModel):
        return model.cost, model.size
    noise, labels = model.noise(1, 0), labels_for(model, 1)
    cost, generator = _used(lambda *rows: model.generate(*rows), [noise] if labels is None else [noise, labels])
    _, encoder = _used(model.encode, [torch.zeros(1, *model.architecture.shape)])
    _, decoder = _used(model.decode, [torch.zeros(1, *model.latent_shape)])
    parts = {"encode": encoder, "decode": decoder, "generate": generator}
    return cost, size_of({name: stored(_numpy(tensor) for tensor in tensors) for name, tensors in parts.items()})


def _used(run: Callable[..., Tensor], inputs: list[Tensor]) -> tuple[Cost, list[Tensor]]:
    """What an output takes of computing and of constants."""
    with forward_mode(), counted(inputs) as record:  # of attention kernels it knows the plain one
        return record.used(run(*inputs))


def _numpy(tensor: Tensor) -> Any:
    """The numbers of a constant, in no more bits than a graph stores them in."""
    return (tensor.float() if tensor.is_floating_point() else tensor).detach().cpu().numpy()


def time_sampling(model: AnyModel) -> Timing:
    """Median seconds of sampling on one thread, after a warm-up, in turn with a reference model."""
    reference = LatentModel(load_recipe(REFERENCE).architecture((1, 28, 28), tuple("0123456789"))).eval()
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
