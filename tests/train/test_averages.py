"""Averages of the weights whose length is chosen later, held against the same averages followed from the start."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from pydantic import ValidationError
from scipy.integrate import quad
from torch import Tensor

from latentarena.train.averages import (
    KEPT_LENGTHS,
    LONGEST,
    SHORTEST,
    PowerFunction,
    exponent,
    reconstructed,
    shares_of,
)
from latentarena.train.checkpoint import Checkpoints
from latentarena.train.loop import FitConfig, fit
from regression import CONFIG, KEY, Regression, advance

STEPS = 400
POWER = CONFIG.model_copy(update={"ema": 0.0, "ema_length": 0.08, "epochs": 20.0})


def walked(length: float, steps: int = STEPS) -> tuple[PowerFunction, Tensor, Tensor]:
    """Averages that followed weights on a walk of shorter and shorter steps, as a falling rate makes them.

    Also the average of this very length, by the sum that defines it, and the last weights, float64 (D,).
    """
    random = torch.Generator().manual_seed(3)
    paces = 0.5 + 0.5 * torch.cos(torch.pi * torch.arange(steps) / steps)
    weights = 5 + (paces[:, None] * torch.randn(steps, 20, generator=random)).cumsum(0)
    parameter = weights[0].clone()
    averages = PowerFunction([parameter], length, steps)
    direct, gamma = torch.zeros(20, dtype=torch.float64), exponent(length)
    for step, value in enumerate(weights):
        parameter.copy_(value)
        averages.follow(step)
        begun, ended = step / steps, (step + 1) / steps
        direct += (ended ** (gamma + 1) - begun ** (gamma + 1)) * value.double()
    return averages, direct, weights[-1].double()


@pytest.mark.parametrize("length", [0.04, 0.05, 0.1, 0.2, 0.25])
def test_the_exponent_gives_a_profile_of_that_relative_standard_deviation(length: float) -> None:
    gamma = exponent(length)
    mean, square = (quad(lambda x, p=p: (gamma + 1) * x ** (gamma + p), 0, 1)[0] for p in (1, 2))
    assert np.sqrt(square - mean**2) == pytest.approx(length, rel=1e-6)


@pytest.mark.parametrize(("which", "length"), [*enumerate(KEPT_LENGTHS)])
def test_an_average_that_is_kept_is_the_sum_that_defines_it(which: int, length: float) -> None:
    averages, direct, _ = walked(length)
    torch.testing.assert_close(averages.running[which][0].double(), direct, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(averages.final()[0].double(), direct, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("length", [SHORTEST, 0.07, 0.15, 0.2, LONGEST])
def test_any_other_is_found_from_the_snapshots_to_a_tenth_of_its_way_from_the_last_weights(length: float) -> None:
    averages, direct, last = walked(length)
    off = (averages.final()[0].double() - direct).norm()
    assert off < 0.1 * (direct - last).norm()
    other = min(KEPT_LENGTHS, key=lambda kept: abs(kept - length))
    assert off < 0.5 * (averages.running[KEPT_LENGTHS.index(other)][0].double() - direct).norm()


def test_shares_add_up_to_one_so_that_weights_that_stand_come_out_as_they_are() -> None:
    steps = np.array([3.0, 7.0, 11.0, 11.0])
    shares = shares_of(steps, np.array([6.9, 16.9, 6.9, 16.9]), exponent(0.2))
    assert shares.sum() == pytest.approx(1)
    assert reconstructed({}, 0.1) == []


def test_the_kept_weights_are_of_the_length_asked_for_whatever_was_asked_before(
    fabric: Fabric, tmp_path: Path, often: None
) -> None:
    """A finished stage gives every length without a step, and a training that was stopped gives the same."""
    whole, again, stopped, other = (Regression() for _ in range(4))
    for _ in fit(whole, POWER, fabric, tmp_path / "whole", KEY):
        last = [p.detach().clone() for p in whole.parameters()]
    longer = POWER.model_copy(update={"ema_length": 0.2})
    assert len(list(fit(again, longer, fabric, tmp_path / "whole", KEY))) == 1
    advance(fit(stopped, POWER, fabric, tmp_path / "stopped", KEY), 50)
    for _ in fit(other, longer, fabric, tmp_path / "stopped", KEY):
        pass
    for short, long, resumed, raw in zip(whole.parameters(), again.parameters(), other.parameters(), last, strict=True):
        assert torch.equal(long, resumed)
        assert not torch.equal(short, long)
        assert (long - raw).norm() > (short - raw).norm() > 0
    found = Checkpoints(tmp_path / "whole", KEY[1]).latest()
    assert found is not None
    kept = {name.removeprefix("average."): one for name, one in found.tensors.items() if name.startswith("average.")}
    for mean, parameter in zip(reconstructed(kept, 0.2), again.parameters(), strict=True):
        assert torch.equal(mean, parameter)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"ema_length": 0.01}, "ema_length = 0.01: it is 0, or from 0.04 to 0.25"),
        ({"ema_length": 0.3}, "less than or equal to 0.25"),
        ({"ema_length": 0.1, "ema": 0.9}, "two ways to average"),
    ],
)
def test_lengths_that_cannot_be_reconstructed_are_refused(keys: dict[str, float], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        FitConfig(epochs=1, **keys)
