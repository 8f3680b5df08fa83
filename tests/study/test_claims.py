"""Claims: how they are read, and how they are decided."""

from __future__ import annotations

import pytest

from latentarena.errors import ConfigError
from latentarena.study.claims import Claim, judge_claims

ARMS = ["small", "large"]


def figures(small: list[float], large: list[float]) -> dict[str, dict[int, dict[str, float]]]:
    arms = {"small": small, "large": large}
    return {arm: {seed: {"frechet": value} for seed, value in enumerate(values)} for arm, values in arms.items()}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("frechet[small] > frechet[large]", ["frechet[large] < frechet[small]"]),
        ("frechet[small] <= 0.9 * frechet[large]", ["frechet[small] < 0.9 * frechet[large]"]),
        ("accuracy[small]>=0.995", ["0.995 < accuracy[small]"]),
        ("1 < mse[small] < 2e-3 * mse[large]", ["1 < mse[small]", "mse[small] < 0.002 * mse[large]"]),
    ],
)
def test_a_claim_is_read_as_its_comparisons(text: str, words: list[str]) -> None:
    assert [f"{link.smaller} < {link.larger}" for link in Claim.read(text, ARMS).links] == words


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("frechet[small]", "compares nothing"),
        ("frechet[tiny] < frechet[small]", "arm 'tiny' is unknown; choose from small, large"),
        ("beauty[small] < 1", "figure 'beauty' is unknown"),
        ("frechet[small] < good", "'good' cannot be read"),
        ("1 < 2", "names no figure"),
        ("frechet[small] == 1", "compares nothing"),
    ],
)
def test_what_is_no_claim_is_refused_in_one_line_with_the_way_out(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match="claim") as refused:
        Claim.read(text, ARMS)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_clear_difference_holds_its_reverse_fails_and_noise_is_undecided() -> None:
    texts = ["frechet[large] < frechet[small]", "frechet[small] < frechet[large]", "frechet[small] < 1.02"]
    claims = [Claim.read(text, ARMS) for text in texts]
    found = judge_claims(claims, figures([1.0, 1.1, 0.9], [0.5, 0.61, 0.39]), 0.05)
    assert [one.word for one in found] == ["holds", "fails", "undecided"]
    effect = found[0].effects[0]
    assert effect.seeds == 3
    assert effect.difference is not None
    assert effect.difference.value == pytest.approx(-0.5)
    assert effect.ratio == pytest.approx(0.5)


def test_pairs_are_those_of_one_seed_and_an_arm_that_failed_pairs_with_nothing() -> None:
    claim = Claim.read("frechet[large] < frechet[small]", ARMS)
    wide = figures([1.0, 11.0, 101.0], [0.9, 10.9, 100.9])  # the seeds differ by far more than the arms
    assert judge_claims([claim], wide, 0.05)[0].word == "holds"
    missing = {"small": wide["small"], "large": {0: {"frechet": 0.9}}}
    [verdict] = judge_claims([claim], missing, 0.05)
    assert (verdict.word, verdict.effects[0].seeds, verdict.effects[0].difference) == ("undecided", 1, None)


def test_a_chain_holds_if_all_of_it_does_and_fails_if_any_of_it_does() -> None:
    data = figures([1.0, 1.01, 0.99], [0.5, 0.511, 0.489])
    texts = ["0.1 < frechet[large] < frechet[small]", "frechet[large] < frechet[small] < 0.1"]
    assert [one.word for one in judge_claims([Claim.read(text, ARMS) for text in texts], data, 0.05)] == [
        "holds",
        "fails",
    ]


def test_many_claims_share_one_error() -> None:
    claim = Claim.read("frechet[large] < frechet[small]", ARMS)
    data = figures([1.0, 1.1, 0.9], [0.5, 0.55, 0.45])
    assert judge_claims([claim], data, 0.05)[0].word == "holds"
    assert judge_claims([claim] * 50, data, 0.05)[0].word == "undecided"
