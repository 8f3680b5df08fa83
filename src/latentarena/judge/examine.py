"""The examination of a model: what the checks need is drawn, measured and put in order."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from latentarena.card.finding import Finding
from latentarena.card.score_card import Score
from latentarena.data import Dataset
from latentarena.judge import checks
from latentarena.judge.continuity import grain, probe
from latentarena.judge.heart import by_heart
from latentarena.judge.material import Known
from latentarena.judge.memory import leaning
from latentarena.judge.metrics.estimate import TINY
from latentarena.judge.randomness import Randomness
from latentarena.judge.subject import Coded, Sampled

COMPARED = 4000  # samples that are compared with the splits
MOVED = 1000  # test images that are moved
RETURNED = 1000  # latents and samples that go through decoder and encoder again
FITTED = 2000  # train images whose principal components say how much harder moved images are
FEWEST = 8  # walks
ROWS_A_WALK = 200  # samples for each walk, so that few samples are not checked at more cost than drawn


def examine(
    data: Dataset,
    known: Known,
    sampled: Sampled,
    coded: Coded | None,
    chosen: Tensor,
    scores: Mapping[str, Score],
    randomness: Randomness,
) -> tuple[Finding, ...]:
    """Everything that is checked, the gravest kinds first.

    Args:
        data: the splits.
        known: what the judge knows of real images.
        sampled: what was generated.
        coded: what came from encoder and decoder; None for a model of pixels.
        chosen: int64, numbers of train images that the submission could not know, and of which `coded` has latents.
        scores: of the card, beside those of real images.
        randomness: of the evaluation.
    """
    step = 0.0 if coded is None else grain(coded.decode, coded.test)
    walked = None
    if sampled.generate is not None:
        walks = min(checks.WALKS, max(FEWEST, len(sampled.images) // ROWS_A_WALK))
        walked = probe(sampled.generate, sampled.noise, sampled.labels, sampled.images, walks, checks.DEPTH, step)
    findings = [checks.variety(sampled.images, walked, None if coded is None else coded.test_images)]
    findings += memories(data, known, sampled, coded, chosen, randomness)
    findings += [] if walked is None else [checks.continuity(walked), checks.used(walked)]
    findings += [] if coded is None else _autoencoder(data, sampled, coded, scores, randomness, step)
    return tuple(findings)


def memories(
    data: Dataset, known: Known, sampled: Sampled, coded: Coded | None, chosen: Tensor, randomness: Randomness
) -> list[Finding]:
    """Whether samples are of the test split, or copies of train images, in every space.

    Of a test split larger than the chosen train images, as many are drawn at random: files may be in order of classes.
    """
    some = slice(0, COMPARED)
    test = torch.randperm(len(data.test), generator=randomness.stream("test images"))[: len(chosen)]
    images, train = sampled.images[some], data.train.pixels[chosen]
    spaces = [
        ("pixels", images, data.test.pixels[test], train),
        ("features", sampled.features[some], known.test.features[test], known.train),
    ]
    if coded is not None:
        spaces += [
            ("latents", coded.samples[some], coded.test[test], coded.train),
            ("reconstructions", images, coded.test_images[test], coded.train_images),
        ]
    found = [(space, leaning(*arrays)) for space, *arrays in spaces]
    return [check(*one) for check in (checks.memory, checks.copying) for one in found]


def _autoencoder(
    data: Dataset,
    sampled: Sampled,
    coded: Coded,
    scores: Mapping[str, Score],
    randomness: Randomness,
    step: float,
) -> list[Finding]:
    """Whether test images were trained on, and whether all parts belong to one function."""
    order = torch.randperm(len(coded.test), generator=randomness.stream("walks"))
    prior = randomness.noise(RETURNED, tuple(coded.test.shape[1:]), "walks")
    gap, real = scores["reconstruction_gap"], scores["frechet"].real
    assert real is not None
    assert gap.real is not None
    near = scores["prior_frechet"].value < checks.NEAR_REAL * real.value
    samples = sampled.images[:RETURNED]
    again = coded.decode(coded.samples[:RETURNED]).clamp(0, 1)
    moving = randomness.stream("moved images")
    test, train = (
        split.batch(torch.randperm(len(split), generator=moving)[:most])
        for split, most in ((data.test, MOVED), (data.train, FITTED))
    )
    return [
        checks.overfitted(gap, gap.real),
        checks.known_by_heart(
            by_heart(coded.encode, coded.decode, test, train, moving, gap.value / max(gap.real.value, TINY))
        ),
        checks.samples_of_decoder(samples, again, scores["mse"].value),
        *checks.belonging(coded.encode, coded.decode, coded.test[order], prior, near, step),
    ]
