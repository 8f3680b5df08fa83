"""Our paths, regression targets and coupling against an independent implementation: the flow matchers of torchcfm.

Its time runs from noise at 0 to data at 1, ours from data at 0 to noise at 1. `make test` installs it without what it
depends on, which is far more than the part used here needs.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torchcfm.conditional_flow_matching import (
    ConditionalFlowMatcher,
    ExactOptimalTransportConditionalFlowMatcher,
    VariancePreservingConditionalFlowMatcher,
)
from torchcfm.optimal_transport import OTPlanSampler

from latentarena.process import PATHS, TARGETS, Times, matching_loss, optimal_transport
from latentarena.randomness import Draws, stream

MATCHERS = {"straight": ConditionalFlowMatcher, "trigonometric": VariancePreservingConditionalFlowMatcher}
SHAPES = [(3,), (2, 4, 4)]


def normal(*shape: int, key: str) -> Tensor:
    """Standard normal float64 numbers, the same for the same key."""
    return torch.randn(*shape, generator=stream(key), dtype=torch.float64)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", MATCHERS)
def test_points_and_velocities_are_theirs(name: str, shape: tuple[int, ...]) -> None:
    data, noise = normal(64, *shape, key="data"), normal(64, *shape, key="noise")
    path, t = PATHS[name](), torch.linspace(*PATHS[name]().span, 64, dtype=torch.float64)
    _, theirs, slope = MATCHERS[name](sigma=0.0).sample_location_and_conditional_flow(noise, data, 1 - t)
    at = path.at(t, data)
    p, q = TARGETS["velocity"](at)
    torch.testing.assert_close(at.mix(data, noise), theirs)
    torch.testing.assert_close(p * data + q * noise, -slope)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", MATCHERS)
def test_the_loss_is_theirs(name: str, shape: tuple[int, ...]) -> None:
    """The squared error of a network of any answer."""
    data, path, seen = normal(32, *shape, key="data").float(), PATHS[name](), []
    draws = Draws(stream("loss"))
    times: Times = lambda draws, n: draws.uniform(n)  # noqa: E731

    def network(x: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
        seen.append((x, t))
        return x.sin()

    loss = matching_loss(network, path, TARGETS["velocity"], times, data, None, draws)
    x, t = seen[0]
    again = Draws(stream("loss"))
    again.uniform(len(data))
    noise = again.normal(*data.shape)
    _, theirs, slope = MATCHERS[name](sigma=0.0).sample_location_and_conditional_flow(noise, data, 1 - t)
    torch.testing.assert_close(x, theirs)
    torch.testing.assert_close(loss, (x.sin() + slope).square().mean())


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_coupling_is_theirs(shape: tuple[int, ...]) -> None:
    """Their plan is a permutation where it is unique, and ours is the same one."""
    data, noise = normal(48, *shape, key="data"), normal(48, *shape, key="noise")
    plan = torch.as_tensor(OTPlanSampler(method="exact").get_map(noise, data))  # (noise, data)
    assert (plan * 48).round().sum() == 48
    assert torch.equal(optimal_transport(data, noise), noise[plan.argmax(0)])


def test_labels_go_with_data_and_noise_as_theirs_do() -> None:
    """They draw pairs from the plan with replacement; ours takes each once, and labels are the data's numbers."""
    data, noise, half = normal(48, 3, key="data"), normal(48, 3, key="noise"), torch.full((48,), 0.5)
    matcher = ExactOptimalTransportConditionalFlowMatcher(sigma=0.0)
    drawn = matcher.guided_sample_location_and_conditional_flow(noise, data, None, torch.arange(48), half.double())
    _, x, slope, _, labels = drawn
    torch.testing.assert_close(data[labels], x + slope / 2)
    torch.testing.assert_close(optimal_transport(data, noise)[labels], x - slope / 2)
