"""Scoring: a model is asked for samples and reconstructions, these are measured and examined beside real images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from latentarena.card.finding import Finding
from latentarena.card.own import OwnMetric
from latentarena.card.score_card import FULL, SEEDS, Opinion, OwnFigure, Score, scored
from latentarena.data import Dataset, Images
from latentarena.judge.classifier import Judge
from latentarena.judge.examine import examine
from latentarena.judge.known import known_of, real_index, real_materials
from latentarena.judge.material import (
    Errors,
    Known,
    Labels,
    Latents,
    Material,
    Neighbours,
    Prior,
    Reconstructions,
    Samples,
    Seen,
)
from latentarena.judge.measure import measured, measured_own
from latentarena.judge.metrics import confidences, draws, estimate, frechet_of, mean_of, nearest, squared_errors
from latentarena.judge.randomness import WITHOUT_BUNDLE, Randomness
from latentarena.judge.subject import (
    Coded,
    Sampled,
    Subject,
    checked,
    chosen_train,
    code,
    generate_samples,
    generator_of,
    hand_out,
)

SWEPT = 1000  # samples at other numbers of steps
SAMPLES = FULL
FEWEST = 100  # images whose figures say anything


@dataclass(frozen=True)
class Findings:
    """The figures and the images that they were measured on.

    Attributes:
        scores: by metric name; own: of metrics of somebody's own.
        by_class: share of the samples of a class in which the judge sees it, (K,); None if unconditional.
        by_seed: Frechet distance of each seed's samples alone.
        opinions: of the other judges.
        noise: of the samples, (n, *noise).
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
    own: dict[str, OwnFigure]
    by_class: Tensor | None
    by_seed: tuple[float, ...]
    opinions: tuple[Opinion, ...]
    noise: Tensor
    generated: Tensor
    asked: Tensor | None
    seen: Seen
    near: Neighbours
    prior: Tensor | None
    reconstructed: Tensor | None
    latents: tuple[Tensor, Tensor] | None
    rounding: float
    known: Known
    checks: tuple[Finding, ...]


def score(
    subject: Subject,
    data: Dataset,
    judge: Judge,
    opinions: Sequence[Judge] = (),
    samples: int = SAMPLES,
    seeds: Sequence[int] = SEEDS,
    randomness: Randomness = WITHOUT_BUNDLE,
    own: Sequence[OwnMetric] = (),
) -> Findings:
    """Score a model on the full test split and on generated images, an equal share from each seed.

    Raises:
        JudgeError: a judge fails its self-test on this data, or a metric of `own` fails.
        ModelError: the model's images are not finite, of another shape, or outside [0, 1].
        GateError: an image or a latent depends on more than its own row; see `ask`.
    """
    known, floors = known_of(judge, data, samples)
    parts = list(
        hand_out(subject.noise, judge.frequencies if subject.conditional else None, samples, seeds, randomness)
    )
    noise = torch.cat([noise for noise, _ in parts])
    asked = torch.cat([labels for _, labels in parts if labels is not None]) if subject.conditional else None
    images = generate_samples(subject, noise, asked, data.shape, randomness)
    seen, chosen = judge.look(images), chosen_train(data, randomness)
    coded = code(subject, data, images, chosen, randomness)

    counts = draws(samples, generator=randomness.stream("bootstrap", "samples"))
    drawn = Samples(counts, images, seen, nearest(images, data.train.pixels), known)
    prior = None if coded is None else Prior(counts, judge.look(coded.prior_images), known)
    labels = None if asked is None else Labels(counts, asked, seen.labels, len(judge.frequencies))
    autoencoder = {} if coded is None else _of_autoencoder(coded, data, chosen, randomness)
    materials = {"samples": drawn, "labels": labels, "prior": prior, **autoencoder}
    equal = _as_many_as_real(drawn, prior, data, randomness)
    scores = scored(measured(materials), floors, measured(equal))
    sampled = Sampled(generator_of(subject, randomness), noise, asked, images, seen.features)
    return Findings(
        scores=scores,
        own=_own(own, materials, equal, data, samples),
        by_class=None if labels is None else labels.obeyed,
        by_seed=tuple(map(judge.distance, _split(seen, [len(noise) for noise, _ in parts]))),
        opinions=tuple(_opinion(other, data, drawn, counts) for other in opinions),
        noise=noise,
        generated=images,
        asked=asked,
        seen=seen,
        near=drawn.near,
        prior=None if coded is None else coded.prior_images,
        reconstructed=None if coded is None else coded.test_images,
        latents=None if coded is None else (coded.test, coded.samples),
        rounding=0.0 if coded is None else coded.rounding,
        known=known,
        checks=examine(data, known, sampled, coded, chosen, scores, randomness),
    )


def score_images(
    images: Tensor, data: Dataset, judge: Judge, against: Tensor | None = None, own: Sequence[OwnMetric] = ()
) -> dict[str, Score]:
    """The sample half of a score card: figures of images (N, C, H, W) in [0, 1], whatever made them.

    Args:
        images: that are judged.
        data: real images; judge: of the same data.
        against: images that stand in the train split's place, if any: the reference of distances and copies.
        own: metrics of somebody's own, whose figures stand among the others as `OwnFigure`.

    Raises:
        JudgeError: the judge fails its self-test on this data, or a metric of `own` fails.
        ModelError: the images are not finite, of another shape than the data's, or outside [0, 1].
    """
    n = len(images)
    images = checked(images, (n, *data.shape), "images")
    given = None if against is None else checked(against, (len(against), *data.shape), "images to be held against")
    other = None if given is None else Images(given.mul(255).round().byte(), judge.look(given).labels)
    known, floors = known_of(judge, data, n, other)
    counts = draws(n, generator=WITHOUT_BUNDLE.stream("bootstrap", "samples"))
    data = data if other is None else replace(data, train=other)
    drawn = Samples(counts, images, judge.look(images), nearest(images, data.train.pixels), known)
    materials, equal = {"samples": drawn}, _as_many_as_real(drawn, None, data, WITHOUT_BUNDLE)
    return scored(measured(materials), floors, measured(equal)) | _own(own, materials, equal, data, n)


def _own(
    metrics: Sequence[OwnMetric],
    materials: Mapping[str, Material | None],
    equal: Mapping[str, Material | None],
    data: Dataset,
    samples: int,
) -> dict[str, OwnFigure]:
    """What metrics of somebody's own come to, beside what real images do."""
    drawn = materials["samples"]
    if not metrics or not isinstance(drawn, Samples):
        return {}
    found, few = measured_own(metrics, materials), measured_own(metrics, equal)
    real = measured_own(metrics, real_materials(drawn.real, data, samples))
    return {
        one.kind: one.on_card(found[one.kind], real.get(one.kind), few.get(one.kind))
        for one in metrics
        if one.kind in found
    }


def _of_autoencoder(coded: Coded, data: Dataset, chosen: Tensor, randomness: Randomness) -> dict[str, Material]:
    """What metrics of encoder and decoder need."""
    test, train = data.test.batch(slice(None)), data.train.batch(chosen)
    counts, train_counts, latent_counts = (
        draws(n, generator=randomness.stream("bootstrap", use))
        for n, use in ((len(test), "test images"), (len(chosen), "train images"), (len(test), "latents"))
    )
    errors = squared_errors(coded.test_images, test), squared_errors(coded.train_images, train)
    return {
        "reconstructions": Reconstructions(counts, test, coded.test_images),
        "errors": Errors(counts, *errors, train_counts),
        "latents": Latents(latent_counts, coded.test, data.test.labels, coded.train, data.train.labels[chosen]),
    }


def _as_many_as_real(
    drawn: Samples, prior: Prior | None, data: Dataset, randomness: Randomness
) -> dict[str, Material | None]:
    """As many of the samples as real images stand behind the floors; nothing where there are no more samples."""
    samples, fewer = len(drawn.images), len(data.test)
    if fewer >= samples:
        return {}
    few = torch.randperm(samples, generator=randomness.stream("equal"))[:fewer]
    counts = draws(fewer, generator=randomness.stream("bootstrap", "equal"))
    return {"samples": drawn.rows(few, counts), "prior": None if prior is None else prior.rows(few, counts)}


def _split(seen: Seen, sizes: Sequence[int]) -> list[Seen]:
    """What is seen in consecutive images of so many each."""
    return [seen.rows(part) for part in torch.split(torch.arange(sum(sizes)), list(sizes))]


def _opinion(other: Judge, data: Dataset, drawn: Samples, counts: Tensor) -> Opinion:
    """What another judge sees in the same samples, and in real ones."""
    test, seen = other.verify(data), other.look(drawn.images)
    index = real_index(data, len(drawn.images))
    distance = estimate(frechet_of(seen.features, *other.reference), counts, 0)
    floor = estimate(frechet_of(test.features[index], *other.reference), draws(len(index)), 0)
    return Opinion(
        judge=other.name,
        kind=other.facts.kind,
        digest=other.digest,
        frechet=scored({"frechet": distance}, {"frechet": floor})["frechet"],
        confidence=estimate(mean_of(confidences(seen.probabilities)), counts, 0, 1).value,
        real_confidence=other.facts.confidence,
        agreement=float((seen.labels == drawn.seen.labels).double().mean()),
        real_agreement=float((test.labels == drawn.real.test.labels).double().mean()),
    )
