"""Error bars: bootstrap draws, intervals that cover, and shares that were never seen."""

from __future__ import annotations

import math

import pytest
import scipy.stats
import torch

from latentarena.judge.metrics import Figure, draws, estimate, mean_of, ratio_of, wilson
from latentarena.randomness import stream


def test_draws_start_with_every_image_once_and_keep_the_total() -> None:
    counts = draws(300, 50)
    assert counts.shape == (51, 300)
    assert bool((counts[0] == 1).all())
    assert bool((counts.sum(1) == 300).all())
    assert counts[1:].std() == pytest.approx(1, abs=0.02)  # a Poisson count of mean 1


def test_draws_are_the_same_each_time_and_leave_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    assert torch.equal(draws(40), draws(40))
    assert torch.equal(before, torch.get_rng_state())


def test_the_interval_of_a_mean_is_that_of_the_normal_law() -> None:
    values = torch.randn(5000, generator=stream("values"), dtype=torch.float64)
    found = estimate(mean_of(values), draws(5000))
    half = 1.96 * float(values.std()) / math.sqrt(5000)
    assert found.value == pytest.approx(float(values.mean()), abs=1e-12)
    assert found.high - found.low == pytest.approx(2 * half, rel=0.15)


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    covered = 0
    for trial in range(200):
        values = torch.rand(400, generator=stream("trial", trial), dtype=torch.float64)
        found = estimate(mean_of(values), draws(400))
        covered += found.low <= 0.5 <= found.high
    assert scipy.stats.binomtest(covered, 200, 0.95).pvalue > 0.001


def test_an_interval_is_cut_to_the_range_and_holds_its_value() -> None:
    values = torch.tensor([0.0] * 99 + [1.0])
    found = estimate(mean_of(values), draws(100), 0, 1)
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_a_statistic_that_resampling_shifts_is_centred_on_its_value() -> None:
    values = torch.randn(50, 30, generator=stream("shifted"), dtype=torch.float64)

    def squared_norm_of_mean(counts: torch.Tensor) -> torch.Tensor:
        return (counts @ values / 50).square().sum(1)

    found = estimate(squared_norm_of_mean, draws(50, 500))
    replicates = squared_norm_of_mean(draws(50, 500))[1:]
    assert float(replicates.mean()) > 1.5 * found.value  # the shift is there
    assert found.low < found.value < found.high


def test_a_ratio_of_means() -> None:
    above, below = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([2.0, 2.0, 2.0])
    assert float(ratio_of(above, below)(torch.ones(1, 3).double())) == pytest.approx(1.0)
    assert float(ratio_of(0 * above, 0 * below)(torch.ones(1, 3).double())) == 1


@pytest.mark.parametrize(("successes", "n"), [(0, 50), (3, 50), (25, 50), (50, 50), (1, 10_000)])
def test_wilson_equals_scipy(successes: int, n: int) -> None:
    expected = scipy.stats.binomtest(successes, n).proportion_ci(method="wilson")
    found = wilson(successes, n)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-6)
    assert found.low < found.high


def test_intervals_meet_where_they_overlap() -> None:
    a, b, c = (Figure(value=v, low=v - 1, high=v + 1) for v in (0.0, 1.5, 3.0))
    assert a.meets(b)
    assert b.meets(c)
    assert not a.meets(c)
