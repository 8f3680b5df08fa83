"""The sequential test: its error rate, by simulation, and its power."""

from __future__ import annotations

import numpy as np
import pytest

from latentarena.study.sequential import FIRST, interval, side, spent

STUDIES = 10_000


def test_what_all_looks_spend_is_the_error() -> None:
    assert sum(spent(n, 0.05) for n in range(200_000)) == pytest.approx(0.05, rel=1e-4)
    assert spent(FIRST - 1, 0.05) == 0


@pytest.mark.parametrize("error", [0.05, 0.2])
def test_of_studies_without_a_difference_no_more_are_decided_than_stated(error: float) -> None:
    differences = np.random.default_rng(0).standard_normal((STUDIES, 12))
    decided = np.zeros(STUDIES, dtype=bool)
    for n in range(FIRST, 13):  # whoever stops at the first verdict
        low, high = interval(differences[:, :n], error)
        decided |= (low > 0) | (high < 0)
    assert decided.mean() <= error + 3 * np.sqrt(error * (1 - error) / STUDIES)
    assert decided.mean() > error / 4  # and it is no test that never decides


def test_a_large_difference_is_decided_on_its_own_side_at_once_and_a_small_one_later() -> None:
    rng = np.random.default_rng(1)
    assert side([-5.0, -5.3, -4.9], 0.05) == -1
    assert side([5.0, 5.3, 4.9], 0.05) == 1
    small = list(0.8 + rng.standard_normal(60))
    assert side(small[:4], 0.05) == 0
    assert side(small, 0.05) == 1


def test_before_the_first_look_everything_is_open_and_equal_differences_are_surely_what_they_are() -> None:
    assert side([-1.0] * (FIRST - 1), 0.05) == 0
    assert side([-1.0] * FIRST, 0.05) == -1
    assert side([0.0] * FIRST, 0.05) == 0
