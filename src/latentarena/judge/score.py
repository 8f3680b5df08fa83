"""Scoring: the judge hands noise, labels and images in, gets images and latents back, and measures them.

Everything random in it follows from the contest's key and the bundle's hash (`Randomness`), and what a model makes of a
row may depend on that row alone (`ask`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from latentarena.card.finding import Finding
from latentarena.card.score_card import SEEDS, Opinion, Score, scored
from latentarena.data import Dataset
from latentarena.errors import ModelError
from latentarena.judge.classifier import Judge, Verdict
from latentarena.judge.continuity import Generate
from latentarena.judge.examine import Coded, Sampled, examine
from latentarena.judge.known import Known, estimates, known_of, measure_images, measure_seen, real_index
from latentarena.judge.metrics import (
    Figure,
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
from latentarena.judge.randomness import WITHOUT_BUNDLE, Randomness
from latentarena.judge.rows import ask
from latentarena.latents import quantised
from latentarena.precision import Precision

SWEPT = 1000  # samples at other numbers of steps
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
        repeatable: whether `generate` makes the same image of the same noise twice; programs that draw noise of their
            own do not, so that nothing is known of the independence of their samples.
        held: `generate` where a stochastic solver adds noise that follows from the row: with the rows, as a fourth
            argument, whose noise it adds instead; None where there is no such noise.
    """

    noise: tuple[int, ...]
    conditional: bool
    generate: Callable[[Tensor, Tensor | None, int], Tensor]
    encode: Callable[[Tensor], Tensor] | None
    decode: Callable[[Tensor], Tensor]
    precision: Precision = "float16"
    repeatable: bool = True
    held: Callable[[Tensor, Tensor | None, int, Tensor], Tensor] | None = None


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
        checks: whether it is a model at all.
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
    checks: tuple[Finding, ...]


def judge_labels(frequencies: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """The classes that the judge asks for: n in the data's own proportions, in a random order; int64 (n,)."""
    middles = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    labels = torch.searchsorted(frequencies.double().cumsum(0), middles).clamp(max=len(frequencies) - 1)
    return labels[torch.randperm(n, generator=generator)]


def hand_out(
    shape: tuple[int, ...],
    frequencies: Tensor | None,
    samples: int,
    seeds: Sequence[int],
    randomness: Randomness = WITHOUT_BUNDLE,
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """What the judge hands in: noise (n, *shape) and labels int64 (n,) or None; together `samples` rows.

    Args:
        shape: of one sample's noise.
        frequencies: of the classes, (K,), in whose proportions labels are asked for; None for no labels.
        samples, seeds: how many rows, an equal share from each seed.
        randomness: that the seeds are numbers of.
    """
    for i, seed in enumerate(seeds):
        n = samples // len(seeds) + (i < samples % len(seeds))
        if n:
            labels = None if frequencies is None else judge_labels(frequencies, n, randomness.stream("labels", seed))
            yield randomness.noise(n, shape, "sample", seed), labels


def score(
    subject: Subject,
    data: Dataset,
    judge: Judge,
    opinions: Sequence[Judge] = (),
    samples: int = SAMPLES,
    seeds: Sequence[int] = SEEDS,
    randomness: Randomness = WITHOUT_BUNDLE,
) -> Findings:
    """Score a model on the full test split and on generated images, an equal share from each seed.

    Raises:
        JudgeError: a judge fails its self-test on this data.
        ModelError: the model's images are not finite, of another shape, or outside [0, 1].
        GateError: an image or a latent depends on more than its own row; see `ask`.
    """
    known = known_of(judge, data, samples)
    frequencies = judge.frequencies if subject.conditional else None
    parts = list(hand_out(subject.noise, frequencies, samples, seeds, randomness))
    asked = torch.cat([labels for _, labels in parts if labels is not None]) if subject.conditional else None
    noise = torch.cat([noise for noise, _ in parts])
    generated = _generated(subject, noise, asked, data.shape, randomness)
    seen, near = judge.look(generated), nearest(generated, data.train.pixels)

    counts = draws(samples, generator=randomness.stream("bootstrap", "samples"))
    found = measure_images(generated, seen, near, known, counts)
    fewer = min(samples, len(data.test))  # real images stand behind the floors
    equal: dict[str, Figure] = {}
    if fewer < samples:
        few = torch.randperm(samples, generator=randomness.stream("equal"))[:fewer]
        few_counts = draws(fewer, generator=randomness.stream("bootstrap", "equal"))
        equal = measure_images(generated[few], seen.rows(few), near.rows(few), known, few_counts)
    by_class = None
    if asked is not None:
        found |= _asked(seen, asked, len(judge.frequencies))
        by_class = _by_class(seen.labels, asked, len(judge.frequencies))
    passed = None
    if subject.encode is not None:
        passed = _pass(subject, data, generated, randomness)
        prior_seen = judge.look(passed.prior)
        found |= _reconstruction(passed, data, randomness) | measure_seen(prior_seen, judge, counts, "prior_")
        found |= _encoded(passed, data, randomness)
        if fewer < samples:
            equal |= measure_seen(prior_seen.rows(few), judge, few_counts, "prior_")
    sampled = Sampled(_generator(subject, randomness), noise, asked, generated, seen.features)
    chosen = _chosen(data, randomness) if passed is None else passed.chosen
    findings = examine(data, known, sampled, _coded(subject, passed), chosen, found, randomness)
    return Findings(
        scores=scored(found, known.floors | _prior_floors(known.floors), equal),
        by_class=by_class,
        by_seed=_frechet_by_seed(seen, [len(noise) for noise, _ in parts], judge),
        opinions=tuple(_opinion(other, data, generated, seen, known, counts) for other in opinions),
        generated=generated,
        asked=asked,
        seen=seen,
        near=near,
        prior=None if passed is None else passed.prior,
        reconstructed=None if passed is None else passed.test,
        latents=None if passed is None else (passed.codes, passed.of_generated),
        rounding=0.0 if passed is None else passed.rounding,
        known=known,
        checks=findings,
    )


@dataclass(frozen=True)
class _Passed:
    """What came out of encoder and decoder.

    Attributes:
        codes: latents of the test split as judged; train_codes, of_generated: of train images and of samples.
        rounding: how far the precision moves the test split's latents, as a share of how far they spread.
        chosen: int64, which train images, known to who has the key.
        test, train, prior: images decoded from `codes`, from `train_codes` and from standard normal latents.
    """

    codes: Tensor
    train_codes: Tensor
    of_generated: Tensor
    rounding: float
    chosen: Tensor
    test: Tensor
    train: Tensor
    prior: Tensor


def _generated(
    subject: Subject, noise: Tensor, labels: Tensor | None, shape: tuple[int, ...], randomness: Randomness
) -> Tensor:
    """The samples (n, *shape) of noise and labels."""
    seed = randomness.seed("fresh noise")  # one for all: a row's fresh noise is its own by the noise it starts from

    def generate(noise: Tensor, labels: Tensor | None = None) -> Tensor:
        return subject.generate(noise, labels, seed)

    inputs = [noise] if labels is None else [noise, labels]
    order = randomness.stream("order", "generate")
    made = ask(generate, inputs, order, "samples", shape, 1.0, subject.repeatable)
    return checked(made, (len(noise), *shape), "samples")


def _pass(subject: Subject, data: Dataset, generated: Tensor, randomness: Randomness) -> _Passed:
    """Encode and decode all that is measured, mixed in the same calls, so that nothing tells what a row is for."""
    assert subject.encode is not None
    test, n = data.test.batch(slice(None)), len(generated)
    chosen = _chosen(data, randomness)
    sizes = [len(test), len(chosen), n]
    images = torch.cat([test, data.train.batch(chosen), generated])
    exact = ask(subject.encode, [images], randomness.stream("order", "encode"), "latents")
    names = ["test images", "train images", "samples"]
    parts = [
        _as_judged(part, subject.precision, name) for part, name in zip(torch.split(exact, sizes), names, strict=True)
    ]
    prior = quantised(randomness.noise(n, tuple(exact.shape[1:]), "prior"), subject.precision)
    latents = torch.cat([parts[0], parts[1], prior])
    order = randomness.stream("order", "decode")
    decoded = ask(subject.decode, [latents], order, "reconstructions", data.shape, 1.0)
    again, train, drawn = torch.split(decoded, sizes)
    return _Passed(
        codes=parts[0],
        train_codes=parts[1],
        of_generated=parts[2],
        rounding=_lost(parts[0], exact[: len(test)]),
        chosen=chosen,
        test=checked(again, again.shape, "reconstructions"),
        train=checked(train, train.shape, "reconstructions"),
        prior=checked(drawn, drawn.shape, "prior samples"),
    )


def _chosen(data: Dataset, randomness: Randomness) -> Tensor:
    """Which train images test images are compared with: known to who has the key."""
    return torch.randperm(len(data.train), generator=randomness.stream("train images"))[:TRAINED]


def _generator(subject: Subject, randomness: Randomness) -> Generate | None:
    """The sampler for the checks; None for a program that draws noise of its own."""
    seed = randomness.seed("fresh noise")
    if not subject.repeatable:
        return None

    def generate(noise: Tensor, labels: Tensor | None, held: Tensor) -> Tensor:
        made = (
            subject.generate(noise, labels, seed) if subject.held is None else subject.held(noise, labels, seed, held)
        )
        return checked(made, (len(noise), *made.shape[1:]), "samples")

    return generate


def _coded(subject: Subject, passed: _Passed | None) -> Coded | None:
    """Encoder and decoder for the checks, with latents as judged; None for a model of pixels."""
    encode = subject.encode
    if passed is None or encode is None:
        return None
    return Coded(
        encode=lambda images: _as_judged(encode(images), subject.precision, "samples"),
        decode=lambda latents: checked(
            subject.decode(quantised(latents, subject.precision)), (len(latents), *passed.test.shape[1:]), "images"
        ),
        test=passed.codes,
        train=passed.train_codes,
        samples=passed.of_generated,
        test_images=passed.test,
        train_images=passed.train,
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


def _as_judged(exact: Tensor, precision: Precision, what: str) -> Tensor:
    """Latents with no more in them than their declared precision holds; whatever is decoded or measured comes by here.

    Raises:
        ModelError: they are not finite, or too large for their precision.
    """
    if not bool(exact.isfinite().all()):
        raise ModelError(f"the model's latents of {what} are not {len(exact)} finite vectors; it cannot be judged")
    latents = quantised(exact, precision)
    if not bool(latents.isfinite().all()):
        raise ModelError(
            f"the model's latents of {what} reach {float(exact.abs().max()):.3g}, more than {precision} holds; "
            f"divide them by a constant, so that they are of a size around 1"
        )
    return latents


def _lost(latents: Tensor, exact: Tensor) -> float:
    """How far rounding moves latents, as a share of how far they spread."""
    spread = exact.std(0).square().mean().sqrt().clamp(min=1e-30)
    return float((latents - exact).square().mean().sqrt() / spread)


def _reconstruction(passed: _Passed, data: Dataset, randomness: Randomness) -> dict[str, Figure]:
    again, test = passed.test, data.test.batch(slice(None))
    errors = squared_errors(again, test)
    statistics = {
        "mse": mean_of(errors),
        "ssim": mean_of(ssims(again, test)),
        "psnr": mean_of(psnr_of(errors)),
        "l1": mean_of(absolute_errors(again, test)),
        "sharpness": ratio_of(edge_energies(again), edge_energies(test)),
    }
    train_errors = squared_errors(passed.train, data.train.batch(passed.chosen))
    counts = draws(len(test), generator=randomness.stream("bootstrap", "test images"))
    train_counts = draws(len(passed.chosen), generator=randomness.stream("bootstrap", "train images"))
    gap = independent_ratio(errors, train_errors, counts, train_counts)
    return estimates(statistics, counts) | {"reconstruction_gap": gap}


def _prior_floors(floors: dict[str, Figure]) -> dict[str, Figure]:
    return {f"prior_{name}": floors[name] for name in ("confidence", "entropy", "frechet")}


def _encoded(passed: _Passed, data: Dataset, randomness: Randomness) -> dict[str, Figure]:
    """What the latents of the test split are like."""
    codes = passed.codes
    right = probe(passed.train_codes, data.train.labels[passed.chosen], codes, data.test.labels)
    counts = draws(len(codes), generator=randomness.stream("bootstrap", "latents"))
    statistics = {"latent_gap": gaussian_gap_of(codes), "probe": mean_of(right)}
    return {"latent_dimension": exactly(prod(codes.shape[1:]))} | estimates(statistics, counts)


def _asked(seen: Verdict, asked: Tensor, classes: int) -> dict[str, Figure]:
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


def _opinion(
    other: Judge, data: Dataset, generated: Tensor, official: Verdict, known: Known, counts: Tensor
) -> Opinion:
    """What another judge sees in the same samples, and in real ones."""
    test, seen = other.verify(data), other.look(generated)
    distance = measure_seen(seen, other, counts)
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
