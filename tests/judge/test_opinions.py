"""Several judges: a model that was tuned to one of them is found out by the others."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from latentarena.card.score_card import Opinion, Score
from latentarena.data import DataConfig, Dataset, load_dataset
from latentarena.errors import DataMissing
from latentarena.judge.classifier import Judge
from latentarena.judge.diagnosis import DISPUTED, diagnose, disagreement
from latentarena.judge.metrics import Figure
from latentarena.judge.score import Findings, score
from latentarena.judge.subject import Subject
from latentarena.judge.training import judge_for, opinions_for
from latentarena.randomness import stream

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

from judge_bad import tuned

SAMPLES = 120


def told(value: float, floor: float) -> Score:
    return Score(value=value, low=value, high=value, real=Figure(value=floor, low=floor, high=floor))


def official(value: float, floor: float, confidence: float = 0.95) -> dict[str, Score]:
    return {"frechet": told(value, floor), "confidence": told(confidence, 0.99)}


def opinion(value: float, floor: float, agreement: float = 0.95) -> Opinion:
    return Opinion(
        judge="other",
        kind="residual",
        digest="0" * 64,
        frechet=told(value, floor),
        confidence=0.9,
        real_confidence=0.99,
        agreement=agreement,
        real_agreement=0.99,
    )


def test_judges_agree_where_each_sees_as_much_over_its_own_floor() -> None:
    assert disagreement([opinion(40, 4), opinion(0.2, 0.02)], official(1.0, 0.1)) == pytest.approx(1)


def test_other_classes_than_doubt_explains_are_a_dispute() -> None:
    others = [opinion(10, 1, agreement=0.5), opinion(10, 1, agreement=0.6)]
    assert (disagreement(others, official(1.0, 0.1, confidence=0.99)) or 0) > DISPUTED
    assert (disagreement(others, official(1.0, 0.1, confidence=0.7)) or 0) <= 1


def test_one_other_judge_alone_does_not_make_a_dispute() -> None:
    assert disagreement([opinion(400, 4), opinion(0.2, 0.02)], official(1.0, 0.1)) == pytest.approx(1)


def test_there_is_no_dispute_without_other_judges_and_none_below_the_floor() -> None:
    assert disagreement([], official(1.0, 0.1)) is None
    assert disagreement([opinion(0.01, 0.02)], official(0.001, 0.1)) == pytest.approx(1)


@pytest.fixture(scope="module")
def mnist() -> Dataset:
    try:
        return load_dataset(DataConfig())
    except DataMissing:
        pytest.skip("MNIST is not here")


@pytest.fixture(scope="module")
def judges(mnist: Dataset) -> tuple[Judge, list[Judge]]:
    return judge_for(mnist), opinions_for(mnist)


def judged(images: Tensor, data: Dataset, judges: tuple[Judge, list[Judge]]) -> Findings:
    left = list(images)  # handed out in turn, whatever the noise
    subject = Subject(
        noise=(1,),
        conditional=False,
        generate=lambda noise, labels, seed: torch.stack([left.pop() for _ in noise]),
        encode=None,
        decode=lambda latents: latents,
        repeatable=False,
    )
    return score(subject, data, *judges, len(images), seeds=(0,))


def warned(found: Findings, data: Dataset) -> bool:
    advice = diagnose(found, found.scores, {1: 1.0}, 1, data.classes)
    return "judges disagree" in {one.fault for one in advice}


@pytest.mark.mnist
def test_a_model_that_was_tuned_to_the_official_judge_is_found_out(
    mnist: Dataset, judges: tuple[Judge, list[Judge]]
) -> None:
    judge, others = judges
    assert len({judge.facts.kind, *(other.facts.kind for other in others)}) == 3
    first, second = torch.randperm(len(mnist.test), generator=stream("poor"))[: 2 * SAMPLES].view(2, -1)
    poor = 0.5 * mnist.test.batch(first) + 0.5 * mnist.test.batch(second)  # two digits in one picture
    before, after = (judged(images, mnist, judges) for images in (poor, tuned(judge, poor, mnist, steps=20)))
    assert after.scores["frechet"].value < 0.2 * before.scores["frechet"].value  # the official judge was taken in
    assert not warned(before, mnist)
    assert warned(after, mnist)
    assert (disagreement(after.opinions, after.scores) or 0) > DISPUTED


@pytest.mark.mnist
def test_real_images_are_undisputed(mnist: Dataset, judges: tuple[Judge, list[Judge]]) -> None:
    found = judged(mnist.test.batch(slice(0, SAMPLES)), mnist, judges)
    assert not warned(found, mnist)
