"""Scoring: the judge hands noise, labels and images in, gets images and latents back, and measures them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from latentarena.data import Dataset
from latentarena.errors import ModelError
from latentarena.judge.card import SEEDS, Opinion, Score, scored
from latentarena.judge.classifier import Judge, Verdict
from latentarena.judge.known import Known, estimates, known_of, measure_images, measure_seen, real_index
from latentarena.judge.metrics import (
    Estimate,
    Neighbours,
    absolute_errors,
    draws,
    edge_energies,
    exactly,
    gaussian_gap_of,
    independent_ratio,
    mean_of,
    nearest,
    probe,
    psnr_of,
    ratio_of,
    squared_errors,
    ssims,
    wilson,
)
from latentarena.latents import quantised
from latentarena.precision import Precision
from latentarena.randomness import stream

__all__ = ["SAMPLES", "Findings", "Subject", "checked", "hand_out", "judge_labels", "judge_noise", "score"]

SAMPLES = 10_000
TRAINED = 10_000  # train images that are encoded, for the linear probe and the reconstruction gap
TOLERANCE = 1e-3  # outside the declared range, for rounding


@dataclass(frozen=True)
class Subject:
    """A model as the judge sees it: functions of arrays, whatever is behind them.

    Attributes:
        noise: shape of one sample's noise.
        conditional: whether `generate` wants labels.
        generate: noise (n, *noise), labels int64 (n,) or None, and a seed for what noise a stochastic solver adds
            -> images (n, C, H, W) in [0, 1].
        encode: images (n, C, H, W) -> latents (n, *latent); None for a model of pixels.
        decode: latents -> images.
        precision: to which latents are rounded on their way from `encode` to `decode`.
    """

    noise: tuple[int, ...]
    conditional: bool
    generate: Callable[[Tensor, Tensor | None, int], Tensor]
    encode: Callable[[Tensor], Tensor] | None
    decode: Callable[[Tensor], Tensor]
    precision: Precision = "float16"


@dataclass(frozen=True)
class Findings:
    """The figures and the images that they were measured on.

    Attributes:
        scores: by metric name.
        by_class: share of the samples of a class in which the judge sees it, (K,); None if unconditional.
        by_seed: Frechet distance of each seed's samples alone.
        opinions: of the other judges.
        generated: (n, C, H, W); asked: labels that were asked for, int64 (n,), or None.
        seen: what the judge sees in them; near: their nearest train images.
        prior: (n, C, H, W), or None for a model of pixels.
        reconstructed: the test split again, (N, C, H, W), or None.
        latents: of the test split, and of the generated images when they are encoded again, or None.
        rounding: how far the precision moves latents of the test split, as a share of how far they spread.
        known: what the judge knows of real images.
    """

    scores: dict[str, Score]
    by_class: Tensor | None
    by_seed: tuple[float, ...]
    opinions: tuple[Opinion, ...]
    generated: Tensor
    asked: Tensor | None
    seen: Verdict
    near: Neighbours
    prior: Tensor | None
    reconstructed: Tensor | None
    latents: tuple[Tensor, Tensor] | None
    rounding: float
    known: Known


def judge_noise(n: int, shape: tuple[int, ...], seed: int, purpose: str = "sample") -> Tensor:
    """The standard normal noise that the judge hands in for a seed, (n, *shape)."""
    return torch.randn(n, *shape, generator=stream("judge", seed, purpose))


def judge_labels(frequencies: Tensor, n: int, seed: int = SEEDS[0]) -> Tensor:
    """The classes that the judge asks for: n in the data's own proportions, in a random order; int64 (n,)."""
    middles = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    labels = torch.searchsorted(frequencies.double().cumsum(0), middles).clamp(max=len(frequencies) - 1)
    return labels[torch.randperm(n, generator=stream("judge", seed, "labels"))]


def hand_out(
    shape: tuple[int, ...], frequencies: Tensor | None, samples: int, seeds: Sequence[int]
) -> Iterator[tuple[Tensor, Tensor | None, int]]:
    """What the judge hands in: noise (n, *shape), labels int64 (n,) or None, and seed; together `samples` rows.

    Args:
        shape: of one sample's noise.
        frequencies: of the classes, (K,), in whose proportions labels are asked for; None for no labels.
    """
    for i, seed in enumerate(seeds):
        n = samples // len(seeds) + (i < samples % len(seeds))
        if n:
            yield judge_noise(n, shape, seed), None if frequencies is None else judge_labels(frequencies, n, seed), seed


def score(
    subject: Subject,
    data: Dataset,
    judge: Judge,
    opinions: Sequence[Judge] = (),
    samples: int = SAMPLES,
    seeds: Sequence[int] = SEEDS,
) -> Findings:
    """Score a model on the full test split and on generated images, an equal share from each seed.

    Raises:
        JudgeError: a judge fails its self-test on this data.
        ModelError: the model's images are not finite, of another shape, or outside [0, 1].
    """
    known = known_of(judge, data, samples)
    batches = list(hand_out(subject.noise, judge.frequencies if subject.conditional else None, samples, seeds))
    generated = checked(torch.cat([subject.generate(*batch) for batch in batches]), (samples, *data.shape), "samples")
    asked = torch.cat([labels for _, labels, _ in batches if labels is not None]) if subject.conditional else None
    seen, near = judge.look(generated), nearest(generated, data.train.pixels)

    found = measure_images(generated, seen, near, known)
    fewer = min(samples, len(data.test))  # real images stand behind the floors
    few = torch.arange(samples) if fewer == samples else torch.randperm(samples, generator=stream("equal"))[:fewer]
    equal = {} if fewer == samples else measure_images(generated[few], seen.rows(few), near.rows(few), known)
    by_class = None
    if asked is not None:
        found |= _asked(seen, asked, len(judge.frequencies))
        by_class = _by_class(seen.labels, asked, len(judge.frequencies))
    prior = again = latents = None
    rounding = 0.0
    if subject.encode is not None:
        test = data.test.batch(slice(None))
        codes, exact = _latents(subject, test, "test images")
        rounding = _lost(codes, exact)
        again = checked(subject.decode(codes), test.shape, "reconstructions")
        handed = judge_noise(samples, tuple(codes.shape[1:]), seeds[0], "prior")
        prior = checked(subject.decode(handed), generated.shape, "prior samples")
        found |= _reconstruction(again, test)
        prior_seen = judge.look(prior)
        found |= measure_seen(prior_seen, judge, draws(samples), "prior_")
        if fewer < samples:
            equal |= measure_seen(prior_seen.rows(few), judge, draws(fewer), "prior_")
        found |= _encoded(subject, codes, squared_errors(again, test), data)
        latents = codes, _latents(subject, generated, "samples")[0]
    return Findings(
        scores=scored(found, known.floors | _prior_floors(known.floors), equal),
        by_class=by_class,
        by_seed=_frechet_by_seed(seen, [len(noise) for noise, _, _ in batches], judge),
        opinions=tuple(_opinion(other, data, generated, seen, known) for other in opinions),
        generated=generated,
        asked=asked,
        seen=seen,
        near=near,
        prior=prior,
        reconstructed=again,
        latents=latents,
        rounding=rounding,
        known=known,
    )


def checked(images: Tensor, shape: Sequence[int], what: str) -> Tensor:
    """The images, cut to [0, 1], once shape, finiteness and range are in order.

    Raises:
        ModelError: naming what is wrong and what it looks like.
    """
    if tuple(images.shape) != tuple(shape):
        raise ModelError(f"the model's {what} have the shape {tuple(images.shape)}, not {tuple(shape)}")
    if not bool(images.isfinite().all()):
        raise ModelError(f"the model's {what} hold values that are not finite; it cannot be judged")
    low, high = float(images.min()), float(images.max())
    if low < -TOLERANCE or high > 1 + TOLERANCE:
        raise ModelError(
            f"the model's {what} reach from {low:.3g} to {high:.3g}, outside the declared range [0, 1]; "
            + _guess(low, high)
        )
    return images.clamp(0, 1)


def _guess(low: float, high: float) -> str:
    if low >= -1 - TOLERANCE and high <= 1 + TOLERANCE:
        return "they look as if in [-1, 1]: return (x + 1) / 2"
    if high > 200:
        return "they look like bytes: divide by 255"
    if low < -1.5 and high > 1.5:
        return "they look like logits: put a sigmoid at the end of the decoder"
    return "clamp them, or put a sigmoid at the end of the decoder"


def _latents(subject: Subject, images: Tensor, what: str) -> tuple[Tensor, Tensor]:
    """Latents as they are judged, with no more in them than their declared precision holds, and as the model has them.

    Whatever is decoded or measured comes by here.

    Raises:
        ModelError: they are not finite, or too large for their precision.
    """
    assert subject.encode is not None
    exact = subject.encode(images)
    if len(exact) != len(images) or not bool(exact.isfinite().all()):
        raise ModelError(f"the model's latents of {what} are not {len(images)} finite vectors; it cannot be judged")
    latents = quantised(exact, subject.precision)
    if not bool(latents.isfinite().all()):
        raise ModelError(
            f"the model's latents of {what} reach {float(exact.abs().max()):.3g}, more than {subject.precision} holds; "
            f"divide them by a constant, so that they are of a size around 1"
        )
    return latents, exact


def _lost(latents: Tensor, exact: Tensor) -> float:
    """How far rounding moves latents, as a share of how far they spread."""
    spread = exact.std(0).square().mean().sqrt().clamp(min=1e-30)
    return float((latents - exact).square().mean().sqrt() / spread)


def _reconstruction(again: Tensor, test: Tensor) -> dict[str, Estimate]:
    errors = squared_errors(again, test)
    statistics = {
        "mse": mean_of(errors),
        "ssim": mean_of(ssims(again, test)),
        "psnr": mean_of(psnr_of(errors)),
        "l1": mean_of(absolute_errors(again, test)),
        "sharpness": ratio_of(edge_energies(again), edge_energies(test)),
    }
    return estimates(statistics, draws(len(test)))


def _prior_floors(floors: dict[str, Estimate]) -> dict[str, Estimate]:
    return {f"prior_{name}": floors[name] for name in ("confidence", "entropy", "frechet")}


def _encoded(subject: Subject, codes: Tensor, errors: Tensor, data: Dataset) -> dict[str, Estimate]:
    """What the latents of the test split are like, and whether the test split was trained on."""
    chosen = torch.randperm(len(data.train), generator=stream("probe"))[:TRAINED]
    train = data.train.batch(chosen)
    train_codes, _ = _latents(subject, train, "train images")
    train_errors = squared_errors(checked(subject.decode(train_codes), train.shape, "reconstructions"), train)
    right = probe(train_codes, data.train.labels[chosen], codes, data.test.labels)
    counted = {
        "latent_dimension": exactly(prod(codes.shape[1:])),
        "reconstruction_gap": independent_ratio(errors, train_errors),
    }
    return counted | estimates({"latent_gap": gaussian_gap_of(codes), "probe": mean_of(right)}, draws(len(codes)))


def _asked(seen: Verdict, asked: Tensor, classes: int) -> dict[str, Estimate]:
    """How often the judge sees the class that was asked for, over all and in the class where it does least."""
    right = seen.labels == asked
    worst = int(_by_class(seen.labels, asked, classes).nan_to_num(2).argmin())  # never one not asked for
    of_worst = right[asked == worst]
    return {
        "accuracy": wilson(int(right.sum()), len(asked)),
        "worst_accuracy": wilson(int(of_worst.sum()), len(of_worst)),
    }


def _by_class(labels: Tensor, asked: Tensor, classes: int) -> Tensor:
    """(K,) shares, NaN for a class that was not asked for."""
    right = torch.bincount(asked[labels == asked], minlength=classes).double()
    return right / torch.bincount(asked, minlength=classes)


def _frechet_by_seed(seen: Verdict, sizes: Sequence[int], judge: Judge) -> tuple[float, ...]:
    parts = torch.split(torch.arange(sum(sizes)), list(sizes))
    return tuple(judge.distance(seen.rows(part)) for part in parts)


def _opinion(other: Judge, data: Dataset, generated: Tensor, official: Verdict, known: Known) -> Opinion:
    """What another judge sees in the same samples, and in real ones."""
    test, seen = other.verify(data), other.look(generated)
    distance = measure_seen(seen, other, draws(len(generated)))
    index = real_index(data, len(generated))
    floor = measure_seen(test.rows(index), other, draws(len(index)))
    return Opinion(
        judge=other.name,
        kind=other.facts.kind,
        digest=other.digest,
        frechet=scored(distance, floor)["frechet"],
        confidence=distance["confidence"].value,
        real_confidence=other.facts.confidence,
        agreement=float((seen.labels == official.labels).double().mean()),
        real_agreement=float((test.labels == known.test.labels).double().mean()),
    )
